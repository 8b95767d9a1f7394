/**
 * Writing to a socket on Node past its stream: what the stream does for a write is to keep what the kernel did not take,
 * which libuv does too, and it takes longer than the system call's own way through libuv. Measured: `docs/internals/performance.md`.
 *
 * A plain socket: libuv tries the kernel at once and keeps the rest in order; a shutdown that the stream asks for comes behind
 * it. So a socket can be written to directly as long as its stream holds nothing. Under TLS one write at a time may be under way,
 * and it is never done at once; what comes meanwhile waits here, and so must the end of the stream.
 *
 * What is used here is Node's own way to its streams (`lib/internal/stream_base_commons.js`), which has not changed since Node 12 and
 * is no public interface: where it is not found, there is no writer, and the stream does the writing.
 */
import type { Socket } from "node:net";
import { getSystemErrorName } from "node:util";
import { socketHandle } from "./node-handle.ts";
import { connectionError } from "./settled.ts";
import type { ConnectionError } from "./settled.ts";

interface StreamHandle {
  /** Bytes that libuv keeps. */
  readonly writeQueueSize: number;
  /** 0, or an error of libuv's. `request` and `bytes` are libuv's until `oncomplete`, if the write is asynchronous. */
  writeBuffer(request: WriteRequest, bytes: Uint8Array): number;
  /** The same of several pieces; `allBuffers` says that none is text. */
  writev(request: WriteRequest, pieces: readonly Uint8Array[], allBuffers: boolean): number;
}

interface WriteRequest {
  oncomplete: ((this: WriteRequest, status: number) => void) | null;
  /** Keeps the memory alive. */
  memory: Uint8Array | readonly Uint8Array[] | null;
  writer: PlainWriter | TlsWriter | null;
}

interface StreamBinding {
  readonly WriteWrap: new () => WriteRequest;
  readonly streamBaseState: Readonly<Int32Array>;
  readonly kLastWriteWasAsync: number;
}

/** Who writes. */
export interface WriterOwner {
  /** What was held has gone, all of it; or never will, and why. */
  written(error: ConnectionError | null): void;
}

/** What a connection writes to. */
export interface DirectWriter {
  /** Bytes that are not in the kernel yet. */
  readonly held: number;
  /** The stream may not end yet: it would overtake what is held. */
  readonly delaysEnd: boolean;
  /** Takes all of `bytes[start, end)`; they may be written to again when `held` is 0. Returns why the connection is beyond help, or null. */
  write(bytes: Uint8Array, start: number, end: number): ConnectionError | null;
}

/** Of one transport: what its sockets have in common for this. */
export class DirectWrites {
  readonly #binding = streamBinding();
  /** For the next write of any socket: one that is not asynchronous has done with it when it returns. */
  #spare: WriteRequest | null = null;

  /** For a connected plain socket whose stream holds nothing and is not written to any more. Null where Node does not let us. */
  plainWriterOf(socket: Socket, owner: WriterOwner): DirectWriter | null {
    const handle = this.#handleOf(socket);
    return handle === null ? null : new PlainWriter(this, handle, owner);
  }

  /** The same for a socket under TLS behind its handshake. */
  tlsWriterOf(socket: Socket, owner: WriterOwner): DirectWriter | null {
    const handle = this.#handleOf(socket);
    return handle === null ? null : new TlsWriter(this, handle, owner);
  }

