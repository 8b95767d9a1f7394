/**
 * The simulated world: a `World` on virtual time, driven by a seed.
 *
 * A turn of the simulated event loop takes every event that falls into one moment (sockets that are ready together,
 * timers that are due together), lets the promises settle, and then runs what was given to `afterTurn`. Nothing real is
 * waited for, so a simulated minute costs what happens in it.
 *
 * Not responsible for: the network (`sim-network.ts`), the actors, the laws.
 */
import type { Clock, Crypto, Timer, World } from "../../src/net/world.ts";
import { Chronicle } from "./chronicle.ts";
import { EventQueue } from "./event-queue.ts";
import type { Random } from "./random.ts";
import { createSimCrypto } from "./sim-crypto.ts";
import { SimNetwork } from "./sim-network.ts";
import type { NetworkHost, NetworkTemper } from "./sim-network.ts";

export interface SimWorldOptions {
  readonly network: NetworkTemper;
  /** Events up to this long after the first one fall into the same turn. */
  readonly turnMaxMs: number;
  readonly tracing: boolean;
}

/** Timers of the real worlds come up to this much late. */
const TIMER_GRAIN_MS = 20;

export class SimWorld implements NetworkHost {
  readonly random: Random;
  readonly chronicle: Chronicle;
  readonly network: SimNetwork;
  /** The world of the engine under test. */
  readonly world: World;
  /** Names that `resolve` knows; others are ENOTFOUND. */
  readonly names = new Map<string, readonly string[]>();
  /** Serial numbers of zones; others cannot be asked for. */
  readonly zoneSerials = new Map<string, number>();
  turns = 0;
  readonly #queue = new EventQueue();
  readonly #turnMaxMs: number;
  #nowMs = 1000;
  #tasks: (() => void)[] = [];
  #settled = false;
  /** Timers of the engine that have neither fired nor been cancelled. */
  #pendingTimers = 0;

  constructor(random: Random, options: SimWorldOptions) {
    this.random = random;
    this.chronicle = new Chronicle(() => this.#nowMs, options.tracing);
    this.#turnMaxMs = options.turnMaxMs;
    this.network = new SimNetwork(this, options.network);
    this.world = this.#createWorld();
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  get pendingTimers(): number {
    return this.#pendingTimers;
  }

  plan(delayMs: number, task: () => void): void {
    this.#queue.plan(this.#nowMs + delayMs, task);
  }

  settling(): void {
    this.#settled = true;
  }

  /** Runs one turn. Resolves when the promises that hang on its events have run: the next turn finds a settled engine. */
  async turn(): Promise<void> {
    const nextAtMs = this.#queue.nextAtMs;
    this.turns++;
    if (this.#tasks.length === 0 && nextAtMs !== null && nextAtMs > this.#nowMs) this.#nowMs = nextAtMs;
    // Sockets seldom become ready alone on a busy machine: what comes within a moment comes in one turn.
    if (this.#turnMaxMs > 0 && this.random.chance(0.5)) this.#nowMs += this.random.fraction() * this.#turnMaxMs;
    const untilMs = this.#nowMs;
    for (let task = this.#queue.take(untilMs); task !== null; task = this.#queue.take(untilMs)) {
      task();
      if (this.#settled) await this.#settle();
    }
    await Promise.resolve();
    await Promise.resolve();
    const tasks = this.#tasks;
    if (tasks.length > 0) {
      this.#tasks = [];
      for (const task of tasks) this.#guard("a task after the turn", task);
      await Promise.resolve();
    }
  }

  /** Turns until `done()` or until `limitMs` of virtual time have gone by; says whether it is done. */
  async runUntil(done: () => boolean, limitMs: number, afterEach: (() => void) | null): Promise<boolean> {
    const endMs = this.#nowMs + limitMs;
    while (!done()) {
      const nextAtMs = this.#queue.nextAtMs;
      if (this.#tasks.length === 0 && (nextAtMs === null || nextAtMs > endMs)) {
        this.#nowMs = Math.max(this.#nowMs, endMs);
        return false;
      }
      await this.turn();
      if (afterEach !== null) afterEach();
    }
    return true;
  }

  /** Lets every promise chain come to rest: a real turn of the event loop runs all microtasks. */
  async #settle(): Promise<void> {
    this.#settled = false;
    await new Promise<void>((resolve) => setImmediate(resolve));
  }

  #guard(what: string, task: () => void): void {
    try {
      task();
    } catch (error) {
      this.chronicle.violate(
        `${what} threw: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
      );
    }
  }

  #createWorld(): World {
    const clock: Clock = {
      now: () => this.#nowMs,
      wallTime: () => 1_780_000_000_000 + Math.floor(this.#nowMs),
      after: (delayMs, task) => this.#after(delayMs, task),
    };
    const crypto: Crypto = createSimCrypto(this.random.fork(), (task) => {
      this.plan(this.random.fraction() * 3, () => {
        this.settling();
        task();
      });
    });
    return {
      runtime: "simulated",
      transport: this.network.transport("engine"),
      clock,
      crypto,
      afterTurn: (task) => {
        this.#tasks.push(task);
      },
      resolve: (host) => this.#resolve(host),
      zoneSerial: (zone) => this.#zoneSerial(zone),
      nameServers: () => ({ resolve: (host) => this.#resolve(host), zoneSerial: (zone) => this.#zoneSerial(zone) }),
      peerCredentials: () => ({ pid: 4242, uid: 1000, gid: 1000 }),
      setSocketOptions: () => [],
    };
  }

  #after(delayMs: number, task: () => void): Timer {
    let pending = true;
    this.#pendingTimers++;
    const event = this.#queue.plan(this.#nowMs + Math.max(0, delayMs) + this.random.fraction() * TIMER_GRAIN_MS, () => {
      pending = false;
      this.#pendingTimers--;
      this.chronicle.note(6, 0, Math.floor(delayMs));
      this.#guard("a timer", task);
    });
    return {
      cancel: () => {
        if (!pending) return;
        pending = false;
        this.#pendingTimers--;
        event.task = null;
      },
    };
  }

  #resolve(host: string): Promise<readonly string[]> {
    return this.#answerLater(host, () => (isLiteral(host) ? [host] : this.names.get(host)));
  }

  #zoneSerial(zone: string): Promise<number> {
    return this.#answerLater(zone, () => this.zoneSerials.get(zone));
  }

  #answerLater<T>(name: string, answer: () => T | undefined): Promise<T> {
    return new Promise((resolve, reject) => {
      this.plan(this.random.fraction() * 20, () => {
        this.settling();
        const found = answer();
        if (found !== undefined) resolve(found);
        else reject(Object.assign(new Error(`simulated ENOTFOUND ${name}`), { code: "ENOTFOUND" }));
      });
    });
  }
}

function isLiteral(host: string): boolean {
  return host.includes(":") || /^\d+\.\d+\.\d+\.\d+$/.test(host);
}
