/**
 * The bodies of 'p' messages, both ways: PasswordMessage, SASLInitialResponse, SASLResponse.
 *
 * Which of the three a 'p' is only the dialogue knows (`client-login.ts`, `server-login.ts`). Lengths are checked here,
 * strictly: a body must be exactly what its type says, as in PostgreSQL's `recv_password_packet`.
 *
 *   PasswordMessage      password … 0
 *   SASLInitialResponse  mechanism … 0 | int32 length | data …       (length −1: no data)
 *   SASLResponse         data …
 */

/** Longest password in bytes, without its zero. PgBouncer's MAX_PASSWORD − 1; PostgreSQL takes 65,535 with framing. */
export const passwordBytesMax = 65_530;

/** Longest SASL body read from a client, as PostgreSQL's limit for SCRAM. A real one has about 120 bytes. */
export const saslMessageBytesMax = 1024;

/** The password bytes of a PasswordMessage, or null if there is not exactly one zero, at the end. */
export function readPassword(body: Uint8Array): Uint8Array | null {
  const end = body.indexOf(0);
  return end >= 0 && end === body.length - 1 ? body.subarray(0, end) : null;
}

export interface SaslInitialResponse {
  readonly mechanism: string;
  /** Null if the client sent none (length −1). */
  readonly data: Uint8Array | null;
}

/** Null if the body is malformed: cut, or longer than its own length says. */
export function readSaslInitialResponse(body: Uint8Array): SaslInitialResponse | null {
  const end = body.indexOf(0);
  if (end < 0 || body.length < end + 5) return null;
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.length);
  const mechanism = bytes.toString("latin1", 0, end);
  const length = bytes.readInt32BE(end + 1);
  const data = body.subarray(end + 5);
  if (length === -1 && data.length === 0) return { mechanism, data: null };
  return length === data.length ? { mechanism, data } : null;
}

export function printPassword(password: Uint8Array): Uint8Array {
  const body = new Uint8Array(password.length + 1);
  body.set(password);
  return body;
}

export function printSaslInitialResponse(mechanism: string, data: Uint8Array): Uint8Array {
  const name = Buffer.from(mechanism, "latin1");
  const body = Buffer.alloc(name.length + 5 + data.length);
  body.set(name);
  body.writeInt32BE(data.length, name.length + 1);
  body.set(data, name.length + 5);
  return body;
}
