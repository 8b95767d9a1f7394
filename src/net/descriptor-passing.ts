/**
 * Descriptors that go to another process in messages of a Unix socket (SCM_RIGHTS), which neither runtime can send or
 * receive: how a pooler hands its sockets to the one that takes its place.
 *
 * Works on a connected descriptor that nobody else reads from, or writes to, meanwhile. Nothing here blocks: what the
 * kernel does not take or have now is said, and the caller comes again. A descriptor travels with the first byte of its
 * message. The kernel joins messages as it likes in a stream, but a `receive` never goes beyond one that has a descriptor.
 *
 * Layout, on 64-bit Linux (struct msghdr, struct cmsghdr), built in memory whose address is known:
 *
 *     msghdr   name 8 | length 4+4 | iov 8 | count 8 | control 8 | length 8 | flags 4+4        56 bytes
 *     iovec    base 8 | length 8
 *     cmsghdr  length 8 | level 4 | type 4 | descriptors, 4 bytes each
 */
import { AF_UNIX, SOL_SOCKET } from "./libc.ts";
import type { Calls, Libc } from "./libc.ts";
import { socketAddress } from "./unix-datagram.ts";

const SCM_RIGHTS = 1;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0o2000000;
const SOCK_NONBLOCK = 0o4000;
const MSG_DONTWAIT = 0x40;
const MSG_CTRUNC = 0x8;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x40000000;
const EAGAIN = 11;
const EINTR = 4;
const ENOBUFS = 105;
/** More descriptors are on their way, of this user, than a process may have open. */
const ETOOMANYREFS = 109;

const IOVEC_AT = 56;
const CONTROL_AT = 72;
const CONTROL_BYTES = 256;
const DATA_AT = CONTROL_AT + CONTROL_BYTES;
const DATA_BYTES = 64 * 1024;
const CONTROL_HEADER_BYTES = 16;
const CONTROL_LENGTH_AT = 40;
const FLAGS_AT = 48;

export const Passing = {
  /** The kernel takes, or has, nothing now. */
  later: "later",
  /** The other end has closed. */
  ended: "ended",
  failed: "failed",
} as const;
export type Passing = (typeof Passing)[keyof typeof Passing];

export interface Received {
  readonly bytes: Uint8Array;
  /** Ours from now on, closed in programs that are started. */
  readonly descriptors: readonly number[];
}

/** Sends and receives through memory of its own: one for a process is enough. */
export class DescriptorPassing {
  readonly #calls: Calls;
  readonly #memory: Buffer;
  readonly #address: bigint;

  private constructor(calls: Calls) {
    this.#calls = calls;
    this.#memory = Buffer.allocUnsafeSlow(DATA_AT + DATA_BYTES);
    this.#address = BigInt(calls.memmove(this.#memory, this.#memory, 0) as number | bigint);
  }

  /** Null where there is none. */
  static load(libc: Libc): DescriptorPassing | null {
    const { calls } = libc;
    return calls === null ? null : new DescriptorPassing(calls);
  }

