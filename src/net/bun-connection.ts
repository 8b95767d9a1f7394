/**
 * One connection on Bun: `Connection` over a socket of `Bun.listen` or `Bun.connect`, after `startTls` over the TLS half.
 *
 * Bun's sockets keep nothing: `write` takes what the kernel takes, and the rest is kept here and continued when there is
 * room. Its handlers are shared by all sockets and find the connection in `socket.data`.
 *
 * Invariants: `onClose` is called once and last; no callback runs inside a call of ours (Bun calls "close" inside
 * `end()`); nothing a callback throws leaves this file, because Bun would leave the socket open.
 */
import { BULK_BYTES, BULK_READ_BYTES_MIN, BulkPace } from "./bulk-pace.ts";
import type { Resting, Rests } from "./bulk-pace.ts";
import type { BunReadMemory } from "./bun-read-memory.ts";
import type { BunHandlers, BunSocket } from "./bun-socket.ts";
import { bunTlsOptions, bunTlsPeer } from "./bun-tls.ts";
import { asError, connectionError, warnOfThrow } from "./settled.ts";
import type { ConnectionError } from "./settled.ts";
import type { Connection, ConnectionEvents, Endpoint, TlsSettings } from "./transport.ts";

const NOWHERE: Endpoint = { address: "", port: 0 };

/** As much as Bun asks for in one read. */
const READ_BYTES = 512 * 1024;

export class BunConnection implements Connection, Resting {
  readonly #rests: Rests;
  readonly #memory: BunReadMemory;
  /** Null while connecting. */
  #socket: BunSocket<BunConnection> | null;
  #events: ConnectionEvents | null = null;
  #error: ConnectionError | null = null;
  #remote: Endpoint | null = null;
  #local: Endpoint | null = null;
  /** What the kernel did not take yet, in order; null when there is nothing. */
  #held: Uint8Array[] | null = null;
  #heldBytes = 0;
  /** No write any more: ended, destroyed or closed. */
  #mute = false;
  /** No callback any more but `onClose`. */
  #gone = false;
  #endSeen = false;
  #settled = false;
  #paused = false;
  #secure = false;
  #hasAuthority = false;
  /** A call of ours into Bun is on the stack. */
  #calling = false;
  #isResting = false;
  /** Received since the last write or short read. */
  #bulkBytes = 0;
  #pace: BulkPace | null = null;

  constructor(socket: BunSocket<BunConnection> | null, rests: Rests, memory: BunReadMemory) {
    this.#socket = socket;
    this.#rests = rests;
    this.#memory = memory;
  }

  /** Destroyed before there was a socket. */
  get abandoned(): boolean {
    return this.#gone && this.#socket === null;
  }

  /** Called once, before the event loop goes on. */
  attach(events: ConnectionEvents): void {
    this.#events = events;
  }

  get fd(): number {
    return this.#settled ? -1 : (this.#socket?.fd ?? -1);
  }

