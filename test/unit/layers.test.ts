/** The source keeps the rules of ARCHITECTURE.md, and each rule is shown to find what it is there to find. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import {
  importDirection,
  isNamedForItsContent,
  noModuleState,
  opensWithComment,
  outsideWorldOnlyInNet,
  rules,
  saysSoWhenLong,
  stages,
} from "../support/layer-rules.ts";
import { scanSource } from "../support/source-scan.ts";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

function sourceFiles(): string[] {
  return readdirSync(join(root, "src"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join("/"));
}

describe("the source", () => {
  test.each(rules.map((rule) => [rule.name, rule] as const))("%s", (_name, rule) => {
    const complaints = sourceFiles().flatMap((path) => rule(path, scanSource(readFileSync(join(root, path), "utf8"))));
    expect(complaints).toEqual([]);
  });

  test("there is source to look at, and most files are small", () => {
    const sizes = sourceFiles()
      .map((path) => scanSource(readFileSync(join(root, path), "utf8")).lineCount)
      .sort((a, b) => a - b);
    expect(sizes.length).toBeGreaterThan(10);
    expect(sizes[Math.floor(sizes.length / 2)]).toBeLessThanOrEqual(170);
  });
});

describe("importDirection", () => {
  const check = (path: string, text: string): number => importDirection(path, scanSource(text)).length;

  test("upwards and within a room is allowed", () => {
    expect(check("src/session/a.ts", 'import { b } from "../pipeline/b.ts";\nimport type { C } from "./c.ts";')).toBe(
      0,
    );
    expect(check("src/config/a.ts", 'import type { World } from "../net/world.ts";\nimport koffi from "koffi";')).toBe(
      0,
    );
  });

  test.each([
    ["downwards", "src/pool/a.ts", 'import { b } from "../net/b.ts";'],
    ["sideways", "src/auth/a.ts", 'import { b } from "../metrics/b.ts";'],
    ["a type", "src/pool/a.ts", 'import type { B } from "../session/b.ts";'],
    ["over several lines", "src/pool/a.ts", 'import {\n  b,\n  c,\n} from "../session/b.ts";'],
    ["a re-export", "src/protocol/a.ts", 'export { b } from "../pooler/b.ts";'],
    ["at run time", "src/net/a.ts", 'const b = await import("../config/b.ts");'],
    ["inside a template", "src/net/a.ts", 'const b = `${await import("../config/b.ts")}`;'],
    ["for its effect", "src/net/a.ts", "import '../admin/b.ts';"],
    ["out of src", "src/net/a.ts", 'import { b } from "../../test/b.ts";'],
    ["an unknown room", "src/net/a.ts", 'import { b } from "../misc/b.ts";'],
    ["from an unknown room", "src/misc/a.ts", "export const a = 1;"],
    [
      "behind a regular expression with a quote",
      "src/net/a.ts",
      'const r = /["]/;\nimport { b } from "../admin/b.ts";',
    ],
  ])("%s is refused", (_what, path, text) => {
    expect(check(path, text)).toBe(1);
  });

  test("what stands in comments and texts is no import", () => {
    const text = '/* import "../admin/a.ts" */\n// import "../admin/b.ts"\nconst c = `import "../admin/c.ts"`;\n';
    expect(check("src/net/a.ts", text)).toBe(0);
  });

  test("every pair of rooms has one direction at most", () => {
    for (const [stage, rooms] of stages.entries()) {
      for (const [otherStage, others] of stages.entries()) {
        for (const room of rooms) {
          for (const other of others) {
            const expected = room === other || otherStage < stage ? 0 : 1;
            expect(check(`src/${room}/a.ts`, `import { b } from "../${other}/b.ts";`)).toBe(expected);
          }
        }
      }
    }
  });
});

