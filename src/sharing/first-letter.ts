/**
 * Tells most writes from reads by the first byte of their texts, for next to nothing. The verdict itself is `statement-verdict.ts`'s.
 */
import { BYTE_CLASSES, ByteClass, LOWER_BYTES } from "../state/sql-byte-class.ts";

/** Of SELECT, VALUES, TABLE and WITH. */
const FIRST_LETTERS: ReadonlySet<number> = new Set(Array.from("svtw", (letter) => letter.charCodeAt(0)));

/** False only if the text `memory[start, end)` begins with a word, and no read begins with that word's letter. */
export function mayBeRead(memory: Uint8Array, start: number, end: number): boolean {
  let at = start;
  while (at < end && BYTE_CLASSES[memory[at] as number] === ByteClass.space) at++;
  if (at >= end) return true;
  const first = memory[at] as number;
  return BYTE_CLASSES[first] !== ByteClass.letter || FIRST_LETTERS.has(LOWER_BYTES[first] as number);
}
