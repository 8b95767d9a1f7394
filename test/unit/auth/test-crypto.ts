/**
 * The world's `Crypto` on node:crypto, for tests: it counts what is costly, and its random bytes can be set.
 */
import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";
import type { Crypto } from "../../../src/net/world.ts";

const pbkdf2Async = promisify(pbkdf2);

export class TestCrypto implements Crypto {
  pbkdf2Calls = 0;
  comparisons = 0;
  /** Handed out first, in order; real randomness follows. */
  readonly scriptedRandom: Uint8Array[] = [];
  /** While set, PBKDF2 rejects with it. */
  pbkdf2Error: Error | null = null;

  randomBytes(length: number): Uint8Array {
    return this.scriptedRandom.shift() ?? randomBytes(length);
  }

  md5Hex(data: Uint8Array): string {
    return createHash("md5").update(data).digest("hex");
  }

  sha256(data: Uint8Array): Uint8Array {
    return createHash("sha256").update(data).digest();
  }

  hmacSha256(key: Uint8Array, data: Uint8Array): Uint8Array {
    return createHmac("sha256", key).update(data).digest();
  }

  pbkdf2Sha256(password: Uint8Array, salt: Uint8Array, iterations: number): Promise<Uint8Array> {
    this.pbkdf2Calls++;
    if (this.pbkdf2Error !== null) return Promise.reject(this.pbkdf2Error);
    return pbkdf2Async(password, salt, iterations, 32, "sha256");
  }

  equal(a: Uint8Array, b: Uint8Array): boolean {
    this.comparisons++;
    return a.length === b.length && timingSafeEqual(a, b);
  }
}

export function utf8(text: string): Uint8Array {
  return Buffer.from(text, "utf8");
}

export function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("latin1");
}
