/**
 * One run of pgbench against one seat, and what the pooler used meanwhile.
 *
 * pgbench reports once a second. The first `warmUpSeconds` reports are warm-up; there the window opens and the pooler's
 * CPU time is read, and again at each report, so logins and the end stay outside. Throughput and average latency are
 * pgbench's own, over all transactions; medians and p99 come from a log of every tenth (all of them when there are few, or
 * when they are what is measured).
 */
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { CallCounts } from "./call-counter.ts";
import type { Protocol } from "./options.ts";
import { findTrouble, measureWindow, parseLog, parseProgress, type ProgressLine } from "./pgbench-output.ts";
import { type CpuTimes, type MemoryUse, readCpu, readMemory } from "./proc-reader.ts";
import { describeEnd, type Processes } from "./processes.ts";
import type { Seat } from "./seats.ts";
import { percentile } from "./statistics.ts";
import { BENCH_DATABASE, BENCH_USER } from "./wire-client.ts";

export interface LoadRequest {
  readonly pgbench: string;
  /** pgbench's arguments that say what it runs. */
  readonly script: readonly string[];
  readonly protocol: Protocol;
  readonly clients: number;
  readonly warmUpSeconds: number;
  readonly measureSeconds: number;
  /** A new connection for every transaction (`pgbench -C`). */
  readonly reconnect: boolean;
  /** Transactions a second; absent: as many as can be. Latencies then count from when a transaction was due. */
  readonly ratePerSecond?: number;
  /** Every transaction's latency is wanted, not every tenth's. */
  readonly everyLatency?: boolean;
  /** Called when the window opens. */
  readonly onOpening?: () => void;
  /** Asked when the window could close: true keeps the load going for a while, behind the window. */
  readonly isHeld?: () => boolean;
}

export interface LoadResult {
  readonly tps: number;
  readonly latencyAvgMs: number;
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  /** CPU of the pooler per transaction, in µs; null for direct. */
  readonly userUs: number | null;
  readonly systemUs: number | null;
  /** Pooler's memory when the window closed; null for direct. */
  readonly rssKb: number | null;
  readonly peakKb: number | null;
  readonly windowSeconds: number;
  readonly transactions: number;
  readonly sampledLatencies: number;
  /** Where they were counted. */
  readonly calls?: CallCounts;
}

interface Reading {
  readonly line: ProgressLine;
  /** When the line was read, for the CPU's side of the window: under load it may reach us late. */
  readonly readAtMs: number;
  readonly cpu: CpuTimes | null;
  readonly memory: MemoryUse | null;
}

const SAMPLING_RATE = 0.1;
/**
 * Whether pgbench still reports at the very end of `--time` is a race within it. So it is given more time than needed, and
 * its own timer's signal, SIGALRM, as soon as the last report is in: it then ends as if the time were over.
 */
const TIME_TO_SPARE_SECONDS = 5;
/** Before that, whoever holds the load must let it go. */
const HOLD_SECONDS_MAX = 20;
/** For connecting and for the last answers. After that somebody does not answer, and the run is ended. */
const PATIENCE_SECONDS = 30;

/** Runs pgbench once. Throws when pgbench, or the pooler, fails in any way: a run with errors is no measurement. */
export async function runLoad(processes: Processes, seat: Seat, request: LoadRequest): Promise<LoadResult> {
  const logFolder = processes.makeFolder("pgbench-log");
  try {
    return await runLogged(processes, seat, request, logFolder);
  } finally {
    rmSync(logFolder, { recursive: true, force: true });
  }
}

