/** docs/security.md: every test that it names exists, and no known vulnerability is missing. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { read, root } from "./pages.ts";

const page = read("docs/security.md");

const paths = readdirSync(join(root, "test"), { recursive: true, encoding: "utf8" });

/** Texts of the test files of that name; two folders may have one each. */
function textsOf(file: string): string[] {
  return paths
    .filter((path) => path.endsWith(`/${file}`))
    .map((path) => readFileSync(join(root, "test", path), "utf8"));
}

/** `file` › title: up to the end of the cell, a semicolon or a bracket before the next one, with line ends as blanks. */
function namedTests(text: string): { file: string; title: string }[] {
  const flat = text.replaceAll(/\s*\n\s*/g, (gap) => (gap.includes("\n\n") ? "\n\n" : " "));
  const pattern = /`([\w-]+\.test\.ts)` › (.+?)(?=; `[\w-]+\.test\.ts`| \||\)[.:]| \(|\)\. |$)/g;
  return [...flat.matchAll(pattern)].map(([, file = "", title = ""]) => ({ file, title: title.trim() }));
}

test("every test that is named exists", () => {
  const named = namedTests(page);
  expect(named.length).toBeGreaterThan(25);
  const missing = named.filter(({ file, title }) => !textsOf(file).some((text) => text.includes(title)));
  expect(missing).toEqual([]);
  for (const [, file = ""] of page.matchAll(/`([\w-]+\.test\.ts)`/g)) expect(textsOf(file)).not.toEqual([]);
});

test("every vulnerability that was published is listed, once, with a test of its name", () => {
  const published = [
    "CVE-2012-4575",
    "CVE-2015-4054",
    "CVE-2015-6817",
    "CVE-2021-3935",
    "CVE-2025-2291",
    "CVE-2025-12819",
    "CVE-2026-6664",
    "CVE-2026-6665",
    "CVE-2026-6666",
    "CVE-2026-6667",
  ];
  const rows = [...page.matchAll(/^\| (CVE-\d+-\d+) \|(.*)$/gm)];
  expect(rows.length).toBe(published.length);
  expect(new Set(rows.map(([, id]) => id))).toEqual(new Set(published));
  for (const [, id = "", rest = ""] of rows)
    expect(namedTests(rest).some(({ title }) => title.includes(id))).toBe(true);
});
