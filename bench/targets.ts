/**
 * The numbers that the project has promised to reach, each compared with what this run measured. Pure.
 *
 * A target that this run did not measure (another part, fewer clients, a smaller COPY) is left out, not passed.
 */
import {
  type BenchResults,
  CopyDirection,
  type CopyResult,
  type Failure,
  isFailure,
  type LoadCase,
  type LoadSeatRounds,
} from "./bench-results.ts";
import {
  column,
  copyCpu,
  differenceTo,
  firstVariantOf,
  idleKbEach,
  p50Of,
  p99Of,
  type Pick,
  pick,
  ratioTo,
  roundTripsOf,
  seatOf,
  spreadRatio,
  totalCpuUs,
  tpsOf,
} from "./figures.ts";
import { formatMegabytes, formatNumber, formatRatio } from "./markdown-table.ts";
import { Part, SeatName } from "./options.ts";
import { medianOf, pairedRatio } from "./statistics.ts";

export interface TargetCheck {
  readonly text: string;
  readonly value: string;
  /** "≤ 0.65×" */
  readonly limit: string;
  readonly reached: boolean;
}

interface RuntimeLimits {
  readonly seat: SeatName;
  readonly label: string;
  /** CPU per transaction to PgBouncer's, by clients/servers. */
  readonly cpuRatioMax: Readonly<Record<string, number>>;
  readonly tpsRatioMin: Readonly<Record<string, number>>;
  /** To direct connections at their best number. */
  readonly directRatioMin: number;
  readonly addedUsMax: number;
  readonly tailRatioMax: number;
  readonly tlsCpuRatioMax: number;
  readonly tlsLoginRatioMin: number;
  readonly idleRatioMax: number;
  readonly idleKbMax: number;
  readonly copyCpuRatioMax: number;
}

const RUNTIMES: readonly RuntimeLimits[] = [
  {
    seat: SeatName.bun,
    label: "Bun",
    cpuRatioMax: { "64/4": 0.65, "500/20": 0.5, "16/20": 1.1, "64/20": 1.25 },
    tpsRatioMin: { "64/4": 1.4, "500/20": 1.8 },
    directRatioMin: 1.2,
    addedUsMax: 10,
    tailRatioMax: 0.7,
    tlsCpuRatioMax: 0.8,
    tlsLoginRatioMin: 1,
    idleRatioMax: 0.7,
    idleKbMax: 5,
    copyCpuRatioMax: 0.6,
  },
  {
    seat: SeatName.node,
    label: "Node",
    cpuRatioMax: { "64/4": 0.75, "500/20": 0.6, "16/20": 1.6, "64/20": 1.9 },
    tpsRatioMin: { "64/4": 1.4, "500/20": 1.7 },
    directRatioMin: 1.1,
    addedUsMax: 25,
    tailRatioMax: 0.8,
    tlsCpuRatioMax: 1,
    tlsLoginRatioMin: 0.7,
    idleRatioMax: 1.3,
    idleKbMax: 12,
    copyCpuRatioMax: 0.9,
  },
];
/** Where the throughput of the poolers is at its height. */
const DIRECT_CASE = "500/20";
const CALLS_MAX = { client: 2.2, server: 0.6 } as const;
const ROUND_TRIPS_MIN = 50_000;
const SPREAD_CLIENTS = 5000;
const SPREAD_RATIO_MAX = 1.5;
const IDLE_CLIENTS = 5000;
/** Sharing must not be felt where nothing can be shared: what two runs of the same differ by. */
const NOISE = 0.05;
const ALONE_CPU_RATIO_MAX = 1.03;
const COPY_MEGABYTES = 1000;
const STOP_SECONDS = 10;
const STANDING_GROWTH_KB_MAX = 16 * 1024;
const HELD_BYTES_MAX = 1024 * 1024;
const PEAK_GROWTH_KB_MAX = 96 * 1024;

type Check = (results: BenchResults, limits: RuntimeLimits) => TargetCheck[];

export function checkTargets(results: BenchResults): TargetCheck[] {
  const checks: readonly Check[] = [
    checkLoad,
    checkCalls,
    checkLatency,
    checkTail,
    checkTls,
    checkSpread,
    checkFew,
    checkMixed,
    checkAlone,
    checkIdle,
    checkCopy,
    checkStopped,
  ];
  return checks.flatMap((check) => RUNTIMES.flatMap((limits) => check(results, limits)));
}

function atMost(text: string, value: number | null, max: number, print: (value: number) => string): TargetCheck[] {
  return value === null ? [] : [{ text, value: print(value), limit: `≤ ${print(max)}`, reached: value <= max }];
}

function atLeast(text: string, value: number | null, min: number, print: (value: number) => string): TargetCheck[] {
  return value === null ? [] : [{ text, value: print(value), limit: `≥ ${print(min)}`, reached: value >= min }];
}

