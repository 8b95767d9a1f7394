/** The ini dialect: lines, includes, all errors with their places, print-then-parse. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { IniLine } from "../../../src/config/ini.ts";
import { printIniLine, readIni } from "../../../src/config/ini.ts";

/** Characters that mean something in the files, and some that surprise. */
const unit = fc.constantFrom(...Array.from("aZ09xe_.+*-='\"[];#% \t\r\v\n\0äß漢🐘\u2028\u00a0\\"));

function files(texts: Record<string, string>): (path: string) => string {
  return (path) => {
    const text = texts[path];
    if (text === undefined) {
      throw Object.assign(new Error(`ENOENT: no such file or directory, open '${path}'`), { code: "ENOENT" });
    }
    return text;
  };
}

function read(text: string): ReturnType<typeof readIni> {
  return readIni("main.ini", files({ "main.ini": text }));
}

/** Lines as short words: `[section]`, `key=value`, with their line numbers. */
function words(lines: readonly IniLine[]): string[] {
  return lines.map(
    (line) => `${line.line} ${line.kind === "section" ? `[${line.name}]` : `${line.key}=${line.value}`}`,
  );
}

describe("lines", () => {
  const cases: readonly (readonly [text: string, lines: readonly string[]])[] = [
    ["", []],
    ["[a]\nk = v", ["1 [a]", "2 k=v"]],
    ["[a] k = v", ["1 [a]", "1 k=v"]],
    ["[a] ; comment", ["1 [a]"]],
    ["[a][b]", ["1 [a]", "1 [b]"]],
    ["  \t\r\n\n[a]\r\nk=v\r\n", ["3 [a]", "4 k=v"]],
    ["k = v ; no comment # either ", ["1 k=v ; no comment # either"]],
    ["; c = d\n  # e = f\nk=v", ["3 k=v"]],
    ["k =", ["1 k="]],
    ["k=v=w", ["1 k=v=w"]],
    ["'a b' = v\n\"it's\"=w", ["1 a b=v", "2 it's=w"]],
    ["* = v\na-b.c_d*9=w", ["1 *=v", "2 a-b.c_d*9=w"]],
    ["k = 'v' ", ["1 k='v'"]],
    ["\uFEFF[a]", ["1 [a]"]],
    ["%includes = v", []],
  ];
  test.each(cases)("%j", (text, lines) => {
    expect(words(read(text).lines)).toEqual(lines);
  });
});

describe("errors", () => {
  test("all of them, each with the line it is in", () => {
    const { lines, problems } = read("\n[a\nk v\n\n'open = v\n'' = v\nä = v\n= v\nx\0y = z\nk = a\0b\ngood = 1\n");
    expect(problems.map(({ line, message }) => [line, message])).toEqual(
      [2, 3, 5, 6, 7, 8, 9, 10].map((line) => [line, `syntax error in configuration (main.ini:${line})`]),
    );
    expect(words(lines)).toEqual(["11 good=1"]);
  });

  test("a missing file", () => {
    expect(readIni("gone.ini", files({})).problems).toEqual([
      { file: "gone.ini", line: 0, message: 'could not load file "gone.ini": No such file or directory' },
    ]);
  });
});

describe("%include", () => {
  test("stands for the lines of the file", () => {
    const texts = { "main.ini": "[a]\n%include  sub/b.ini \nlast = 1", "sub/b.ini": "x = 1\n[b]\ny = 2" };
    const { lines, problems } = readIni("main.ini", files(texts));
    expect(problems).toEqual([]);
    expect(lines.map((line) => `${line.file}:${line.line}`)).toEqual([
      "main.ini:1",
      "sub/b.ini:1",
      "sub/b.ini:2",
      "sub/b.ini:3",
      "main.ini:3",
    ]);
  });

  test("of a missing file is an error at its place", () => {
    expect(read("\n%include gone.ini").problems).toEqual([
      {
        file: "main.ini",
        line: 2,
        message: 'could not load file "gone.ini": No such file or directory (main.ini:2)',
      },
    ]);
  });

  test("ends at a depth of ten, and at once in a circle", () => {
    const chain = (length: number): Record<string, string> =>
      Object.fromEntries(
        Array.from({ length: length + 1 }, (_, n) => [`${n}.ini`, n < length ? `%include ${n + 1}.ini` : "k = v"]),
      );
    expect(readIni("0.ini", files(chain(10)))).toMatchObject({ lines: [{ key: "k" }], problems: [] });
    expect(readIni("0.ini", files(chain(11))).problems).toEqual([
      { file: "10.ini", line: 1, message: "include nesting level too deep (10.ini:1)" },
    ]);
    const circle = { "0.ini": "%include 1.ini\n%include 1.ini", "1.ini": "%include 0.ini" };
    expect(readIni("0.ini", files(circle)).problems).toHaveLength(2);
  });
});

test("what is printed reads back the same", () => {
  const name = fc.string({ unit }).filter((text) => !/[\]\n\0]/.test(text));
  const key = fc
    .string({ unit, minLength: 1 })
    .filter((text) => !/[\n\0]/.test(text) && !(text.includes("'") && text.includes('"')));
  const value = fc.string({ unit }).filter((text) => !/[\n\0]/.test(text) && !/^[ \t\v\f\r]|[ \t\v\f\r]$/.test(text));
  const line = fc.oneof(
    fc.record({ kind: fc.constant("section" as const), name }),
    fc.record({ kind: fc.constant("key" as const), key, value }),
  );
  fc.assert(
    fc.property(fc.array(line), (lines) => {
      const { lines: again, problems } = read(lines.map(printIniLine).join("\n"));
      expect(problems).toEqual([]);
      expect(again.map(({ file: _file, line: _line, ...rest }) => rest)).toEqual(lines);
    }),
    { numRuns: 500 },
  );
});

test("never throws", () => {
  const text = fc.oneof(fc.string({ unit }), fc.stringMatching(/^[[\]'"=;%\na ]*$/));
  fc.assert(
    fc.property(text, (content) => {
      const { lines, problems } = read(content);
      expect(lines.length + problems.length).toBeGreaterThanOrEqual(0);
      for (const problem of problems) expect(problem.line).toBeGreaterThan(0);
    }),
    { numRuns: 500 },
  );
});
