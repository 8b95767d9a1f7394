/**
 * Compares the tag of a CommandComplete with a known one, without making a string.
 *
 * A tag is compared whole: `PREPARE TRANSACTION` is not `PREPARE`, `ROLLBACK PREPARED` not `ROLLBACK`. Tags of DDL are a family and
 * known by how they begin.
 */

import { HEADER_BYTES } from "./framer.ts";

declare const commandTag: unique symbol;

/** The bytes of a tag with its zero byte. */
export type CommandTag = Uint8Array & { readonly [commandTag]: true };

/** `text`: ASCII, exactly as PostgreSQL sends it. */
export function makeCommandTag(text: string): CommandTag {
  return asciiBytes(`${text}\0`) as CommandTag;
}

function asciiBytes(text: string): Uint8Array {
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}

/** Those after which the server has no prepared statement left. */
export const DEALLOCATE_ALL = makeCommandTag("DEALLOCATE ALL");
export const DISCARD_ALL = makeCommandTag("DISCARD ALL");

/** Whether the CommandComplete at `buf[at, at + size)`, header included, has exactly this tag. */
export function hasCommandTag(buf: Uint8Array, at: number, size: number, tag: CommandTag): boolean {
  // Nearly every message is told apart by its size.
  if (size !== HEADER_BYTES + tag.length) return false;
  const start = at + HEADER_BYTES;
  for (let i = 0; i < tag.length; i++) {
    if (buf[start + i] !== tag[i]) return false;
  }
  return true;
}

const DDL_BEGINNINGS: readonly Uint8Array[] = ["CREATE ", "ALTER ", "IMPORT "].map(asciiBytes);

/** What these make are plain data, or things that no SELECT comes to; they are common where temporary tables are. */
const HARMLESS_DDL: readonly CommandTag[] = [
  "CREATE TABLE",
  "CREATE TABLE AS",
  "CREATE INDEX",
  "CREATE SEQUENCE",
  "CREATE MATERIALIZED VIEW",
  "CREATE STATISTICS",
  "CREATE TRIGGER",
  "CREATE ROLE",
  "CREATE DATABASE",
].map(makeCommandTag);

/**
 * Whether the CommandComplete at `buf[at, at + size)`, header included, tells of a statement after which a name may stand for more than
 * before: a view, a function, a table whose rows are policed now. What is dropped only stands for less. Comments, privileges and labels
 * change no meaning. (SELECT INTO has the tag of a SELECT; what it makes is a plain table.)
 */
export function isDdlTag(buf: Uint8Array, at: number, size: number): boolean {
  const start = at + HEADER_BYTES;
  const first = buf[start];
  // Nearly every tag is told apart by its first letter.
  for (const beginning of DDL_BEGINNINGS) {
    if (first === beginning[0] && size > HEADER_BYTES + beginning.length && startsWith(buf, start, beginning))
      return !HARMLESS_DDL.some((tag) => hasCommandTag(buf, at, size, tag));
  }
  return false;
}

function startsWith(buf: Uint8Array, start: number, beginning: Uint8Array): boolean {
  for (let i = 1; i < beginning.length; i++) {
    if (buf[start + i] !== beginning[i]) return false;
  }
  return true;
}
