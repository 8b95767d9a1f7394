/**
 * The codes of PostgreSQL's AuthenticationRequest ('R') messages that this program speaks, either as the one who asks
 * (towards clients) or as the one who answers (towards servers).
 *
 * Only the numbers and the shape `code + payload`; framing is the session's. See the protocol's chapter "Message
 * Formats", AuthenticationOk and its neighbours.
 *
 *   'R' | int32 length | int32 code | payload …
 */

export const AuthCode = {
  ok: 0,
  cleartextPassword: 3,
  md5Password: 5,
  sasl: 10,
  saslContinue: 11,
  saslFinal: 12,
} as const;

/** One AuthenticationRequest: what follows 'R' and the length. */
export interface AuthRequest {
  readonly code: number;
  readonly payload: Uint8Array;
}

/** The only SASL mechanism spoken, both ways. `-PLUS` would need channel binding, which a pooler in the middle breaks. */
export const scramMechanism = "SCRAM-SHA-256";

/** Payload of AuthenticationSASL: mechanism names, each ended by a zero, and an empty one at the end. */
export function saslMechanismsPayload(): Uint8Array {
  return Buffer.from(`${scramMechanism}\0\0`, "latin1");
}

/**
 * Does AuthenticationSASL's payload offer SCRAM-SHA-256? A list that is cut (no final empty name) offers what it
 * completely names.
 */
export function offersScram(payload: Uint8Array): boolean {
  let start = 0;
  for (let end = payload.indexOf(0); end > start; end = payload.indexOf(0, start)) {
    const name = Buffer.from(payload.buffer, payload.byteOffset + start, end - start);
    if (name.toString("latin1") === scramMechanism) return true;
    start = end + 1;
  }
  return false;
}
