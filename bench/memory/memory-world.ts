/**
 * The engine without sockets: a world whose network is memory, driven turn by turn, for what noise must not touch.
 *
 * Clients are driven by whoever measures; every server is a `CannedPostgres`. What a turn delivers is what was pending when
 * it began, one chunk a connection, and then the end of the turn, as on a real event loop. Nothing here draws a number or
 * reads a clock (time stands still), so that the same engine does the same every time, to the last write.
 */
import type { Address, Connection, ConnectionEvents, Endpoint, Listener, Transport } from "../../src/net/transport.ts";
import type { Clock, Timer, World } from "../../src/net/world.ts";
import { createCrypto } from "../../src/net/crypto.ts";
import { CannedPostgres } from "./canned-postgres.ts";

/** Chunks handed to the engine, and writes that it made. */
export interface TransferCounts {
  clientReads: number;
  clientWrites: number;
  serverReads: number;
  serverWrites: number;
  turns: number;
}

const LOCAL: Endpoint = { address: "127.0.0.1", port: 6432 };
const REMOTE: Endpoint = { address: "127.0.0.1", port: 5432 };
/** More turns than any exchange takes: the engine waits for something that will not come. */
const TURNS_MAX = 10_000;

/** The far end of one of the engine's connections. */
export class MemoryPeer implements Connection {
  readonly fd = -1;
  readonly remote = REMOTE;
  readonly local = LOCAL;
  events: ConnectionEvents | null = null;
  readonly isServer: boolean;
  /** Everything that the engine has written goes here. */
  receive: (bytes: Uint8Array) => void = () => {};
  closed = false;
  readonly #world: MemoryWorld;
  #pending: Uint8Array | null = null;
  #paused = false;

  constructor(world: MemoryWorld, isServer: boolean) {
    this.#world = world;
    this.isServer = isServer;
  }

  /** For the next turn. One at a time, as a client that waits for its answer sends. */
  give(bytes: Uint8Array): void {
    this.#pending = this.#pending === null ? bytes : Buffer.concat([this.#pending, bytes]);
    if (!this.#paused) this.#world.wake(this);
  }

  /** The engine gets what is pending. */
  deliver(): void {
    const bytes = this.#pending;
    if (bytes === null || this.#paused || this.closed) return;
    this.#pending = null;
    if (this.isServer) this.#world.counts.serverReads++;
    else this.#world.counts.clientReads++;
    this.events?.onData(bytes);
  }

  write(bytes: Uint8Array, start = 0, end = bytes.length): number {
    if (this.closed) return 0;
    if (this.isServer) this.#world.counts.serverWrites++;
    else this.#world.counts.clientWrites++;
    this.receive(end - start === bytes.length ? bytes : bytes.subarray(start, end));
    return 0;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    if (this.#pending !== null) this.#world.wake(this);
  }

  startTls(): void {
    throw new Error("there is no TLS in memory");
  }

  end(): void {
    this.destroy();
  }

  destroy(): void {
    if (this.closed) return;
    this.closed = true;
    this.#world.later(() => this.events?.onClose(null));
  }
}

export class MemoryWorld implements World {
  readonly runtime = "simulated";
  readonly counts: TransferCounts = { clientReads: 0, clientWrites: 0, serverReads: 0, serverWrites: 0, turns: 0 };
  readonly crypto = createCrypto();
  readonly clock: Clock = {
    now: () => this.nowMs,
    wallTime: () => this.nowMs,
    after: (ms, task) => this.#after(ms, task),
  };
  readonly transport: Transport;
  nowMs = 1_000_000;
  #accept: ((connection: Connection) => ConnectionEvents) | null = null;
  #ready: MemoryPeer[] = [];
  #delivering: MemoryPeer[] = [];
  #tasks: (() => void)[] = [];
  #running: (() => void)[] = [];
  #soon: (() => void)[] = [];
  readonly #timers = new Set<{ readonly at: number; readonly task: () => void }>();

  constructor() {
    this.transport = {
      listen: async (_at, _options, accept): Promise<Listener> => {
        this.#accept = accept;
        return { port: LOCAL.port, fd: -1, close: () => (this.#accept = null) };
      },
      connect: (_to: Address, events) => this.#connect(events),
    };
  }

  /** A client connects. What it is sent goes to `receive`. */
  connectClient(receive: (bytes: Uint8Array) => void): MemoryPeer {
    if (this.#accept === null) throw new Error("nobody listens");
    const peer = new MemoryPeer(this, false);
    peer.receive = receive;
    peer.events = this.#accept(peer);
    return peer;
  }

  /** One turn of the event loop. False when there was nothing to do. */
  turn(): boolean {
    const { counts } = this;
    const soon = this.#soon;
    if (this.#ready.length === 0 && this.#tasks.length === 0 && soon.length === 0) return false;
    counts.turns++;
    this.#soon = [];
    for (const task of soon) task();
    const peers = this.#ready;
    this.#ready = this.#delivering;
    this.#delivering = peers;
    for (let i = 0; i < peers.length; i++) (peers[i] as MemoryPeer).deliver();
    peers.length = 0;
    const tasks = this.#tasks;
    this.#tasks = this.#running;
    this.#running = tasks;
    for (let i = 0; i < tasks.length; i++) (tasks[i] as () => void)();
    tasks.length = 0;
    return true;
  }

  /** Turns until nothing happens any more; promises are kept in between, and time goes on, where `isDone` says so. */
  async settle(isDone: () => boolean): Promise<void> {
    for (let turns = 0; turns < TURNS_MAX; turns++) {
      while (this.turn());
      await new Promise((resolve) => setImmediate(resolve));
      if (isDone()) return;
      this.nowMs += 1;
      for (const timer of this.#timers) {
        if (timer.at > this.nowMs) continue;
        this.#timers.delete(timer);
        timer.task();
      }
    }
    throw new Error("the engine did not come to rest");
  }

  wake(peer: MemoryPeer): void {
    this.#ready.push(peer);
  }

  later(task: () => void): void {
    this.#soon.push(task);
  }

  afterTurn(task: () => void): void {
    this.#tasks.push(task);
  }

  async resolve(): Promise<readonly string[]> {
    return ["127.0.0.1"];
  }

  async zoneSerial(): Promise<number> {
    return 1;
  }

  nameServers(): World {
    return this;
  }

  peerCredentials(): null {
    return null;
  }

  setSocketOptions(): readonly string[] {
    return [];
  }

  #connect(events: ConnectionEvents): Connection {
    const peer = new MemoryPeer(this, true);
    const postgres = new CannedPostgres((bytes) => peer.give(bytes));
    peer.receive = (bytes) => postgres.receive(bytes);
    peer.events = events;
    this.later(() => events.onOpen());
    return peer;
  }

  #after(delayMs: number, task: () => void): Timer {
    const timer = { at: this.nowMs + delayMs, task };
    this.#timers.add(timer);
    return { cancel: () => void this.#timers.delete(timer) };
  }
}
