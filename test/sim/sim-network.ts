/**
 * The simulated network: who listens where, who reaches whom, and how the connections behave.
 *
 * Implements `Transport` twice over the same listeners: once for the engine under test and once for the actors around
 * it, so that what the engine has open can be told from outside. Connections reorder between each other, never within.
 */
import type { Address, Connection, ConnectionEvents, Endpoint, Listener, Transport } from "../../src/net/transport.ts";
import type { Chronicle } from "./chronicle.ts";
import type { Random } from "./random.ts";
import { SimConnection } from "./sim-connection.ts";
import type { ConnectionHost, ConnectionTemper } from "./sim-connection.ts";

/** How rough the network is in a run. */
export interface NetworkTemper {
  readonly latencyMaxMs: number;
  readonly cutChance: number;
  readonly partialWriteChance: number;
  /** Small windows make partial writes and waiting for `onDrain` common. */
  readonly windowsBytes: readonly number[];
}

/** What happens to those who connect to an address. */
export type Reach = "open" | "refused" | "hanging";

interface SimListener {
  readonly key: string;
  readonly side: "engine" | "actor";
  readonly accept: (connection: Connection) => ConnectionEvents;
  open: boolean;
}

export interface NetworkHost {
  readonly random: Random;
  readonly chronicle: Chronicle;
  plan(delayMs: number, task: () => void): void;
  /** A promise given to the engine is about to be settled. */
  settling(): void;
}

export class SimNetwork implements ConnectionHost {
  readonly random: Random;
  /** Every end that is not closed yet. */
  readonly ends = new Set<SimConnection>();
  readonly #host: NetworkHost;
  readonly #temper: NetworkTemper;
  readonly #listeners = new Map<string, SimListener>();
  readonly #reach = new Map<string, Reach>();
  readonly #chunks = new WeakSet<Uint8Array>();
  #heldPeakBytes = 0;
  #nextId = 3;
  #nextPort = 20_000;

  constructor(host: NetworkHost, temper: NetworkTemper) {
    this.#host = host;
    this.#temper = temper;
    this.random = host.random;
  }

  /** The door for one side. */
  transport(side: "engine" | "actor"): Transport {
    return {
      listen: (at, _options, accept) => this.#listen(side, at, accept),
      connect: (to, events) => this.#connect(side, to, events),
      reuse: (memory) => this.#spoil(memory),
    };
  }

  /** `chunk` goes to its callee, who may give it back. */
  handedOut(chunk: Uint8Array): void {
    this.#chunks.add(chunk);
  }

  /** Memory that nobody refers to any more is overwritten, so that whoever still reads it is found out. */
  #spoil(memory: Uint8Array): void {
    if (this.#chunks.delete(memory)) memory.fill(0xdb);
  }

  /** From now on connections to this address are refused, hang, or come through again. */
  setReach(to: Address, reach: Reach): void {
    this.#reach.set(keyOf(to), reach);
  }

  /** Ends of the engine that it has not closed: what it holds open, in its own view. */
  *inUse(side: "engine" | "actor"): Generator<SimConnection> {
    for (const end of this.ends) if (end.side === side && end.inUse) yield end;
  }

  openListeners(side: "engine" | "actor"): number {
    let count = 0;
    for (const listener of this.#listeners.values()) if (listener.side === side && listener.open) count++;
    return count;
  }

  /** The most that a connection of the engine ever held. */
  get heldPeakBytes(): number {
    let peak = this.#heldPeakBytes;
    for (const end of this.ends) if (end.side === "engine") peak = Math.max(peak, end.heldPeakBytes);
    return peak;
  }

  plan(delayMs: number, task: () => void): void {
    this.#host.plan(delayMs, task);
  }

  note(kind: number, end: SimConnection, size: number): void {
    this.#host.chronicle.note(kind, end.id, size);
  }

  closed(end: SimConnection): void {
    if (end.side === "engine") this.#heldPeakBytes = Math.max(this.#heldPeakBytes, end.heldPeakBytes);
    this.ends.delete(end);
  }

  thrown(end: SimConnection, error: unknown): void {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.#host.chronicle.violate(`a callback of the ${end.side}'s connection ${end.id} threw: ${text}`);
  }

  #listen(
    side: "engine" | "actor",
    at: Address,
    accept: (connection: Connection) => ConnectionEvents,
  ): Promise<Listener> {
    return new Promise((resolve, reject) => {
      this.plan(this.random.fraction(), () => {
        this.#host.settling();
        let address = at;
        if ("port" in at && at.port === 0) address = { host: at.host, port: this.#nextPort++ };
        const key = keyOf(address);
        if (this.#listeners.get(key)?.open === true) {
          reject(Object.assign(new Error(`simulated EADDRINUSE ${key}`), { code: "EADDRINUSE" }));
          return;
        }
        const listener: SimListener = { key, side, accept, open: true };
        this.#listeners.set(key, listener);
        const fd = this.#nextId++;
        resolve({
          port: "port" in address ? address.port : 0,
          fd,
          close: () => {
            listener.open = false;
            if (this.#listeners.get(key) === listener) this.#listeners.delete(key);
          },
        });
      });
    });
  }

  #connect(side: "engine" | "actor", to: Address, events: ConnectionEvents): Connection {
    const key = keyOf(to);
    const here: Endpoint =
      "port" in to ? { address: "127.0.0.1", port: 30_000 + (this.#nextId % 30_000) } : { address: "", port: 0 };
    const there: Endpoint = "port" in to ? { address: to.host, port: to.port } : { address: "", port: 0 };
    const temper = this.#drawTemper();
    const near = new SimConnection(this.#nextId++, side, here, there, temper, this);
    near.events = events;
    this.ends.add(near);
    this.plan(this.random.fraction() * this.#temper.latencyMaxMs, () => {
      if (!near.inUse && near.fd === -1) return;
      const reach = this.#reach.get(key) ?? "open";
      if (reach === "hanging") return;
      const listener = this.#listeners.get(key);
      if (reach === "refused" || listener === undefined || !listener.open) {
        near.refused(listener === undefined && "path" in to ? "ENOENT" : "ECONNREFUSED");
        return;
      }
      const far = new SimConnection(this.#nextId++, listener.side, there, here, temper, this);
      this.ends.add(far);
      far.peer = near;
      near.peer = far;
      try {
        far.events = listener.accept(far);
      } catch (error) {
        this.thrown(far, error);
        far.destroy();
      }
      far.opened(false);
      this.plan(this.random.fraction() * this.#temper.latencyMaxMs, () => near.opened(true));
    });
    return near;
  }

  #drawTemper(): ConnectionTemper {
    const random = this.random;
    const latencyMaxMs = this.#temper.latencyMaxMs * random.fraction();
    return {
      windowBytes: random.pick(this.#temper.windowsBytes),
      latencyMinMs: random.chance(0.3) ? 0 : latencyMaxMs / 4,
      latencyMaxMs,
      cutChance: random.chance(0.3) ? 0 : this.#temper.cutChance,
      partialWriteChance: random.chance(0.5) ? 0 : this.#temper.partialWriteChance,
      resetLoses: random.chance(0.5),
      chunkMaxBytes: random.chance(0.8) ? 65_536 : 524_288,
    };
  }
}

/** One text for each address, so that it can be looked up. */
export function keyOf(address: Address): string {
  if ("port" in address) return `${address.host === "0.0.0.0" ? "127.0.0.1" : address.host}:${address.port}`;
  if ("path" in address) return address.path;
  return `fd:${address.fd}`;
}
