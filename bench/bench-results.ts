/**
 * What a run of the bench brings home: the shape that the parts fill, the report prints and `--save` keeps as JSON.
 *
 * Raw rounds are kept, medians and ratios are derived when printing, so that an old file can be read in a new way.
 */
import type { BenchOptions, Part, Protocol, SeatName } from "./options.ts";
import type { LoadResult } from "./pgbench-run.ts";
import type { Workload } from "./workload.ts";

/** One cell that failed says why, in place of a number that would mean something else. */
export interface Failure {
  readonly failed: string;
  /** The program cannot do this and does not claim to: nothing went wrong. */
  readonly unsupported?: true;
}

/** Settings of a pooler beyond those that all seats have, and what they are called in tables. */
export interface Variant {
  readonly name: string;
  /** Lines for the section [pgbouncer]. */
  readonly settings: readonly string[];
}

export interface SeatKey {
  readonly seat: SeatName;
  /** Null for direct. */
  readonly poolSize: number | null;
  /** Absent: nothing but the common settings. */
  readonly variant?: Variant;
  /** Absent: as many as the case has. */
  readonly clients?: number;
}

export interface LoadSeatRounds extends SeatKey {
  /** Index is the round, the same for all seats of a case. */
  readonly rounds: (LoadResult | Failure)[];
}

/** What pgbench measured under one condition, over all seats. */
export interface LoadCase {
  readonly part: Part;
  readonly workload: Workload;
  /** What ran beside it, one client at one a second. */
  readonly beside?: Workload;
  readonly protocol: Protocol;
  readonly clients: number;
  /** A new connection for every transaction. */
  readonly reconnect?: boolean;
  /** Transactions a second, when they were held to a rate; a latency then counts from when the transaction was due. */
  readonly ratePerSecond?: number;
  readonly seats: LoadSeatRounds[];
}

/** A fixed rate of queries over so many connections. */
export interface SpreadResult {
  readonly clients: number;
  /** As asked for, and as it was. */
  readonly ratePerSecond: number;
  readonly achievedPerSecond: number;
  /** CPU of the pooler, µs per query. */
  readonly cpuUs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export interface SpreadSeat extends SeatKey {
  readonly few: (SpreadResult | Failure)[];
  readonly many: (SpreadResult | Failure)[];
}

export interface IdleResult {
  readonly clients: number;
  /** Before the clients came, after a first few that left again: what the process needs for itself. */
  readonly baseKb: number;
  readonly justAfterKb: number;
  readonly settledKb: number;
  readonly connectSeconds: number;
}

export interface CopyResult {
  readonly bytes: number;
  /** Out: same count and hash as direct. In: PostgreSQL found each row to be the next and what it should be. */
  readonly intact: boolean;
  readonly seconds: number;
  /** CPU of the pooler for the whole copy, in seconds; null for direct. */
  readonly userSeconds: number | null;
  readonly systemSeconds: number | null;
  readonly peakKb: number | null;
}

export const CopyDirection = { out: "out", in: "in" } as const;
export type CopyDirection = (typeof CopyDirection)[keyof typeof CopyDirection];

export interface CopySeat extends SeatRounds<CopyResult> {
  readonly direction: CopyDirection;
}

export interface StoppedReaderResult {
  readonly bytes: number;
  readonly intact: boolean;
  /** Just before the reader stopped. */
  readonly beforeKb: number;
  /** The most that was seen while it stood. */
  readonly standingKb: number;
  /** Bytes in I/O buffers by the pooler's own account while it stood; null when its console does not say. */
  readonly heldBytes: number | null;
  /** The highest of the process from its start to the end of the copy. */
  readonly peakKb: number;
  /** The process before the copy. */
  readonly baseKb: number;
}

export interface SeatResult<T> extends SeatKey {
  readonly result: T | Failure;
}

export interface SeatRounds<T> extends SeatKey {
  readonly rounds: (T | Failure)[];
}

export interface Environment {
  readonly date: string;
  readonly commit: string;
  /** The working tree differs from the commit. */
  readonly dirty: boolean;
  readonly processor: string;
  readonly processors: number;
  readonly memoryMb: number;
  readonly kernel: string;
  readonly loadAverage: number;
  readonly versions: Readonly<Record<string, string>>;
}

export interface BenchResults {
  readonly environment: Environment;
  readonly options: BenchOptions;
  /** Of all parts that pgbench measures. */
  load: LoadCase[];
  spread: SpreadSeat[];
  idle: SeatRounds<IdleResult>[];
  copy: CopySeat[];
  stopped: SeatResult<StoppedReaderResult>[];
  /** Rows that cannot be measured on this machine or with these options, and why. */
  skipped: string[];
  elapsedSeconds: number;
}

export function isFailure(value: object): value is Failure {
  return "failed" in value;
}

/** Turns what a part threw into a cell of the table. */
export function failureOf(error: unknown): Failure {
  return { failed: error instanceof Error ? error.message : String(error) };
}

/** "PgBouncer, 20 servers", for progress and tables. */
export function labelOf(key: SeatKey): string {
  return key.poolSize === null ? nameOf(key) : `${nameOf(key)}, ${key.poolSize} servers`;
}

/** "pgcarpool on Bun, sharing = 0" */
export function nameOf({ seat, variant }: SeatKey): string {
  return variant === undefined ? SEAT_LABELS[seat] : `${SEAT_LABELS[seat]}, ${variant.name}`;
}

export const SEAT_LABELS: Readonly<Record<SeatName, string>> = {
  direct: "direct",
  pgbouncer: "PgBouncer",
  node: "pgcarpool on Node",
  bun: "pgcarpool on Bun",
};
