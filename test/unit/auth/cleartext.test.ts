import * as fc from "fast-check";
import { expect, it } from "vitest";
import { verifyCleartext } from "../../../src/auth/cleartext.ts";
import { md5Secret } from "../../../src/auth/md5.ts";
import { buildScramVerifier, printScramVerifier } from "../../../src/auth/scram-verifier.ts";
import { StoredSecret } from "../../../src/auth/stored-secret.ts";
import { TestCrypto, utf8 } from "./test-crypto.ts";

const crypto = new TestCrypto();

it("passes the right password and no other, whatever form is stored", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.string({ unit: "grapheme", minLength: 1 }),
      fc.string({ unit: "grapheme", minLength: 1 }),
      async (password, other) => {
        const verifier = await buildScramVerifier(crypto, utf8(password), 2);
        const forms = [password, md5Secret(crypto, utf8(password), "u"), printScramVerifier(verifier)];
        for (const form of forms) {
          const secret = new StoredSecret(form);
          expect(await verifyCleartext(crypto, secret, "u", utf8(password))).toBe(true);
          if (other.normalize("NFKC") === password.normalize("NFKC")) continue;
          expect(await verifyCleartext(crypto, secret, "u", utf8(other))).toBe(false);
          expect(await verifyCleartext(crypto, secret, "u", utf8(`${password}x`))).toBe(false);
        }
      },
    ),
    { numRuns: 50 },
  );
});

it("does not take a stored hash for the password", async () => {
  const hash = md5Secret(crypto, utf8("foo"), "u");
  expect(verifyCleartext(crypto, new StoredSecret(hash), "u", utf8(hash))).toBe(false);
  const verifier = printScramVerifier(await buildScramVerifier(crypto, utf8("foo"), 2));
  expect(await verifyCleartext(crypto, new StoredSecret(verifier), "u", utf8(verifier))).toBe(false);
});

it("never passes an empty secret", () => {
  expect(verifyCleartext(crypto, new StoredSecret(""), "u", utf8(""))).toBe(false);
  expect(verifyCleartext(crypto, new StoredSecret(""), "u", utf8("x"))).toBe(false);
});

it("waits only for SCRAM, and compares in constant time", async () => {
  const own = new TestCrypto();
  expect(verifyCleartext(own, new StoredSecret("foo"), "u", utf8("foo"))).toBe(true);
  expect(verifyCleartext(own, new StoredSecret(md5Secret(own, utf8("foo"), "u")), "u", utf8("foo"))).toBe(true);
  expect(own.pbkdf2Calls).toBe(0);
  const secret = new StoredSecret(printScramVerifier(await buildScramVerifier(own, utf8("foo"), 2)));
  const pending = verifyCleartext(own, secret, "u", utf8("foo"));
  expect(pending).toBeInstanceOf(Promise);
  expect(await pending).toBe(true);
  expect(own.comparisons).toBe(3);
});
