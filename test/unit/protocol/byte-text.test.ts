/** Laws of byte-preserving text. */

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeText, encodeText } from "../../../src/protocol/byte-text.ts";

const decode = (bytes: Uint8Array) => decodeText(bytes, 0, bytes.length);

describe("byte text", () => {
  test("any bytes come back", () => {
    const nearlyUtf8 = fc
      .array(fc.oneof(fc.string({ unit: "binary", maxLength: 5 }), fc.uint8Array({ maxLength: 3 })), { maxLength: 12 })
      .map((parts) =>
        Uint8Array.from(parts.flatMap((part) => [...(typeof part === "string" ? encodeText(part) : part)])),
      );
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 80 }), nearlyUtf8), (bytes) => {
        expect(encodeText(decode(bytes))).toEqual(bytes);
      }),
      { numRuns: 2000 },
    );
  });

  test("any well-formed text comes back", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 60 }), (text) => {
        expect(decode(encodeText(text))).toBe(text);
      }),
    );
  });

  test("valid UTF-8 is what everybody takes it for", () => {
    const text = "größer 中文 🐘 and a tail that makes it longer than the short road";
    expect(decode(new TextEncoder().encode(text))).toBe(text);
    expect(decode(new TextEncoder().encode("é"))).toBe("é");
  });

  test("a byte order mark is kept", () => {
    const bytes = Uint8Array.of(0xef, 0xbb, 0xbf, 0x61);
    expect(decode(bytes)).toBe("\ufeffa");
  });

  test.each([
    ["Latin-1", [0x4a, 0xfc, 0x72], "J\udcfcr"],
    ["overlong slash", [0xc0, 0xaf], "\udcc0\udcaf"],
    ["UTF-8 of a surrogate", [0xed, 0xb3, 0xbf], "\udced\udcb3\udcbf"],
    ["above U+10FFFF", [0xf4, 0x90, 0x80, 0x80], "\udcf4\udc90\udc80\udc80"],
    ["cut sequence", [0x61, 0xe2, 0x82], "a\udce2\udc82"],
  ])("%s is kept byte by byte", (_name, bytes, text) => {
    expect(decode(Uint8Array.from(bytes))).toBe(text);
    expect([...encodeText(text)]).toEqual(bytes);
  });

  test("a surrogate that stands for no byte cannot be smuggled into bytes", () => {
    expect([...encodeText("\ud800")]).toEqual([0xef, 0xbf, 0xbd]);
    expect([...encodeText("\udc00\udcff")]).toEqual([0xef, 0xbf, 0xbd, 0xff]);
  });
});
