/** Results of the bench as the tests of report and targets need them. */
import type { BenchResults, LoadCase, LoadSeatRounds } from "../../../bench/bench-results.ts";
import { parseOptions } from "../../../bench/options.ts";
import type { LoadResult } from "../../../bench/pgbench-run.ts";

export function loadResult(tps: number, cpuUs: number | null, changes: Partial<LoadResult> = {}): LoadResult {
  return {
    tps,
    latencyAvgMs: 1,
    p50Ms: 1,
    p99Ms: 2,
    userUs: cpuUs === null ? null : cpuUs / 4,
    systemUs: cpuUs === null ? null : (cpuUs * 3) / 4,
    rssKb: 10_240,
    peakKb: 20_480,
    windowSeconds: 2,
    transactions: tps * 2,
    sampledLatencies: 100,
    ...changes,
  };
}

export function seatRounds(
  seat: LoadSeatRounds["seat"],
  poolSize: number | null,
  rounds: LoadSeatRounds["rounds"],
  changes: Partial<LoadSeatRounds> = {},
): LoadSeatRounds {
  return { seat, poolSize, rounds, ...changes };
}

export function loadCase(
  part: LoadCase["part"],
  clients: number,
  seats: LoadSeatRounds[],
  changes: Partial<LoadCase> = {},
): LoadCase {
  return { part, workload: "select", protocol: "simple", clients, seats, ...changes };
}

/** A run with these arguments that measured nothing but `changes`. */
export function benchResults(args: string[], changes: Partial<BenchResults>): BenchResults {
  return {
    environment: {
      date: "2026-01-02T03:04:05.000Z",
      commit: "abc",
      dirty: false,
      processor: "a processor",
      processors: 2,
      memoryMb: 1,
      kernel: "6",
      loadAverage: 0,
      versions: { PostgreSQL: "18.1" },
    },
    options: parseOptions(args, {}).options,
    load: [],
    spread: [],
    idle: [],
    copy: [],
    stopped: [],
    skipped: [],
    elapsedSeconds: 60,
    ...changes,
  };
}
