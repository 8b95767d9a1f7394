/** What the judge takes for granted about words, asked of PostgreSQL's lexer. */
import { loadModule, scanSync } from "libpg-query";
import { describe, expect, test } from "vitest";
import {
  CALLABLE_WORDS,
  FIRST_WORDS,
  LOCKING_WORDS,
  WORDS_BEFORE_PARENTHESIS,
  WRITING_WORDS,
} from "../../../src/sharing/syntax-words.ts";

await loadModule();

const kindOf = (word: string): string => scanSync(word).tokens[0]?.keywordName ?? "";

describe("words", () => {
  test("before a parenthesis cannot be called, but for those that are said to", () => {
    const kinds = [...WORDS_BEFORE_PARENTHESIS].filter(
      (word) => !CALLABLE_WORDS.has(word) && !/^(RESERVED|COL_NAME)_KEYWORD$/.test(kindOf(word)),
    );
    expect(kinds).toEqual([]);
  });

  test("that can be called are keywords nevertheless", () => {
    expect([...CALLABLE_WORDS].filter((word) => kindOf(word) === "NO_KEYWORD")).toEqual([]);
  });

  test("that the rules rest on cannot be left out of a text by other means", () => {
    for (const word of ["into", "for", "as", "with", "on", "distinct"]) expect(kindOf(word)).toBe("RESERVED_KEYWORD");
    for (const word of [...FIRST_WORDS, ...LOCKING_WORDS, ...WRITING_WORDS])
      expect(kindOf(word)).not.toBe("NO_KEYWORD");
  });
});
