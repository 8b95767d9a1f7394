/**
 * One end of a simulated connection.
 *
 * Keeps every promise of `src/net/transport.ts` and exercises every freedom it leaves: writes are taken only in part,
 * what arrives is cut anywhere, a FIN waits while reading is paused, a reset loses what was read ahead or delivers it.
 *
 *     write ─▶ held (the caller's memory) ─▶ inbox of the peer (at most `windowBytes`) ─▶ onData of the peer
 *              └ > 0 until onDrain            └ stands still while the peer is paused
 *
 * Not responsible for: who connects to whom (`sim-network.ts`).
 */
import type { Connection, ConnectionEvents, Endpoint, TlsSettings } from "../../src/net/transport.ts";
import type { Random } from "./random.ts";

/** How one connection behaves. Drawn from the seed when it is made. */
export interface ConnectionTemper {
  /** How much lies in the kernels between the two ends. */
  readonly windowBytes: number;
  /** Time on the way, each piece anew between these two. */
  readonly latencyMinMs: number;
  readonly latencyMaxMs: number;
  /** How often a delivery is cut short. */
  readonly cutChance: number;
  /** How often a write is taken only in part although there is room. */
  readonly partialWriteChance: number;
  /** A reset of a paused end: are the bytes that had arrived lost, or delivered although it is paused? */
  readonly resetLoses: boolean;
  /** The longest piece delivered at once. */
  readonly chunkMaxBytes: number;
}

/** What the ends need of the network they live in. */
export interface ConnectionHost {
  readonly random: Random;
  plan(delayMs: number, task: () => void): void;
  /** A callback threw. */
  thrown(end: SimConnection, error: unknown): void;
  note(kind: number, end: SimConnection, size: number): void;
  closed(end: SimConnection): void;
  /** A chunk is about to be given to `onData`. */
  handedOut(chunk: Uint8Array): void;
}

/** Kinds of events in the chronicle's hash. */
const Noted = { open: 1, data: 2, drain: 3, end: 4, close: 5 } as const;

export class SimConnection implements Connection {
  readonly id: number;
  /** "engine" ends are what is being tested; "actor" ends belong to scripted clients and servers. */
  readonly side: "engine" | "actor";
  readonly remote: Endpoint;
  readonly local: Endpoint;
  readonly temper: ConnectionTemper;
  events: ConnectionEvents | null = null;
  peer: SimConnection | null = null;
  /** The first bytes ever written here, for whoever wants to know what kind of connection this is. */
  firstBytes: Uint8Array | null = null;
  /** The most that `write` ever had to hold. */
  heldPeakBytes = 0;
  /** Bytes handed to `onData`, and bytes given to `write`. */
  receivedBytes = 0;
  writtenBytes = 0;
  readonly #host: ConnectionHost;
  #opened = false;
  #paused = false;
  #ended = false;
  #finReceived = false;
  #destroyed = false;
  #closePlanned = false;
  #closed = false;
  #peerFin = false;
  #wakePlanned = false;
  #drainPlanned = false;
  #refillPlanned = false;
  #inbox: Uint8Array[] = [];
  #inboxBytes = 0;
  #held: Uint8Array[] = [];
  #heldBytes = 0;

  constructor(
    id: number,
    side: "engine" | "actor",
    local: Endpoint,
    remote: Endpoint,
    temper: ConnectionTemper,
    host: ConnectionHost,
  ) {
    this.id = id;
    this.side = side;
    this.local = local;
    this.remote = remote;
    this.temper = temper;
    this.#host = host;
  }

  get fd(): number {
    return this.#closed || this.#destroyed ? -1 : this.id;
  }

