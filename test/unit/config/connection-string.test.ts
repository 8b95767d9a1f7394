/** Connection strings: PgBouncer's dialect, print-then-parse, hidden passwords. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { hidePasswords, parseConnectionString, printConnectionString } from "../../../src/config/connection-string.ts";

/** Characters that mean something in the files, and some that surprise. */
const unit = fc.constantFrom(...Array.from("aZ09xe_.+*-='\"[];#% \t\r\v\n\0äß漢🐘\u2028\u00a0\\"));

describe("reading", () => {
  const good: readonly (readonly [text: string, pairs: readonly (readonly [string, string])[]])[] = [
    ["", []],
    ["   ", []],
    ["a=b", [["a", "b"]]],
    [
      " a = b  c=d ",
      [
        ["a", "b"],
        ["c", "d"],
      ],
    ],
    ["a='b c'", [["a", "b c"]]],
    [
      "a='it''s' b=c",
      [
        ["a", "it's"],
        ["b", "c"],
      ],
    ],
    ["a=''''", [["a", "'"]]],
    ["a=b'c'", [["a", "b'c'"]]],
    ["a=b=c", [["a", "b=c"]]],
    ["a=1\tb", [["a", "1\tb"]]],
    [
      "a=x a=y",
      [
        ["a", "x"],
        ["a", "y"],
      ],
    ],
  ];
  test.each(good)("%j", (text, pairs) => {
    expect(parseConnectionString(text)).toEqual(pairs);
  });

  test.each(["a", "a b=c", "=b", "a=", "a= ", "a=''", "a='b", "a='b''", "a='b'c=d", "a=b c", "a=b =c"])(
    "%j is refused",
    (text) => {
      expect(parseConnectionString(text)).toBeNull();
    },
  );

  test("never throws", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit }), fc.stringMatching(/^[ab=' ]*$/)), (text) => {
        const pairs = parseConnectionString(text);
        for (const [key, value] of pairs ?? []) {
          expect(key).not.toMatch(/[= ]|^$/);
          expect(value).not.toBe("");
        }
      }),
      { numRuns: 500 },
    );
  });
});

test("what is printed reads back the same", () => {
  const key = fc.string({ unit, minLength: 1 }).filter((text) => !/[= ]/.test(text));
  const value = fc.oneof(fc.string({ unit, minLength: 1 }), fc.stringMatching(/^[a' =]+$/));
  fc.assert(
    fc.property(fc.array(fc.tuple(key, value)), (pairs) => {
      expect(parseConnectionString(printConnectionString(pairs))).toEqual(pairs);
    }),
    { numRuns: 500 },
  );
});

describe("hiding passwords", () => {
  test.each([
    ["host=a password=s3cret port=1", "host=a password=**** port=1"],
    ["host=a password='s3 cret'", "host=a password=****"],
    ["host=a password='s3cret", "****"],
    ["host=a PASSWORD s3cret", "****"],
    ["connect_query='alter role x password ''s3cret'''", "connect_query=****"],
    ["host=a port=b", "host=a port=b"],
  ])("%j", (text, hidden) => {
    expect(hidePasswords(text)).toBe(hidden);
  });

  test("of any string", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (before, after) => {
        expect(hidePasswords(`${before} password=hunter2 ${after}`)).not.toContain("hunter2");
      }),
    );
  });
});
