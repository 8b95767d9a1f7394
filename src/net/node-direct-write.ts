/**
 * Writing to a plain socket on Node past its stream: what the stream does for a write is to keep what the kernel did not take,
 * which libuv does too, and it takes longer than the system call's own way through libuv. Measured: `docs/internals/performance.md`.
 *
 * Libuv tries the kernel at once and keeps the rest in order; a shutdown that the stream asks for comes behind it. So a socket can be
 * written to directly as long as its stream holds nothing.
 *
 * What is used here is Node's own way to its streams (`lib/internal/stream_base_commons.js`), which has not changed since Node 12 and
 * is no public interface: where it is not found, `writerOf` returns null, and the stream does the writing.
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
}

interface WriteRequest {
  oncomplete: ((this: WriteRequest, status: number) => void) | null;
  /** Keeps the memory alive. */
  buffer: Uint8Array | null;
  writer: DirectWriter | null;
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

/** Of one transport: what its sockets have in common for this. */
export class DirectWrites {
  readonly #binding = streamBinding();
  /** For the next write of any socket: one that is not asynchronous has done with it when it returns. */
  #spare: WriteRequest | null = null;

  /** For a connected plain socket whose stream holds nothing and is not written to any more. Null where Node does not let us. */
  writerOf(socket: Socket, owner: WriterOwner): DirectWriter | null {
    const handle = socketHandle(socket) as (Partial<StreamHandle> & object) | null;
    if (this.#binding === null || handle === null || socket.writableLength > 0) return null;
    if (typeof handle.writeBuffer !== "function" || typeof handle.writeQueueSize !== "number") return null;
    return new DirectWriter(this, handle as StreamHandle, owner);
  }

  /** For `DirectWriter`. Returns 0, or an error of libuv's. */
  write(writer: DirectWriter, handle: StreamHandle, bytes: Uint8Array): number {
    const { WriteWrap, streamBaseState, kLastWriteWasAsync } = this.#binding as StreamBinding;
    const request = (this.#spare ??= new WriteWrap());
    const status = handle.writeBuffer(request, bytes);
    if (status === 0 && streamBaseState[kLastWriteWasAsync] !== 0) {
      request.buffer = bytes;
      request.writer = writer;
      request.oncomplete = completed;
      this.#spare = null;
    }
    return status;
  }
}

/** Of one socket. */
export class DirectWriter {
  readonly #writes: DirectWrites;
  readonly #handle: StreamHandle;
  readonly #owner: WriterOwner;

  constructor(writes: DirectWrites, handle: StreamHandle, owner: WriterOwner) {
    this.#writes = writes;
    this.#handle = handle;
    this.#owner = owner;
  }

  /** Bytes that are not in the kernel yet. */
  get held(): number {
    return this.#handle.writeQueueSize;
  }

  /** Takes all of `bytes[start, end)`; they may be written to again when `held` is 0. Returns why the connection is beyond help, or null. */
  write(bytes: Uint8Array, start: number, end: number): ConnectionError | null {
    const isWhole = start === 0 && end === bytes.length;
    const written = isWhole ? bytes : new Uint8Array(bytes.buffer, bytes.byteOffset + start, end - start);
    const status = this.#writes.write(this, this.#handle, written);
    return status === 0 ? null : writeError(status);
  }

  /** An asynchronous write has ended. */
  completed(status: number): void {
    if (status !== 0) this.#owner.written(writeError(status));
    else if (this.held === 0) this.#owner.written(null);
  }
}

function completed(this: WriteRequest, status: number): void {
  const { writer } = this;
  this.buffer = null;
  this.writer = null;
  writer?.completed(status);
}

function writeError(status: number): ConnectionError {
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
