/**
 * The crypto door of the simulated world: real primitives, so that logins mean what they mean, with randomness from the
 * seed, so that a run can be repeated. The slow one answers on virtual time.
 */
import { createHash, createHmac, pbkdf2Sync, timingSafeEqual } from "node:crypto";
import type { Crypto } from "../../src/net/world.ts";
import type { Random } from "./random.ts";

/** `later` settles a promise at a time of its own choosing. */
export function createSimCrypto(random: Random, later: (task: () => void) => void): Crypto {
  return {
    randomBytes: (length) => random.bytes(length),
    md5Hex: (data) => createHash("md5").update(data).digest("hex"),
    sha256: (data) => new Uint8Array(createHash("sha256").update(data).digest()),
    hmacSha256: (key, data) => new Uint8Array(createHmac("sha256", key).update(data).digest()),
    pbkdf2Sha256: (password, salt, iterations) =>
      new Promise((resolve) => {
        later(() => resolve(new Uint8Array(pbkdf2Sync(password, salt, iterations, 32, "sha256"))));
      }),
    equal: (a, b) => a.length === b.length && timingSafeEqual(a, b),
  };
}
