/**
 * The few system calls neither runtime offers: who is at the other end of a Unix socket, socket options by number, a
 * second listen(2), what socket was inherited and its port, another descriptor for one, the system's monotonic clock;
 * and what datagrams (`unix-datagram.ts`) and descriptors in messages (`descriptor-passing.ts`) are made of.
 *
 * They go through koffi, which is loaded at the first call, or ahead with `load`: a program that changes its user must
 * load before, because the new user may not be allowed to read the installation. Where koffi or a call is missing
 * nothing throws: the methods say "not supported".
 *
 * Numbers are Linux's (asm-generic/socket.h, linux/tcp.h); on another system nothing is loaded.
 */
import { createRequire } from "node:module";
import type { PeerCredentials } from "./world.ts";

export const SOL_SOCKET = 1;
export const IPPROTO_TCP = 6;
export const SO_SNDBUF = 7;
export const SO_RCVBUF = 8;
export const SO_KEEPALIVE = 9;
export const SO_PEERCRED = 17;
export const TCP_MAXSEG = 2;
export const TCP_KEEPIDLE = 4;
export const TCP_KEEPINTVL = 5;
export const TCP_KEEPCNT = 6;
export const TCP_DEFER_ACCEPT = 9;
export const TCP_USER_TIMEOUT = 18;
export const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const CLOCK_MONOTONIC = 1;
const F_DUPFD_CLOEXEC = 1030;
/** struct sockaddr_storage */
const SOCKADDR_BYTES = 128;

type ForeignFunction = (...values: unknown[]) => unknown;

interface Koffi {
  load(path: string | null): { func(definition: string): ForeignFunction };
  errno(): number;
}

export interface Calls {
  readonly getsockopt: ForeignFunction;
  readonly setsockopt: ForeignFunction;
  readonly listen: ForeignFunction;
  readonly getsockname: ForeignFunction;
  readonly socket: ForeignFunction;
  readonly bind: ForeignFunction;
  readonly connect: ForeignFunction;
  readonly close: ForeignFunction;
  readonly sendto: ForeignFunction;
  readonly recv: ForeignFunction;
  readonly sendmsg: ForeignFunction;
  readonly recvmsg: ForeignFunction;
  /** With a length of 0 it tells where memory is. */
  readonly memmove: ForeignFunction;
  readonly fcntl: ForeignFunction;
  readonly clock_gettime: ForeignFunction;
  /** Why the last call failed. To be asked at once. */
  readonly errno: () => number;
}

/** What a socket's addresses are. */
export const SocketFamily = { unix: "unix", ipv4: "ipv4", ipv6: "ipv6" } as const;
export type SocketFamily = (typeof SocketFamily)[keyof typeof SocketFamily];

export class Libc {
  /** Undefined until the first use, null when it cannot be had. */
  #calls: Calls | null | undefined;
  readonly #load: () => Calls | null;

  /** `load` gives the system calls, null where there are none. */
  constructor(load: () => Calls | null = loadCalls) {
    this.#load = load;
  }

  /** Loads now instead of at the first call. False: every other method will say "not supported". */
  load(): boolean {
    return this.calls !== null;
  }

  /** SO_PEERCRED of a connected Unix socket; null for any other descriptor and where it is not supported. */
  peerCredentials(fd: number): PeerCredentials | null {
    const credentials = new Uint32Array(3);
    const length = new Uint32Array([credentials.byteLength]);
    if (this.calls?.getsockopt(fd, SOL_SOCKET, SO_PEERCRED, credentials, length) !== 0) return null;
    const [pid, uid, gid] = credentials as unknown as [number, number, number];
    // A socket that is not a Unix socket answers without an error: process 0, user and group -1.
    return pid === 0 ? null : { pid, uid, gid };
  }

  /** setsockopt(2) with an int. False when it failed or is not supported. */
  setOption(fd: number, level: number, name: number, value: number): boolean {
    return this.calls?.setsockopt(fd, level, name, new Int32Array([value]), 4) === 0;
  }

