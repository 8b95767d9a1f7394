import { describe, expect, it } from "vitest";
import { ScramKeyCache } from "../../../src/auth/scram-key-cache.ts";
import { ScramKeys } from "../../../src/auth/scram-keys.ts";
import { ScramVerifier } from "../../../src/auth/scram-verifier.ts";
import { StoredSecret } from "../../../src/auth/stored-secret.ts";
import { VerifierCache } from "../../../src/auth/verifier-cache.ts";
import { TestCrypto, utf8 } from "./test-crypto.ts";

describe("the cache of derived keys", () => {
  it("derives once for one password, salt and count, and again when any of them differs", async () => {
    const crypto = new TestCrypto();
    const cache = new ScramKeyCache(crypto);
    const keys = await cache.keysOf(utf8("p"), utf8("salt"), 1);
    const again = cache.keysOf(utf8("p"), utf8("salt"), 1);
    expect(again).toBeInstanceOf(ScramKeys);
    expect(again).toBe(keys);
    expect(crypto.pbkdf2Calls).toBe(1);
    await cache.keysOf(utf8("q"), utf8("salt"), 1);
    await cache.keysOf(utf8("p"), utf8("salu"), 1);
    await cache.keysOf(utf8("p"), utf8("salt"), 2);
    await cache.keysOf(utf8("ps"), utf8("alt"), 1);
    expect(crypto.pbkdf2Calls).toBe(5);
    expect(cache.size).toBe(5);
  });

  it("shares one derivation among those who ask at once", async () => {
    const crypto = new TestCrypto();
    const cache = new ScramKeyCache(crypto);
    const asked = Array.from({ length: 20 }, () => cache.keysOf(utf8("p"), utf8("salt"), 1));
    const keys = await Promise.all(asked.map((each) => Promise.resolve(each)));
    expect(new Set(keys).size).toBe(1);
    expect(crypto.pbkdf2Calls).toBe(1);
  });

  it("is bounded, and forgets the least recently used", async () => {
    const crypto = new TestCrypto();
    const cache = new ScramKeyCache(crypto, 2);
    const ask = (password: string) => cache.keysOf(utf8(password), utf8("salt"), 1);
    await ask("a");
    await ask("b");
    await ask("a");
    await ask("c");
    expect(cache.size).toBe(2);
    expect(ask("a")).toBeInstanceOf(ScramKeys);
    expect(ask("b")).toBeInstanceOf(Promise);
    await Promise.all(["a", "b", "c", "d", "e"].map((password) => Promise.resolve(ask(password))));
    expect(cache.size).toBe(2);
  });

  it("does not keep a failure", async () => {
    const crypto = new TestCrypto();
    const cache = new ScramKeyCache(crypto);
    crypto.pbkdf2Error = new Error("no");
    await expect(cache.keysOf(utf8("p"), utf8("salt"), 1)).rejects.toThrow("no");
    expect(cache.size).toBe(0);
    crypto.pbkdf2Error = null;
    expect(await cache.keysOf(utf8("p"), utf8("salt"), 1)).toBeInstanceOf(ScramKeys);
  });
});

describe("the cache of verifiers", () => {
  it("makes one verifier for a secret object, shared and at once afterwards", async () => {
    const crypto = new TestCrypto();
    const cache = new VerifierCache(crypto);
    const secret = new StoredSecret("plain");
    const asked = await Promise.all([cache.verifierOf(secret, 1), cache.verifierOf(secret, 1)]);
    expect(asked[0]).toBe(asked[1]);
    expect(cache.verifierOf(secret, 1)).toBe(asked[0]);
    expect(cache.verifierOf(secret, 1)).toBeInstanceOf(ScramVerifier);
    expect(crypto.pbkdf2Calls).toBe(1);
  });

  it("makes another for another object, and when the iteration count changes", async () => {
    const crypto = new TestCrypto();
    const cache = new VerifierCache(crypto);
    const secret = new StoredSecret("plain");
    const first = await cache.verifierOf(secret, 1);
    const other = await cache.verifierOf(new StoredSecret("plain"), 1);
    expect(other.salt).not.toEqual(first.salt);
    const more = await cache.verifierOf(secret, 2);
    expect(more.iterations).toBe(2);
    expect(cache.verifierOf(secret, 2)).toBe(more);
  });

  it("does not keep a failure", async () => {
    const crypto = new TestCrypto();
    const cache = new VerifierCache(crypto);
    const secret = new StoredSecret("plain");
    crypto.pbkdf2Error = new Error("no");
    const asked = [cache.verifierOf(secret, 1), cache.verifierOf(secret, 1)];
    for (const each of asked) await expect(each).rejects.toThrow("no");
    crypto.pbkdf2Error = null;
    expect(await cache.verifierOf(secret, 1)).toBeInstanceOf(ScramVerifier);
  });
});