  /** A connection to the Unix socket at `path`, as a descriptor; null when nobody listens there. */
  connect(path: string): number | null {
    const address = socketAddress(path);
    if (address === null) return null;
    const fd = Number(this.#calls.socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (fd < 0) return null;
    if (this.#calls.connect(fd, address, address.length) === 0) return fd;
    this.#calls.close(fd);
    return null;
  }

  /**
   * Sends the beginning of `bytes` through `fd`, and with it a copy of `passed` (null: nothing). Returns how many bytes
   * were taken, at least one: the rest is to be sent without `passed`.
   */
  send(fd: number, bytes: Uint8Array, passed: number | null): number | Passing {
    const memory = this.#memory;
    const length = Math.min(bytes.length, DATA_BYTES);
    memory.set(bytes.subarray(0, length), DATA_AT);
    const controlBytes = passed === null ? 0 : CONTROL_HEADER_BYTES + 4;
    if (passed !== null) {
      memory.writeBigUInt64LE(BigInt(controlBytes), CONTROL_AT);
      memory.writeInt32LE(SOL_SOCKET, CONTROL_AT + 8);
      memory.writeInt32LE(SCM_RIGHTS, CONTROL_AT + 12);
      memory.writeInt32LE(passed, CONTROL_AT + CONTROL_HEADER_BYTES);
    }
    this.#describe(length, controlBytes);
    const sent = Number(this.#calls.sendmsg(fd, memory, MSG_DONTWAIT | MSG_NOSIGNAL));
    return sent > 0 ? sent : this.#failure();
  }

  /** What has come through `fd`, with the descriptors that came with it. */
  receive(fd: number): Received | Passing {
    const memory = this.#memory;
    this.#describe(DATA_BYTES, CONTROL_BYTES);
    const length = Number(this.#calls.recvmsg(fd, memory, MSG_DONTWAIT | MSG_CMSG_CLOEXEC));
    if (length < 0) return this.#failure();
    const descriptors = this.#receivedDescriptors();
    if ((memory.readInt32LE(FLAGS_AT) & MSG_CTRUNC) !== 0) {
      // This process may open no more, or there was no room: what came with the message is lost in part.
      for (const descriptor of descriptors) this.close(descriptor);
      return Passing.failed;
    }
    if (length === 0) return Passing.ended;
    return { bytes: new Uint8Array(memory.subarray(DATA_AT, DATA_AT + length)), descriptors };
  }

  /** Up to `bytesMax` bytes that lie ready on a socket of any kind. */
  read(fd: number, bytesMax: number): Uint8Array | Passing {
    const bytes = Buffer.allocUnsafeSlow(Math.min(bytesMax, DATA_BYTES));
    const length = Number(this.#calls.recv(fd, bytes, bytes.length, MSG_DONTWAIT));
    if (length < 0) return this.#failure();
    return length === 0 ? Passing.ended : bytes.subarray(0, length);
  }

  close(fd: number): void {
    this.#calls.close(fd);
  }

  #describe(dataBytes: number, controlBytes: number): void {
    const memory = this.#memory;
    memory.fill(0, 0, CONTROL_AT);
    memory.writeBigUInt64LE(this.#address + BigInt(IOVEC_AT), 16);
    memory.writeBigUInt64LE(1n, 24);
    if (controlBytes > 0) memory.writeBigUInt64LE(this.#address + BigInt(CONTROL_AT), 32);
    memory.writeBigUInt64LE(BigInt(controlBytes), CONTROL_LENGTH_AT);
    memory.writeBigUInt64LE(this.#address + BigInt(DATA_AT), IOVEC_AT);
    memory.writeBigUInt64LE(BigInt(dataBytes), IOVEC_AT + 8);
  }

  #receivedDescriptors(): number[] {
    const memory = this.#memory;
    const end = CONTROL_AT + Number(memory.readBigUInt64LE(CONTROL_LENGTH_AT));
    const descriptors: number[] = [];
    for (let at = CONTROL_AT; at + CONTROL_HEADER_BYTES <= end;) {
      const length = Number(memory.readBigUInt64LE(at));
      if (length < CONTROL_HEADER_BYTES) break;
      const isRights = memory.readInt32LE(at + 8) === SOL_SOCKET && memory.readInt32LE(at + 12) === SCM_RIGHTS;
      const itemsEnd = isRights ? at + length : at;
      for (let item = at + CONTROL_HEADER_BYTES; item + 4 <= itemsEnd; item += 4) {
        descriptors.push(memory.readInt32LE(item));
      }
      at += (length + 7) & ~7;
    }
    return descriptors;
  }

  #failure(): Passing {
    const errno = this.#calls.errno();
    const passes = errno === EAGAIN || errno === EINTR || errno === ENOBUFS || errno === ETOOMANYREFS;
    return passes ? Passing.later : Passing.failed;
  }
}