  /** Neither ended, destroyed nor closed by its owner: it counts against limits. */
  get inUse(): boolean {
    return !this.#ended && !this.#destroyed && !this.#closed;
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  get isPaused(): boolean {
    return this.#paused;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Bytes that have arrived and were not delivered yet. */
  get inboxBytes(): number {
    return this.#inboxBytes;
  }

  write(memory: Uint8Array, start = 0, end = memory.length): number {
    if (this.#ended || this.#destroyed || this.#closed) return 0;
    const bytes = memory.subarray(start, end);
    this.writtenBytes += bytes.length;
    if (this.firstBytes === null && bytes.length > 0) this.firstBytes = new Uint8Array(bytes.subarray(0, 16));
    if (!this.#opened) {
      this.#hold(bytes);
      return this.#heldBytes;
    }
    if (this.#heldBytes > 0) {
      this.#hold(bytes);
      return this.#heldBytes;
    }
    const random = this.#host.random;
    let taken = Math.min(bytes.length, this.#room());
    if (taken > 0 && random.chance(this.temper.partialWriteChance)) taken = random.below(taken + 1);
    // A copy (`slice` of a Buffer is none): what the kernel has taken is the caller's memory again, to scribble over.
    if (taken > 0) this.#give(new Uint8Array(bytes.subarray(0, taken)));
    if (taken < bytes.length) {
      this.#hold(bytes.subarray(taken));
      this.#planRefill();
    }
    return this.#heldBytes;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#planWake();
  }

  startTls(_role: "server" | "client", _settings: TlsSettings, _early?: Uint8Array): void {
    this.reset("ERR_SIM_NO_TLS");
  }

  end(): void {
    if (this.#ended || this.#destroyed || this.#closed) return;
    this.#ended = true;
    this.#afterHeldGone();
  }

  destroy(): void {
    if (this.#destroyed || this.#closed) return;
    this.#destroyed = true;
    const unread = this.#inboxBytes > 0;
    this.#dropAll();
    const peer = this.peer;
    if (peer !== null && !peer.#closed) {
      // A kernel that closes a socket with unread bytes answers with a reset, otherwise with a FIN.
      if (unread) this.#host.plan(this.#latency(), () => peer.reset("ECONNRESET"));
      else if (!this.#finReceivedByPeer()) {
        peer.#peerFin = true;
        peer.#planWake();
      }
      // What the peer still holds goes nowhere, and that is how it learns.
      peer.#planRefill();
    }
    this.#planClose(null);
  }

  /** The connection breaks: this end learns it now, as from a reset that has just arrived. */
  reset(code: string): void {
    if (this.#destroyed || this.#closed || this.#closePlanned) return;
    if (!this.temper.resetLoses && this.#inboxBytes > 0 && this.#opened) this.#deliver(this.#inboxBytes);
    if (this.#destroyed || this.#closed || this.#closePlanned) return;
    this.#dropAll();
    this.#destroyed = true;
    const peer = this.peer;
    if (peer !== null && !peer.#closed && !peer.#destroyed) {
      this.#host.plan(this.#latency(), () => peer.reset("ECONNRESET"));
    }
    this.#planClose(Object.assign(new Error(`simulated ${code}`), { code }));
  }

  /** The network has established the connection; accepted ends are open from the start. */
  opened(announce: boolean): void {
    if (this.#destroyed || this.#closed) return;
    this.#opened = true;
    if (announce) {
      this.#host.note(Noted.open, this, 0);
      this.#call((events) => events.onOpen());
    }
    this.#planRefill();
    this.#planWake();
    this.#afterHeldGone();
  }

  /** The connection could not be established. */
  refused(code: string): void {
    if (this.#destroyed || this.#closed) return;
    this.#destroyed = true;
    this.#planClose(Object.assign(new Error(`simulated ${code}`), { code }));
  }

  #room(): number {
    const peer = this.peer;
    if (peer === null) return 0;
    // What is sent to a peer that has gone disappears; the answer to it is a reset.
    if (peer.#destroyed || peer.#closed) return Number.MAX_SAFE_INTEGER;
    return Math.max(0, this.temper.windowBytes - peer.#inboxBytes);
  }

  #hold(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#held.push(bytes);
    this.#heldBytes += bytes.length;
    if (this.#heldBytes > this.heldPeakBytes) this.heldPeakBytes = this.#heldBytes;
  }

  #give(bytes: Uint8Array): void {
    const peer = this.peer;
    if (peer === null) return;
    if (peer.#destroyed || peer.#closed) {
      this.#host.plan(this.#latency(), () => this.reset("EPIPE"));
      return;
    }
    peer.#inbox.push(bytes);
    peer.#inboxBytes += bytes.length;
    peer.#planWake();
  }

  #planRefill(): void {
    if (this.#refillPlanned || this.#heldBytes === 0) return;
    this.#refillPlanned = true;
    this.#host.plan(this.#latency(), () => {
      this.#refillPlanned = false;
      this.#refill();
    });
  }

  /** The kernel has room again and takes what was held. */
  #refill(): void {
    if (this.#destroyed || this.#closed || !this.#opened) return;
    let room = this.#room();
    while (room > 0 && this.#heldBytes > 0) {
      const first = this.#held[0] as Uint8Array;
      const taken = Math.min(room, first.length);
      this.#give(new Uint8Array(first.subarray(0, taken)));
      if (taken === first.length) this.#held.shift();
      else this.#held[0] = first.subarray(taken);
      this.#heldBytes -= taken;
      room -= taken;
      if (this.#heldBytes === 0) this.#planDrain();
    }
    this.#afterHeldGone();
  }

  #planDrain(): void {
    if (this.#drainPlanned) return;
    this.#drainPlanned = true;
    this.#host.plan(0, () => {
      this.#drainPlanned = false;
      if (this.#destroyed || this.#closed || this.#heldBytes > 0) return;
      this.#host.note(Noted.drain, this, 0);
      this.#call((events) => events.onDrain());
    });
  }

  /** The FIN goes out behind the last held byte. */
  #afterHeldGone(): void {
    if (!this.#ended || this.#destroyed || this.#heldBytes > 0 || !this.#opened) return;
    const peer = this.peer;
    if (peer !== null && !peer.#peerFin) {
      peer.#peerFin = true;
      peer.#planWake();
    }
    this.#closeIfBothEnded();
  }

  #finReceivedByPeer(): boolean {
    const peer = this.peer;
    return peer === null || peer.#peerFin;
  }

  #planWake(): void {
    if (this.#wakePlanned || this.#paused || !this.#opened || this.#destroyed || this.#closed) return;
    if (this.#inboxBytes === 0 && (!this.#peerFin || this.#finReceived)) return;
    this.#wakePlanned = true;
    this.#host.plan(this.#latency(), () => {
      this.#wakePlanned = false;
      this.#wake();
    });
  }

  #wake(): void {
    if (this.#paused || this.#destroyed || this.#closed) return;
    const random = this.#host.random;
    if (this.#inboxBytes > 0) {
      let size = Math.min(this.#inboxBytes, this.temper.chunkMaxBytes);
      if (size > 1 && random.chance(this.temper.cutChance)) {
        size = random.chance(0.3) ? Math.min(size, random.between(1, 8)) : random.between(1, size);
      }
      this.#deliver(size);
      const peer = this.peer;
      if (peer !== null) peer.#planRefill();
      this.#planWake();
      return;
    }
    if (this.#peerFin && !this.#finReceived) {
      this.#finReceived = true;
      this.#host.note(Noted.end, this, 0);
      this.#call((events) => events.onEnd());
      this.#closeIfBothEnded();
    }
  }

  #deliver(size: number): void {
    const chunk = new Uint8Array(size);
    let filled = 0;
    while (filled < size) {
      const first = this.#inbox[0] as Uint8Array;
      const taken = Math.min(first.length, size - filled);
      chunk.set(taken === first.length ? first : first.subarray(0, taken), filled);
      filled += taken;
      if (taken === first.length) this.#inbox.shift();
      else this.#inbox[0] = first.subarray(taken);
    }
    this.#inboxBytes -= size;
    this.receivedBytes += size;
    this.#host.note(Noted.data, this, size);
    this.#host.handedOut(chunk);
    this.#call((events) => events.onData(chunk));
  }

  #closeIfBothEnded(): void {
    if (this.#ended && this.#finReceived && this.#heldBytes === 0 && !this.#destroyed) {
      this.#destroyed = true;
      this.#planClose(null);
    }
  }

  #planClose(error: (Error & { code?: string }) | null): void {
    if (this.#closePlanned) return;
    this.#closePlanned = true;
    this.#host.plan(this.#host.random.chance(0.5) ? 0 : this.#latency(), () => {
      this.#closed = true;
      this.#host.note(Noted.close, this, error === null ? 0 : 1);
      this.#host.closed(this);
      this.#call((events) => events.onClose(error));
      this.events = null;
    });
  }

  /** A callback that throws costs its own connection only. */
  #call(callback: (events: ConnectionEvents) => void): void {
    const events = this.events;
    if (events === null) return;
    try {
      callback(events);
    } catch (error) {
      this.#host.thrown(this, error);
      if (this.#destroyed || this.#closed) return;
      this.#dropAll();
      this.#destroyed = true;
      const peer = this.peer;
      if (peer !== null) this.#host.plan(this.#latency(), () => peer.reset("ECONNRESET"));
      this.#planClose(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #dropAll(): void {
    this.#inbox = [];
    this.#inboxBytes = 0;
    this.#held = [];
    this.#heldBytes = 0;
  }

  #latency(): number {
    const { latencyMinMs, latencyMaxMs } = this.temper;
    return latencyMinMs + this.#host.random.fraction() * (latencyMaxMs - latencyMinMs);
  }
}
