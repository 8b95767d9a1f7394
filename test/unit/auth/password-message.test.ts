import * as fc from "fast-check";
import { expect, it } from "vitest";
import { offersScram, saslMechanismsPayload } from "../../../src/auth/auth-request.ts";
import {
  printPassword,
  printSaslInitialResponse,
  readPassword,
  readSaslInitialResponse,
} from "../../../src/auth/password-message.ts";
import { utf8 } from "./test-crypto.ts";

const noZeros = fc.uint8Array().map((bytes) => bytes.filter((byte) => byte !== 0));

it("reads back the passwords it prints, at any place in a buffer", () => {
  fc.assert(
    fc.property(noZeros, fc.nat(5), (password, offset) => {
      const body = Buffer.concat([Buffer.alloc(offset, 0x41), printPassword(password)]).subarray(offset);
      expect(Uint8Array.from(readPassword(body) ?? [])).toEqual(password);
    }),
  );
});

it("takes a password with exactly one zero, at its end", () => {
  expect(readPassword(utf8(""))).toBeNull();
  expect(readPassword(utf8("abc"))).toBeNull();
  expect(readPassword(utf8("abc\0d"))).toBeNull();
  expect(readPassword(utf8("abc\0\0"))).toBeNull();
  expect(readPassword(utf8("\0"))).toHaveLength(0);
});

it("reads back the SASLInitialResponse it prints, and refuses it cut or longer", () => {
  fc.assert(
    fc.property(fc.constantFrom("", "SCRAM-SHA-256", "X"), fc.uint8Array({ maxLength: 40 }), (mechanism, data) => {
      const body = printSaslInitialResponse(mechanism, data);
      const read = readSaslInitialResponse(body);
      expect(read?.mechanism).toBe(mechanism);
      expect(Uint8Array.from(read?.data ?? [])).toEqual(data);
      for (let length = 0; length < body.length; length++) {
        expect(readSaslInitialResponse(body.subarray(0, length))).toBeNull();
      }
      expect(readSaslInitialResponse(Buffer.concat([body, utf8("x")]))).toBeNull();
    }),
  );
});

it("knows a SASLInitialResponse without data, and refuses other negative lengths", () => {
  const body = (length: number, data = "") => {
    const bytes = Buffer.concat([utf8("M\0"), Buffer.alloc(4), utf8(data)]);
    bytes.writeInt32BE(length, 2);
    return bytes;
  };
  expect(readSaslInitialResponse(body(-1))).toEqual({ mechanism: "M", data: null });
  expect(readSaslInitialResponse(body(-1, "x"))).toBeNull();
  expect(readSaslInitialResponse(body(-2))).toBeNull();
  expect(readSaslInitialResponse(body(0x7fffffff, "x"))).toBeNull();
});

it("finds SCRAM-SHA-256 in a list of mechanisms", () => {
  expect(offersScram(saslMechanismsPayload())).toBe(true);
  expect(offersScram(utf8("SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"))).toBe(true);
  expect(offersScram(utf8("OAUTHBEARER\0SCRAM-SHA-256\0\0"))).toBe(true);
  for (const list of ["", "\0", "SCRAM-SHA-256-PLUS\0\0", "SCRAM-SHA-256", "\0SCRAM-SHA-256\0", "scram-sha-256\0\0"]) {
    expect({ list, offered: offersScram(utf8(list)) }).toEqual({ list, offered: false });
  }
  fc.assert(fc.property(fc.uint8Array(), (bytes) => !offersScram(bytes)));
});
