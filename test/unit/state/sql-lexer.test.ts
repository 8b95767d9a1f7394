/** The lexer against PostgreSQL's own, on the texts of the judge's tests and on random ones; and what is left to its reader. */
import * as fc from "fast-check";
import { loadModule, scanSync } from "libpg-query";
import { describe, expect, test } from "vitest";
import { SqlLexer, TokenKind } from "../../../src/state/sql-lexer.ts";
import {
  DANGEROUS_EXPRESSIONS,
  DANGEROUS_TEXTS,
  HARMLESS_EXPRESSIONS,
  HIDDEN_EXPRESSIONS,
  ORDINARY_TEXTS,
  PLACES,
} from "../sharing/statement-texts.ts";

await loadModule();

const RUNS = 3000;
const lexer = new SqlLexer();
const nameOf = new Map(Object.entries(TokenKind).map(([name, kind]) => [kind, name]));

/** Tokens as `kind text`. */
function lex(sql: string): string[] {
  const bytes = new TextEncoder().encode(sql);
  const tokens: string[] = [];
  lexer.open(bytes, 0, bytes.length);
  for (let kind = lexer.next(); kind !== TokenKind.end; kind = lexer.next()) {
    tokens.push(`${nameOf.get(kind)} ${new TextDecoder().decode(bytes.subarray(lexer.start, lexer.end))}`.trim());
    if (kind === TokenKind.broken) break;
  }
  lexer.close();
  return tokens;
}

/** Where PostgreSQL's tokens are, comments left out; null if it refuses the text. */
function postgresTokens(sql: string): { start: number; end: number; name: string }[] | null {
  if (sql === "") return [];
  try {
    return scanSync(sql)
      .tokens.filter((token) => !token.tokenName.endsWith("COMMENT"))
      .map((token) => ({ start: token.start, end: token.end, name: token.tokenName }));
  } catch {
    return null;
  }
}

/** Null where the two agree, or ours is broken: that is always allowed. */
function difference(sql: string): string | null {
  const bytes = new TextEncoder().encode(sql);
  const ours: { start: number; end: number }[] = [];
  let before: TokenKind = TokenKind.end;
  lexer.open(bytes, 0, bytes.length);
  for (let kind = lexer.next(); kind !== TokenKind.end; kind = lexer.next()) {
    const isText = kind >= TokenKind.string && kind <= TokenKind.bitString;
    // U& and what PostgreSQL puts together from two constants are for the reader to refuse.
    if (kind === TokenKind.broken || kind === TokenKind.unicode) return null;
    if (isText && before >= TokenKind.string && before <= TokenKind.bitString) return null;
    ours.push({ start: lexer.start, end: lexer.end });
    before = kind;
  }
  const theirs = postgresTokens(sql);
  if (theirs === null) return `PostgreSQL refuses ${sql}`;
  const places = (tokens: readonly { start: number; end: number }[]): string =>
    tokens.map(({ start, end }) => `${start}-${end}`).join(" ");
  return places(ours) === places(theirs) ? null : `${sql}\n  ours   ${places(ours)}\n  theirs ${places(theirs)}`;
}

const corpus = [
  ...ORDINARY_TEXTS,
  ...DANGEROUS_TEXTS,
  ...[...HARMLESS_EXPRESSIONS, ...DANGEROUS_EXPRESSIONS, ...HIDDEN_EXPRESSIONS].flatMap((expression) =>
    PLACES.map((place) => place(expression)),
  ),
];