/** The row of a runtime, with the case that it is in; null where it did not take part. */
function rowsOf(
  results: BenchResults,
  part: Part,
  seat: SeatName,
): { one: LoadCase; row: LoadSeatRounds; pgbouncer: LoadSeatRounds | undefined }[] {
  return results.load
    .filter((one) => one.part === part)
    .flatMap((one) => {
      const row = seatOf(one.seats, seat);
      return row === undefined ? [] : [{ one, row, pgbouncer: seatOf(one.seats, SeatName.pgbouncer) }];
    });
}

function checkLoad(results: BenchResults, limits: RuntimeLimits): TargetCheck[] {
  return rowsOf(results, Part.load, limits.seat).flatMap(({ one, row, pgbouncer }) => {
    const size = `${one.clients}/${row.poolSize}`;
    const where = `${one.protocol}, ${one.clients} clients on ${row.poolSize} servers`;
    const cpuMax = limits.cpuRatioMax[size];
    const tpsMin = limits.tpsRatioMin[size];
    const { label } = limits;
    const direct = size === DIRECT_CASE ? seatOf(one.seats, SeatName.direct) : undefined;
    const againstDirect = `${label}: throughput to direct at its best (${direct?.clients} clients), ${where}`;
    const cpu = ratioTo(row, pgbouncer, totalCpuUs);
    const tps = ratioTo(row, pgbouncer, tpsOf);
    return [
      cpuMax === undefined ? [] : atMost(`${label}: CPU per transaction, ${where}`, cpu, cpuMax, formatRatio),
      tpsMin === undefined ? [] : atLeast(`${label}: throughput, ${where}`, tps, tpsMin, formatRatio),
      atLeast(againstDirect, ratioTo(row, direct, tpsOf), limits.directRatioMin, formatRatio),
    ].flat();
  });
}

function checkCalls(results: BenchResults, { seat, label }: RuntimeLimits): TargetCheck[] {
  return rowsOf(results, Part.calls, seat).flatMap(({ one, row }) =>
    (["client", "server"] as const).flatMap((side) => {
      const calls = medianOf(column(row, (result) => result.calls?.[side] ?? null));
      return atMost(`${label}: system calls, ${side} side, ${one.protocol}`, calls, CALLS_MAX[side], formatNumber);
    }),
  );
}

function checkLatency(results: BenchResults, { seat, label, addedUsMax }: RuntimeLimits): TargetCheck[] {
  return rowsOf(results, Part.latency, seat).flatMap(({ row, pgbouncer }) => {
    // What direct takes is in both, and falls out of the difference.
    const addedMs = roundTripsOf(row) < ROUND_TRIPS_MIN ? null : differenceTo(row, pgbouncer, p50Of);
    const print = (us: number): string => `${us >= 0 ? "+ " : "− "}${formatNumber(Math.abs(us))} µs`;
    const text = `${label}: latency added to direct, more than PgBouncer adds`;
    return atMost(text, addedMs === null ? null : addedMs * 1000, addedUsMax, print);
  });
}

function checkTail(results: BenchResults, { seat, label, tailRatioMax }: RuntimeLimits): TargetCheck[] {
  return rowsOf(results, Part.tail, seat).flatMap(({ one, row, pgbouncer }) => {
    const text = `${label}: p99, ${one.clients} clients at ${one.ratePerSecond} a second`;
    return atMost(text, ratioTo(row, pgbouncer, p99Of), tailRatioMax, formatRatio);
  });
}

function checkTls(results: BenchResults, limits: RuntimeLimits): TargetCheck[] {
  const { seat, label, tlsCpuRatioMax, tlsLoginRatioMin } = limits;
  return rowsOf(results, Part.tls, seat).flatMap(({ one, row, pgbouncer }) =>
    one.reconnect === true
      ? atLeast(`${label}: TLS, logins a second`, ratioTo(row, pgbouncer, tpsOf), tlsLoginRatioMin, formatRatio)
      : atMost(
          `${label}: TLS, CPU per transaction, ${one.clients} clients on ${row.poolSize} servers`,
          ratioTo(row, pgbouncer, totalCpuUs),
          tlsCpuRatioMax,
          formatRatio,
        ),
  );
}

function checkSpread(results: BenchResults, { seat, label }: RuntimeLimits): TargetCheck[] {
  const row = results.spread.find((one) => one.seat === seat);
  if (row === undefined || results.options.idleClients < SPREAD_CLIENTS) return [];
  const text = `${label}: CPU per transaction, ${results.options.idleClients} clients to 50, at one rate`;
  return atMost(text, spreadRatio(row), SPREAD_RATIO_MAX, formatRatio);
}

