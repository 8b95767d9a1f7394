/** The `options` startup parameter, as PgBouncer reads it. */

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseOptions } from "../../../src/protocol/options.ts";

const UNSUPPORTED = "unsupported options startup parameter: only '-c config=val' and '--config=val' are allowed";

describe("options", () => {
  test.each<[string, [string, string][]]>([
    ["", []],
    ["-c a=b", [["a", "b"]]],
    ["-ca=b", [["a", "b"]]],
    ["--a=b", [["a", "b"]]],
    [
      "   -c   a=b   --c=d",
      [
        ["a", "b"],
        ["c", "d"],
      ],
    ],
    ["-c a=b=c", [["a", "b=c"]]],
    ["-c a=", [["a", ""]]],
    ["--=x", [["", "x"]]],
    ["-c search_path=a\\ b\\\\c", [["search_path", "a b\\c"]]],
    ["-c a\\=b", [["a", "b"]]],
    ["-c a=b\\", [["a", "b"]]],
    ["-c a=é\\🐘", [["a", "é🐘"]]],
    [
      "-c datestyle=ISO,\\ MDY -c timezone=UTC",
      [
        ["datestyle", "ISO, MDY"],
        ["timezone", "UTC"],
      ],
    ],
  ])("%j is taken", (options, settings) => {
    expect(parseOptions(options)).toEqual({ settings, error: null });
  });

  test.each<[string, [string, string][]]>([
    ["a=b", []],
    ["-d a=b", []],
    ["-c", []],
    ["-c abc", []],
    ["--", []],
    ["-c a=b ", [["a", "b"]]],
    ["-c a=b\t-c c=d", [["a", "b"]]],
    ["-c a=b -x", [["a", "b"]]],
    [" ", []],
  ])("%j is refused, what came before the fault is given", (options, settings) => {
    expect(parseOptions(options)).toEqual({ settings, error: UNSUPPORTED });
  });

  test.each(["\t", "\n", "\v", "\f", "\r"])("%j ends a value, and is no blank between options", (space) => {
    expect(parseOptions(`-c a=b${space}-c c=d`)).toEqual({ settings: [["a", "b"]], error: UNSUPPORTED });
  });

  test("a space of Unicode is a letter", () => {
    expect(parseOptions("-c a=b\u00a0c")).toEqual({ settings: [["a", "b\u00a0c"]], error: null });
  });

  test("what is escaped comes back", () => {
    const word = fc.string({ unit: "binary", minLength: 1 });
    const escape = (text: string) => text.replace(/[\s\\]/gu, "\\$&");
    fc.assert(
      fc.property(
        fc.array(
          fc.tuple(
            word.map((w) => w.replaceAll("=", "_")),
            word,
          ),
          { maxLength: 5 },
        ),
        (pairs) => {
          const text = pairs.map(([key, value]) => `--${escape(key)}=${escape(value)}`).join(" ");
          expect(parseOptions(text)).toEqual({ settings: pairs, error: null });
        },
      ),
    );
  });

  test("any text ends in settings or the error", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom("-", "c", " ", "=", "\\", "a", "\t") }), (text) => {
        const { error } = parseOptions(text);
        expect(error === null || error === UNSUPPORTED).toBe(true);
      }),
    );
  });
});
