/** docs/compatibility.md names a test for each of its claims; those tests must exist. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { scenarioGroups } from "../../compat/differential/scenarios/all-groups.ts";
import { read, root } from "./pages.ts";

const page = read("docs/compatibility.md");
/** The rows of all tables, without heads and rules. */
const rows = page.split("\n").filter((line) => line.startsWith("| ") && !line.startsWith("| What "));
const scenarios = new Set(
  scenarioGroups.flatMap(({ name, scenarios }) => scenarios.map((one) => `${name}: ${one.name}`)),
);

test("every row says how, and names a test", () => {
  expect(rows.length).toBeGreaterThan(50);
  for (const row of rows) expect(row).toMatch(/^\| [^|]+ \| (?:same|better|different) \|(?: [^|]+)? \| `[^`|]+` \|$/);
});

test.each(rows.map((row) => /`([^`]+)` \|$/.exec(row)?.[1] ?? ""))("%s", (name) => {
  const [, place = "", title = ""] = /^([^:]+): (.+)$/.exec(name) ?? [];
  if (place === "differential") {
    expect(scenarios).toContain(title);
    return;
  }
  const path = `test/${place}.test.ts`;
  expect(existsSync(join(root, path))).toBe(true);
  expect(read(path)).toContain(`"${title}"`);
});
