/**
 * SCRAM-SHA-256 from the server's side (RFC 5802, RFC 7677): we authenticate a client. The counterpart of the second half
 * of PgBouncer's `scram.c`.
 *
 *   client-first   n,,n=USER,r=CNONCE           → readFirst
 *   server-first   r=CNONCE+SNONCE,s=SALT,i=N   ← challenge
 *   client-final   c=biws,r=…,p=PROOF           → receiveFinal
 *   server-final   v=SIGNATURE                  ← receiveFinal
 *
 * No channel binding (flags `n` and `y` only), no authorization identity, no extensions; the user name inside is
 * ignored, the startup packet's counts. The three calls are made once each and in this order; a call out of order is
 * refused as a failure. Nothing waits here: whoever needs a verifier made from a plain password makes it between
 * `readFirst` and `challenge`.
 */
import type { Crypto } from "../net/world.ts";
import { saslMessageBytesMax } from "./password-message.ts";
import { authMessage, ScramKeys, scramKeyBytes, xorKeys } from "./scram-keys.ts";
import {
  AttributeReader,
  decodeBase64,
  encodeBase64,
  isNonce,
  latin1Bytes,
  nonceCharsMax,
  printable,
  rawNonceBytes,
  readScramText,
  scramFailure,
} from "./scram-message.ts";
import type { ScramFailure } from "./scram-message.ts";
import type { ScramVerifier } from "./scram-verifier.ts";

const Phase = { first: "first", challenge: "challenge", final: "final", over: "over" } as const;
type Phase = (typeof Phase)[keyof typeof Phase];

/** `message` is the server-final-message; `keys` are what the client proved to have, for pass-through. */
export interface ScramProven {
  readonly ok: true;
  readonly message: Uint8Array;
  readonly keys: ScramKeys;
}

const outOfOrder = "SCRAM exchange protocol error: message out of order";

export class ScramServer {
  readonly #crypto: Crypto;
  #phase: Phase = Phase.first;
  #gs2Header = "";
  #clientFirstBare = "";
  #clientNonce = "";
  #nonce = "";
  #serverFirst = "";
  #verifier: ScramVerifier | null = null;
  #doomed = true;

  constructor(crypto: Crypto) {
    this.#crypto = crypto;
  }

  /** Takes the client-first-message. Null: it is well-formed, go on with `challenge`. */
  readFirst(message: Uint8Array): ScramFailure | null {
    const failure = this.#phase === Phase.first ? this.#parseFirst(message) : scramFailure(outOfOrder);
    this.#phase = failure === null ? Phase.challenge : Phase.over;
    return failure;
  }

