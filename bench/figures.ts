/**
 * The numbers that are derived from rounds: what report and targets share. Pure.
 */
import {
  type CopyResult,
  type Failure,
  type IdleResult,
  isFailure,
  type LoadSeatRounds,
  type SpreadSeat,
} from "./bench-results.ts";
import type { SeatName } from "./options.ts";
import type { LoadResult } from "./pgbench-run.ts";
import { pairedDifference, pairedRatio } from "./statistics.ts";

/** One number a round; null where the round failed or has no such number. */
export function pick<T extends object>(
  rounds: readonly (T | Failure)[],
  get: (result: T) => number | null,
): (number | null)[] {
  return rounds.map((round) => (isFailure(round) ? null : get(round)));
}

export type Pick = (result: LoadResult) => number | null;

/** User and system together, µs per transaction. */
export const totalCpuUs: Pick = (result) =>
  result.userUs === null || result.systemUs === null ? null : result.userUs + result.systemUs;
export const tpsOf: Pick = (result) => result.tps;
export const p50Of: Pick = (result) => result.p50Ms;
export const p99Of: Pick = (result) => result.p99Ms;

export function column(row: LoadSeatRounds, get: Pick): (number | null)[] {
  return pick(row.rounds, get);
}

/** The median of the ratios of the same rounds; null without `theirs`. */
export function ratioTo(row: LoadSeatRounds, theirs: LoadSeatRounds | undefined, pick: Pick): number | null {
  return theirs === undefined ? null : pairedRatio(column(row, pick), column(theirs, pick));
}

/** The same of the differences. */
export function differenceTo(row: LoadSeatRounds, theirs: LoadSeatRounds | undefined, pick: Pick): number | null {
  return theirs === undefined ? null : pairedDifference(column(row, pick), column(theirs, pick));
}

export function seatOf(all: readonly LoadSeatRounds[], name: SeatName): LoadSeatRounds | undefined {
  return all.find(({ seat }) => seat === name);
}

/** The same runtime with the first of the settings that a case compares. */
export function firstVariantOf(row: LoadSeatRounds, all: readonly LoadSeatRounds[]): LoadSeatRounds | undefined {
  return all.find(({ seat }) => seat === row.seat);
}

/** All that a latency's medians were taken from. */
export function roundTripsOf(row: LoadSeatRounds): number {
  return row.rounds.reduce((sum, round) => sum + (isFailure(round) ? 0 : round.sampledLatencies), 0);
}

/** CPU of a query over many connections against one over few, by rounds. */
export function spreadRatio({ few, many }: SpreadSeat): number | null {
  return pairedRatio(
    pick(many, ({ cpuUs }) => cpuUs),
    pick(few, ({ cpuUs }) => cpuUs),
  );
}

/** Seconds of CPU for a whole COPY; null for direct. */
export function copyCpu({ userSeconds, systemSeconds }: CopyResult): number | null {
  return userSeconds === null || systemSeconds === null ? null : userSeconds + systemSeconds;
}

/** What each idle client added when it had been quiet for a while, KB. */
export function idleKbEach({ settledKb, baseKb, clients }: IdleResult): number {
  return (settledKb - baseKb) / clients;
}
