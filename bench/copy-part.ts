/**
 * One large COPY out: what it costs a pooler, and that it arrives byte for byte.
 *
 * Rows have about the width of a pgbench_accounts row, and each is different, so that a lost, doubled or swapped piece
 * changes the hash. The answer is compared with the one that came directly from PostgreSQL, header to ReadyForQuery.
 */
import { type CopyResult, failureOf, isFailure, labelOf, type SeatRounds } from "./bench-results.ts";
import { SeatName } from "./options.ts";
import { type LoadTools, seatsOfCase } from "./load-part.ts";
import { readCpu, readMemory } from "./proc-reader.ts";
import type { Seat } from "./seats.ts";
import { type CopyDigest, WireClient } from "./wire-client.ts";

const FILLER_CHARACTERS = 88;
/** A number of about seven digits, tab, filler, line end, and the CopyData header. */
const ROW_BYTES = 7 + 1 + FILLER_CHARACTERS + 1 + 5;
const WARM_UP_MEGABYTES = 20;
const POOL_SIZE = 4;

/** A COPY of about so many megabytes (10^6 bytes) on the wire. */
export function copyStatement(megabytes: number): string {
  const rows = Math.ceil((megabytes * 1e6) / ROW_BYTES);
  // In the select list generate_series streams; in FROM it would be written to a temporary file first.
  return `copy (select generate_series(1, ${rows}), repeat('x', ${FILLER_CHARACTERS})) to stdout`;
}

/** Count and hash as they come directly from PostgreSQL. */
export async function copyDirectly(tools: LoadTools): Promise<CopyDigest> {
  const seat = await tools.seats.start(SeatName.direct, 0);
  return copyThrough(seat, tools.options.copyMegabytes);
}

/** Runs the part for every seat, rounds interleaved, a new process for each copy. `expected`: what must arrive. */
export async function runCopyPart(tools: LoadTools, expected: CopyDigest): Promise<SeatRounds<CopyResult>[]> {
  const keys = seatsOfCase({ ...tools.options, poolSizes: [POOL_SIZE] }, 1);
  const rows: SeatRounds<CopyResult>[] = keys.map(({ seat, poolSize }) => ({ seat, poolSize, rounds: [] }));
  for (let round = 0; round < tools.options.copyRounds; round++) {
    for (const row of rows) {
      if (row.rounds.some(isFailure)) continue; // a pooler that hangs would hang again
      const title = `COPY out, round ${round + 1}, ${labelOf(row)}`;
      try {
        const result = await measureCopy(tools, row.seat, expected);
        tools.say(`${title}: ${result.seconds.toFixed(1)} s${result.intact ? "" : ", NOT what PostgreSQL sent"}`);
        row.rounds.push(result);
      } catch (error) {
        tools.say(`${title}: ${(error as Error).message}`);
        row.rounds.push(failureOf(error));
      }
    }
  }
  return rows;
}

async function measureCopy(tools: LoadTools, name: SeatName, expected: CopyDigest): Promise<CopyResult> {
  const seat = await tools.seats.start(name, POOL_SIZE);
  try {
    await copyThrough(seat, WARM_UP_MEGABYTES);
    const before = seat.pid === null ? null : readCpu(seat.pid);
    const fromMs = performance.now();
    const digest = await copyThrough(seat, tools.options.copyMegabytes);
    const seconds = (performance.now() - fromMs) / 1000;
    const after = seat.pid === null ? null : readCpu(seat.pid);
    return {
      bytes: digest.bytes,
      intact: digest.bytes === expected.bytes && digest.sha256 === expected.sha256,
      seconds,
      userSeconds: before === null || after === null ? null : (after.userUs - before.userUs) / 1e6,
      systemSeconds: before === null || after === null ? null : (after.systemUs - before.systemUs) / 1e6,
      peakKb: seat.pid === null ? null : readMemory(seat.pid).peakKb,
    };
  } finally {
    await seat.stop();
  }
}

async function copyThrough(seat: Seat, megabytes: number): Promise<CopyDigest> {
  const client = await WireClient.open(seat.address);
  try {
    return await client.copyOut(copyStatement(megabytes));
  } finally {
    await client.close();
  }
}
