/**
 * Compares the tag of a CommandComplete with a known one, without making a string.
 *
 * A tag is compared whole: `PREPARE TRANSACTION` is not `PREPARE`, `ROLLBACK PREPARED` not `ROLLBACK`.
 */

import { HEADER_BYTES } from "./framer.ts";

declare const commandTag: unique symbol;

/** The bytes of a tag with its zero byte. */
export type CommandTag = Uint8Array & { readonly [commandTag]: true };

/** `text`: ASCII, exactly as PostgreSQL sends it. */
export function makeCommandTag(text: string): CommandTag {
  const bytes = new Uint8Array(text.length + 1);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes as CommandTag;
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
