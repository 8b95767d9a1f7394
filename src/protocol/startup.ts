/**
 * Reads the first packets of a client's connection: those without a type byte.
 *
 *     0        4        8
 *     | length | code   | content …            length counts itself: 8 … 65535
 *
 * Counterparts in PgBouncer: `get_header` for packets that begin with a zero byte, and the loop of
 * `decide_startup_pool`. What a parameter means (tracked, ignored, refused) is decided in the session. Requests
 * before it (SSL, GSS encryption) come in the same form, each answered before the next packet.
 *
 * Nothing a stranger sends is an exception: a refusal is a value. It is given as soon as the header shows it, before a
 * byte more of the packet is waited for.
 */

import { ProtocolError } from "./protocol-error.ts";
import { MessageReader } from "./reader.ts";
import { RequestCode } from "./startup-messages.ts";

/** What the pooler itself speaks; a newer minor version is answered with NegotiateProtocolVersion of this. */
export const PROTOCOL_3_0 = 0x30000;

/** Parameters of this prefix are protocol extensions: unknown ones are listed in NegotiateProtocolVersion, not refused. */
export const EXTENSION_PREFIX = "_pq_.";

export interface Incomplete {
  readonly kind: "incomplete";
  /** Worth looking again when this many bytes are there. At most 65535. */
  readonly wantedBytes: number;
}

export interface EncryptionRequest {
  readonly kind: "ssl" | "gssenc";
  readonly size: number;
}

export interface CancelRequest {
  readonly kind: "cancel";
  readonly size: number;
  /** Unsigned 32 bits. */
  readonly processId: number;
  /** 4 to 256 bytes, a copy. */
  readonly secret: Uint8Array;
}

export interface StartupRequest {
  readonly kind: "startup";
  readonly size: number;
  /** As sent: 0x30000 is 3.0, 0x30002 is 3.2. The major version is 3. */
  readonly version: number;
  /** In the order of first mention; of a name sent twice the last value. */
  readonly parameters: ReadonlyMap<string, string>;
}

/** The connection is to be closed. */
export interface Refusal {
  readonly kind: "refused";
  /** PgBouncer's words. */
  readonly reason: string;
  /** Log it only: the sender is no PostgreSQL client that could read an ErrorResponse, or must learn nothing. */
  readonly silent: boolean;
}

export type StartupPacket = Incomplete | EncryptionRequest | CancelRequest | StartupRequest | Refusal;

const LENGTH_BYTES_MIN = 8;
const PASSWORD = 0x70;
const HEX_BYTES_MAX = 8;

/**
 * Reads the packet that begins at `buf[start]`; bytes up to `received` are there. The packet takes `size` bytes;
 * whether more than that may already be there is for the caller to judge. A first byte of 0x16 (TLS without
 * SSLRequest) is the caller's to see before.
 */
export function readStartupPacket(buf: Uint8Array, start: number, received: number): StartupPacket {
  const end = Math.min(received, buf.length);
  const there = end - start;
  if (there <= 0) return { kind: "incomplete", wantedBytes: LENGTH_BYTES_MIN };
  if (buf[start] !== 0) return refuseTyped(buf, start, end);
  if (there >= 2 && buf[start + 1] !== 0) return badHeader(buf, start, end);
  if (there < LENGTH_BYTES_MIN) return { kind: "incomplete", wantedBytes: LENGTH_BYTES_MIN };

  const header = new MessageReader(buf, start, start + LENGTH_BYTES_MIN);
  const size = header.int32();
  const code = header.uint32();
  // With two leading zero bytes it is no more than 65535.
  if (size < LENGTH_BYTES_MIN) return badHeader(buf, start, end);

  if (code === RequestCode.Ssl || code === RequestCode.GssEnc) {
    if (size !== LENGTH_BYTES_MIN) return badHeader(buf, start, end);
    return { kind: code === RequestCode.Ssl ? "ssl" : "gssenc", size };
  }
  if (code === RequestCode.Cancel) {
    // Process id, then 4 bytes of secret in protocol 3.0, up to 256 in 3.2.
    const secretBytes = size - LENGTH_BYTES_MIN - 4;
    if (secretBytes < 4 || secretBytes > 256) return { kind: "refused", reason: "bad cancel request", silent: true };
    if (there < size) return { kind: "incomplete", wantedBytes: size };
    const reader = new MessageReader(buf, start + LENGTH_BYTES_MIN, start + size);
    return { kind: "cancel", size, processId: reader.uint32(), secret: reader.rest().slice() };
  }
  if (code === 0x20000) return { kind: "refused", reason: "old V2 protocol not supported", silent: false };
  if (code >>> 16 !== 3) return badHeader(buf, start, end);
  if (there < size) return { kind: "incomplete", wantedBytes: size };

  const parameters = readParameters(new MessageReader(buf, start + LENGTH_BYTES_MIN, start + size));
  if (parameters === null) {
    return {
      kind: "refused",
      reason: "invalid startup packet layout: expected terminator as last byte",
      silent: false,
    };
  }
  return { kind: "startup", size, version: code, parameters };
}

/** The names among `parameters` that are protocol extensions, in order. */
export function extensionNames(parameters: ReadonlyMap<string, string>): string[] {
  return [...parameters.keys()].filter((name) => name.startsWith(EXTENSION_PREFIX));
}

function readParameters(reader: MessageReader): Map<string, string> | null {
  const parameters = new Map<string, string>();
  try {
    for (;;) {
      const name = reader.cstring();
      if (name === "") break;
      parameters.set(name, reader.cstring());
    }
    reader.expectEnd();
  } catch (error) {
    if (error instanceof ProtocolError) return null;
    throw error;
  }
  return parameters;
}

/** A packet with a type byte where the first packet was expected: HTTP, a port scanner, a confused driver. */
function refuseTyped(buf: Uint8Array, start: number, end: number): StartupPacket {
  const there = end - start;
  if (there < 5) return { kind: "incomplete", wantedBytes: 5 };
  const length = new MessageReader(buf, start + 1, start + 5).int32();
  // Read as signed: what is negative here is larger than any message may be.
  if (length < 4) return badHeader(buf, start, end);
  if (buf[start] === PASSWORD) {
    return { kind: "refused", reason: "client password pkt before startup packet", silent: false };
  }
  return { kind: "refused", reason: "bad packet", silent: true };
}

function badHeader(buf: Uint8Array, start: number, end: number): Refusal {
  return { kind: "refused", reason: badPacketHeader(buf, start, end), silent: false };
}

/** PgBouncer's text for a header it cannot use: at most the first eight bytes, which no secret fits in. */
export function badPacketHeader(buf: Uint8Array, start: number, end: number): string {
  let hex = "";
  for (let i = start; i < end && i < start + HEX_BYTES_MAX; i++) {
    hex += (buf[i] as number).toString(16).padStart(2, "0");
  }
  return `bad packet header: '${hex}'`;
}
