import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { identAllows, parseIdentMaps } from "../../../src/auth/ident-map.ts";

function allows(text: string, map: string, systemUser: string, databaseUser: string): boolean {
  const found = parseIdentMaps(text).maps.get(map);
  return found?.allows((name) => name === systemUser, databaseUser) ?? false;
}

describe("an ident map", () => {
  const text = `# MAPNAME  SYSTEM-USERNAME  PG-USERNAME

crew\tbob\tapp
crew  bob  "other app" # comment
other "Eve ""E"" Moe" all\r
crew  eve  "all"`;

  it.each([
    ["crew", "bob", "app", true],
    ["crew", "bob", "other app", true],
    ["crew", "bob", "eve", false],
    ["crew", "eve", "app", false],
    ["crew", "app", "bob", false],
    ["crew", "eve", "all", true],
    ["crew", "eve", "anybody", false],
    ["other", 'Eve "E" Moe', "anybody", true],
    ["other", "bob", "app", false],
    ["none", "bob", "app", false],
  ])("%s: %s as %s: %s", (map, systemUser, databaseUser, expected) => {
    expect(allows(text, map, systemUser, databaseUser)).toBe(expected);
  });

  it("reports nothing about good lines", () => {
    const { maps, problems } = parseIdentMaps(text);
    expect([...maps.keys()]).toEqual(["crew", "other"]);
    expect(maps.get("crew")?.name).toBe("crew");
    expect(problems).toEqual([]);
  });

  it("may have one word too many behind all", () => {
    const { maps, problems } = parseIdentMaps("m bob all more");
    expect(maps.get("m")?.allows((name) => name === "bob", "app")).toBe(true);
    expect(problems).toEqual(['ident line 1: what stands behind "all" is ignored']);
  });

  it("lets whoever has several names use each of them", () => {
    const { maps } = parseIdentMaps("m a x\nm b y");
    const names = ["a", "b"];
    const answers = ["x", "y", "z"].map((user) => maps.get("m")?.allows((name) => names.includes(name), user));
    expect(answers).toEqual([true, true, false]);
  });

  it("is not needed where the names are the same", () => {
    expect(identAllows(null, (name) => name === "bob", "bob")).toBe(true);
    expect(identAllows(null, (name) => name === "bob", "eve")).toBe(false);
    const map = parseIdentMaps("m bob eve").maps.get("m") ?? null;
    expect(identAllows(map, (name) => name === "bob", "eve")).toBe(true);
    expect(identAllows(map, (name) => name === "bob", "bob")).toBe(false);
  });

  it.each([
    ["crew", []],
    ["crew bob", []],
    ['"crew" bob app', []],
    ["crew, bob app", []],
    ["crew bob, app", []],
    ['crew bob "app', []],
    ["crew bob app more", ["ident line 2: unsupported parameters"]],
    ["crew bob app,app2", ["ident line 2: unsupported parameters"]],
    [
      "crew bob all more of it",
      ['ident line 2: what stands behind "all" is ignored', "ident line 2: unsupported parameters"],
    ],
    ["crew bob\0app", []],
  ])("%j is reported and skipped", (line, details) => {
    const { maps, problems } = parseIdentMaps(`a b c\n${line}\nd e f`);
    expect(problems).toEqual([...details, "could not parse ident config line 2"]);
    expect([...maps.keys()]).toEqual(["a", "d"]);
  });

  it("of any text is read without an exception", () => {
    const token = fc.constantFrom("m", "all", '"', '"a"', ",", " ", "\n", "#", "\0", "é", "\r", "u v w\n");
    fc.assert(
      fc.property(fc.array(token, { maxLength: 40 }), (tokens) => {
        const { maps, problems } = parseIdentMaps(tokens.join(""));
        for (const map of maps.values()) expect(map.allows(() => false, "m")).toBe(false);
        expect(problems.every((problem) => /^(ident line|could not parse ident config line) \d+/.test(problem))).toBe(
          true,
        );
      }),
    );
  });

  it("says what was written, whatever the names", () => {
    const name = fc.string({ unit: "grapheme" }).filter((text) => !/[\0\n]/.test(text));
    fc.assert(
      fc.property(name, name, name, (systemUser, databaseUser, other) => {
        const quote = (text: string): string => `"${text.replaceAll('"', '""')}"`;
        const line = `m ${quote(systemUser)} ${quote(databaseUser)}`;
        expect(allows(line, "m", systemUser, databaseUser)).toBe(true);
        expect(allows(line, "m", systemUser, other)).toBe(other === databaseUser);
        expect(allows(line, "m", other, databaseUser)).toBe(other === systemUser);
      }),
    );
  });
});
