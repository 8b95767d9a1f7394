/** The reference page is what the tables say. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { DATABASE_KEYS } from "../../../src/config/database-entry.ts";
import { PEER_KEYS } from "../../../src/config/peer-entry.ts";
import { printConfigurationReference } from "../../../src/config/print-reference.ts";
import { SETTINGS_TABLE } from "../../../src/config/settings-table.ts";
import { USER_KEYS } from "../../../src/config/user-entry.ts";

test("docs/configuration.md is up to date (scripts/print-docs.ts writes it)", () => {
  const page = readFileSync(new URL("../../../docs/configuration.md", import.meta.url), "utf8");
  expect(page).toBe(printConfigurationReference());
});

test("every setting and key is on it, with a doc line", () => {
  const page = printConfigurationReference();
  for (const row of SETTINGS_TABLE) {
    expect(page).toContain(`| \`${row.name}\` |`);
    expect(row.doc).toMatch(/^\S.{8,}[.`]$/);
  }
  for (const row of [...DATABASE_KEYS, ...USER_KEYS, ...PEER_KEYS]) {
    expect(page).toMatch(new RegExp(`\\| \`${row.key}\`( or \`\\w+\`)? \\|`));
    expect(row.doc).toMatch(/\.$/);
  }
});

test("overrides that the settings name exist, and are named", () => {
  const keys = (rows: readonly { key: string }[]): string[] => rows.map((row) => row.key);
  const missing = SETTINGS_TABLE.filter(
    ({ database, user }) =>
      (database !== undefined && !keys(DATABASE_KEYS).includes(database)) ||
      (user !== undefined && !keys(USER_KEYS).includes(user)),
  );
  expect(missing).toEqual([]);
});
