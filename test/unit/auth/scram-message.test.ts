import * as fc from "fast-check";
import { expect, it } from "vitest";
import { AttributeReader, decodeBase64, encodeBase64, printable } from "../../../src/auth/scram-message.ts";

it("reads back any base64, and takes one text only for the same bytes", () => {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=-_ \n";
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 1 }),
      fc.nat(),
      fc.constantFrom(...alphabet.split("")),
      (bytes, at, character) => {
        const text = encodeBase64(bytes);
        expect(decodeBase64(text)).toEqual(bytes);
        const index = at % text.length;
        const altered = decodeBase64(text.slice(0, index) + character + text.slice(index + 1));
        const same = altered !== null && Buffer.from(altered).equals(bytes);
        expect(same).toBe(text[index] === character);
        expect(decodeBase64(text + character)).toBeNull();
      },
    ),
  );
  for (const text of ["", "=", "====", "A", "AA", "AAA", "AA=", "AB==", "AAB=", "é", "AA==AA=="]) {
    expect([text, decodeBase64(text)]).toEqual([text, null]);
  }
});

it("reads back any list of attributes", () => {
  const name = fc.constantFrom(..."abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".split(""));
  const value = fc.string({ unit: "binary-ascii" }).map((text) => text.replaceAll(",", ""));
  fc.assert(
    fc.property(fc.array(fc.tuple(name, value), { minLength: 1 }), (attributes) => {
      const reader = new AttributeReader(attributes.map(([key, text]) => `${key}=${text}`).join(","));
      const read = attributes.map(() => reader.readAny());
      expect(read).toEqual(attributes.map(([key, text]) => ({ ok: true, name: key, value: text })));
      expect(reader.atEnd).toBe(true);
      expect(reader.readAny().ok).toBe(false);
    }),
  );
});

it("shows characters harmlessly in log lines", () => {
  expect(["a", ",", " ", "\n", "\0", "", "é"].map(printable)).toEqual([
    "'a'",
    "','",
    "0x20",
    "0x0a",
    "0x00",
    "0x00",
    "0xe9",
  ]);
});
