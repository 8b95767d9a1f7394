/**
 * The crypto primitives of the login methods on `node:crypto`, which both runtimes have.
 *
 * Hashes of a few dozen bytes are computed at once; PBKDF2 runs on the runtime's thread pool, because 4,096 rounds would
 * stop every connection for a millisecond.
 */
import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from "node:crypto";
import type { Crypto } from "./world.ts";

const KEY_BYTES = 32;

export function createCrypto(): Crypto {
  return {
    randomBytes: (length) => new Uint8Array(randomBytes(length)),
    md5Hex: (data) => createHash("md5").update(data).digest("hex"),
    sha256: (data) => new Uint8Array(createHash("sha256").update(data).digest()),
    hmacSha256: (key, data) => new Uint8Array(createHmac("sha256", key).update(data).digest()),
    pbkdf2Sha256,
    equal: (a, b) => a.length === b.length && timingSafeEqual(a, b),
  };
}

function pbkdf2Sha256(password: Uint8Array, salt: Uint8Array, iterations: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    pbkdf2(password, salt, iterations, KEY_BYTES, "sha256", (error, key) => {
      if (error) reject(error);
      else resolve(new Uint8Array(key));
    });
  });
}
