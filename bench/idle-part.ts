/**
 * Memory per idle client: thousands of clients log in, run one transaction each, and stay.
 *
 * The process is new for each seat. A first hundred clients come and go before the base is read, so that what a runtime
 * loads and compiles on first use does not count as the clients'. Memory is read when the last one has its answer, and
 * again after a pause, in which collectors may give memory back and buffers may be freed.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { failureOf, type IdleResult, isFailure, labelOf, type SeatRounds } from "./bench-results.ts";
import type { SeatName } from "./options.ts";
import { type LoadTools, poolersOfCase } from "./load-part.ts";
import { readMemory } from "./proc-reader.ts";
import { type Address, WireClient } from "./wire-client.ts";

const FIRST_CLIENTS = 100;
/** Logins under way at a time: below every listen backlog. */
const CONCURRENCY = 50;
const POOL_SIZE = 20;

/** Runs the part for every pooler, rounds interleaved. */
export async function runIdlePart(tools: LoadTools): Promise<SeatRounds<IdleResult>[]> {
  const rows: SeatRounds<IdleResult>[] = poolersOfCase(tools.options, POOL_SIZE).map(({ seat, poolSize }) => ({
    seat,
    poolSize,
    rounds: [],
  }));
  for (let round = 0; round < tools.options.idleRounds; round++) {
    for (const row of rows) {
      if (row.rounds.some(isFailure)) continue; // it would fail again
      const title = `idle clients, round ${round + 1}, ${labelOf(row)}`;
      try {
        const result = await measureIdle(tools, row.seat);
        tools.say(`${title}: ${result.settledKb - result.baseKb} KB for ${result.clients}`);
        row.rounds.push(result);
      } catch (error) {
        tools.say(`${title}: ${(error as Error).message}`);
        row.rounds.push(failureOf(error));
      }
    }
  }
  return rows;
}

async function measureIdle(tools: LoadTools, name: SeatName): Promise<IdleResult> {
  const { idleClients, idleSettleSeconds } = tools.options;
  const seat = await tools.seats.start(name, POOL_SIZE);
  let clients: WireClient[] = [];
  try {
    const pid = seat.pid as number;
    const first = await connectAll(seat.address, FIRST_CLIENTS);
    await Promise.all(first.map((client) => client.close()));
    await sleep(500);
    const baseKb = readMemory(pid).rssKb;
    const fromMs = performance.now();
    clients = await connectAll(seat.address, idleClients);
    const connectSeconds = (performance.now() - fromMs) / 1000;
    const justAfterKb = readMemory(pid).rssKb;
    await sleep(idleSettleSeconds * 1000);
    const settledKb = readMemory(pid).rssKb;
    const lost = clients.filter((client) => client.socket.destroyed).length;
    if (lost > 0) throw new Error(`${lost} of ${idleClients} idle clients lost their connection`);
    return { clients: idleClients, baseKb, justAfterKb, settledKb, connectSeconds };
  } finally {
    for (const client of clients) client.socket.destroy();
    await seat.stop();
  }
}

/** Logs in `count` clients, each with one transaction behind it. Rejects, with all of them closed, when one fails. */
async function connectAll(address: Address, count: number): Promise<WireClient[]> {
  const clients: WireClient[] = [];
  let begun = 0;
  const connectSome = async (): Promise<void> => {
    while (begun < count) {
      begun++;
      const client = await WireClient.open(address);
      clients.push(client);
      await client.query("select 1");
    }
  };
  const lanes = await Promise.allSettled(Array.from({ length: Math.min(CONCURRENCY, count) }, connectSome));
  const failed = lanes.find((lane) => lane.status === "rejected");
  if (failed !== undefined) {
    for (const client of clients) client.socket.destroy();
    throw failed.reason;
  }
  return clients;
}
