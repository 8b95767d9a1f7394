import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { preparePassword } from "../../../src/auth/prepare-password.ts";
import { utf8 } from "./test-crypto.ts";

const prepared = (text: string) => Buffer.from(preparePassword(utf8(text))).toString("utf8");

describe("SASLprep", () => {
  it.each([
    ["a soft hyphen goes (RFC 4013, example 1)", "I\u00adX", "IX"],
    ["plain text stays", "user", "user"],
    ["case stays", "USER", "USER"],
    ["compatibility forms are folded (example 4)", "\u00aa", "a"],
    ["compatibility forms are folded (example 5)", "\u2168", "IX"],
    ["a non-ASCII space becomes a space", "a\u00a0b\u3000c", "a b c"],
    ["decomposed letters are composed", "e\u0301", "\u00e9"],
    ["right-to-left text passes", "\u05d0\u05d1", "\u05d0\u05d1"],
  ])("%s", (_, typed, expected) => {
    expect(prepared(typed)).toBe(expected);
  });

  it.each([
    ["ASCII control characters", "a\u0007b"],
    ["nothing but what is mapped to nothing", "\u00ad\u2060\u00ad"],
    ["prohibited characters", "\u2168\u200e"],
    ["private use", "\u2168\ue000"],
    ["mixed directions", "\u05d0a\u2168"],
    ["right-to-left text that ends in something else (example 7)", "\u06271"],
    ["code points that Unicode 3.2 did not have", "\u2168\u{1f600}"],
    ["squared emoji, which normalisation would fold", "\u{1f236}"],
    ["newer compatibility letters", "a\u2c7c"],
    ["tone marks that normalisation would replace", "a\u0340"],
  ])("leaves alone what libpq cannot prepare: %s", (_, typed) => {
    expect(prepared(typed)).toBe(typed);
  });

  it("takes bytes that are not UTF-8 as they are", () => {
    for (const bytes of [[0xff], [0x61, 0xc3], [0xed, 0xa0, 0x80], [0xc2, 0xa0, 0xfe]]) {
      expect(preparePassword(Uint8Array.from(bytes))).toEqual(Uint8Array.from(bytes));
    }
  });

  it("never throws, and preparing twice changes nothing more", () => {
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array(), fc.string({ unit: "binary" }).map(utf8)), (bytes) => {
        const once = preparePassword(bytes);
        expect(Buffer.from(preparePassword(once))).toEqual(Buffer.from(once));
      }),
    );
  });

  it("takes the longest password", () => {
    expect(prepared("\u2168".repeat(21_843))).toBe("IX".repeat(21_843));
  });
});