/** Sharing on to sharing off, of one runtime and case. */
function variantRatios(results: BenchResults, part: Part, seat: SeatName, get: Pick): [LoadCase, number | null][] {
  return results.load
    .filter((one) => one.part === part)
    .flatMap((one) => {
      const own = one.seats.filter((row) => row.seat === seat);
      const last = own.at(-1);
      return last === undefined ? [] : [[one, ratioTo(last, firstVariantOf(last, own), get)]];
    });
}

function checkFew(results: BenchResults, { seat, label }: RuntimeLimits): TargetCheck[] {
  const text = (what: string, { protocol, clients }: LoadCase): string =>
    `${label}: ${what} with sharing to without, ${clients} clients and more servers, ${protocol}`;
  const throughput = variantRatios(results, Part.few, seat, tpsOf).flatMap(([one, ratio]) =>
    atLeast(text("throughput", one), ratio, 1 - NOISE, formatRatio),
  );
  const latency = variantRatios(results, Part.few, seat, (result) => result.latencyAvgMs).flatMap(([one, ratio]) =>
    atMost(text("latency", one), ratio, 1 + NOISE, formatRatio),
  );
  return [...throughput, ...latency];
}

function checkMixed(results: BenchResults, { seat, label }: RuntimeLimits): TargetCheck[] {
  return variantRatios(results, Part.mixed, seat, p99Of).flatMap(([{ workload, beside }, ratio]) =>
    atMost(`${label}: p99 with sharing to without, ${workload} beside ${beside}`, ratio, 1 + NOISE, formatRatio),
  );
}

function checkAlone(results: BenchResults, { seat, label }: RuntimeLimits): TargetCheck[] {
  return variantRatios(results, Part.alone, seat, totalCpuUs).flatMap(([{ workload }, ratio]) =>
    atMost(`${label}: CPU with sharing to without, ${workload}`, ratio, ALONE_CPU_RATIO_MAX, formatRatio),
  );
}

function checkIdle(results: BenchResults, limits: RuntimeLimits): TargetCheck[] {
  const { seat, label, idleKbMax, idleRatioMax } = limits;
  if (results.options.idleClients < IDLE_CLIENTS) return [];
  const rounds = (name: SeatName): (number | null)[] =>
    pick(results.idle.find((row) => row.seat === name)?.rounds ?? [], idleKbEach);
  const ours = rounds(seat);
  const text = `${label}: memory per idle client`;
  return [
    ...atMost(`${text}, to PgBouncer`, pairedRatio(ours, rounds(SeatName.pgbouncer)), idleRatioMax, formatRatio),
    ...atMost(text, medianOf(ours), idleKbMax, (kb) => `${formatNumber(kb)} KB`),
  ];
}

function checkCopy(results: BenchResults, { seat, label, copyCpuRatioMax }: RuntimeLimits): TargetCheck[] {
  if (results.options.copyMegabytes < COPY_MEGABYTES) return [];
  return Object.values(CopyDirection).flatMap((direction) => {
    const rounds = (name: SeatName): readonly (CopyResult | Failure)[] =>
      results.copy.find((row) => row.seat === name && row.direction === direction)?.rounds ?? [];
    const ours = rounds(seat);
    if (ours.length === 0) return [];
    const intact = ours.every((round) => !isFailure(round) && round.intact);
    const ratio = pairedRatio(pick(ours, copyCpu), pick(rounds(SeatName.pgbouncer), copyCpu));
    return [
      [yes(`${label}: COPY ${direction} byte for byte`, intact)],
      atMost(`${label}: CPU of the COPY ${direction}`, ratio, copyCpuRatioMax, formatRatio),
    ].flat();
  });
}

function checkStopped(results: BenchResults, { seat, label }: RuntimeLimits): TargetCheck[] {
  const { copyMegabytes, stopSeconds } = results.options;
  const result = results.stopped.find((row) => row.seat === seat)?.result;
  if (result === undefined || isFailure(result)) return [];
  if (copyMegabytes < COPY_MEGABYTES || stopSeconds < STOP_SECONDS) return [];
  const { standingKb, beforeKb, peakKb, baseKb, heldBytes, intact } = result;
  const megabytes = (kb: number): string => `${formatMegabytes(kb)} MB`;
  const bytes = (count: number): string => megabytes(count / 1024);
  return [
    ...atMost(`${label}: growth while the reader stands`, standingKb - beforeKb, STANDING_GROWTH_KB_MAX, megabytes),
    ...atMost(`${label}: growth at the peak of the stopped COPY`, peakKb - baseKb, PEAK_GROWTH_KB_MAX, megabytes),
    yes(`${label}: stopped COPY byte for byte`, intact),
    ...atMost(`${label}: held while the reader stands, own account`, heldBytes, HELD_BYTES_MAX, bytes),
  ];
}

function yes(text: string, reached: boolean): TargetCheck {
  return { text, value: reached ? "yes" : "no", limit: "yes", reached };
}
