/**
 * What a run of the bench brings home: the shape that the parts fill, the report prints and `--save` keeps as JSON.
 *
 * Raw rounds are kept, medians and ratios are derived when printing, so that an old file can be read in a new way.
 */
import type { BenchOptions, Protocol, SeatName } from "./options.ts";
import type { LoadResult } from "./pgbench-run.ts";

/** One cell that failed says why, in place of a number that would mean something else. */
export interface Failure {
  readonly failed: string;
  /** The program cannot do this and does not claim to: nothing went wrong. */
  readonly unsupported?: true;
}

export interface SeatKey {
  readonly seat: SeatName;
  /** Null for direct. */
  readonly poolSize: number | null;
}

export interface LoadSeatRounds extends SeatKey {
  /** Index is the round, the same for all seats of a case. */
  readonly rounds: (LoadResult | Failure)[];
}

export interface LoadCase {
  readonly protocol: Protocol;
  readonly clients: number;
  readonly seats: LoadSeatRounds[];
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
  /** Same count and hash as direct. */
  readonly intact: boolean;
  readonly seconds: number;
  /** CPU of the pooler for the whole copy, in seconds; null for direct. */
  readonly userSeconds: number | null;
  readonly systemSeconds: number | null;
  readonly peakKb: number | null;
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
  load: LoadCase[];
  idle: SeatResult<IdleResult>[];
  connect: LoadSeatRounds[];
  copy: SeatRounds<CopyResult>[];
  stopped: SeatResult<StoppedReaderResult>[];
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
  const name = SEAT_LABELS[key.seat];
  return key.poolSize === null ? name : `${name}, ${key.poolSize} servers`;
}

export const SEAT_LABELS: Readonly<Record<SeatName, string>> = {
  direct: "direct",
  pgbouncer: "PgBouncer",
  node: "pgcarpool on Node",
  bun: "pgcarpool on Bun",
};
