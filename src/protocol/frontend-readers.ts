/**
 * Reads what a client sends at login and to the console; scripted servers read the rest of it too.
 *
 * Each takes a whole message at `buf[at, at + size)`, header included, whose type the caller has seen, and throws
 * `ProtocolError` when the content does not fit. What the hot road looks at is in `statement-messages.ts`.
 */

import { HEADER_BYTES } from "./framer.ts";
import { MessageReader } from "./reader.ts";

function readContent(buf: Uint8Array, at: number, size: number): MessageReader {
  return new MessageReader(buf, at + HEADER_BYTES, at + size);
}

/** A message whose content is one text: Query, PasswordMessage, CopyFail. */
function readOnlyText(buf: Uint8Array, at: number, size: number): string {
  const reader = readContent(buf, at, size);
  const text = reader.cstring();
  reader.expectEnd();
  return text;
}

export function readQuery(buf: Uint8Array, at: number, size: number): string {
  return readOnlyText(buf, at, size);
}

export function readPasswordMessage(buf: Uint8Array, at: number, size: number): string {
  return readOnlyText(buf, at, size);
}

export function readCopyFail(buf: Uint8Array, at: number, size: number): string {
  return readOnlyText(buf, at, size);
}

export interface SaslInitialResponse {
  readonly mechanism: string;
  /** The mechanism's first message, a view; null when there is none. */
  readonly response: Uint8Array | null;
}

export function readSaslInitialResponse(buf: Uint8Array, at: number, size: number): SaslInitialResponse {
  const reader = readContent(buf, at, size);
  const mechanism = reader.cstring();
  const length = reader.int32();
  const response = length === -1 ? null : reader.bytes(length);
  reader.expectEnd();
  return { mechanism, response };
}

/** The content of a SASLResponse, a view. */
export function readSaslResponse(buf: Uint8Array, at: number, size: number): Uint8Array {
  return readContent(buf, at, size).rest();
}

export interface ParseRead {
  readonly name: string;
  readonly text: string;
  readonly typeOids: readonly number[];
}

export function readParse(buf: Uint8Array, at: number, size: number): ParseRead {
  const reader = readContent(buf, at, size);
  const name = reader.cstring();
  const text = reader.cstring();
  const count = reader.uint16();
  const typeOids: number[] = [];
  for (let i = 0; i < count; i++) typeOids.push(reader.uint32());
  reader.expectEnd();
  return { name, text, typeOids };
}

export interface BindRead {
  readonly portal: string;
  readonly statement: string;
  /** As sent, whatever their format; null is NULL. Views. */
  readonly parameters: readonly (Uint8Array | null)[];
}

export function readBind(buf: Uint8Array, at: number, size: number): BindRead {
  const reader = readContent(buf, at, size);
  const portal = reader.cstring();
  const statement = reader.cstring();
  reader.bytes(reader.uint16() * 2);
  const count = reader.uint16();
  const parameters: (Uint8Array | null)[] = [];
  for (let i = 0; i < count; i++) {
    const length = reader.int32();
    parameters.push(length === -1 ? null : reader.bytes(length));
  }
  reader.bytes(reader.uint16() * 2);
  reader.expectEnd();
  return { portal, statement, parameters };
}

export interface ExecuteRead {
  readonly portal: string;
  /** 0 is no limit. */
  readonly rowsMax: number;
}

export function readExecute(buf: Uint8Array, at: number, size: number): ExecuteRead {
  const reader = readContent(buf, at, size);
  const execute = { portal: reader.cstring(), rowsMax: reader.int32() };
  reader.expectEnd();
  if (execute.rowsMax < 0) return { ...execute, rowsMax: 0 };
  return execute;
}

export interface TargetRead {
  /** `S` or `P`, as a byte. */
  readonly kind: number;
  readonly name: string;
}

/** Of a Describe or Close. */
export function readTarget(buf: Uint8Array, at: number, size: number): TargetRead {
  const reader = readContent(buf, at, size);
  const target = { kind: reader.byte(), name: reader.cstring() };
  reader.expectEnd();
  return target;
}
