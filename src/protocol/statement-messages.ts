/**
 * What the pooler looks at and rewrites in the messages of the extended protocol: the names of prepared statements.
 *
 * For the hot road: offsets instead of strings, and the parts go into an object that the caller reuses. Counterpart in
 * PgBouncer: `unmarshall_*_packet`, and the renaming in `prepare.c`.
 *
 *     Parse     P length | name 0 | query 0 | count (2) | count × type OID (4)      tail: from `query`
 *     Bind      B length | portal 0 | statement 0 | formats, values, formats        tail: behind `statement 0`
 *     Describe  D length | 'S' or 'P' | name 0
 *     Close     C length | 'S' or 'P' | name 0
 *
 * All offsets are absolute in the `buf` that was handed in and hold as long as the bytes stay where they are.
 * A range `[xStart, xEnd)` of a name or text is without its zero byte; it is unnamed when the range is empty.
 */

import type { ToServer } from "./direction.ts";
import { findNul } from "./find-nul.ts";
import { HEADER_BYTES } from "./framer.ts";
import { Frontend, TargetKind } from "./message-type.ts";

/** Where the parts of a Parse are. */
export class ParseParts {
  nameStart = 0;
  nameEnd = 0;
  /** Also where the tail begins: text, count and types, what the identity of a statement is made of. */
  queryStart = 0;
  queryEnd = 0;
  typeCount = 0;
  typesStart = 0;
  /** Behind the message. */
  end = 0;
}

/** Where the parts of a Bind are. */
export class BindParts {
  /** Both names are there. When false, nothing else here means anything: look again with more bytes. */
  complete = false;
  portalStart = 0;
  portalEnd = 0;
  statementStart = 0;
  statementEnd = 0;
  /** Behind the statement's zero byte. */
  tailStart = 0;
  /** Behind the message; may be more than has been received. */
  end = 0;
}

/** Where the parts of a Describe or Close are. */
export class TargetParts {
  type: typeof Frontend.Describe | typeof Frontend.Close = Frontend.Describe;
  kind: TargetKind = TargetKind.Statement;
  nameStart = 0;
  nameEnd = 0;
}

/**
 * Of the Parse at `buf[at, at + size)`, header included, all of it received. Null when it is malformed: PgBouncer's
 * `broken Parse packet`.
 */
export function inspectParse(
  buf: Uint8Array,
  at: number,
  size: number,
  into: ParseParts = new ParseParts(),
): ParseParts | null {
  const end = at + size;
  if (end > buf.length) return null;
  const nameEnd = findNul(buf, at + HEADER_BYTES, end);
  if (nameEnd < 0) return null;
  const queryEnd = findNul(buf, nameEnd + 1, end);
  if (queryEnd < 0 || queryEnd + 3 > end) return null;
  const typeCount = ((buf[queryEnd + 1] as number) << 8) | (buf[queryEnd + 2] as number);
  if (queryEnd + 3 + typeCount * 4 !== end) return null;
  into.nameStart = at + HEADER_BYTES;
  into.nameEnd = nameEnd;
  into.queryStart = nameEnd + 1;
  into.queryEnd = queryEnd;
  into.typeCount = typeCount;
  into.typesStart = queryEnd + 3;
  into.end = end;
  return into;
}

/**
 * Of the Bind at `buf[at, at + size)`, header included, of which `available` bytes have been received. Null when it is
 * malformed (`broken Bind packet`). What follows the names is not looked at.
 */
export function inspectBind(
  buf: Uint8Array,
  at: number,
  size: number,
  available: number,
  into: BindParts = new BindParts(),
): BindParts | null {
  const there = Math.min(at + Math.min(available, size), buf.length);
  into.complete = false;
  const portalEnd = findNul(buf, at + HEADER_BYTES, there);
  const statementEnd = portalEnd < 0 ? -1 : findNul(buf, portalEnd + 1, there);
  if (statementEnd < 0) return there < at + size ? into : null;
  into.complete = true;
  into.portalStart = at + HEADER_BYTES;
  into.portalEnd = portalEnd;
  into.statementStart = portalEnd + 1;
  into.statementEnd = statementEnd;
  into.tailStart = statementEnd + 1;
  into.end = at + size;
  return into;
}

