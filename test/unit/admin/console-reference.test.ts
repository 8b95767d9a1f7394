/** The reference page is what the table says. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { COMMAND_TABLE } from "../../../src/admin/command-table.ts";
import { printConsoleReference } from "../../../src/admin/print-console-reference.ts";

test("docs/console.md is up to date (scripts/print-docs.ts writes it)", () => {
  const page = readFileSync(new URL("../../../docs/console.md", import.meta.url), "utf8");
  expect(page).toBe(printConsoleReference());
});

test("every command and column is on it, with a doc line", () => {
  const page = printConsoleReference();
  for (const { name, doc, columns } of COMMAND_TABLE) {
    expect(page).toContain(name);
    expect(doc).toMatch(/^[A-Z].{8,}\.$/);
    for (const column of columns) expect(page).toContain(`\`${column.name}\``);
  }
});

test("no name stands twice in the table", () => {
  const names = COMMAND_TABLE.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
});