  get remote(): Endpoint {
    if (this.#remote !== null) return this.#remote;
    const address = this.#socket?.remoteAddress;
    if (address === undefined) return NOWHERE;
    this.#remote = { address, port: this.#socket?.remotePort ?? 0 };
    return this.#remote;
  }

  get local(): Endpoint {
    if (this.#local !== null) return this.#local;
    const address = this.#socket?.localAddress;
    if (address === undefined) return NOWHERE;
    this.#local = { address, port: this.#socket?.localPort ?? 0 };
    return this.#local;
  }

  write(bytes: Uint8Array, start = 0, end = bytes.length): number {
    if (this.#mute) return 0;
    this.#bulkBytes = 0;
    const socket = this.#socket;
    if (this.#held !== null || socket === null) return this.#hold(bytes.subarray(start, end));
    this.#calling = true;
    const taken = socket.write(bytes, start, end - start);
    this.#calling = false;
    if (taken === end - start) return 0;
    // −1: the connection is gone, its "close" follows.
    if (taken < 0) return 0;
    return this.#hold(bytes.subarray(start + taken, end));
  }

  pause(): void {
    this.#paused = true;
    this.#socket?.pause();
  }

  resume(): void {
    this.#paused = false;
    if (!this.#isResting) this.#socket?.resume();
  }

  rested(): void {
    this.#isResting = false;
    if (!this.#paused && !this.#gone) this.#socket?.resume();
  }

  end(): void {
    if (this.#mute) return;
    this.#mute = true;
    if (this.#held === null) this.#shutDown();
  }

  destroy(): void {
    this.#mute = true;
    if (this.#gone) return;
    this.#gone = true;
    this.#held = null;
    const socket = this.#socket;
    if (socket === null) {
      // A connect cannot be taken back: it is over for the owner now, and is closed if it ever succeeds.
      queueMicrotask(() => this.#settle());
      return;
    }
    this.#calling = true;
    // Under TLS `end()` would wait for a peer that may never answer.
    if (this.#secure) socket.terminate();
    else socket.end();
    this.#calling = false;
  }

  startTls(role: "server" | "client", settings: TlsSettings, early?: Uint8Array): void {
    const raw = this.#socket;
    if (this.#gone || raw === null) return;
    try {
      const tls = bunTlsOptions(role, settings);
      this.#hasAuthority = settings.ca !== undefined;
      // The address stays known when the plain socket is covered.
      void this.remote;
      void this.local;
      // Its handlers would go on to get the ciphertext.
      raw.data = null;
      if (this.#paused) this.resume();
      this.#calling = true;
      const [, secure] = raw.upgradeTLS({
        isServer: role === "server",
        tls,
        data: this,
        socket: HANDLERS,
        ...(early === undefined || early.length === 0 ? {} : { initialData: early }),
      });
      this.#calling = false;
      this.#secure = true;
      this.#socket = secure;
    } catch (error) {
      this.#calling = false;
      raw.data = this;
      this.fail(error);
    }
  }

  /** Closes the connection for a reason that `onClose` gets. */
  fail(reason: unknown): void {
    if (this.#gone) return;
    this.#error ??= asError(reason);
    this.destroy();
  }

  /** The outgoing connection is established. */
  opened(socket: BunSocket<BunConnection>): void {
    if (this.#gone) {
      socket.data = null;
      socket.terminate();
      return;
    }
    this.#socket = socket;
    const endedBefore = this.#mute;
    if (this.#paused) socket.pause();
    try {
      this.#events?.onOpen();
    } catch (error) {
      this.fail(error);
    }
    if (this.#held !== null) this.drain();
    else if (endedBefore && !this.#gone) this.#shutDown();
  }

  received(bytes: Uint8Array): void {
    if (this.#gone) return;
    const { length } = bytes;
    this.#memory.handedOut(bytes);
    try {
      this.#events?.onData(bytes);
    } catch (error) {
      this.fail(error);
    }
    if (length < BULK_READ_BYTES_MIN) this.#bulkBytes = 0;
    else if ((this.#bulkBytes += length) > BULK_BYTES) this.#receivedInBulk(length);
  }

  #receivedInBulk(bytes: number): void {
    const nowMs = performance.now();
    this.#pace = BulkPace.of(this.#pace, this.#bulkBytes, bytes, nowMs);
    if (!this.#pace.received(bytes, bytes < READ_BYTES, nowMs) || this.#isResting || this.#gone) return;
    // Under TLS a read brings what could be decrypted and does not say whether there is more. A Unix socket's buffer is small
    // and stays so.
    if (this.#secure || this.remote.address === "") return;
    this.#isResting = true;
    this.#socket?.pause();
    this.#rests.begin(this);
  }

  /** There is room again: writes what is held. */
  drain(): void {
    const socket = this.#socket;
    const held = this.#held;
    if (held === null || socket === null) return;
    let sent = 0;
    this.#calling = true;
    while (sent < held.length) {
      const bytes = held[sent] as Uint8Array;
      const taken = socket.write(bytes);
      if (taken < 0) break;
      this.#heldBytes -= taken;
      if (taken < bytes.length) {
        held[sent] = bytes.subarray(taken);
        break;
      }
      sent++;
    }
    this.#calling = false;
    if (sent < held.length) {
      held.splice(0, sent);
      return;
    }
    this.#held = null;
    if (this.#gone) return;
    if (this.#mute) this.#shutDown();
    try {
      this.#events?.onDrain();
    } catch (error) {
      this.fail(error);
    }
  }

  shaken(error: ConnectionError | null): void {
    const socket = this.#socket;
    if (this.#gone || socket === null) return;
    const peer = bunTlsPeer(socket, this.#hasAuthority, error);
    if (peer === null) {
      this.fail(
        error?.code === undefined
          ? connectionError("ERR_TLS_HANDSHAKE", error?.message ?? "TLS handshake failed")
          : error,
      );
      return;
    }
    try {
      this.#events?.onSecure(peer);
    } catch (thrown) {
      this.fail(thrown);
    }
  }

  ended(): void {
    if (this.#gone) return;
    this.#endSeen = true;
    try {
      this.#events?.onEnd();
    } catch (error) {
      this.fail(error);
    }
  }

  /** Bun's last word about the socket, or about a connect that failed. */
  closed(error: Error | undefined): void {
    if (error !== undefined && !this.#gone) this.#error ??= error;
    this.#mute = true;
    if (this.#calling) queueMicrotask(() => this.#finish());
    else this.#finish();
  }

  #hold(bytes: Uint8Array): number {
    if (this.#held === null) this.#held = [bytes];
    else this.#held.push(bytes);
    this.#heldBytes += bytes.length;
    return this.#heldBytes;
  }

  #shutDown(): void {
    this.#calling = true;
    this.#socket?.shutdown();
    this.#calling = false;
  }

  #finish(): void {
    // A FIN that answers ours closes the socket without an "end".
    if (this.#error === null && !this.#endSeen && this.#socket !== null) this.ended();
    this.#gone = true;
    this.#settle();
  }

  #settle(): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#held = null;
    const events = this.#events;
    this.#events = null;
    try {
      events?.onClose(this.#error);
    } catch (error) {
      warnOfThrow("onClose", error);
    }
  }
}

/** The handlers of all sockets, plain and secure, accepted and connected. */
export const HANDLERS: BunHandlers<BunConnection> = {
  data: (socket, bytes) => socket.data?.received(bytes),
  drain: (socket) => socket.data?.drain(),
  end: (socket) => socket.data?.ended(),
  close: (socket, error) => socket.data?.closed(error),
  error: (socket, error) => socket.data?.fail(error),
  handshake: (socket, _trusted, error) => socket.data?.shaken(error),
};