/**
 * Of the Describe or Close at `buf[at, at + size)`, header included, all of it received. Null when it is malformed
 * (`broken Describe packet`, `broken Close packet`), or names neither a statement nor a portal.
 */
export function inspectTarget(
  buf: Uint8Array,
  at: number,
  size: number,
  into: TargetParts = new TargetParts(),
): TargetParts | null {
  const end = at + size;
  if (end > buf.length || size < HEADER_BYTES + 2) return null;
  const type = buf[at];
  if (type !== Frontend.Describe && type !== Frontend.Close) return null;
  const kind = buf[at + HEADER_BYTES];
  if (kind !== TargetKind.Statement && kind !== TargetKind.Portal) return null;
  const nameStart = at + HEADER_BYTES + 1;
  const nameEnd = findNul(buf, nameStart, end);
  if (nameEnd !== end - 1) return null;
  into.type = type;
  into.kind = kind;
  into.nameStart = nameStart;
  into.nameEnd = nameEnd;
  return into;
}

/** The same Parse under another name. `name`: without a zero byte, in it or behind it; so everywhere below. */
export function renameParse(buf: Uint8Array, parts: ParseParts, name: Uint8Array): ToServer {
  return parseWithTail(name, buf.subarray(parts.queryStart, parts.end));
}

/** A Parse from the tail of one that was seen before: text, zero byte, count and types. */
export function parseWithTail(name: Uint8Array, tail: Uint8Array): ToServer {
  const message = begin(Frontend.Parse, HEADER_BYTES + name.length + 1 + tail.length);
  message.set(name, HEADER_BYTES);
  message.set(tail, HEADER_BYTES + name.length + 1);
  return message as ToServer;
}

/** The same Bind of another statement. All of it must have been received. */
export function renameBind(buf: Uint8Array, parts: BindParts, name: Uint8Array): ToServer {
  const tail = buf.subarray(parts.tailStart, parts.end);
  const message = bindHead(buf, parts, name, tail.length);
  message.set(tail, message.length - tail.length);
  return message as ToServer;
}

/**
 * The beginning of the same Bind of another statement, up to the statement's zero byte. The bytes from
 * `parts.tailStart` to `parts.end` follow as they are, those that come later too: for a Bind too large to be held.
 */
export function renameBindHead(buf: Uint8Array, parts: BindParts, name: Uint8Array): Uint8Array {
  return bindHead(buf, parts, name, 0);
}

/** The beginning of a Bind of the unnamed portal, up to the zero byte behind the statement's name, when `tailBytes` follow. */
export function unnamedPortalBindHead(name: Uint8Array, tailBytes: number): Uint8Array {
  const headBytes = HEADER_BYTES + 1 + name.length + 1;
  const message = begin(Frontend.Bind, headBytes);
  putLength(message, headBytes + tailBytes - 1);
  message.set(name, HEADER_BYTES + 1);
  return message;
}

/** The same Describe or Close of another statement or portal. */
export function renameTarget(parts: TargetParts, name: Uint8Array): ToServer {
  const message = begin(parts.type, HEADER_BYTES + 1 + name.length + 1);
  message[HEADER_BYTES] = parts.kind;
  message.set(name, HEADER_BYTES + 1);
  return message as ToServer;
}

function bindHead(buf: Uint8Array, parts: BindParts, name: Uint8Array, room: number): Uint8Array {
  // The portal with its zero byte; the statement's zero byte is there because memory is new.
  const portalBytes = parts.statementStart - parts.portalStart;
  const headBytes = HEADER_BYTES + portalBytes + name.length + 1;
  const message = begin(Frontend.Bind, headBytes + room);
  putLength(message, headBytes + parts.end - parts.tailStart - 1);
  for (let i = 0; i < portalBytes; i++) message[HEADER_BYTES + i] = buf[parts.portalStart + i] as number;
  message.set(name, HEADER_BYTES + portalBytes);
  return message;
}

/** New memory of zeros with type and length in it. `size`: with the type byte. */
function begin(type: Frontend, size: number): Uint8Array {
  const message = new Uint8Array(size);
  message[0] = type;
  putLength(message, size - 1);
  return message;
}

function putLength(message: Uint8Array, length: number): void {
  message[1] = length >>> 24;
  message[2] = length >>> 16;
  message[3] = length >>> 8;
  message[4] = length;
}
