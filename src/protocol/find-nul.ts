/**
 * Finds the end of a string inside a message.
 */

/** Names end within some dozens of bytes, and up to there a loop is faster than a call into the runtime. */
const LOOP_BYTES = 48;

/** Where the first zero byte in `buf[from, end)` is; -1 when there is none. Looks at nothing outside. */
export function findNul(buf: Uint8Array, from: number, end: number): number {
  const loopEnd = from + LOOP_BYTES < end ? from + LOOP_BYTES : end;
  for (let i = from; i < loopEnd; i++) {
    if (buf[i] === 0) return i;
  }
  if (loopEnd >= end) return -1;
  const found = buf.subarray(loopEnd, end).indexOf(0);
  return found < 0 ? -1 : loopEnd + found;
}