  /** getsockopt(2) of an int; null when it failed or is not supported. */
  option(fd: number, level: number, name: number): number | null {
    const value = new Int32Array(1);
    const answer = this.calls?.getsockopt(fd, level, name, value, new Uint32Array([4]));
    return answer === 0 ? (value[0] as number) : null;
  }

  /** The TCP port a socket is bound to; 0 for any other socket, when it failed and where it is not supported. */
  localPort(fd: number): number {
    const address = new DataView(new ArrayBuffer(SOCKADDR_BYTES));
    const length = new Uint32Array([SOCKADDR_BYTES]);
    if (this.calls?.getsockname(fd, address.buffer, length) !== 0) return 0;
    // The family is in the machine's byte order and fits one byte, the port in the network's.
    const family = address.getUint8(0) + address.getUint8(1);
    return family === AF_INET || family === AF_INET6 ? address.getUint16(2) : 0;
  }

  /** What kind of socket an inherited descriptor is; null when it is none that is known, and where it is not supported. */
  socketFamily(fd: number): SocketFamily | null {
    const address = new Uint16Array(SOCKADDR_BYTES / 2);
    if (this.calls?.getsockname(fd, address, new Uint32Array([SOCKADDR_BYTES])) !== 0) return null;
    switch (address[0]) {
      case AF_UNIX:
        return SocketFamily.unix;
      case AF_INET:
        return SocketFamily.ipv4;
      case AF_INET6:
        return SocketFamily.ipv6;
      default:
        return null;
    }
  }

  /** Another descriptor for what `fd` stands for, closed in programs that are started; -1 when there is none to be had. */
  duplicate(fd: number): number {
    return Number(this.calls?.fcntl(fd, F_DUPFD_CLOEXEC, 0) ?? -1);
  }

  /** CLOCK_MONOTONIC in microseconds, as other processes see it; null where it is not supported. */
  monotonicUs(): bigint | null {
    const [seconds, nanoseconds] = [0, 1];
    const time = new BigInt64Array(2);
    if (this.calls?.clock_gettime(CLOCK_MONOTONIC, time) !== 0) return null;
    return (time[seconds] as bigint) * 1_000_000n + (time[nanoseconds] as bigint) / 1000n;
  }

  /** Changes the backlog of a socket that listens already. */
  listen(fd: number, backlog: number): boolean {
    return this.calls?.listen(fd, backlog) === 0;
  }

  /** The calls themselves, for what is built of them elsewhere in this room; null where there are none. */
  get calls(): Calls | null {
    if (this.#calls === undefined) this.#calls = this.#load();
    return this.#calls;
  }
}

/** A libc that is loaded now. Never throws: `load()` of the result tells whether it can be used. */
export function loadLibc(): Libc {
  const libc = new Libc();
  libc.load();
  return libc;
}

function loadCalls(): Calls | null {
  if (process.platform !== "linux") return null;
  try {
    const koffi = createRequire(import.meta.url)("koffi") as Koffi;
    // Null is the program itself, which has libc loaded already, whatever the file is called.
    const program = koffi.load(null);
    return {
      getsockopt: program.func("int getsockopt(int, int, int, void *, void *)"),
      setsockopt: program.func("int setsockopt(int, int, int, void *, uint32_t)"),
      getsockname: program.func("int getsockname(int, void *, void *)"),
      listen: program.func("int listen(int, int)"),
      socket: program.func("int socket(int, int, int)"),
      bind: program.func("int bind(int, const void *, uint32_t)"),
      sendto: program.func("long sendto(int, const void *, size_t, int, const void *, uint32_t)"),
      recv: program.func("long recv(int, void *, size_t, int)"),
      close: program.func("int close(int)"),
      connect: program.func("int connect(int, const void *, uint32_t)"),
      sendmsg: program.func("long sendmsg(int, const void *, int)"),
      recvmsg: program.func("long recvmsg(int, void *, int)"),
      memmove: program.func("uint64_t memmove(void *, void *, size_t)"),
      errno: () => koffi.errno(),
      fcntl: program.func("int fcntl(int, int, int)"),
      clock_gettime: program.func("int clock_gettime(int, void *)"),
    };
  } catch {
    // No binary for this machine, or its file cannot be read: the callers report what is not supported.
    return null;
  }
}
