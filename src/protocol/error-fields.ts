/**
 * Reads ErrorResponse and NoticeResponse, however broken they are.
 *
 * A server can be anything: a field that is missing is null, one that is cut is taken as far as it goes, unknown
 * letters are passed over. Never throws (PgBouncer crashed on an ErrorResponse without SQLSTATE, CVE-2026-6666).
 */

import { decodeText } from "./byte-text.ts";
import { findNul } from "./find-nul.ts";
import { HEADER_BYTES } from "./framer.ts";

export interface ErrorFields {
  /** `S`: in the server's language. */
  readonly severity: string | null;
  /** `V`: ERROR, FATAL … in any language. Null before PostgreSQL 9.6, and from PgBouncer. */
  readonly plainSeverity: string | null;
  /** `C`: SQLSTATE. Decide by this, never by a text. */
  readonly code: string | null;
  readonly message: string | null;
  readonly detail: string | null;
  readonly hint: string | null;
}

/** Of a message at `buf[at, at + size)`, header included. Of a letter that comes twice the first counts. */
export function readErrorFields(buf: Uint8Array, at: number, size: number): ErrorFields {
  const end = Math.min(at + size, buf.length);
  const found = new Map<number, string>();
  let position = at + HEADER_BYTES;
  while (position < end) {
    const letter = buf[position] as number;
    if (letter === 0) break;
    const nul = findNul(buf, position + 1, end);
    const textEnd = nul < 0 ? end : nul;
    if (!found.has(letter)) found.set(letter, decodeText(buf, position + 1, textEnd));
    position = textEnd + 1;
  }
  const field = (letter: string) => found.get(letter.charCodeAt(0)) ?? null;
  return {
    severity: field("S"),
    plainSeverity: field("V"),
    code: field("C"),
    message: field("M"),
    detail: field("D"),
    hint: field("H"),
  };
}