describe("against PostgreSQL's lexer", () => {
  test("the corpus has the same tokens", () => {
    expect(corpus.length).toBeGreaterThan(2000);
    expect(corpus.flatMap((sql) => difference(sql) ?? [])).toEqual([]);
  });

  test("any text that is not broken has the same tokens", () => {
    const pieces =
      "a A1 _x $ $1 $a$ $$ ' '' \" \\ E' b' X' U&' n' 1 .5 1. 1e5 1e e . .. : :: := -- /* */ + - * / < > = != <> => ~ ! @ # & | ` ? % ^ ( ) [ ] , ; é \n \t { }";
    const text = fc
      .array(fc.tuple(fc.constantFrom(...pieces.split(" ")), fc.constantFrom("", "", " ", "\n")), { maxLength: 20 })
      .map((list) => list.map((pair) => pair.join("")).join(""));
    fc.assert(
      fc.property(text, (sql) => {
        expect(difference(sql)).toBeNull();
      }),
      { numRuns: RUNS },
    );
  });

  test("the corpus is not all broken", () => {
    expect(corpus.filter((sql) => lex(sql).some((token) => token.startsWith("broken"))).length).toBeLessThan(40);
  });
});

describe("tokens", () => {
  test.each([
    ["select a.b", ["word select", "word a", "punctuation .", "word b"]],
    ["-- c\r'x'", ["string 'x'"]],
    ["/* /* */ */1", ["number 1"]],
    ["a--b", ["word a"]],
    ["=-5", ["operator =", "operator -", "number 5"]],
    ["@-5", ["operator @-", "number 5"]],
    ["+/*c*/-", ["operator +", "operator -"]],
    ["1.5e-3.", ["broken"]],
    ["'it''s'", ["string 'it''s'"]],
    ["e'\\''x", ["escapeString e'\\''", "word x"]],
    ["X'1F'b'0'", ["bitString X'1F'", "bitString b'0'"]],
    ["u&'x' 1", ["unicode u&'", "broken"]],
    ["u & 'x'", ["word u", "operator &", "string 'x'"]],
    ["$a$ $ $b$ $a$c", ["dollarString $a$ $ $b$ $a$", "word c"]],
    ["a$b$c", ["word a$b$c"]],
    ["$12", ["parameter $12"]],
    ['"a""b"', ['quotedName "a""b"']],
    [
      "a::b[1:2]",
      ["word a", "punctuation ::", "word b", "punctuation [", "number 1", "punctuation :", "number 2", "punctuation ]"],
    ],
    ["'x", ["broken"]],
    ["/* x", ["broken"]],
    ["E'\\U&'", ["broken"]],
    ["E'\\u00e", ["broken"]],
    ["E'\\u00e'", ["broken"]],
    ["E'\\u00eF\\U0001F600\\x'", ["escapeString E'\\u00eF\\U0001F600\\x'"]],
  ])("%s", (sql, tokens) => {
    expect(lex(sql)).toEqual(tokens);
  });

  test("a mark says that blanks or comments stand in front", () => {
    const bytes = new TextEncoder().encode("a b/**/c+d");
    const marks: boolean[] = [];
    lexer.open(bytes, 0, bytes.length);
    while (lexer.next() !== TokenKind.end) marks.push(lexer.spaced);
    expect(marks).toEqual([false, true, true, false, false]);
  });

  test.each([
    ["'a'", false],
    ["'a\\b'", true],
    ["E'a\\b'", true],
    ["X'\\'", true],
  ])("whether there is a backslash in %s", (sql, expected) => {
    const bytes = new TextEncoder().encode(sql);
    lexer.open(bytes, 0, bytes.length);
    lexer.next();
    expect(lexer.backslash).toBe(expected);
  });

  test("nothing is read outside of the text", () => {
    const bytes = new TextEncoder().encode("'a'b'c'");
    lexer.open(bytes, 3, 4);
    expect([lexer.next(), lexer.start, lexer.end, lexer.next()]).toEqual([TokenKind.word, 3, 4, TokenKind.end]);
    for (let end = 0; end <= bytes.length; end++) {
      lexer.open(bytes, 0, end);
      for (let i = 0; i < 10; i++) lexer.next();
      expect(lexer.end).toBeLessThanOrEqual(end);
    }
  });

  test("behind a broken token there is nothing", () => {
    const bytes = new TextEncoder().encode("1x 2");
    lexer.open(bytes, 0, bytes.length);
    expect([lexer.next(), lexer.next(), lexer.next()]).toEqual([TokenKind.broken, TokenKind.broken, TokenKind.broken]);
  });
});