  /** For `PlainWriter`. Returns 0, or an error of libuv's. */
  write(writer: PlainWriter, handle: StreamHandle, bytes: Uint8Array): number {
    const { WriteWrap, streamBaseState, kLastWriteWasAsync } = this.#binding as StreamBinding;
    const request = (this.#spare ??= new WriteWrap());
    const status = handle.writeBuffer(request, bytes);
    if (status === 0 && streamBaseState[kLastWriteWasAsync] !== 0) {
      request.memory = bytes;
      request.writer = writer;
      request.oncomplete = completed;
      this.#spare = null;
    }
    return status;
  }

  /** For `TlsWriter`: `memory` is written whole and not at once. Returns 0, or an error of libuv's. */
  writeLater(writer: TlsWriter, handle: StreamHandle, memory: Uint8Array | readonly Uint8Array[]): number {
    const request = new (this.#binding as StreamBinding).WriteWrap();
    request.memory = memory;
    request.writer = writer;
    request.oncomplete = completed;
    return memory instanceof Uint8Array ? handle.writeBuffer(request, memory) : handle.writev(request, memory, true);
  }

  #handleOf(socket: Socket): StreamHandle | null {
    const handle = socketHandle(socket) as (Partial<StreamHandle> & object) | null;
    if (this.#binding === null || handle === null || socket.writableLength > 0) return null;
    if (typeof handle.writeBuffer !== "function" || typeof handle.writev !== "function") return null;
    return typeof handle.writeQueueSize === "number" ? (handle as StreamHandle) : null;
  }
}

class PlainWriter implements DirectWriter {
  readonly #writes: DirectWrites;
  readonly #handle: StreamHandle;
  readonly #owner: WriterOwner;

  constructor(writes: DirectWrites, handle: StreamHandle, owner: WriterOwner) {
    this.#writes = writes;
    this.#handle = handle;
    this.#owner = owner;
  }

  get held(): number {
    return this.#handle.writeQueueSize;
  }

  get delaysEnd(): boolean {
    return false;
  }

  write(bytes: Uint8Array, start: number, end: number): ConnectionError | null {
    return writeError(this.#writes.write(this, this.#handle, part(bytes, start, end)));
  }

  /** An asynchronous write has ended. */
  completed(status: number): void {
    if (status !== 0 || this.held === 0) this.#owner.written(writeError(status));
  }
}

class TlsWriter implements DirectWriter {
  readonly #writes: DirectWrites;
  readonly #handle: StreamHandle;
  readonly #owner: WriterOwner;
  #held = 0;
  /** Behind the write that is under way. */
  #waiting: Uint8Array[] | null = null;

  constructor(writes: DirectWrites, handle: StreamHandle, owner: WriterOwner) {
    this.#writes = writes;
    this.#handle = handle;
    this.#owner = owner;
  }

  get held(): number {
    return this.#held;
  }

  get delaysEnd(): boolean {
    return this.#held > 0;
  }

  write(bytes: Uint8Array, start: number, end: number): ConnectionError | null {
    if (start === end) return null;
    const isUnderWay = this.#held > 0;
    this.#held += end - start;
    const memory = part(bytes, start, end);
    if (!isUnderWay) return writeError(this.#writes.writeLater(this, this.#handle, memory));
    if (this.#waiting === null) this.#waiting = [memory];
    else this.#waiting.push(memory);
    return null;
  }

  completed(status: number): void {
    const waiting = this.#waiting;
    if (status !== 0) {
      this.#owner.written(writeError(status));
    } else if (waiting === null) {
      this.#held = 0;
      this.#owner.written(null);
    } else {
      this.#waiting = null;
      this.#held = waiting.reduce((bytes, { length }) => bytes + length, 0);
      const error = writeError(this.#writes.writeLater(this, this.#handle, waiting));
      if (error !== null) this.#owner.written(error);
    }
  }
}

function part(bytes: Uint8Array, start: number, end: number): Uint8Array {
  const isWhole = start === 0 && end === bytes.length;
  return isWhole ? bytes : new Uint8Array(bytes.buffer, bytes.byteOffset + start, end - start);
}

function completed(this: WriteRequest, status: number): void {
  const { writer } = this;
  this.memory = null;
  this.writer = null;
  writer?.completed(status);
}

function writeError(status: number): ConnectionError | null {
  if (status === 0) return null;
  const code = getSystemErrorName(status);
  return connectionError(code, `write ${code}`);
}

function streamBinding(): StreamBinding | null {
  const load = Reflect.get(process, "binding") as ((name: string) => Partial<StreamBinding>) | undefined;
  if (typeof load !== "function") return null;
  try {
    const binding = load.call(process, "stream_wrap");
    const isKnown =
      typeof binding.WriteWrap === "function" &&
      binding.streamBaseState instanceof Int32Array &&
      typeof binding.kLastWriteWasAsync === "number";
    return isKnown ? (binding as StreamBinding) : null;
  } catch {
    return null;
  }
}
