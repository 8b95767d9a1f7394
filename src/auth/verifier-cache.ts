/**
 * Remembers the SCRAM verifiers made from plain secrets, so that only a user's first login runs PBKDF2.
 *
 * An entry hangs on the `StoredSecret` object and goes with it: secrets that live (the userlist's, a database entry's)
 * keep theirs until they are read again, and those of auth_query, new at every login, keep none; PgBouncer's rule.
 * Bounded by the secrets alive.
 */
import type { Crypto } from "../net/world.ts";
import { buildScramVerifier } from "./scram-verifier.ts";
import type { ScramVerifier } from "./scram-verifier.ts";
import type { StoredSecret } from "./stored-secret.ts";

interface Entry {
  readonly iterations: number;
  verifier: ScramVerifier | Promise<ScramVerifier>;
}

export class VerifierCache {
  readonly #crypto: Crypto;
  readonly #entries = new WeakMap<StoredSecret, Entry>();

  constructor(crypto: Crypto) {
    this.#crypto = crypto;
  }

  /**
   * A verifier of a plain secret with `iterations` rounds: at once if known; clients that ask at the same time share
   * one computation. Another count (`scram_iterations` was changed) makes a new one. Rejects as `deriveScramKeys` does,
   * and then forgets.
   */
  verifierOf(secret: StoredSecret, iterations: number): ScramVerifier | Promise<ScramVerifier> {
    const known = this.#entries.get(secret);
    if (known?.iterations === iterations) return known.verifier;
    const computing = buildScramVerifier(this.#crypto, secret.revealBytes(), iterations);
    const entry: Entry = { iterations, verifier: computing };
    this.#entries.set(secret, entry);
    return this.#settle(secret, entry, computing);
  }

  async #settle(secret: StoredSecret, entry: Entry, computing: Promise<ScramVerifier>): Promise<ScramVerifier> {
    try {
      entry.verifier = await computing;
      return entry.verifier;
    } catch (error) {
      if (this.#entries.get(secret) === entry) this.#entries.delete(secret);
      throw error;
    }
  }
}
