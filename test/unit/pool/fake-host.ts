/** A host that records what the pool tells it, for tests of single rules. Nothing happens by itself: the test plays PostgreSQL. */
import type { Budget } from "../../../src/pool/budget.ts";
import { Pool } from "../../../src/pool/pool.ts";
import { Fit } from "../../../src/pool/pool-host.ts";
import type { SealReason } from "../../../src/pool/pool-host.ts";
import type { PoolHost, PoolPolicy, PoolServer } from "../../../src/pool/pool.ts";
import { serverStateTable } from "../../../src/pool/server-state.ts";
import type { ServerState } from "../../../src/pool/server-state.ts";
import type { Slot } from "../../../src/pool/slot.ts";
import { Place } from "../../../src/pool/state-lists.ts";
import { Waiting } from "../../../src/pool/wait-queue.ts";

export const SECOND = 1000;

export class FakeServer implements PoolServer<FakeServer> {
  readonly name: string;
  readonly dedicated: boolean;
  readonly place: Place<ServerState, FakeServer> = new Place<ServerState, FakeServer>(this);
  slot: Slot | null = null;
  openedAt = 0;
  usedAt = 0;
  closeNeeded = false;
  dirty = false;
  riders = 0;
  sealed = false;

  constructor(name: string, dedicated = false) {
    this.name = name;
    this.dedicated = dedicated;
  }

  /** The name of the state it is in. */
  get state(): string | null {
    const { state } = this.place;
    return state === null ? null : (serverStateTable.names[state] ?? "");
  }
}

export class FakeHost implements PoolHost<FakeServer, string> {
  readonly slots: Slot[] = [];
  /** Whose own the server of a slot will be. */
  readonly owners = new Map<Slot, string>();
  readonly served: { waiter: string; server: FakeServer }[] = [];
  readonly checks: FakeServer[] = [];
  readonly retired: { server: FakeServer; reason: string }[] = [];
  readonly lines: string[] = [];
  /** Waiters whose name begins so may share. */
  sharers = "~";
  readonly rides: { waiter: string; server: FakeServer }[] = [];
  readonly seals: { server: FakeServer; reason: SealReason }[] = [];
  onFree: (server: FakeServer) => void = () => {};
  fits: (waiter: string, server: FakeServer) => Fit = () => Fit.rides;
  clients = true;
  /** Replaceable, for tests of what happens when a callback calls back. */
  onOpen: (slot: Slot) => void = () => {};
  onServe: (waiter: string, server: FakeServer) => void = () => {};
  onCheck: (server: FakeServer) => void = () => {};
  onRetire: (server: FakeServer) => void = () => {};

  open(slot: Slot, waiter: string | null): void {
    this.slots.push(slot);
    if (waiter !== null) this.owners.set(slot, waiter);
    this.onOpen(slot);
  }
  serve(waiter: string, server: FakeServer): void {
    this.served.push({ waiter, server });
    this.onServe(waiter, server);
  }
  mayShare(waiter: string): boolean {
    return waiter.startsWith(this.sharers);
  }
  fit(waiter: string, server: FakeServer): Fit {
    return this.fits(waiter, server);
  }
  ride(waiter: string, server: FakeServer): void {
    server.riders++;
    this.rides.push({ waiter, server });
  }
  free(server: FakeServer): void {
    this.onFree(server);
  }
  sealed(server: FakeServer, reason: SealReason): void {
    this.seals.push({ server, reason });
  }
  check(server: FakeServer): void {
    this.checks.push(server);
    this.onCheck(server);
  }
  retire(server: FakeServer, reason: string): void {
    this.retired.push({ server, reason });
    this.onRetire(server);
  }
  hasClients(): boolean {
    return this.clients;
  }
  log(level: string, message: string): void {
    this.lines.push(`${level} ${message}`);
  }

  get reasons(): string[] {
    return this.retired.map(({ reason }) => reason);
  }
}

export function policyOf(changes: Partial<PoolPolicy> = {}): PoolPolicy {
  return {
    sizeMax: 20,
    sizeMin: 0,
    reserveMax: 0,
    reserveTimeoutMs: 5 * SECOND,
    checkDelayMs: 30 * SECOND,
    checks: true,
    idleTimeoutMs: 600 * SECOND,
    lifetimeMs: 3600 * SECOND,
    loginRetryMs: 15 * SECOND,
    roundRobin: false,
    loginsAtOnceMax: 1,
    keepFilled: false,
    shareDepth: 0,
    shareLowMark: 0,
    ...changes,
  };
}

/** A pool with its fake host, and the shortest words for what tests do with them. */
export class Rig {
  readonly policy: PoolPolicy;
  readonly host = new FakeHost();
  readonly pool: Pool<FakeServer, string>;
  now = 0;
  #names = 0;

  constructor(changes: Partial<PoolPolicy> = {}, budgets: readonly Budget[] = []) {
    this.policy = policyOf(changes);
    this.pool = new Pool<FakeServer, string>(this.policy, this.host, budgets);
  }

  /** A client asks: the server it got at once, or null. */
  acquire(name: string): FakeServer | null {
    return this.pool.acquire(new Waiting(name), this.now);
  }

  /** The host announces the server of the slot that was given last. */
  announce(): FakeServer {
    const slot = this.host.slots.shift();
    if (slot === undefined) throw new Error("no connection was asked for");
    const server = new FakeServer(`s${++this.#names}`, this.host.owners.has(slot));
    this.pool.opening(server, slot, this.now);
    return server;
  }

  /** … and it logs in. */
  open(): FakeServer {
    const server = this.announce();
    this.pool.opened(server, this.now);
    return server;
  }

  /** `count` servers, idle, in the order in which they became so. */
  idle(count: number): FakeServer[] {
    const servers: FakeServer[] = [];
    for (let i = 0; i < count; i++) {
      if (this.acquire(`filler ${i}`) !== null) throw new Error("the pool has idle servers already");
      servers.push(this.open());
    }
    for (const server of servers) this.pool.released(server, this.now);
    this.host.served.length = 0;
    return servers;
  }

  tick(now = this.now): void {
    this.now = now;
    this.pool.tick(now);
  }

  /** A client wants a server of its own. */
  dedicate(name: string, since = this.now): Waiting<string> {
    const waiting = new Waiting(name);
    this.pool.dedicate(waiting, since, this.now);
    return waiting;
  }

  get waiting(): string[] {
    return [...this.pool.waiters];
  }
}