describe("outsideWorldOnlyInNet", () => {
  const check = (path: string, text: string): number => outsideWorldOnlyInNet(path, scanSource(text)).length;

  test.each([
    "const a = Date.now();",
    "const a = new Date();",
    "const a = performance.now();",
    "const a = process.hrtime.bigint();",
    "setTimeout(() => {}, 5);",
    "const a = `${setInterval(f, 5)}`;",
    "globalThis.setImmediate(f);",
    "const a = Math.random();",
    "const a = crypto.randomUUID();",
    'import { createHash } from "node:crypto";',
    'import { connect } from "net";',
    'import type { Socket } from "bun";',
    'import { setTimeout as sleep } from "node:timers/promises";',
  ])("%s", (text) => {
    expect(check("src/session/a.ts", text)).toBe(1);
    expect(check("src/net/a.ts", text)).toBe(0);
    expect(check("src/cli/a.ts", text)).toBe(0);
  });

  test.each([
    "const a = new Date(wallTimeMs);",
    "clock.setTimeout(5);",
    "// Date.now() is not called here",
    'const a = "Date.now()";',
    "const a = /Math.random/;",
    "this.crypto.randomBytes(3);",
    'import { readFileSync } from "node:fs";',
  ])("%s is harmless", (text) => {
    expect(check("src/config/a.ts", text)).toBe(0);
  });

  test("protocol and pool have no module that does I/O", () => {
    expect(check("src/protocol/a.ts", 'import { readFileSync } from "node:fs";')).toBe(1);
    expect(check("src/pool/a.ts", 'import assert from "node:assert";')).toBe(0);
  });
});

describe("noModuleState", () => {
  const check = (text: string): number => noModuleState("src/pool/a.ts", scanSource(text)).length;

  test.each([
    "let count = 0;",
    "export let count = 0;",
    "  var count;",
    "const a = 1; let b = 2;",
    "const cache = new Map();",
    "const cache = new Map<string, number>();",
    "export const cache = new WeakMap<object, number>();",
    "const seen: Set<string> = new Set();",
    "const queue: string[] = [];",
    "const byName: Record<string, string> = {};",
    "class A {\n  static count = 0;\n}",
    "class A {\n  static #count: number;\n}",
    "const a = {\n  b: 1,\n};\nlet c = 2;",
  ])("%s", (text) => {
    expect(check(text)).toBe(1);
  });

  test.each([
    "const limit = 5;",
    'const words: ReadonlySet<string> = new Set(["a"]);',
    "function f() {\n  let a = 1;\n  const b = new Map();\n  const c: string[] = [];\n}",
    "class A {\n  static readonly limit = 5;\n  static make(): A {\n    let a = 1;\n  }\n  static async f() {}\n}",
    "// let a = 1;",
    "const text = `\nlet a = 1;\n`;",
    "for (let a = 0; a < 5; a += 1) {}",
    "const state = { idle: 'idle' } as const;",
  ])("%s is harmless", (text) => {
    expect(check(text)).toBe(0);
  });
});

describe("the shape of a file", () => {
  const long = "const a = 1;\n".repeat(501);

  test("a file opens with a comment", () => {
    expect(opensWithComment("src/pool/a.ts", scanSource("import a from 'b';\n/** later */"))).toHaveLength(1);
    expect(opensWithComment("src/pool/a.ts", scanSource("/** What it is. */\nimport a from 'b';"))).toEqual([]);
    expect(opensWithComment("src/pool/a.ts", scanSource("// What it is.\nimport a from 'b';"))).toEqual([]);
  });

  test("a long one says why", () => {
    expect(saysSoWhenLong("src/pool/a.ts", scanSource(`/** All of it. */\n${long}`))).toHaveLength(1);
    expect(saysSoWhenLong("src/pool/a.ts", scanSource(`/** Long, and one thing: … */\n${long}`))).toEqual([]);
    expect(saysSoWhenLong("src/pool/a.ts", scanSource(long.slice(0, long.length - 14)))).toEqual([]);
  });

  test("its name says what is in it", () => {
    for (const name of ["utils", "types", "index", "waitQueue", "Wait"]) {
      expect(isNamedForItsContent(`src/pool/${name}.ts`, scanSource(""))).toHaveLength(1);
    }
    expect(isNamedForItsContent("src/pool/wait-queue.ts", scanSource(""))).toEqual([]);
  });
});
