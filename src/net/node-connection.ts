/**
 * One connection on Node: `Connection` over a `net.Socket`, and after `startTls` over a `tls.TLSSocket` on top of it.
 *
 * Neither what is received nor what is written goes through the stream. All sockets of a transport read into one piece of
 * memory (`onread`, `node-read-memory.ts`), and what came is copied out of it, because it must be the callee's for good. That
 * halves the user time per event: a stream allocates 64 KiB for each read and gives back what it did not need. Writes are in
 * `node-direct-write.ts`; the stream does them during a TLS handshake, and where Node does not let us.
 *
 * The callbacks are shared functions that find the connection on the socket.
 *
 * Invariants: `onClose` is called once and last; no callback runs inside a call of ours; nothing a callback throws
 * leaves this file.
 */
import type { Socket } from "node:net";
import { connect as connectTls, TLSSocket } from "node:tls";
import { BULK_BYTES, BULK_READ_BYTES_MIN, BulkPace } from "./bulk-pace.ts";
import type { Resting, Rests } from "./bulk-pace.ts";
import type { DirectWriter, DirectWrites, WriterOwner } from "./node-direct-write.ts";
import { socketHandle } from "./node-handle.ts";
import { readAsCovered } from "./node-read-memory.ts";
import { tlsPeerOf } from "./node-tls.ts";
import type { NodeTlsContexts } from "./node-tls.ts";
import { asError, warnOfThrow } from "./settled.ts";
import type { ConnectionError } from "./settled.ts";
import type { Connection, ConnectionEvents, Endpoint, TlsSettings } from "./transport.ts";

const CONNECTION = Symbol("connection");
type OwnedSocket = Socket & { [CONNECTION]: NodeConnection };

const NOTHING = Buffer.alloc(0);
const NOWHERE: Endpoint = { address: "", port: 0 };

/** As much as libuv asks for in one read. */
export const READ_BYTES = 64 * 1024;

export class NodeConnection implements Connection, WriterOwner, Resting {
  readonly #contexts: NodeTlsContexts;
  readonly #writes: DirectWrites;
  readonly #rests: Rests;
  #socket: Socket;
  #events: ConnectionEvents | null = null;
  #error: ConnectionError | null = null;
  #remote: Endpoint | null = null;
  #local: Endpoint | null = null;
  /** No write any more: ended, destroyed or closed. */
  #mute = false;
  /** No callback any more but `onClose`. */
  #gone = false;
  /** Past the stream; null before the connection is open, and during a handshake. */
  #direct: DirectWriter | null = null;
  #awaitsDrain = false;
  #drained: (() => void) | null = null;
  /** The stream ends when what is held has gone. */
  #endsWhenWritten = false;
  /** The owner wants nothing now. */
  #paused = false;
  #isResting = false;
  /** Received since the last write or short read. */
  #bulkBytes = 0;
  #pace: BulkPace | null = null;

  constructor(socket: Socket, contexts: NodeTlsContexts, writes: DirectWrites, rests: Rests) {
    this.#contexts = contexts;
    this.#writes = writes;
    this.#rests = rests;
    this.#socket = socket;
    (socket as OwnedSocket)[CONNECTION] = this;
    socket.on("end", ended);
    socket.on("error", failed);
    socket.on("close", closed);
    if (!socket.connecting) this.#direct = writes.plainWriterOf(socket, this);
  }

  /** Called once, before the event loop goes on. */
  attach(events: ConnectionEvents): void {
    this.#events = events;
  }

