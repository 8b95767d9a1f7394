/**
 * Remembers the keys that a password gives with a server's salt and iteration count, so that opening the twentieth
 * connection of a pool does not run PBKDF2 again.
 *
 * Bounded, least recently used out first; owned by whoever makes it. Lookups go by a hash of all three inputs, so the
 * cache holds no password; logins that ask at the same time share one computation. A changed password simply asks for
 * another entry.
 */
import type { Crypto } from "../net/world.ts";
import { deriveScramKeys } from "./scram-keys.ts";
import type { ScramKeys } from "./scram-keys.ts";

export const scramKeyCacheSize = 1000;

export class ScramKeyCache {
  readonly #crypto: Crypto;
  readonly #entriesMax: number;
  readonly #entries = new Map<string, ScramKeys | Promise<ScramKeys>>();

  constructor(crypto: Crypto, entriesMax: number = scramKeyCacheSize) {
    this.#crypto = crypto;
    this.#entriesMax = entriesMax;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** At once if they are known. Rejects as `deriveScramKeys` does, and then forgets: the next call tries again. */
  keysOf(password: Uint8Array, salt: Uint8Array, iterations: number): ScramKeys | Promise<ScramKeys> {
    const key = this.#keyOf(password, salt, iterations);
    const known = this.#entries.get(key);
    if (known !== undefined) {
      this.#entries.delete(key);
      this.#entries.set(key, known);
      return known;
    }
    const computing = this.#compute(key, password, salt, iterations);
    this.#entries.set(key, computing);
    if (this.#entries.size > this.#entriesMax) {
      for (const oldest of this.#entries.keys()) {
        this.#entries.delete(oldest);
        break;
      }
    }
    return computing;
  }

  async #compute(key: string, password: Uint8Array, salt: Uint8Array, iterations: number): Promise<ScramKeys> {
    try {
      const keys = await deriveScramKeys(this.#crypto, password, salt, iterations);
      // It may have been pushed out while it was computed.
      if (this.#entries.has(key)) this.#entries.set(key, keys);
      return keys;
    } catch (error) {
      this.#entries.delete(key);
      throw error;
    }
  }

  #keyOf(password: Uint8Array, salt: Uint8Array, iterations: number): string {
    const hashed = [this.#crypto.sha256(password), this.#crypto.sha256(salt)];
    return `${Buffer.concat(hashed).toString("latin1")}${iterations}`;
  }
}
