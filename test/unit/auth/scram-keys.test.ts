import { describe, expect, it } from "vitest";
import { authMessage, deriveScramKeys, scramIterationsMax, xorKeys } from "../../../src/auth/scram-keys.ts";
import { decodeBase64, encodeBase64 } from "../../../src/auth/scram-message.ts";
import { parseScramVerifier } from "../../../src/auth/scram-verifier.ts";
import { TestCrypto, utf8 } from "./test-crypto.ts";

const crypto = new TestCrypto();

describe("RFC 7677, section 3", () => {
  const nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
  const salt = decodeBase64("W22ZaJ0SNY7soEsUEjb6gQ==") ?? new Uint8Array();
  const signed = authMessage(
    "n=user,r=rOprNGfwEbeRWgbNEkqO",
    `r=${nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`,
    `c=biws,r=${nonce}`,
  );

  it("gives the proof and the signature of the example", async () => {
    const keys = await deriveScramKeys(crypto, utf8("pencil"), salt, 4096);
    const storedKey = crypto.sha256(keys.clientKey);
    const proof = xorKeys(keys.clientKey, crypto.hmacSha256(storedKey, signed));
    expect(encodeBase64(proof)).toBe("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
    const signature = crypto.hmacSha256(keys.serverKey, signed);
    expect(encodeBase64(signature)).toBe("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
  });
});

it("gives the keys of a verifier that PostgreSQL made", async () => {
  const made = parseScramVerifier(
    "SCRAM-SHA-256$4096:D76gvGUVj9Z4DNiGoabOBg==$RukL0Xo3Ql/2F9FsD7mcQ3GATG2fD3PA71qY1JagGDs=:BhKUwyyivFm7Tq2jDJVXSVRbRDgTWyBilZKgg6DDuYU=",
  );
  if (made === null) throw new Error("the verifier does not parse");
  const keys = await deriveScramKeys(crypto, utf8("foo"), made.salt, made.iterations);
  expect(crypto.sha256(keys.clientKey)).toEqual(Buffer.from(made.storedKey));
  expect(keys.serverKey).toEqual(Buffer.from(made.serverKey));
});

it("refuses iteration counts out of bounds before any work", async () => {
  const own = new TestCrypto();
  for (const iterations of [0, -1, Number.NaN, scramIterationsMax + 1]) {
    await expect(deriveScramKeys(own, utf8("x"), utf8("salt"), iterations)).rejects.toThrow(RangeError);
  }
  expect(own.pbkdf2Calls).toBe(0);
});
