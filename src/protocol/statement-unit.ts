/**
 * Whether a client's messages are one statement and nothing else, up to the end of its unit, and where its parts are.
 *
 *     Query                                                     Q text
 *     Parse "", Bind "" of "", [Describe ""], Execute "", Sync  P text types | B … | D | E | S
 *
 * For what is decided about a unit before any of it is sent. Whoever sends it in pieces, names things, or asks for more between, has
 * another unit. Not for: what the text says. Protocol chapter: "Extended Query".
 */
import { findNul } from "./find-nul.ts";
import type { Framer } from "./framer.ts";
import { HEADER_BYTES } from "./framer.ts";
import { Frontend, TargetKind } from "./message-type.ts";

/** A Bind of the unnamed statement to the unnamed portal has at least this: names, and three counts. */
const BIND_BYTES_MIN = HEADER_BYTES + 2 + 6;
const DESCRIBE_BYTES = HEADER_BYTES + 2;
const EXECUTE_BYTES = HEADER_BYTES + 5;
const SYNC_BYTES = HEADER_BYTES;

/** Where the parts of a unit are; offsets in the memory that was handed in. */
export class StatementUnit {
  /** False for a Query. */
  isExtended = false;
  textStart = 0;
  textEnd = 0;
  /** Behind what Parse carries: text and parameter types; for a Query behind the text. */
  bodyEnd = 0;
  bindStart = 0;
  bindEnd = 0;
  /** It asks what its portal returns. */
  isDescribed = false;
  executeStart = 0;
  /** Behind the unit. */
  end = 0;
}

/** Whether the bytes in [at, end) of `memory`, a message's beginning, begin with such a unit, all of it there. */
export function inspectStatementUnit(memory: Uint8Array, at: number, end: number, into: StatementUnit): boolean {
  if (memory[at] === Frontend.Query) {
    const last = at + sizeOf(memory, at, end) - 1;
    into.isExtended = false;
    into.textStart = at + HEADER_BYTES;
    into.textEnd = last;
    into.bodyEnd = last + 1;
    into.end = last + 1;
    return last > at + HEADER_BYTES - 1 && findNul(memory, into.textStart, last + 1) === last;
  }
  const parseBytes = sizeOf(memory, at, end);
  if (parseBytes < HEADER_BYTES + 4 || memory[at] !== Frontend.Parse || memory[at + HEADER_BYTES] !== 0) return false;
  into.isExtended = true;
  into.textStart = at + HEADER_BYTES + 1;
  into.bodyEnd = at + parseBytes;
  into.textEnd = findNul(memory, into.textStart, into.bodyEnd);
  if (into.textEnd < 0 || into.textEnd + 3 > into.bodyEnd) return false;
  const typeCount = ((memory[into.textEnd + 1] as number) << 8) | (memory[into.textEnd + 2] as number);
  if (into.textEnd + 3 + typeCount * 4 !== into.bodyEnd) return false;

  into.bindStart = into.bodyEnd;
  const bindBytes = sizeOf(memory, into.bindStart, end);
  if (memory[into.bindStart] !== Frontend.Bind || bindBytes < BIND_BYTES_MIN) return false;
  const namesAt = into.bindStart + HEADER_BYTES;
  if (memory[namesAt] !== 0 || memory[namesAt + 1] !== 0) return false;
  into.bindEnd = into.bindStart + bindBytes;

  let next = into.bindEnd;
  into.isDescribed = memory[next] === Frontend.Describe;
  if (into.isDescribed) {
    if (sizeOf(memory, next, end) !== DESCRIBE_BYTES) return false;
    if (memory[next + HEADER_BYTES] !== TargetKind.Portal || memory[next + HEADER_BYTES + 1] !== 0) return false;
    next += DESCRIBE_BYTES;
  }
  into.executeStart = next;
  if (memory[next] !== Frontend.Execute || sizeOf(memory, next, end) !== EXECUTE_BYTES) return false;
  if (memory[next + HEADER_BYTES] !== 0) return false;
  next += EXECUTE_BYTES;
  if (memory[next] !== Frontend.Sync || sizeOf(memory, next, end) !== SYNC_BYTES) return false;
  into.end = next + SYNC_BYTES;
  return true;
}

/** It binds no values, says no types, and wants all rows. At most one format for what it returns. */
export function isPlain(memory: Uint8Array, unit: StatementUnit): boolean {
  if (!unit.isExtended) return true;
  if (unit.bodyEnd - unit.textEnd !== 3) return false;
  const counts = unit.bindStart + HEADER_BYTES + 2;
  const formats = int16(memory, counts + 4);
  if (int16(memory, counts) !== 0 || int16(memory, counts + 2) !== 0 || formats > 1) return false;
  if (unit.bindEnd !== counts + 6 + formats * 2) return false;
  const rows = unit.executeStart + HEADER_BYTES + 1;
  return int16(memory, rows) === 0 && int16(memory, rows + 2) === 0;
}

/** Goes behind the unit, whose first message `framer` offers. `bytesMax`: as for `Framer.next`. */
export function passUnit(framer: Framer, { end }: StatementUnit, bytesMax: number): void {
  do framer.advance();
  while (framer.at < end && framer.next(bytesMax));
}

/** With the type byte; 0 when not all of the message is there. */
function sizeOf(memory: Uint8Array, at: number, end: number): number {
  if (at + HEADER_BYTES > end) return 0;
  const length = (int16(memory, at + 1) << 16) | int16(memory, at + 3);
  return length < 4 || length >= end - at ? 0 : length + 1;
}

function int16(memory: Uint8Array, at: number): number {
  return ((memory[at] as number) << 8) | (memory[at + 1] as number);
}