  get fd(): number {
    return socketHandle(this.#socket)?.fd ?? -1;
  }

  get remote(): Endpoint {
    if (this.#remote !== null) return this.#remote;
    const { remoteAddress: address, remotePort: port } = this.#socket;
    if (address === undefined) return NOWHERE;
    this.#remote = { address, port: port ?? 0 };
    return this.#remote;
  }

  get local(): Endpoint {
    if (this.#local !== null) return this.#local;
    const { localAddress: address, localPort: port } = this.#socket;
    if (address === undefined) return NOWHERE;
    this.#local = { address, port: port ?? 0 };
    return this.#local;
  }

  write(bytes: Uint8Array, start = 0, end = bytes.length): number {
    if (this.#mute) return 0;
    this.#bulkBytes = 0;
    const direct = this.#direct;
    if (direct !== null) {
      const error = direct.write(bytes, start, end);
      if (error !== null) {
        this.fail(error);
        return 0;
      }
      if (direct.held > 0) this.#awaitsDrain = true;
      return direct.held;
    }
    const socket = this.#socket;
    socket.write(bytes.subarray(start, end));
    const held = socket.writableLength;
    if (held > 0 && !this.#awaitsDrain) this.#awaitDrain();
    return held;
  }

  pause(): void {
    this.#paused = true;
    this.#socket.pause();
  }

  resume(): void {
    this.#paused = false;
    if (!this.#isResting) this.#socket.resume();
  }

  rested(): void {
    this.#isResting = false;
    if (!this.#paused && !this.#gone) this.#socket.resume();
  }

  end(): void {
    if (this.#mute) return;
    this.#mute = true;
    if (this.#direct?.delaysEnd === true) this.#endsWhenWritten = true;
    else this.#socket.end();
  }

  destroy(): void {
    this.#mute = true;
    this.#gone = true;
    this.#socket.destroy();
  }

  startTls(role: "server" | "client", settings: TlsSettings, early?: Uint8Array): void {
    if (this.#gone) return;
    const raw = this.#socket;
    // The address stays known when the plain socket is covered.
    void this.remote;
    void this.local;
    this.#direct = null;
    this.#paused = false;
    raw.off("end", ended);
    raw.off("close", closed);
    try {
      if (early !== undefined && early.length > 0) raw.unshift(early);
      const secureContext = this.#contexts.of(settings);
      const alpn = settings.alpn === undefined ? {} : { ALPNProtocols: [settings.alpn] };
      const secure =
        role === "server"
          ? new TLSSocket(raw, {
              isServer: true,
              secureContext,
              requestCert: settings.requestCertificate === true,
              rejectUnauthorized: false,
              ...alpn,
            })
          : connectTls({
              socket: raw,
              secureContext,
              rejectUnauthorized: false,
              checkServerIdentity: () => undefined,
              ...(settings.serverName === undefined ? {} : { servername: settings.serverName }),
              ...alpn,
            });
      this.#socket = secure;
      (secure as TLSSocket & OwnedSocket)[CONNECTION] = this;
      secure.on("secure", secured);
      if (readAsCovered(secure, raw)) secure.resume();
      else secure.on("data", decrypted);
      secure.on("end", ended);
      secure.on("error", failed);
      secure.on("close", closed);
    } catch (error) {
      raw.on("close", closed);
      this.fail(error);
    }
  }

  /** Closes the connection for a reason that `onClose` gets. */
  fail(reason: unknown): void {
    if (this.#gone) return;
    this.#error ??= asError(reason);
    this.destroy();
  }

  /** The plain socket is connected. */
  opened(): void {
    if (this.#gone) return;
    this.#direct = this.#writes.plainWriterOf(this.#socket, this);
    try {
      this.#events?.onOpen();
    } catch (error) {
      this.fail(error);
    }
  }

  received(bytes: Uint8Array): void {
    if (this.#gone) return;
    const { length } = bytes;
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
    // Under TLS a read brings a record and does not say whether there are more. A Unix socket's buffer is small and stays so.
    if (this.#socket instanceof TLSSocket || this.remote.address === "") return;
    this.#isResting = true;
    this.#socket.pause();
    this.#rests.begin(this);
  }

  secured(): void {
    if (this.#gone) return;
    this.#direct = this.#writes.tlsWriterOf(this.#socket, this);
    try {
      this.#events?.onSecure(tlsPeerOf(this.#socket as TLSSocket));
    } catch (error) {
      this.fail(error);
    }
  }

  ended(): void {
    if (this.#gone) return;
    try {
      this.#events?.onEnd();
    } catch (error) {
      this.fail(error);
    }
  }

  /** What was written past the stream has gone, or never will. */
  written(error: ConnectionError | null): void {
    if (this.#gone) return;
    if (error !== null) {
      this.fail(error);
      return;
    }
    if (this.#endsWhenWritten) this.#socket.end();
    if (!this.#awaitsDrain) return;
    this.#awaitsDrain = false;
    this.#tellDrained();
  }

  /** The runtime reports an error; its "close" follows. */
  failed(error: Error): void {
    // After a `destroy` of ours nobody wants to know.
    if (!this.#gone) this.#error ??= error;
    this.#mute = true;
  }

  closed(): void {
    this.#mute = true;
    this.#gone = true;
    const events = this.#events;
    this.#events = null;
    try {
      events?.onClose(this.#error);
    } catch (error) {
      warnOfThrow("onClose", error);
    }
  }

  /**
   * The stream's own "drain" comes only after a high-water mark, and a callback with each write costs a tick each: an
   * empty write behind those that are held tells when they are gone.
   */
  #awaitDrain(): void {
    this.#awaitsDrain = true;
    this.#drained ??= () => this.#onWritten();
    this.#socket.write(NOTHING, this.#drained);
  }

  #onWritten(): void {
    this.#awaitsDrain = false;
    if (this.#gone) return;
    if (this.#socket.writableLength > 0) {
      if (!this.#mute) this.#awaitDrain();
      return;
    }
    this.#tellDrained();
  }

  #tellDrained(): void {
    try {
      this.#events?.onDrain();
    } catch (error) {
      this.fail(error);
    }
  }
}

/** Something was read by a socket that belongs to a `NodeConnection`. */
export function receivedBy(socket: Socket, bytes: Uint8Array): void {
  (socket as OwnedSocket)[CONNECTION].received(bytes);
}

function decrypted(this: Socket, bytes: Uint8Array): void {
  receivedBy(this, bytes);
}

function secured(this: Socket): void {
  (this as OwnedSocket)[CONNECTION].secured();
}

function ended(this: Socket): void {
  (this as OwnedSocket)[CONNECTION].ended();
}

function failed(this: Socket, error: Error): void {
  (this as OwnedSocket)[CONNECTION].failed(error);
}

function closed(this: Socket): void {
  (this as OwnedSocket)[CONNECTION].closed();
}