  /**
   * The server-first-message. `doomed`: the exchange takes its normal course and fails at the end, whatever the proof;
   * for unknown users and secrets that cannot do SCRAM.
   */
  challenge(verifier: ScramVerifier, doomed: boolean): Uint8Array | ScramFailure {
    if (this.#phase !== Phase.challenge) {
      this.#phase = Phase.over;
      return scramFailure(outOfOrder);
    }
    this.#phase = Phase.final;
    this.#verifier = verifier;
    this.#doomed = doomed;
    this.#nonce = this.#clientNonce + encodeBase64(this.#crypto.randomBytes(rawNonceBytes));
    this.#serverFirst = `r=${this.#nonce},s=${encodeBase64(verifier.salt)},i=${verifier.iterations}`;
    return latin1Bytes(this.#serverFirst);
  }

  /** Takes the client-final-message and judges it. */
  receiveFinal(message: Uint8Array): ScramProven | ScramFailure {
    const verifier = this.#verifier;
    const inOrder = this.#phase === Phase.final && verifier !== null;
    this.#phase = Phase.over;
    if (!inOrder) return scramFailure(outOfOrder);

    const final = this.#parseFinal(message);
    if (!final.ok) return final;

    const signed = authMessage(this.#clientFirstBare, this.#serverFirst, final.withoutProof);
    const clientSignature = this.#crypto.hmacSha256(verifier.storedKey, signed);
    const clientKey = xorKeys(final.proof, clientSignature);
    const proven = this.#crypto.equal(this.#crypto.sha256(clientKey), verifier.storedKey);
    if (!proven || this.#doomed) return scramFailure("password authentication failed");

    const signature = encodeBase64(this.#crypto.hmacSha256(verifier.serverKey, signed));
    return { ok: true, message: latin1Bytes(`v=${signature}`), keys: new ScramKeys(clientKey, verifier.serverKey) };
  }

  #parseFirst(message: Uint8Array): ScramFailure | null {
    const text = readScramText(message, saslMessageBytesMax);
    if (typeof text !== "string") return text;

    const flag = text.charAt(0);
    if (flag === "p") return scramFailure("client requires SCRAM channel binding, but it is not supported");
    if (flag !== "n" && flag !== "y") {
      return scramFailure(`malformed SCRAM message (unexpected channel-binding flag "${printable(flag)}")`);
    }
    if (text.charAt(1) !== ",") {
      const found = printable(text.charAt(1));
      return scramFailure(`malformed SCRAM message (comma expected, but found character "${found}")`);
    }
    if (text.charAt(2) === "a") {
      return scramFailure("client uses authorization identity, but it is not supported");
    }
    if (text.charAt(2) !== ",") {
      const found = printable(text.charAt(2));
      return scramFailure(`malformed SCRAM message (unexpected attribute "${found}" in client-first-message)`);
    }
    this.#gs2Header = text.slice(0, 3);
    this.#clientFirstBare = text.slice(3);

    const attributes = new AttributeReader(text, 3);
    if (attributes.peek === "m") return scramFailure("client requires an unsupported SCRAM extension");
    const user = attributes.read("n");
    if (!user.ok) return user;
    const nonce = attributes.read("r");
    if (!nonce.ok) return nonce;
    if (nonce.value.length > nonceCharsMax) return scramFailure("malformed SCRAM message (nonce too long)");
    if (!isNonce(nonce.value)) return scramFailure("non-printable characters in SCRAM nonce");
    this.#clientNonce = nonce.value;
    return skipExtensions(attributes);
  }

  #parseFinal(message: Uint8Array): FinalMessage | ScramFailure {
    const text = readScramText(message, saslMessageBytesMax);
    if (typeof text !== "string") return text;

    const attributes = new AttributeReader(text);
    const binding = attributes.read("c");
    if (!binding.ok) return binding;
    if (binding.value !== encodeBase64(latin1Bytes(this.#gs2Header))) {
      return scramFailure("unexpected SCRAM channel-binding attribute in client-final-message");
    }
    const nonce = attributes.read("r");
    if (!nonce.ok) return nonce;
    if (!this.#crypto.equal(latin1Bytes(nonce.value), latin1Bytes(this.#nonce))) {
      return scramFailure("invalid SCRAM response (nonce does not match)");
    }

    let start = attributes.position;
    let attribute = attributes.readAny();
    while (attribute.ok && attribute.name !== "p") {
      start = attributes.position;
      attribute = attributes.readAny();
    }
    if (!attribute.ok) return scramFailure("could not read proof");
    const proof = decodeBase64(attribute.value);
    if (proof?.length !== scramKeyBytes) {
      return scramFailure("malformed SCRAM message (malformed proof in client-final-message)");
    }
    if (!attributes.atEnd || text.endsWith(",")) {
      return scramFailure("malformed SCRAM message (garbage at the end of client-final-message)");
    }
    return { ok: true, withoutProof: text.slice(0, start - 1), proof };
  }
}

interface FinalMessage {
  readonly ok: true;
  /** The message up to the comma before `p=`: what is signed. */
  readonly withoutProof: string;
  readonly proof: Uint8Array;
}

/** Optional extensions after the nonce are allowed by the RFC, and none is known. */
function skipExtensions(attributes: AttributeReader): ScramFailure | null {
  while (!attributes.atEnd) {
    const attribute = attributes.readAny();
    if (!attribute.ok) return attribute;
  }
  return null;
}
