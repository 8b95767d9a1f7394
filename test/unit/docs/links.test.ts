/** Every page's links lead somewhere, and the npm scripts it names exist. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { brokenLinks, npmScripts, read, root, scriptsNamed } from "./pages.ts";

const pages = [...markdownIn("."), ...markdownIn("docs"), ...markdownIn("docs/decisions"), ...markdownIn("bench")];

test.each(pages)("%s", (page) => {
  expect(brokenLinks(page)).toEqual([]);
  expect(scriptsNamed(read(page)).filter((name) => !npmScripts().has(name))).toEqual([]);
});

test("paths of the source in ARCHITECTURE.md and the decisions exist", () => {
  const rooms = readdirSync(join(root, "src"));
  const named = pages
    .filter((page) => page === "ARCHITECTURE.md" || page.startsWith("docs/decisions/"))
    .flatMap((page) =>
      [...read(page).matchAll(/`((?:[\w.-]+\/)+[\w.-]+\.(?:ts|mjs))`/g)].map(([, path]) => path ?? ""),
    );
  expect(named.length).toBeGreaterThan(30);
  // Rooms are named without `src/`.
  const files = named.map((path) => (rooms.includes(path.split("/")[0] ?? "") ? `src/${path}` : path));
  expect(files.filter((path) => !existsSync(join(root, path)))).toEqual([]);
});

test("docs/README.md lists every page below docs", () => {
  const index = read("docs/README.md");
  const below = pages.filter((page) => page.startsWith("docs/") && page !== "docs/README.md");
  expect(below.filter((page) => !index.includes(`](${page.slice("docs/".length)})`))).toEqual([]);
});

test("a link that leads nowhere, a heading that is not there and an unknown script would be found", () => {
  expect(scriptsNamed("run `npm run nonsense -- -x` or `npm test`")).toEqual(["nonsense", "test"]);
  expect(brokenLinks("test/unit/docs/broken-links.md")).toEqual([
    "missing.md",
    "#nowhere",
    "../../../README.md#nowhere",
  ]);
});

function markdownIn(folder: string): string[] {
  return readdirSync(join(root, folder))
    .filter((name) => name.endsWith(".md"))
    .map((name) => (folder === "." ? name : `${folder}/${name}`));
}
