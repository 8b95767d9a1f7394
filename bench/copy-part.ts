/**
 * One large COPY out, and one in: what they cost a pooler, and that they arrive byte for byte.
 *
 * Out, the answer is compared with the one that came directly from PostgreSQL, header to ReadyForQuery. In, PostgreSQL
 * looks at each row (`copy-statement.ts`).
 */
import { CopyDirection, type CopyResult, type CopySeat, failureOf, isFailure, labelOf } from "./bench-results.ts";
import {
  COPY_SEQUENCE,
  COPY_TABLE,
  copyInMessages,
  copyInStatement,
  copyOutStatement,
  copyRows,
} from "./copy-statement.ts";
import { SeatName } from "./options.ts";
import { type LoadTools, seatsOfCase } from "./load-part.ts";
import { readCpu, readMemory } from "./proc-reader.ts";
import type { Seat } from "./seats.ts";
import { type CopyDigest, WireClient } from "./wire-client.ts";

const WARM_UP_MEGABYTES = 20;
/** Rows made at a time: about 60 KB. */
const ROWS_AT_ONCE = 600;
const POOL_SIZE = 4;

/** Count and hash as they come directly from PostgreSQL. */
export async function copyDirectly(tools: LoadTools): Promise<CopyDigest> {
  const seat = await tools.seats.start(SeatName.direct, 0);
  return copyOut(seat, tools.options.copyMegabytes);
}

/** Runs the part for every seat, rounds interleaved, a new process for each round. `expected`: what must come out. */
export async function runCopyPart(tools: LoadTools, expected: CopyDigest): Promise<CopySeat[]> {
  const keys = seatsOfCase(tools.options, POOL_SIZE);
  const rows: CopySeat[] = Object.values(CopyDirection).flatMap((direction) =>
    keys.map(({ seat, poolSize }) => ({ seat, poolSize, direction, rounds: [] })),
  );
  for (let round = 0; round < tools.options.copyRounds; round++) {
    for (const row of rows) {
      if (row.rounds.some(isFailure)) continue; // a pooler that hangs would hang again
      const title = `COPY ${row.direction}, round ${round + 1}, ${labelOf(row)}`;
      try {
        const result = await measureCopy(tools, row.seat, row.direction, expected);
        tools.say(`${title}: ${result.seconds.toFixed(1)} s${result.intact ? "" : ", NOT what was sent"}`);
        row.rounds.push(result);
      } catch (error) {
        tools.say(`${title}: ${(error as Error).message}`);
        row.rounds.push(failureOf(error));
      }
    }
  }
  return rows;
}

async function measureCopy(
  tools: LoadTools,
  name: SeatName,
  direction: CopyDirection,
  expected: CopyDigest,
): Promise<CopyResult> {
  const { copyMegabytes } = tools.options;
  const seat = await tools.seats.start(name, POOL_SIZE);
  const copy = async (megabytes: number): Promise<{ bytes: number; intact: boolean }> => {
    if (direction === CopyDirection.in) return copyIn(seat, megabytes);
    const digest = await copyOut(seat, megabytes);
    const intact = digest.bytes === expected.bytes && digest.sha256 === expected.sha256;
    return { bytes: digest.bytes, intact };
  };
  try {
    await copy(WARM_UP_MEGABYTES);
    const before = seat.pid === null ? null : readCpu(seat.pid);
    const fromMs = performance.now();
    const { bytes, intact } = await copy(copyMegabytes);
    const seconds = (performance.now() - fromMs) / 1000;
    const after = seat.pid === null ? null : readCpu(seat.pid);
    return {
      bytes,
      intact,
      seconds,
      userSeconds: before === null || after === null ? null : (after.userUs - before.userUs) / 1e6,
      systemSeconds: before === null || after === null ? null : (after.systemUs - before.systemUs) / 1e6,
      peakKb: seat.pid === null ? null : readMemory(seat.pid).peakKb,
    };
  } finally {
    await seat.stop();
  }
}

async function copyOut(seat: Seat, megabytes: number): Promise<CopyDigest> {
  const client = await WireClient.open(seat.address);
  try {
    return await client.copyOut(copyOutStatement(megabytes));
  } finally {
    await client.close();
  }
}

/** Intact: no row was kept, so each was the next and right, and the sequence has come to the last. */
async function copyIn(seat: Seat, megabytes: number): Promise<{ bytes: number; intact: boolean }> {
  const client = await WireClient.open(seat.address);
  try {
    // One transaction, so one server: the sequence's next numbers are kept by the session that asked for them.
    await client.query("begin");
    await client.query(`select setval('${COPY_SEQUENCE}', 1, false)`);
    const total = copyRows(megabytes);
    let sent = 0;
    const bytes = await client.copyIn(copyInStatement(), () => {
      const count = Math.min(ROWS_AT_ONCE, total - sent);
      if (count === 0) return null;
      const messages = copyInMessages(sent + 1, count);
      sent += count;
      return messages;
    });
    const [kept] = await client.rows(`select count(*) from ${COPY_TABLE}`);
    const [last] = await client.rows(`select currval('${COPY_SEQUENCE}')`);
    await client.query("rollback");
    return { bytes, intact: kept?.[0] === "0" && last?.[0] === String(total) };
  } finally {
    await client.close();
  }
}
