/** Writes the reference pages under docs/ that are printed from tables. Tests compare them with the same functions. */
import { writeFileSync } from "node:fs";
import { printConsoleReference } from "../src/admin/print-console-reference.ts";
import { printConfigurationReference } from "../src/config/print-reference.ts";
import { printErrorReference } from "../src/session/print-errors.ts";

const PAGES: readonly (readonly [path: string, print: () => string])[] = [
  ["docs/configuration.md", printConfigurationReference],
  ["docs/console.md", printConsoleReference],
  ["docs/errors.md", printErrorReference],
];

for (const [path, print] of PAGES) writeFileSync(new URL(`../${path}`, import.meta.url), print());
