/** The samples in etc/ can be used as they are, and so can each line that is commented out in them. */
import { describe, expect, test } from "vitest";
import { parseHba } from "../../../src/auth/hba-file.ts";
import { parseUserlist } from "../../../src/auth/userlist.ts";
import type { LoadResult } from "../../../src/config/load.ts";
import { loadConfiguration } from "../../../src/config/load.ts";
import { PoolMode } from "../../../src/config/setting-words.ts";
import { npmScripts, read, scriptsNamed } from "./pages.ts";

function load(text: string): LoadResult {
  return loadConfiguration("pgcarpool.ini", () => text);
}

describe("etc/pgcarpool.ini", () => {
  const sample = read("etc/pgcarpool.ini");
  const lines = sample.split("\n");
  const offered = [...lines.keys()].filter((index) => /^;[*\w]+ = /.test(lines[index] ?? ""));

  test("loads without an error or a warning", () => {
    const result = load(sample);
    expect(result.warnings).toEqual([]);
    expect(result.ok ? result.configuration.settings.poolMode : result.errors).toBe(PoolMode.transaction);
  });

  test.each(offered.map((index) => [lines[index] ?? "", index] as const))("%s may be taken in", (line, index) => {
    const result = load(lines.with(index, line.slice(1)).join("\n"));
    expect(result.warnings).toEqual([]);
    expect(result.ok ? [] : result.errors).toEqual([]);
  });

  test("there are such lines, and nothing that has no effect is among them", () => {
    expect(offered.length).toBeGreaterThan(8);
    const without = /<!-- no-effect -->([\s\S]*?)<!-- \/no-effect -->/.exec(read("README.md"))?.[1] ?? "";
    const names = [...sample.matchAll(/^;?(\w+) = /gm)].map(([, name]) => name ?? "");
    expect(names.filter((name) => without.includes(`\`${name}\``))).toEqual([]);
  });
});

test("etc/userlist.txt is read as it is, and with its lines taken in", () => {
  const sample = read("etc/userlist.txt");
  expect(parseUserlist(sample)).toEqual({ users: new Map(), error: null });
  const { users, error } = parseUserlist(sample.replace(/^;"/gm, '"'));
  expect(error).toBeNull();
  expect([...users.keys()]).toEqual(["app", "postgres"]);
});

test("etc/pg_hba.conf is read as it is", () => {
  const sample = read("etc/pg_hba.conf");
  const readFile = (): never => {
    throw new Error("it names no other file");
  };
  const { rules, problems } = parseHba(sample, { fileName: "pg_hba.conf", readFile, identMaps: new Map() });
  expect(problems).toEqual([]);
  expect(rules.count).toBe(sample.split("\n").filter((line) => line !== "" && !line.startsWith("#")).length);
});

test("etc/pgcarpool.service starts what the package installs, with the sample's paths", () => {
  const unit = read("etc/pgcarpool.service");
  const { bin } = JSON.parse(read("package.json")) as { bin: Record<string, string> };
  const [, program = "", file] = /^ExecStart=\S+\/(\S+) (\S+)$/m.exec(unit) ?? [];
  expect(Object.keys(bin)).toContain(program);
  expect(file).toBe("/etc/pgcarpool/pgcarpool.ini");
  // Which reloads by SIGHUP itself, and waits for what the pooler says: test/integration/service-manager.test.ts.
  expect(unit).toContain("\nType=notify-reload\n");
  // The folders that systemd makes are those of the sample.
  const [, runtime = ""] = /^RuntimeDirectory=(\w+)$/m.exec(unit) ?? [];
  expect(read("etc/pgcarpool.ini")).toContain(`\nunix_socket_dir = /run/${runtime}\n`);
});

test("etc/pgcarpool.socket listens where the sample configuration does, for the sample's service", () => {
  const unit = read("etc/pgcarpool.socket");
  const ini = read("etc/pgcarpool.ini");
  const setting = (name: string): string => new RegExp(`^${name} = (.*)$`, "m").exec(ini)?.[1] ?? "";
  expect([...unit.matchAll(/^ListenStream=(.*)$/gm)].map(([, where]) => where)).toEqual([
    `${setting("listen_addr")}:${setting("listen_port")}`,
    `${setting("unix_socket_dir")}/.s.PGSQL.${setting("listen_port")}`,
  ]);
  const [, service = ""] = /^Service=(.*)$/m.exec(unit) ?? [];
  expect(() => read(`etc/${service}`)).not.toThrow();
});

test("etc/Dockerfile runs scripts that exist, and starts what the package installs", () => {
  const text = read("etc/Dockerfile");
  expect(scriptsNamed(text)).toEqual(["build"]);
  expect(npmScripts().has("build")).toBe(true);
  expect(text).toContain('\nCMD ["pgcarpool", "/etc/pgcarpool/pgcarpool.ini"]\n');
  // The build must not lose what it needs.
  const ignored = read("etc/Dockerfile.dockerignore").split("\n");
  for (const needed of ["src", "bin", "etc", "scripts", "tools", "package-lock.json"])
    expect(ignored).not.toContain(needed);
});
