/**
 * The keys of SCRAM-SHA-256 and what is computed from them (RFC 5802, section 3).
 *
 *   SaltedPassword = PBKDF2(password, salt, iterations)
 *   ClientKey = HMAC(SaltedPassword, "Client Key")      StoredKey = H(ClientKey)
 *   ServerKey = HMAC(SaltedPassword, "Server Key")
 *   proof = ClientKey XOR HMAC(StoredKey, AuthMessage)  signature = HMAC(ServerKey, AuthMessage)
 *
 * Who has a ClientKey can log in, who has a ServerKey can pose as the server: both live in private fields, which neither
 * inspect nor JSON prints.
 */
import type { Crypto } from "../net/world.ts";
import { preparePassword } from "./prepare-password.ts";
import { latin1Bytes } from "./scram-message.ts";

/** Bytes of every key and signature: SHA-256. */
export const scramKeyBytes = 32;

/**
 * The highest iteration count we compute. PostgreSQL's default is 4,096 (1 ms); this is some seconds of one core, and
 * bounds what a hostile server can make us spend.
 */
export const scramIterationsMax = 10_000_000;

/** A proven pair of ClientKey and ServerKey: enough to log in wherever the same verifier is stored (pass-through). */
export class ScramKeys {
  readonly #clientKey: Uint8Array;
  readonly #serverKey: Uint8Array;

  /** Both 32 bytes. */
  constructor(clientKey: Uint8Array, serverKey: Uint8Array) {
    this.#clientKey = clientKey;
    this.#serverKey = serverKey;
  }

  get clientKey(): Uint8Array {
    return this.#clientKey;
  }

  get serverKey(): Uint8Array {
    return this.#serverKey;
  }
}

/**
 * The keys of a password: the one expensive step. `password` is as typed (SASLprep is done here).
 * Rejects with a RangeError if `iterations` is not in 1 … `scramIterationsMax`.
 */
export async function deriveScramKeys(
  crypto: Crypto,
  password: Uint8Array,
  salt: Uint8Array,
  iterations: number,
): Promise<ScramKeys> {
  if (!(iterations >= 1 && iterations <= scramIterationsMax)) {
    throw new RangeError(`SCRAM iteration count ${iterations} is not in 1 … ${scramIterationsMax}`);
  }
  const salted = await crypto.pbkdf2Sha256(preparePassword(password), salt, iterations);
  return new ScramKeys(
    crypto.hmacSha256(salted, latin1Bytes("Client Key")),
    crypto.hmacSha256(salted, latin1Bytes("Server Key")),
  );
}

/** `client-first-bare,server-first,client-final-without-proof`: what both sides sign. */
export function authMessage(clientFirstBare: string, serverFirst: string, clientFinalBare: string): Uint8Array {
  return latin1Bytes(`${clientFirstBare},${serverFirst},${clientFinalBare}`);
}

/** Both 32 bytes; the proof from key and signature, the key from proof and signature. */
export function xorKeys(a: Uint8Array, b: Uint8Array): Uint8Array {
  return a.map((byte, index) => byte ^ (b[index] ?? 0));
}
