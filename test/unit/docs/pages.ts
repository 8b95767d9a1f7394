/** What tests of the documents have in common: reading a page, its links, its code blocks, its words in code font. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));

/** `path`: from the top of the repository. */
export function read(path: string): string {
  return readFileSync(join(root, path), "utf8");
}

/** The scripts of package.json. */
export function npmScripts(): ReadonlySet<string> {
  const manifest = JSON.parse(read("package.json")) as { scripts: Record<string, string> };
  return new Set(Object.keys(manifest.scripts));
}

/** The blocks fenced with this language. */
export function blocks(page: string, language: string): string[] {
  return [...page.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, "gm"))].map(
    ([, text]) => text ?? "",
  );
}

/** The npm scripts that a page tells its reader to run. */
export function scriptsNamed(page: string): string[] {
  const named = [...page.matchAll(/\bnpm run ([a-z][\w:]*)/g)].map(([, name]) => name ?? "");
  return /\bnpm test\b/.test(page) ? [...named, "test"] : named;
}

/** Words in code font that look like settings: `pool_mode`, and the name in front of `pool_mode=session`. */
export function settingsNamed(page: string): string[] {
  return [...page.matchAll(/`([a-z][a-z0-9]*(?:_[a-z0-9]+)+)(?:\s*=[^`]*)?`/g)].map(([, name]) => name ?? "");
}

/** Links of a page (`path` from the top) that lead nowhere: missing files, and headings that no page has. */
export function brokenLinks(path: string): string[] {
  const page = read(path);
  return [...page.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target]) => target ?? "")
    .filter((target) => !/^[a-z]+:/.test(target))
    .filter((target) => {
      const [file = "", heading] = target.split("#", 2);
      const to = file === "" ? path : join(dirname(path), file);
      if (!existsSync(join(root, to))) return true;
      return heading !== undefined && !headings(read(to)).has(heading);
    });
}

/** The anchors that a renderer makes of a page's headings. */
function headings(page: string): ReadonlySet<string> {
  return new Set(
    [...page.matchAll(/^#+ (.+)$/gm)].map(([, title]) =>
      (title ?? "")
        .toLowerCase()
        .replace(/[^\w\- ]/g, "")
        .replaceAll(" ", "-"),
    ),
  );
}
