import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { md5Response, md5Secret, verifyMd5Response } from "../../../src/auth/md5.ts";
import { StoredSecret } from "../../../src/auth/stored-secret.ts";
import { TestCrypto, utf8 } from "./test-crypto.ts";

const crypto = new TestCrypto();
const salt = Uint8Array.from([1, 2, 3, 4]);
const scram =
  "SCRAM-SHA-256$4096:D76gvGUVj9Z4DNiGoabOBg==$RukL0Xo3Ql/2F9FsD7mcQ3GATG2fD3PA71qY1JagGDs=:BhKUwyyivFm7Tq2jDJVXSVRbRDgTWyBilZKgg6DDuYU=";

describe("vectors", () => {
  it("makes the stored form as PostgreSQL does", () => {
    expect(md5Secret(crypto, utf8("foo"), "muser1")).toBe("md5ab8b744ff66bee42dc47bae34ca17959");
    expect(md5Secret(crypto, utf8("bar"), "muser2")).toBe("md598455b3585818e23c2653a59f6d84551");
  });

  it("makes the wire form of a known salt", () => {
    // printf 'ab8b744ff66bee42dc47bae34ca17959\001\002\003\004' | md5sum
    expect(md5Response(crypto, new StoredSecret("foo"), "muser1", salt)).toBe("md5cbed5d7df5ce72a10b51fdf89c0cdc6b");
  });
});

it("lets a plain and an md5 secret answer and verify alike", () => {
  fc.assert(
    fc.property(
      fc.string({ unit: "grapheme", minLength: 1 }),
      fc.string({ unit: "grapheme" }),
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      (password, user, randomSalt) => {
        const plain = new StoredSecret(password);
        const hashed = new StoredSecret(md5Secret(crypto, utf8(password), user));
        const response = md5Response(crypto, plain, user, randomSalt) ?? "";
        expect(response).toMatch(/^md5[0-9a-f]{32}$/);
        expect(md5Response(crypto, hashed, user, randomSalt)).toBe(response);
        expect(verifyMd5Response(crypto, plain, user, randomSalt, utf8(response))).toBe(true);
        expect(verifyMd5Response(crypto, hashed, user, randomSalt, utf8(response))).toBe(true);
        expect(verifyMd5Response(crypto, hashed, `${user}x`, randomSalt, utf8(response))).toBe(true);
        expect(verifyMd5Response(crypto, plain, `${user}x`, randomSalt, utf8(response))).toBe(false);
        const otherSalt = randomSalt.map((byte) => byte ^ 1);
        expect(verifyMd5Response(crypto, hashed, user, otherSalt, utf8(response))).toBe(false);
        expect(verifyMd5Response(crypto, hashed, user, randomSalt, utf8(response.slice(0, -1)))).toBe(false);
        expect(verifyMd5Response(crypto, hashed, user, randomSalt, utf8(response.toUpperCase()))).toBe(false);
      },
    ),
  );
});

it("never passes an empty or a SCRAM secret", () => {
  const none = new StoredSecret("");
  const response = md5Response(crypto, none, "u", salt) ?? "";
  expect(response).toMatch(/^md5/);
  expect(verifyMd5Response(crypto, none, "u", salt, utf8(response))).toBe(false);
  expect(md5Response(crypto, new StoredSecret(scram), "u", salt)).toBeNull();
  expect(verifyMd5Response(crypto, new StoredSecret(scram), "u", salt, utf8(response))).toBe(false);
});

it("compares in constant time", () => {
  const own = new TestCrypto();
  verifyMd5Response(own, new StoredSecret("foo"), "u", salt, utf8("md5cbed5d7df5ce72a10b51fdf89c0cdc6b"));
  expect(own.comparisons).toBe(1);
});
