import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { HbaTokens } from "../../../src/auth/hba-tokens.ts";

/** Kinds and texts up to the end or the first broken token, which is shown too. */
function cut(line: string): string[] {
  const tokens = new HbaTokens(line);
  const found: string[] = [];
  for (; !tokens.isEnd; tokens.advance()) {
    found.push(tokens.isName ? `${tokens.kind}:${tokens.text}` : tokens.kind);
    if (tokens.kind === "broken") break;
  }
  return found;
}

describe("a line of an HBA file", () => {
  it.each<[string, string[]]>([
    ["", []],
    [" \t\v\f\r", []],
    ["# all", []],
    ["local all\tall  trust # why", ["word:local", "word:all", "word:all", "word:trust"]],
    ["a,b , c", ["word:a", "comma", "word:b", "comma", "word:c"]],
    ['"all" "a , b"', ["quoted:all", "quoted:a , b"]],
    ['"q1""q2" """" ""', ['quoted:q1"q2', 'quoted:"', "quoted:"]],
    ['a"b"c', ["word:a", "quoted:b", "word:c"]],
    ["a#b", ["word:a"]],
    ['"#"', ["quoted:#"]],
    ["a\0b", ["word:a"]],
    ["a\u00a0b\u2003c", ["word:a\u00a0b\u2003c"]],
    ['"open', ["broken"]],
    ['"open""', ["broken"]],
    ['a, "b', ["word:a", "comma", "broken"]],
  ])("%j", (line, expected) => {
    expect(cut(line)).toEqual(expected);
  });

  it("has keywords that are not in quotes, in lower case", () => {
    expect(new HbaTokens("all").isKeyword("all")).toBe(true);
    expect(new HbaTokens('"all"').isKeyword("all")).toBe(false);
    expect(new HbaTokens("ALL").isKeyword("all")).toBe(false);
    const tokens = new HbaTokens("all x");
    expect(tokens.takeKeyword("none")).toBe(false);
    expect(tokens.takeKeyword("all")).toBe(true);
    expect(tokens.text).toBe("x");
  });

  it("keeps the last text, and stays at its end", () => {
    const tokens = new HbaTokens("a,");
    tokens.advance();
    expect([tokens.kind, tokens.text]).toEqual(["comma", "a"]);
    tokens.advance();
    tokens.advance();
    expect([tokens.kind, tokens.text]).toEqual(["end", "a"]);
  });

  it("hands out the rest as it stands", () => {
    const tokens = new HbaTokens('ldap  ldapserver="a b" # not a comment \r');
    expect(tokens.rest).toBe('ldapserver="a b" # not a comment');
  });

  it("any names, written with quotes, are read back", () => {
    const name = fc.string({ unit: "grapheme" }).filter((text) => !text.includes("\0"));
    fc.assert(
      fc.property(fc.array(name), (names) => {
        const line = names.map((text) => `"${text.replaceAll('"', '""')}"`).join(" , ");
        expect(cut(line).filter((token) => token !== "comma")).toEqual(names.map((text) => `quoted:${text}`));
      }),
    );
  });

  it("any line comes to its end", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom("a", '"', ",", " ", "#", "\0", "\r", "@", "é") }), (line) => {
        expect(cut(line).length).toBeLessThanOrEqual(line.length);
      }),
    );
  });
});
