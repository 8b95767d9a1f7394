/**
 * Datagrams over Unix sockets, which neither runtime has: what the service manager (sd_notify) and syslog listen to.
 *
 * Nothing here ever blocks or throws: a message is taken by the kernel at once or is lost, and the caller is told. The
 * address goes with every message, so that a receiver that was away or has been started anew needs no connecting.
 */
import { closeSync } from "node:fs";
import { AF_UNIX } from "./libc.ts";
import type { Calls, Libc } from "./libc.ts";

const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
/** What `struct sockaddr_un` takes on Linux, without the NUL at the end. */
const PATH_BYTES_MAX = 107;
/** Longest message `receive` gives; what is longer is cut, as recv(2) does. */
const RECEIVED_BYTES_MAX = 64 * 1024;

export class UnixDatagram {
  readonly #calls: Calls;
  #fd: number;

  private constructor(calls: Calls, fd: number) {
    this.#calls = calls;
    this.#fd = fd;
  }

  /**
   * A socket to send from. With `address` it also receives what is sent there. Null where datagrams are not supported,
   * and when the address cannot be had.
   */
  static open(libc: Libc, address?: string): UnixDatagram | null {
    const { calls } = libc;
    if (calls === null) return null;
    const fd = Number(calls.socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (fd < 0) return null;
    const socket = new UnixDatagram(calls, fd);
    if (address === undefined) return socket;
    const bytes = socketAddress(address);
    if (bytes !== null && calls.bind(fd, bytes, bytes.length) === 0) return socket;
    socket.close();
    return null;
  }

  /** Sends one message. False when nobody is there, when the receiver's queue is full, or when it is too long. */
  send(address: string, message: Uint8Array): boolean {
    const to = socketAddress(address);
    if (to === null || this.#fd < 0) return false;
    const flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    return Number(this.#calls.sendto(this.#fd, message, message.length, flags, to, to.length)) === message.length;
  }

  /** The next message that has arrived, null when there is none. */
  receive(): Uint8Array | null {
    if (this.#fd < 0) return null;
    const message = new Uint8Array(RECEIVED_BYTES_MAX);
    const length = Number(this.#calls.recv(this.#fd, message, message.length, MSG_DONTWAIT));
    return length < 0 ? null : message.slice(0, length);
  }

  /** Nothing is sent or received afterwards. */
  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }
}

/**
 * `struct sockaddr_un` for a path, or for a name in the abstract namespace when it begins with `@`. Null when it is
 * neither, or too long.
 *
 *   family (2 bytes, the machine's order) | path NUL          or          family | NUL name, to the end
 */
export function socketAddress(address: string): Uint8Array | null {
  const name = Buffer.from(address);
  if (name.length > PATH_BYTES_MAX || !/^[/@]./s.test(address) || name.includes(0)) return null;
  const abstract = address.startsWith("@");
  const bytes = new Uint8Array(2 + name.length + (abstract ? 0 : 1));
  new Uint16Array(bytes.buffer, 0, 1)[0] = AF_UNIX;
  bytes.set(name, 2);
  if (abstract) bytes[2] = 0;
  return bytes;
}
