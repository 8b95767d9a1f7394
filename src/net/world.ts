/**
 * The world as a parameter: everything the engine reaches outside itself for, in one object made at start.
 *
 * Node and Bun have a real one (`node-world.ts`, `bun-world.ts`); the simulator has one that runs on virtual time from a
 * seed. Nothing outside `src/net` reads a clock, sets a timer, draws randomness, resolves a name or calls a crypto library.
 */
import type { ResolvConf } from "./dns-resolv-conf.ts";
import type { DescriptorPassing } from "./descriptor-passing.ts";
import type { NameSource } from "./dns-source.ts";
import type { Transport } from "./transport.ts";

/** Names of its own (`NameSource`) are as the system resolves them. */
export interface World extends NameSource {
  readonly runtime: "node" | "bun" | "simulated";
  readonly transport: Transport;
  readonly clock: Clock;
  readonly crypto: Crypto;
  /**
   * Calls `task` once, after the callbacks of all sockets that were ready in this turn of the event loop.
   * Tasks run in the order given; one given while they run waits for the next turn.
   */
  afterTurn(task: () => void): void;
  /** Names as these name servers tell them, behind the system's hosts file: `resolv_conf`. */
  nameServers(conf: ResolvConf): NameSource;
  /** Who is at the other end of a Unix socket (SO_PEERCRED), null where the system cannot tell. */
  peerCredentials(fd: number): PeerCredentials | null;
  /** Absent, or null, where descriptors cannot be given to other processes. */
  descriptors?(): DescriptorPassing | null;
  /** Socket options of PgBouncer's `tcp_*` settings; unsupported ones are returned by name, not thrown. */
  setSocketOptions(fd: number, options: SocketOptions): readonly string[];
}

export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

export interface SocketOptions {
  /** `tcp_keepalive`, and its three figures; 0 = the system's default. Seconds and counts. */
  readonly keepAlive: boolean;
  readonly keepCount: number;
  readonly keepIdleS: number;
  readonly keepIntervalS: number;
  /** SO_SNDBUF and SO_RCVBUF in bytes; 0 = the system's default. */
  readonly bufferBytes: number;
  /** TCP_USER_TIMEOUT; 0 = the system's default. */
  readonly userTimeoutMs: number;
  /** TCP_DEFER_ACCEPT, for listeners; absent = left as it is. */
  readonly deferAccept?: boolean;
}

export interface Timer {
  /** Harmless when it has fired or was cancelled. */
  cancel(): void;
}

export interface Clock {
  /** Monotonic milliseconds with fractions, from an arbitrary origin. */
  now(): number;
  /** Milliseconds since 1970 (UTC), for people to read. */
  wallTime(): number;
  /**
   * Calls `task` once, `delayMs` or up to 20 ms more from now. All timers share one wheel: thousands cost what a few do.
   * A pending timer does not keep the process alive.
   */
  after(delayMs: number, task: () => void): Timer;
}

/** Crypto primitives of the PostgreSQL login methods. */
export interface Crypto {
  /** Cryptographically strong. */
  randomBytes(length: number): Uint8Array;
  md5Hex(data: Uint8Array): string;
  sha256(data: Uint8Array): Uint8Array;
  hmacSha256(key: Uint8Array, data: Uint8Array): Uint8Array;
  /** PBKDF2-HMAC-SHA-256 with 32 bytes out; off the event loop, about 1 ms for 4,096 rounds. */
  pbkdf2Sha256(password: Uint8Array, salt: Uint8Array, iterations: number): Promise<Uint8Array>;
  /** In constant time; false for different lengths. */
  equal(a: Uint8Array, b: Uint8Array): boolean;
}