async function runLogged(
  processes: Processes,
  seat: Seat,
  request: LoadRequest,
  logFolder: string,
): Promise<LoadResult> {
  const reports = request.warmUpSeconds + request.measureSeconds;
  const readings: Reading[] = [];
  let stdout = "";
  let stderr = "";
  let unread = "";
  const running = processes.start("pgbench", request.pgbench, pgbenchArguments(seat, request, logFolder), {
    env: { PGSSLMODE: seat.tls ? "require" : "disable", PGGSSENCMODE: "disable" },
    onStdout: (text) => (stdout += text),
    onStderr: (text) => {
      const lines = (unread + text).split("\n");
      unread = lines.pop() as string;
      for (const line of lines) {
        const progress = parseProgress(line);
        if (progress === null) {
          stderr += `${line}\n`;
          continue;
        }
        const count = readings.push(takeReading(progress, seat.pid));
        if (count === request.warmUpSeconds) request.onOpening?.();
        if (count >= reports && request.isHeld?.() !== true) running.child.kill("SIGALRM");
      }
    },
  });
  const late = setTimeout(() => void processes.stop(running), (reports + PATIENCE_SECONDS) * 1000);
  const end = await running.ended.finally(() => clearTimeout(late));
  if (end.signal !== null) throw new Error(`no end after ${reports + PATIENCE_SECONDS} s ${lastLine(stderr)}`.trim());
  const trouble = findTrouble(stdout, stderr);
  if (trouble !== null) throw new Error(trouble);
  if (end.code !== 0) throw new Error(`${describeEnd(running)} ${stderr.trim()}`.trim());

  const opening = request.warmUpSeconds - 1;
  const window = measureWindow(
    readings.slice(0, reports).map((reading) => reading.line),
    opening,
  );
  const first = readings[opening];
  const last = readings[reports - 1];
  if (window === null || first === undefined || last === undefined) {
    throw new Error(`pgbench reported ${readings.length} times, too few for a window`);
  }
  if (window.transactions === 0) throw new Error(`no transaction in ${window.seconds.toFixed(1)} s`);
  const latencies = readLogs(logFolder, first.line.atSeconds, last.line.atSeconds);
  const perTransaction = (pick: (cpu: CpuTimes) => number): number | null => {
    if (first.cpu === null || last.cpu === null) return null;
    const used = pick(last.cpu) - pick(first.cpu);
    // µs per second, divided by transactions per second: the two clocks' windows need not be the same to the millisecond.
    return used / ((last.readAtMs - first.readAtMs) / 1000) / window.tps;
  };
  return {
    tps: window.tps,
    latencyAvgMs: window.latencyAvgMs,
    p50Ms: percentile(latencies, 0.5),
    p99Ms: percentile(latencies, 0.99),
    userUs: perTransaction((cpu) => cpu.userUs),
    systemUs: perTransaction((cpu) => cpu.systemUs),
    rssKb: last.memory?.rssKb ?? null,
    peakKb: last.memory?.peakKb ?? null,
    windowSeconds: window.seconds,
    transactions: Math.round(window.transactions),
    sampledLatencies: latencies.length,
  };
}

function timeToSpare({ isHeld }: LoadRequest): number {
  return isHeld === undefined ? TIME_TO_SPARE_SECONDS : HOLD_SECONDS_MAX;
}

function lastLine(text: string): string {
  return text.trimEnd().split("\n").at(-1) ?? "";
}

function takeReading(line: ProgressLine, pid: number | null): Reading {
  const readAtMs = performance.now();
  if (pid === null) return { line, readAtMs, cpu: null, memory: null };
  try {
    return { line, readAtMs, cpu: readCpu(pid), memory: readMemory(pid) };
  } catch {
    // The pooler is gone; pgbench's own failure tells the story better than an exception from here.
    return { line, readAtMs, cpu: null, memory: null };
  }
}

function pgbenchArguments(seat: Seat, request: LoadRequest, logFolder: string): string[] {
  const { address } = seat;
  const args = [
    ...request.script,
    "--no-vacuum",
    `--protocol=${request.protocol}`,
    `--client=${request.clients}`,
    `--jobs=${Math.min(2, request.clients)}`,
    `--time=${request.warmUpSeconds + request.measureSeconds + timeToSpare(request)}`,
    "--progress=1",
    "--progress-timestamp",
    "--log",
    `--log-prefix=${join(logFolder, "log")}`,
    `--host=${address.socketFolder ?? address.host}`,
    `--port=${address.port}`,
    `--username=${BENCH_USER}`,
  ];
  if (request.ratePerSecond !== undefined) args.push(`--rate=${request.ratePerSecond}`);
  if (request.reconnect) args.push("--connect");
  else if (request.clients > 1 && request.everyLatency !== true) args.push(`--sampling-rate=${SAMPLING_RATE}`);
  args.push(BENCH_DATABASE);
  return args;
}

function readLogs(folder: string, fromSeconds: number, toSeconds: number): number[] {
  const latencies: number[] = [];
  for (const name of readdirSync(folder)) {
    for (const latency of parseLog(readFileSync(join(folder, name), "latin1"), fromSeconds, toSeconds)) {
      latencies.push(latency);
    }
  }
  return latencies;
}
