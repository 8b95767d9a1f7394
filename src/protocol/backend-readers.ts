/**
 * Reads what a server sends: login, and the answers to our own queries.
 *
 * Each takes a whole message at `buf[at, at + size)`, header included, whose type the caller has seen, and throws
 * `ProtocolError` when the content does not fit. Errors and notices: `error-fields.ts`, which never throws.
 */

import { HEADER_BYTES } from "./framer.ts";
import { TransactionStatus } from "./message-type.ts";
import { ProtocolError, ProtocolErrorCode } from "./protocol-error.ts";
import { MessageReader } from "./reader.ts";

/** A reader over a message's content, behind its header. */
export function readContent(buf: Uint8Array, at: number, size: number): MessageReader {
  return new MessageReader(buf, at + HEADER_BYTES, at + size);
}

export interface AuthenticationRequest {
  /** One of `AuthenticationCode`, or one that we do not know. */
  readonly code: number;
  /** What follows the code, a view. */
  readonly payload: Uint8Array;
}

export function readAuthenticationRequest(buf: Uint8Array, at: number, size: number): AuthenticationRequest {
  const reader = readContent(buf, at, size);
  return { code: reader.int32(), payload: reader.rest() };
}

/** The mechanisms in the payload of AuthenticationSASL. */
export function readSaslMechanisms(payload: Uint8Array): string[] {
  const reader = new MessageReader(payload, 0, payload.length);
  const mechanisms: string[] = [];
  for (let name = reader.cstring(); name !== ""; name = reader.cstring()) mechanisms.push(name);
  reader.expectEnd();
  return mechanisms;
}

export interface ParameterStatus {
  readonly name: string;
  readonly value: string;
}

export function readParameterStatus(buf: Uint8Array, at: number, size: number): ParameterStatus {
  const reader = readContent(buf, at, size);
  const status = { name: reader.cstring(), value: reader.cstring() };
  reader.expectEnd();
  return status;
}

export interface BackendKeyData {
  /** Unsigned 32 bits. */
  readonly processId: number;
  /** 4 to 256 bytes, a copy. */
  readonly secret: Uint8Array;
}

export function readBackendKeyData(buf: Uint8Array, at: number, size: number): BackendKeyData {
  const reader = readContent(buf, at, size);
  const processId = reader.uint32();
  const secret = reader.rest().slice();
  if (secret.length < 4 || secret.length > 256) throw new ProtocolError(ProtocolErrorCode.OutOfRange);
  return { processId, secret };
}

export interface NegotiatedVersion {
  readonly version: number;
  readonly unknownOptions: readonly string[];
}

export function readNegotiateProtocolVersion(buf: Uint8Array, at: number, size: number): NegotiatedVersion {
  const reader = readContent(buf, at, size);
  const version = reader.int32();
  const count = reader.int32();
  // Each name takes a byte at least: a count that cannot be is refused before anything is made for it.
  if (count < 0 || count > reader.remaining) throw new ProtocolError(ProtocolErrorCode.OutOfRange);
  const unknownOptions: string[] = [];
  for (let i = 0; i < count; i++) unknownOptions.push(reader.cstring());
  reader.expectEnd();
  return { version, unknownOptions };
}

/** The status of a ReadyForQuery, or null when it is malformed. Makes nothing: for the hot road. */
export function readReadyStatus(buf: Uint8Array, at: number, size: number): TransactionStatus | null {
  if (size !== HEADER_BYTES + 1) return null;
  const status = buf[at + HEADER_BYTES];
  if (status === TransactionStatus.Idle || status === TransactionStatus.InTransaction) return status;
  return status === TransactionStatus.Failed ? status : null;
}

/** The tag of a CommandComplete. */
export function readCommandTag(buf: Uint8Array, at: number, size: number): string {
  const reader = readContent(buf, at, size);
  const tag = reader.cstring();
  reader.expectEnd();
  return tag;
}

export interface ColumnRead {
  readonly name: string;
  readonly typeOid: number;
  /** 0 is text, 1 is binary. */
  readonly format: number;
}

export function readRowDescription(buf: Uint8Array, at: number, size: number): ColumnRead[] {
  const reader = readContent(buf, at, size);
  const count = reader.uint16();
  const columns: ColumnRead[] = [];
  for (let i = 0; i < count; i++) {
    const name = reader.cstring();
    // Table OID, column number.
    reader.bytes(6);
    const typeOid = reader.uint32();
    // Type size, type modifier.
    reader.bytes(6);
    columns.push({ name, typeOid, format: reader.int16() });
  }
  reader.expectEnd();
  return columns;
}

/** The values of a DataRow in text format; null is NULL. */
export function readDataRow(buf: Uint8Array, at: number, size: number): (string | null)[] {
  const reader = readContent(buf, at, size);
  const count = reader.uint16();
  const values: (string | null)[] = [];
  for (let i = 0; i < count; i++) {
    const length = reader.int32();
    values.push(length === -1 ? null : reader.text(length));
  }
  reader.expectEnd();
  return values;
}

export function readParameterDescription(buf: Uint8Array, at: number, size: number): number[] {
  const reader = readContent(buf, at, size);
  const count = reader.uint16();
  const typeOids: number[] = [];
  for (let i = 0; i < count; i++) typeOids.push(reader.uint32());
  reader.expectEnd();
  return typeOids;
}

export interface Notification {
  readonly processId: number;
  readonly channel: string;
  readonly payload: string;
}

export function readNotification(buf: Uint8Array, at: number, size: number): Notification {
  const reader = readContent(buf, at, size);
  const notification = { processId: reader.uint32(), channel: reader.cstring(), payload: reader.cstring() };
  reader.expectEnd();
  return notification;
}
