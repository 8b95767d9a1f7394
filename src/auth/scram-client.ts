/**
 * SCRAM-SHA-256 from the client's side (RFC 5802, RFC 7677): we log in to PostgreSQL, with a password or with keys that
 * a client of ours has proven (pass-through). The counterpart of the first half of PgBouncer's `scram.c`.
 *
 *   client-first   n,,n=,r=CNONCE               ← first
 *   server-first   r=CNONCE+SNONCE,s=SALT,i=N   → receiveFirst
 *   client-final   c=biws,r=…,p=PROOF           ← receiveFirst
 *   server-final   v=SIGNATURE                  → receiveFinal
 *
 * The server proves itself too: only after `receiveFinal` said ok is it the one that knows the password. Calls out of
 * order are failures.
 */
import type { Crypto } from "../net/world.ts";
import { authMessage, ScramKeys, scramIterationsMax, scramKeyBytes, xorKeys } from "./scram-keys.ts";
import type { ScramKeyCache } from "./scram-key-cache.ts";
import {
  AttributeReader,
  decodeBase64,
  encodeBase64,
  isNonce,
  latin1Bytes,
  nonceCharsMax,
  rawNonceBytes,
  readScramText,
  scramFailure,
} from "./scram-message.ts";
import type { ScramFailure } from "./scram-message.ts";

/** Longest message read from a server. Real ones have about 100 bytes; a long salt is the server's right. */
export const scramServerMessageBytesMax = 4096;

const Phase = { start: "start", first: "first", deriving: "deriving", final: "final", over: "over" } as const;
type Phase = (typeof Phase)[keyof typeof Phase];

export interface ScramReply {
  readonly ok: true;
  readonly message: Uint8Array;
}

const outOfOrder = "SCRAM exchange protocol error: message out of order";

export class ScramClient {
  readonly #crypto: Crypto;
  readonly #credential: Uint8Array | ScramKeys;
  readonly #keyCache: ScramKeyCache;
  #phase: Phase = Phase.start;
  #nonce = "";
  #clientFirstBare = "";
  #serverSignature: Uint8Array | null = null;

  /** `credential`: the password as typed, in bytes, or proven keys. */
  constructor(crypto: Crypto, credential: Uint8Array | ScramKeys, keyCache: ScramKeyCache) {
    this.#crypto = crypto;
    this.#credential = credential;
    this.#keyCache = keyCache;
  }

  /** The client-first-message. The user name in it stays empty: PostgreSQL takes the startup packet's. */
  first(): Uint8Array {
    this.#phase = this.#phase === Phase.start ? Phase.first : Phase.over;
    this.#nonce = encodeBase64(this.#crypto.randomBytes(rawNonceBytes));
    this.#clientFirstBare = `n=,r=${this.#nonce}`;
    return latin1Bytes(`n,,${this.#clientFirstBare}`);
  }

  /** Takes the server-first-message, gives the client-final-message. A promise when PBKDF2 must run; it never rejects. */
  receiveFirst(message: Uint8Array): ScramReply | ScramFailure | Promise<ScramReply | ScramFailure> {
    if (this.#phase !== Phase.first) {
      this.#phase = Phase.over;
      return scramFailure(outOfOrder);
    }
    const challenge = this.#parseFirst(message);
    if (!challenge.ok) {
      this.#phase = Phase.over;
      return challenge;
    }
    if (this.#credential instanceof ScramKeys) return this.#prove(challenge, this.#credential);
    const keys = this.#keyCache.keysOf(this.#credential, challenge.salt, challenge.iterations);
    if (keys instanceof ScramKeys) return this.#prove(challenge, keys);
    this.#phase = Phase.deriving;
    return this.#proveLater(challenge, keys);
  }

  /** Takes the server-final-message. Null: the server knows the password too. */
  receiveFinal(message: Uint8Array): ScramFailure | null {
    const expected = this.#serverSignature;
    const inOrder = this.#phase === Phase.final && expected !== null;
    this.#phase = Phase.over;
    if (!inOrder) return scramFailure(outOfOrder);

    const text = readScramText(message, scramServerMessageBytesMax);
    if (typeof text !== "string") return text;
    const attributes = new AttributeReader(text);
    if (attributes.peek === "e") {
      const error = attributes.read("e");
      return error.ok ? scramFailure(`error received from server in SCRAM exchange: ${error.value}`) : error;
    }
    const verifier = attributes.read("v");
    if (!verifier.ok) return verifier;
    if (!attributes.atEnd) {
      return scramFailure("malformed SCRAM message (garbage at end of server-final-message)");
    }
    const signature = decodeBase64(verifier.value);
    if (signature?.length !== scramKeyBytes) {
      return scramFailure("malformed SCRAM message (malformed server signature)");
    }
    return this.#crypto.equal(signature, expected) ? null : scramFailure("invalid server signature");
  }

  async #proveLater(challenge: Challenge, deriving: Promise<ScramKeys>): Promise<ScramReply | ScramFailure> {
    let keys: ScramKeys;
    try {
      keys = await deriving;
    } catch (error) {
      this.#phase = Phase.over;
      return scramFailure(`SCRAM key derivation failed: ${error instanceof Error ? error.message : "unknown error"}`);
    }
    // A message that came meanwhile has ended the exchange.
    if (this.#phase !== Phase.deriving) return scramFailure(outOfOrder);
    return this.#prove(challenge, keys);
  }

  #prove(challenge: Challenge, keys: ScramKeys): ScramReply {
    const withoutProof = `c=biws,r=${challenge.nonce}`;
    const signed = authMessage(this.#clientFirstBare, challenge.text, withoutProof);
    const storedKey = this.#crypto.sha256(keys.clientKey);
    const proof = xorKeys(keys.clientKey, this.#crypto.hmacSha256(storedKey, signed));
    this.#serverSignature = this.#crypto.hmacSha256(keys.serverKey, signed);
    this.#phase = Phase.final;
    return { ok: true, message: latin1Bytes(`${withoutProof},p=${encodeBase64(proof)}`) };
  }

  #parseFirst(message: Uint8Array): Challenge | ScramFailure {
    const text = readScramText(message, scramServerMessageBytesMax);
    if (typeof text !== "string") return text;
    const attributes = new AttributeReader(text);

    const nonce = attributes.read("r");
    if (!nonce.ok) return nonce;
    // The server must add something of its own, or an old exchange could be played again.
    const extended = nonce.value.startsWith(this.#nonce) && nonce.value.length > this.#nonce.length;
    if (!extended || nonce.value.length > nonceCharsMax || !isNonce(nonce.value)) {
      return scramFailure("invalid SCRAM response (nonce mismatch)");
    }
    const encodedSalt = attributes.read("s");
    if (!encodedSalt.ok) return encodedSalt;
    const salt = decodeBase64(encodedSalt.value);
    if (salt === null) return scramFailure("malformed SCRAM message (invalid salt)");

    const rounds = attributes.read("i");
    if (!rounds.ok) return rounds;
    const iterations = /^[0-9]{1,10}$/.test(rounds.value) ? Number(rounds.value) : 0;
    if (iterations < 1 || iterations > scramIterationsMax) {
      return scramFailure("malformed SCRAM message (invalid iteration count)");
    }
    if (!attributes.atEnd) {
      return scramFailure("malformed SCRAM message (garbage at end of server-first-message)");
    }
    return { ok: true, text, nonce: nonce.value, salt, iterations };
  }
}

interface Challenge {
  readonly ok: true;
  /** The whole message as it came: it is signed. */
  readonly text: string;
  readonly nonce: string;
  readonly salt: Uint8Array;
  readonly iterations: number;
}
