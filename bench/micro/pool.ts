/**
 * What a pool's decisions cost: a server for a client, and the next in line for a server.
 *
 *     node bench/micro/pool.ts        bun bench/micro/pool.ts
 */
import type { PoolServer } from "../../src/pool/pool-host.ts";
import { Pool } from "../../src/pool/pool.ts";
import { ServerState } from "../../src/pool/server-state.ts";
import type { Slot } from "../../src/pool/slot.ts";
import { Place } from "../../src/pool/state-lists.ts";
import { Waiting } from "../../src/pool/wait-queue.ts";
import { printNanoseconds, runtimeLabel } from "./measure.ts";

const OPERATIONS = 1000;

class BenchServer implements PoolServer<BenchServer> {
  readonly dedicated = false;
  readonly place: Place<ServerState, BenchServer> = new Place<ServerState, BenchServer>(this);
  slot: Slot | null = null;
  openedAt = 0;
  usedAt = 0;
  closeNeeded = false;
  dirty = false;
  riders = 0;
  sealed = false;
}

const policy = {
  sizeMax: 20,
  sizeMin: 0,
  reserveMax: 0,
  reserveTimeoutMs: 5000,
  checkDelayMs: 30_000,
  checks: true,
  idleTimeoutMs: 600_000,
  lifetimeMs: 3_600_000,
  loginRetryMs: 15_000,
  roundRobin: false,
  loginsAtOnceMax: 20,
  keepFilled: false,
  shareDepth: 0,
  shareLowMark: 0,
};

/** A pool with `servers` open, and what its host was last told. */
function makePool(servers: number): { pool: Pool<BenchServer, number>; served: BenchServer[] } {
  const slots: Slot[] = [];
  const served: BenchServer[] = [];
  const host = {
    open: (slot: Slot) => void slots.push(slot),
    serve: (_waiter: number, server: BenchServer) => void served.push(server),
    mayShare: () => false,
    fit: () => "alone" as const,
    ride: () => {},
    free: () => {},
    sealed: () => {},
    check: () => {},
    retire: () => {},
    hasClients: () => true,
    log: () => {},
  };
  const pool = new Pool<BenchServer, number>({ ...policy, sizeMax: servers }, host, []);
  const first = Array.from({ length: servers }, (_, number) => new Waiting(number));
  for (const waiting of first) pool.acquire(waiting, 0);
  // The first login of a pool goes alone; the others are asked for when it has come to its end.
  for (let slot = slots.shift(); slot !== undefined; slot = slots.shift()) {
    const server = new BenchServer();
    pool.opening(server, slot, 0);
    pool.opened(server, 0);
  }
  for (const server of served.splice(0)) pool.released(server, 0);
  if (pool.servers.count(ServerState.idle) !== servers) throw new Error(`not all of ${servers} servers are idle`);
  return { pool, served };
}

console.log(runtimeLabel());
{
  const { pool } = makePool(20);
  const waiting = new Waiting(0);
  printNanoseconds("a free server taken and given back", () => {
    for (let i = 0; i < OPERATIONS; i++) {
      const server = pool.acquire(waiting, 1);
      if (server === null) throw new Error("no server was free");
      pool.released(server, 1);
    }
    return OPERATIONS;
  });
}
for (const clients of [64, 5000]) {
  const { pool, served } = makePool(20);
  const all = Array.from({ length: clients }, (_, number) => new Waiting(number));
  const busy = all.slice(0, 20).map((waiting) => pool.acquire(waiting, 1) as BenchServer);
  for (const waiting of all.slice(20)) pool.acquire(waiting, 1);
  let next = 0;
  // Whoever was served goes back to the end of the queue: clients that ask again at once.
  const order = all.slice(20).concat(all.slice(0, 20));
  let server = busy[0] as BenchServer;
  printNanoseconds(`a server to the next of ${clients} clients who wait`, () => {
    for (let i = 0; i < OPERATIONS; i++) {
      const finished = order[(next + clients - 1) % clients] as Waiting<number>;
      pool.released(server, 1);
      server = served.pop() as BenchServer;
      if (!finished.queued) pool.acquire(finished, 1);
      next++;
    }
    return OPERATIONS;
  });
}
