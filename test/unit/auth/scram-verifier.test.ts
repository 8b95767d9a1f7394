import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  buildScramVerifier,
  mockScramVerifier,
  parseScramVerifier,
  printScramVerifier,
  ScramVerifier,
} from "../../../src/auth/scram-verifier.ts";
import { TestCrypto, utf8 } from "./test-crypto.ts";

const crypto = new TestCrypto();
const key = fc.uint8Array({ minLength: 32, maxLength: 32 });
const good =
  "SCRAM-SHA-256$4096:D76gvGUVj9Z4DNiGoabOBg==$RukL0Xo3Ql/2F9FsD7mcQ3GATG2fD3PA71qY1JagGDs=:BhKUwyyivFm7Tq2jDJVXSVRbRDgTWyBilZKgg6DDuYU=";

describe("the text form", () => {
  it("comes back from parsing as it was printed", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 0x7fffffff }),
        fc.uint8Array({ minLength: 1, maxLength: 64 }),
        key,
        key,
        (iterations, salt, storedKey, serverKey) => {
          const text = printScramVerifier(new ScramVerifier(iterations, salt, storedKey, serverKey));
          const parsed = parseScramVerifier(text);
          expect(parsed?.iterations).toBe(iterations);
          expect(parsed?.salt).toEqual(salt);
          expect(parsed?.storedKey).toEqual(storedKey);
          expect(parsed?.serverKey).toEqual(serverKey);
        },
      ),
    );
    const parsed = parseScramVerifier(good);
    expect(parsed && printScramVerifier(parsed)).toBe(good);
  });

  it("is refused when cut anywhere, or longer by anything", () => {
    for (let length = 0; length < good.length; length++) {
      expect([length, parseScramVerifier(good.slice(0, length))]).toEqual([length, null]);
    }
    for (const tail of [" ", "\n", "=", "A", ":", "$"]) expect(parseScramVerifier(good + tail)).toBeNull();
  });

  it.each([
    ["another mechanism", good.replace("256", "512")],
    ["lower case", good.replace("SCRAM", "scram")],
    ["no iterations", good.replace("4096", "")],
    ["zero iterations", good.replace("4096", "0")],
    ["negative iterations", good.replace("4096", "-1")],
    ["too many iterations", good.replace("4096", "2147483648")],
    ["junk in the iterations", good.replace("4096", "4096x")],
    ["bad base64 in the salt", good.replace("D76g", "D76")],
    ["no salt", good.replace("D76gvGUVj9Z4DNiGoabOBg==", "")],
    ["a short key", good.replace("RukL", "")],
    ["a key of 31 bytes", good.replace("JagGDs=", "JagGA==")],
  ])("is refused with %s", (_, text) => {
    expect(text).not.toBe(good);
    expect(parseScramVerifier(text)).toBeNull();
  });

  it("is refused, not thrown at, for any text", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        expect(parseScramVerifier(text)).toBeNull();
      }),
    );
  });
});

it("takes a new random salt for each built verifier", async () => {
  const [a, b] = await Promise.all([
    buildScramVerifier(crypto, utf8("same"), 1),
    buildScramVerifier(crypto, utf8("same"), 1),
  ]);
  expect(a.salt).toHaveLength(16);
  expect(a.salt).not.toEqual(b.salt);
  expect(a.storedKey).not.toEqual(b.storedKey);
});

it("mocks one user always the same way in one process, and otherwise differently", () => {
  const secret = crypto.randomBytes(32);
  const print = (user: string, mockSecret: Uint8Array) =>
    printScramVerifier(mockScramVerifier(crypto, user, 4096, mockSecret));
  expect(print("alice", secret)).toBe(print("alice", secret));
  expect(print("alice", secret)).not.toBe(print("alicf", secret));
  expect(print("alice", secret)).not.toBe(print("alice", crypto.randomBytes(32)));
  expect(mockScramVerifier(crypto, "alice", 4096, secret).salt).toHaveLength(16);
});
