/**
 * The rows that COPY moves, out and in: about as wide as those of pgbench_accounts, and each different, so that a lost,
 * doubled or swapped piece cannot go unseen. Pure.
 */

const FILLER_CHARACTERS = 88;
/** A number of about seven digits, tab, filler, line end, and the CopyData header. */
const ROW_BYTES = 7 + 1 + FILLER_CHARACTERS + 1 + 5;

/** Made with the cluster. Every row's number is compared with the next of the sequence, and no row is kept. */
export const COPY_TABLE = "bench_copy";
export const COPY_SEQUENCE = "bench_copy_number";

/** How many rows make so many megabytes (10^6 bytes) on the wire. */
export function copyRows(megabytes: number): number {
  return Math.ceil((megabytes * 1e6) / ROW_BYTES);
}

export function copyOutStatement(megabytes: number): string {
  // In the select list generate_series streams; in FROM it would be written to a temporary file first.
  return `copy (select generate_series(1, ${copyRows(megabytes)}), repeat('x', ${FILLER_CHARACTERS})) to stdout`;
}

/**
 * Keeps those rows that are not the next, or not what they should be: none. So all of them are looked at and the disk is
 * not measured.
 */
export function copyInStatement(): string {
  const filler = "x".repeat(FILLER_CHARACTERS);
  return `copy ${COPY_TABLE} from stdin where number <> nextval('${COPY_SEQUENCE}') or filler <> '${filler}'`;
}

/** CopyData messages of the rows from `first` (1 and up), so many. One row a message, as libpq's clients send them. */
export function copyInMessages(first: number, count: number): Buffer {
  const tail = `\t${"x".repeat(FILLER_CHARACTERS)}\n`;
  const messages = Buffer.allocUnsafe(count * (5 + 16 + tail.length));
  let at = 0;
  for (let number = first; number < first + count; number++) {
    const length = messages.write(`${number}${tail}`, at + 5, "latin1");
    messages[at] = 0x64; // CopyData
    messages.writeInt32BE(4 + length, at + 1);
    at += 5 + length;
  }
  return messages.subarray(0, at);
}
