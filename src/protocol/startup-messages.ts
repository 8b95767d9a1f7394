/**
 * Builds the packets that open a connection to PostgreSQL. `startup.ts` reads the same from clients.
 */

import type { ToServer } from "./direction.ts";
import { ProtocolError, ProtocolErrorCode } from "./protocol-error.ts";
import { MessageWriter } from "./writer.ts";

/** The longest first packet, its length field included: PgBouncer reads 16 bits of length. */
export const STARTUP_BYTES_MAX = 0xffff;

/** Codes that stand where StartupMessage has its version: major 1234, minor 5678 … 5680. */
export const RequestCode = {
  Cancel: 80877102,
  Ssl: 80877103,
  GssEnc: 80877104,
} as const;

export const SSL_REQUEST = new MessageWriter(8).packet().int32(RequestCode.Ssl).end().finish() as ToServer;
export const GSSENC_REQUEST = new MessageWriter(8).packet().int32(RequestCode.GssEnc).end().finish() as ToServer;

/**
 * `parameters`: name and value pairs, in the order to be sent. `version`: 0x30000 for 3.0.
 * Throws `ProtocolError` for a name that is empty (it would end the list), a zero byte in a text, or too long a packet.
 */
export function startupMessage(parameters: Iterable<readonly [string, string]>, version: number): ToServer {
  const writer = new MessageWriter().packet().int32(version);
  for (const [name, value] of parameters) {
    if (name === "") throw new ProtocolError(ProtocolErrorCode.OutOfRange);
    writer.cstring(name).cstring(value);
  }
  writer.byte(0).end();
  if (writer.size > STARTUP_BYTES_MAX) throw new ProtocolError(ProtocolErrorCode.OutOfRange);
  return writer.finish() as ToServer;
}

/** `secret`: 4 bytes in protocol 3.0, up to 256 in 3.2, as BackendKeyData gave them. */
export function cancelRequest(processId: number, secret: Uint8Array): ToServer {
  if (secret.length < 4 || secret.length > 256) throw new ProtocolError(ProtocolErrorCode.OutOfRange);
  const writer = new MessageWriter(12 + secret.length).packet().int32(RequestCode.Cancel);
  return writer.int32(processId).bytes(secret).end().finish() as ToServer;
}
