/**
 * The numbers that the project has promised to reach, each compared with what this run measured. Pure.
 *
 * A target that this run did not measure (another part, fewer clients, a smaller COPY) is left out, not passed.
 */
import { type BenchResults, type CopyResult, isFailure, type SeatRounds } from "./bench-results.ts";
import { ratioToPgbouncer, totalCpuUs } from "./load-report.ts";
import { formatMegabytes, formatNumber, formatRatio } from "./markdown-table.ts";
import { SeatName } from "./options.ts";
import { pairedRatio } from "./statistics.ts";

export interface TargetCheck {
  readonly text: string;
  readonly value: string;
  readonly limit: string;
  readonly reached: boolean;
}

interface RuntimeLimits {
  readonly seat: SeatName;
  readonly label: string;
  readonly cpuRatioMax: number;
  readonly idleKbMax: number;
}

const RUNTIMES: readonly RuntimeLimits[] = [
  { seat: SeatName.bun, label: "Bun", cpuRatioMax: 1.25, idleKbMax: 5 },
  { seat: SeatName.node, label: "Node", cpuRatioMax: 1.9, idleKbMax: 12 },
];
const CPU_CLIENTS = 64;
const CPU_POOL_SIZE = 20;
const IDLE_CLIENTS = 5000;
const COPY_MEGABYTES = 1000;
const STOP_SECONDS = 10;
const STANDING_GROWTH_KB_MAX = 16 * 1024;
const HELD_BYTES_MAX = 1024 * 1024;
const PEAK_GROWTH_KB_MAX = 96 * 1024;
const COPY_CPU_RATIO_MAX = 1;

export function checkTargets(results: BenchResults): TargetCheck[] {
  return [checkCpu, checkIdle, checkCopy, checkStopped].flatMap((check) =>
    RUNTIMES.flatMap((limits) => check(results, limits)),
  );
}

function checkCpu(results: BenchResults, { seat, label, cpuRatioMax }: RuntimeLimits): TargetCheck[] {
  return results.load
    .filter(({ clients }) => clients === CPU_CLIENTS)
    .flatMap(({ protocol, seats }) => {
      const row = seats.find((one) => one.seat === seat && one.poolSize === CPU_POOL_SIZE);
      const ratio = row === undefined ? null : ratioToPgbouncer(row, seats, totalCpuUs);
      if (ratio === null) return [];
      const text = `${label}: CPU per transaction, ${protocol}, ${CPU_CLIENTS} clients on ${CPU_POOL_SIZE} servers`;
      return [{ text, value: formatRatio(ratio), limit: formatRatio(cpuRatioMax), reached: ratio <= cpuRatioMax }];
    });
}

function checkIdle(results: BenchResults, { seat, label, idleKbMax }: RuntimeLimits): TargetCheck[] {
  const result = results.idle.find((row) => row.seat === seat)?.result;
  if (result === undefined || isFailure(result) || result.clients < IDLE_CLIENTS) return [];
  const each = (result.settledKb - result.baseKb) / result.clients;
  return [
    {
      text: `${label}: memory per idle client`,
      value: `${formatNumber(each)} KB`,
      limit: `${idleKbMax} KB`,
      reached: each <= idleKbMax,
    },
  ];
}

function checkCopy(results: BenchResults, { seat, label }: RuntimeLimits): TargetCheck[] {
  const cpu = (row: SeatRounds<CopyResult> | undefined): (number | null)[] =>
    (row?.rounds ?? []).map((round) =>
      isFailure(round) || round.userSeconds === null || round.systemSeconds === null
        ? null
        : round.userSeconds + round.systemSeconds,
    );
  if (results.options.copyMegabytes < COPY_MEGABYTES) return [];
  const ours = results.copy.find((row) => row.seat === seat);
  if (ours === undefined) return [];
  const ratio = pairedRatio(cpu(ours), cpu(results.copy.find((row) => row.seat === SeatName.pgbouncer)));
  const intact = ours.rounds.every((round) => !isFailure(round) && round.intact);
  const checks: TargetCheck[] = [
    { text: `${label}: COPY out byte for byte`, value: intact ? "yes" : "no", limit: "yes", reached: intact },
  ];
  if (ratio !== null) {
    checks.push({
      text: `${label}: CPU of the COPY out`,
      value: formatRatio(ratio),
      limit: formatRatio(COPY_CPU_RATIO_MAX),
      reached: ratio <= COPY_CPU_RATIO_MAX,
    });
  }
  return checks;
}

function checkStopped(results: BenchResults, { seat, label }: RuntimeLimits): TargetCheck[] {
  const { copyMegabytes, stopSeconds } = results.options;
  const result = results.stopped.find((row) => row.seat === seat)?.result;
  if (result === undefined || isFailure(result)) return [];
  if (copyMegabytes < COPY_MEGABYTES || stopSeconds < STOP_SECONDS) return [];
  const growthKb = result.standingKb - result.beforeKb;
  const checks: TargetCheck[] = [
    {
      text: `${label}: growth while the reader stands`,
      value: `${formatMegabytes(growthKb)} MB`,
      limit: "16 MB",
      reached: growthKb <= STANDING_GROWTH_KB_MAX,
    },
    {
      text: `${label}: growth at the peak of the stopped COPY`,
      value: `${formatMegabytes(result.peakKb - result.baseKb)} MB`,
      limit: "96 MB",
      reached: result.peakKb - result.baseKb <= PEAK_GROWTH_KB_MAX,
    },
    {
      text: `${label}: stopped COPY byte for byte`,
      value: result.intact ? "yes" : "no",
      limit: "yes",
      reached: result.intact,
    },
  ];
  if (result.heldBytes !== null) {
    checks.push({
      text: `${label}: held while the reader stands, own account`,
      value: `${formatMegabytes(result.heldBytes / 1024)} MB`,
      limit: "1 MB",
      reached: result.heldBytes <= HELD_BYTES_MAX,
    });
  }
  return checks;
}
