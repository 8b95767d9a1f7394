/** The README keeps its word: its configuration loads, what it names exists, and what it says does nothing does nothing. */
import { readdirSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { describe, expect, test } from "vitest";
import { loadConfiguration } from "../../../src/config/load.ts";
import { fieldNameOf } from "../../../src/config/setting-row.ts";
import { AuthType, PoolMode } from "../../../src/config/setting-words.ts";
import { SETTINGS_TABLE, settingRow } from "../../../src/config/settings-table.ts";
import { scanSource } from "../../support/source-scan.ts";
import { blocks, npmScripts, read, root, scriptsNamed, settingsNamed } from "./pages.ts";

const readme = read("README.md");
const EXAMPLE = "/etc/pgcarpool/pgcarpool.ini";

describe("the configuration in README.md", () => {
  const [ini = ""] = blocks(readme, "ini");
  const result = loadConfiguration(EXAMPLE, () => ini);

  test("loads without an error or a warning", () => {
    expect(result.warnings).toEqual([]);
    expect(result.ok ? [] : result.errors.map(({ message }) => message)).toEqual([]);
  });

  test("is for real use: a database, passwords, transactions", () => {
    if (!result.ok) throw new Error("it does not load");
    const { databases, settings } = result.configuration;
    expect([...databases.keys()]).toEqual(["app"]);
    expect(settings.authType).toBe(AuthType.scramSha256);
    expect(settings.authFile).toBe("/etc/pgcarpool/userlist.txt");
    expect(settings.poolMode).toBe(PoolMode.transaction);
    // The commands below it connect there.
    expect(readme).toContain(`psql -h ${settings.listenAddr.names[0]} -p ${settings.listenPort} `);
    expect(readme).toContain(`psql -h ${settings.unixSocketDir} -p ${settings.listenPort} `);
    expect(readme).toContain(`pgcarpool ${EXAMPLE}`);
  });
});

describe("README.md names", () => {
  test("npm scripts that exist", () => {
    expect(scriptsNamed(readme)).toContain("demo");
    expect(scriptsNamed(readme)).toContain("test");
    expect(scriptsNamed(readme).filter((name) => !npmScripts().has(name))).toEqual([]);
  });

  test("settings that exist", () => {
    const named = settingsNamed(readme);
    expect(named.length).toBeGreaterThan(3);
    expect(named.filter((name) => settingRow(name) === undefined)).toEqual([]);
  });

  test("the package by its version", () => {
    const { version } = JSON.parse(read("package.json")) as { version: string };
    expect(readme).toContain(`./pgcarpool-${version}.tgz`);
    expect(readme).toContain(`version ${version.split(".").slice(0, 2).join(".")}.`);
  });

  test("every auth_type, among those that work or among those that do not", () => {
    const [works = "", rest = ""] = readme.split("## What does not work yet");
    const login = /^- Logins with .*\n(?: {2}.*\n)*/m.exec(works)?.[0] ?? "";
    const refused = /^- `auth_type` .*\n(?: {2}.*\n)*/m.exec(rest)?.[0] ?? "";
    const list = (text: string): string[] => [...text.matchAll(/`([a-z0-9-]+)`/g)].map(([, word]) => word ?? "");
    const words: readonly string[] = Object.values(AuthType);
    const here = list(login).filter((word) => words.includes(word));
    const notYet = list(refused.split(":")[0] ?? "").filter((word) => words.includes(word));
    expect([...here, ...notYet].sort()).toEqual([...words].sort());
  });
});

test("the settings that README.md says have no effect are those that nothing reads", () => {
  const said = /<!-- no-effect -->([\s\S]*?)<!-- \/no-effect -->/.exec(readme)?.[1] ?? "";
  expect(settingsAndWords(said)).toEqual(settingsWithoutReader());
});

/** All settings of a list; one of them is a single word. */
function settingsAndWords(list: string): string[] {
  return [...list.matchAll(/`([a-z0-9_]+)`/g)].map(([, name]) => name ?? "").sort();
}

/**
 * Settings whose field of `Settings` no file of the engine mentions, comments aside. The functions of
 * config/precedence.ts have the fields' names, so who calls one of them mentions the field too.
 */
function settingsWithoutReader(): string[] {
  const code = readdirSync(join(root, "src"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join("/"))
    .filter((path) => !path.startsWith("src/config/") && !path.startsWith("src/demo/"))
    .map((path) => scanSource(read(path)).code)
    .join("\n");
  const words = new Set(code.match(/\w+/g));
  return SETTINGS_TABLE.filter((row) => !words.has(fieldNameOf(row)))
    .map(({ name }) => name)
    .sort();
}
