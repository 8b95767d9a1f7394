/**
 * The COPY whose reader stops: does back-pressure reach PostgreSQL, or does the pooler hoard?
 *
 * The reader takes a twentieth of the answer, reads nothing for some seconds, and then takes the rest, which must be what
 * PostgreSQL sent. Memory of the pooler is watched while it stands. The kernel's socket buffers fill first, some
 * megabytes on each side; they are not in a process's resident memory. The pooler's own account of what it holds is the
 * row iobuf_cache of SHOW MEM (bytes of one times how many are in use).
 */
import { setTimeout as sleep } from "node:timers/promises";
import { failureOf, labelOf, type SeatResult, type StoppedReaderResult } from "./bench-results.ts";
import { copyOutStatement } from "./copy-statement.ts";
import type { LoadTools } from "./load-part.ts";
import { SeatName } from "./options.ts";
import { readMemory } from "./proc-reader.ts";
import { type Address, type CopyDigest, SILENCE_MAX_MS, WireClient } from "./wire-client.ts";

const POOL_SIZE = 4;
const CONSOLE_DATABASE = "pgbouncer";
const LOOK_EVERY_MS = 100;
const STOP_AFTER_FRACTION = 0.05;

/** Runs the part for every pooler, each in a new process. `expected`: what must arrive. */
export async function runStoppedReaderPart(
  tools: LoadTools,
  expected: CopyDigest,
): Promise<SeatResult<StoppedReaderResult>[]> {
  const results: SeatResult<StoppedReaderResult>[] = [];
  for (const seat of tools.options.seats) {
    if (seat === SeatName.direct) continue;
    const key = { seat, poolSize: POOL_SIZE };
    try {
      const result = await measureStopped(tools, seat, expected);
      tools.say(`stopped reader, ${labelOf(key)}: +${result.standingKb - result.beforeKb} KB while it stood`);
      results.push({ ...key, result });
    } catch (error) {
      tools.say(`stopped reader, ${labelOf(key)}: ${(error as Error).message}`);
      results.push({ ...key, result: failureOf(error) });
    }
  }
  return results;
}

async function measureStopped(tools: LoadTools, name: SeatName, expected: CopyDigest): Promise<StoppedReaderResult> {
  const seat = await tools.seats.start(name, POOL_SIZE);
  const pid = seat.pid as number;
  const { copyMegabytes, stopSeconds } = tools.options;
  try {
    const client = await WireClient.open(seat.address);
    const baseKb = readMemory(pid).rssKb;
    const stop: { standing: Promise<Standing> | null } = { standing: null };
    const onBytes = (total: number): void => {
      if (stop.standing !== null || total < expected.bytes * STOP_AFTER_FRACTION) return;
      client.socket.pause();
      stop.standing = watch(pid, seat.address, stopSeconds).finally(() => void client.socket.resume());
      stop.standing.catch(() => {}); // reported below; the copy fails as well
    };
    const patienceMs = SILENCE_MAX_MS + stopSeconds * 1000;
    const digest = await client.copyOut(copyOutStatement(copyMegabytes), onBytes, patienceMs);
    if (stop.standing === null) throw new Error("the copy ended before the reader stopped");
    const { beforeKb, standingKb, heldBytes } = await stop.standing;
    await client.close();
    return {
      bytes: digest.bytes,
      intact: digest.bytes === expected.bytes && digest.sha256 === expected.sha256,
      beforeKb,
      standingKb,
      heldBytes,
      peakKb: readMemory(pid).peakKb,
      baseKb,
    };
  } finally {
    await seat.stop();
  }
}

interface Standing {
  readonly beforeKb: number;
  readonly standingKb: number;
  readonly heldBytes: number | null;
}

async function watch(pid: number, address: Address, seconds: number): Promise<Standing> {
  const beforeKb = readMemory(pid).rssKb;
  let standingKb = beforeKb;
  const untilMs = performance.now() + seconds * 1000;
  while (performance.now() < untilMs) {
    await sleep(LOOK_EVERY_MS);
    standingKb = Math.max(standingKb, readMemory(pid).rssKb);
  }
  return { beforeKb, standingKb, heldBytes: await askHeldBytes(address) };
}

/** Null when the console cannot be asked: the memory was measured all the same. */
async function askHeldBytes(address: Address): Promise<number | null> {
  try {
    const client = await WireClient.open(address, CONSOLE_DATABASE);
    const rows = await client.rows("show mem");
    await client.close();
    const [, size, used] = rows.find(([name]) => name === "iobuf_cache") ?? [];
    return size === undefined || used === undefined ? null : Number(size) * Number(used);
  } catch {
    return null;
  }
}
