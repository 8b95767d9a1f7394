/**
 * What a server stores of a SCRAM password, and PostgreSQL's text form of it:
 *
 *   SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY        (the last three in base64, both keys 32 bytes)
 *
 * It checks a login and lets no one log in by itself, but its ServerKey can pose as the server: private fields.
 */
import type { Crypto } from "../net/world.ts";
import { scramMechanism } from "./auth-request.ts";
import { decodeBase64, encodeBase64 } from "./scram-message.ts";
import { deriveScramKeys, scramKeyBytes } from "./scram-keys.ts";

/** As PostgreSQL's SCRAM_DEFAULT_SALT_LEN. */
export const scramSaltBytes = 16;

const shape = /^SCRAM-SHA-256\$([0-9]{1,10}):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]{44}):([A-Za-z0-9+/=]{44})$/;
const iterationsLimit = 0x7fff_ffff;

export class ScramVerifier {
  readonly iterations: number;
  readonly #salt: Uint8Array;
  readonly #storedKey: Uint8Array;
  readonly #serverKey: Uint8Array;

  constructor(iterations: number, salt: Uint8Array, storedKey: Uint8Array, serverKey: Uint8Array) {
    this.iterations = iterations;
    this.#salt = salt;
    this.#storedKey = storedKey;
    this.#serverKey = serverKey;
  }

  get salt(): Uint8Array {
    return this.#salt;
  }

  get storedKey(): Uint8Array {
    return this.#storedKey;
  }

  get serverKey(): Uint8Array {
    return this.#serverKey;
  }
}

/** Null if the text has another shape, or an iteration count that is not in 1 … 2³¹−1. */
export function parseScramVerifier(text: string): ScramVerifier | null {
  const parts = shape.exec(text);
  if (parts === null) return null;
  const iterations = Number(parts[1]);
  const salt = decodeBase64(parts[2] ?? "");
  const storedKey = decodeBase64(parts[3] ?? "");
  const serverKey = decodeBase64(parts[4] ?? "");
  if (iterations < 1 || iterations > iterationsLimit || salt === null) return null;
  if (storedKey?.length !== scramKeyBytes || serverKey?.length !== scramKeyBytes) return null;
  return new ScramVerifier(iterations, salt, storedKey, serverKey);
}

export function printScramVerifier(verifier: ScramVerifier): string {
  const salt = encodeBase64(verifier.salt);
  const storedKey = encodeBase64(verifier.storedKey);
  const serverKey = encodeBase64(verifier.serverKey);
  return `${scramMechanism}$${verifier.iterations}:${salt}$${storedKey}:${serverKey}`;
}

/** The verifier of a plain password. `salt`: random if not given. Rejects as `deriveScramKeys` does. */
export async function buildScramVerifier(
  crypto: Crypto,
  password: Uint8Array,
  iterations: number,
  salt: Uint8Array = crypto.randomBytes(scramSaltBytes),
): Promise<ScramVerifier> {
  const keys = await deriveScramKeys(crypto, password, salt, iterations);
  return new ScramVerifier(iterations, salt, crypto.sha256(keys.clientKey), keys.serverKey);
}

/**
 * A verifier that nothing satisfies, for users we must not reveal as unknown. The same for one user as long as the
 * process lives (`mockSecret`: 32 random bytes made at start), because a salt that changes would give the game away;
 * PostgreSQL does the same with its mock authentication nonce.
 */
export function mockScramVerifier(
  crypto: Crypto,
  user: string,
  iterations: number,
  mockSecret: Uint8Array,
): ScramVerifier {
  const made = (purpose: string) => crypto.hmacSha256(mockSecret, Buffer.from(`${purpose}\0${user}`, "utf8"));
  return new ScramVerifier(
    iterations,
    made("salt").subarray(0, scramSaltBytes),
    made("stored key"),
    made("server key"),
  );
}
