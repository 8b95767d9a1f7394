/**
 * Brings the figures of the demo together, from those who know them: the workload (queries, latency), the pooler's
 * console (who is served and who waits), PostgreSQL (its processes), and the operating system (CPU, memory).
 *
 * `sample` several times a second, `read` once a second; never both at the same time. A figure that could not be had is
 * null, and shown as missing.
 */
import type { ConsoleReader, PoolRow, StatsRow } from "./console-reader.ts";
import type { DemoDatabase } from "./demo-database.ts";
import type { DemoPooler } from "./demo-pooler.ts";
import { LatencyHistogram } from "./latency-histogram.ts";
import { cpuTimeMs, privateBytes, residentBytes } from "./process-usage.ts";
import type { Workload, WorkloadCounts } from "./workload.ts";

export interface LatencyFigures {
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
}

/** Clients of the pool by what they do, on average since the last reading; rounded so that they add up to `all`. */
export interface ClientFigures {
  readonly all: number;
  /** Those that are not the workload's. */
  readonly visitors: number;
  readonly served: number;
  readonly waiting: number;
  readonly idle: number;
}

/** What happened since the last reading. */
export interface Figures {
  readonly elapsedMs: number;
  readonly queriesPerS: number;
  /** Of the whole run, one value a second, the oldest first; the last `historyMax` of them. */
  readonly history: readonly number[];
  readonly latency: LatencyFigures | null;
  readonly clients: ClientFigures | null;
  /** Server connections that PostgreSQL counts, and how many of them the pooler has lent, on average. */
  readonly servers: number | null;
  readonly serversBusy: number | null;
  /** Mean time of a query at the pooler, and mean wait for a server, from SHOW STATS. */
  readonly queryMs: number | null;
  readonly waitMs: number | null;
  /** The pooler's: 100 is one core. */
  readonly cpuPercent: number | null;
  readonly memoryBytes: number | null;
  /** Memory that one server process has for itself, on average. */
  readonly backendBytes: number | null;
  readonly counts: WorkloadCounts;
}

/** The whole run. */
export interface Totals {
  readonly elapsedMs: number;
  readonly clientsConnected: number;
  readonly visitorsMost: number;
  readonly waitingMost: number;
  readonly serversMost: number | null;
  readonly latency: LatencyFigures | null;
  readonly counts: WorkloadCounts;
  readonly stats: StatsRow | null;
  readonly cpuMs: number | null;
  /** CPU time of the workload, the screen and the measuring. */
  readonly ownCpuMs: number;
  readonly memoryMostBytes: number | null;
  readonly backendBytes: number | null;
}

const historyMax = 300;
const none: readonly number[] = [];

export class Meter {
  readonly #workload: Workload;
  readonly #console: ConsoleReader;
  readonly #database: DemoDatabase;
  readonly #pooler: DemoPooler;
  readonly #startedAtMs = performance.now();
  readonly #startedCpuMs: number | null;
  readonly #startedOwnCpu = process.cpuUsage();
  readonly #startedStats: StatsRow | null;
  readonly #latency = new LatencyHistogram();
  readonly #history: number[] = [];
  #samples: PoolRow[] = [];
  #readAtMs = performance.now();
  #queries = 0;
  #stats: StatsRow | null;
  #cpuMs: number | null;
  #clientsConnected = 0;
  #visitorsMost = 0;
  #waitingMost = 0;
  #serversMost: number | null = null;
  #memoryMostBytes: number | null = null;
  #backendBytes: number | null = null;

  private constructor(
    workload: Workload,
    console: ConsoleReader,
    database: DemoDatabase,
    pooler: DemoPooler,
    stats: StatsRow | null,
  ) {
    this.#workload = workload;
    this.#console = console;
    this.#database = database;
    this.#pooler = pooler;
    this.#startedStats = stats;
    this.#stats = stats;
    this.#startedCpuMs = cpuTimeMs(pooler.pid);
    this.#cpuMs = this.#startedCpuMs;
    this.#queries = workload.counts().queries;
    workload.latency.clear();
  }

  /** Begins to count now. */
  static async start(
    workload: Workload,
    console: ConsoleReader,
    database: DemoDatabase,
    pooler: DemoPooler,
  ): Promise<Meter> {
    return new Meter(workload, console, database, pooler, await console.stats());
  }

  /** Looks at the pool: who is served and who waits changes by the millisecond, so one look a second would flicker. */
  async sample(): Promise<void> {
    const row = await this.#console.pool();
    if (row === null) return;
    this.#samples.push(row);
    this.#waitingMost = Math.max(this.#waitingMost, row.clWaiting);
  }

  /** The figures since the last reading. */
  async read(): Promise<Figures> {
    await this.sample();
    const stats = await this.#console.stats();
    const backends = await this.#backends();
    const nowMs = performance.now();
    const passedMs = nowMs - this.#readAtMs;
    this.#readAtMs = nowMs;

    const counts = this.#workload.counts();
    const queriesPerS = ((counts.queries - this.#queries) / passedMs) * 1000;
    this.#queries = counts.queries;
    this.#history.push(queriesPerS);
    if (this.#history.length > historyMax) this.#history.shift();

    const samples = this.#samples;
    this.#samples = [];
    const latency = latencyFigures(this.#workload.latency);
    this.#latency.add(this.#workload.latency);
    this.#workload.latency.clear();
    const { queryMs, waitMs } = averages(this.#stats, stats);
    this.#stats = stats ?? this.#stats;

    return {
      elapsedMs: nowMs - this.#startedAtMs,
      queriesPerS,
      history: this.#history,
      latency,
      clients: this.#clients(samples),
      servers: backends?.length ?? null,
      serversBusy: samples.length === 0 ? null : mean(samples.map((row) => row.svActive)),
      queryMs,
      waitMs,
      ...this.#processFigures(backends ?? none, passedMs),
      counts,
    };
  }

  /** To be asked when the workload has ended. */
  async totals(): Promise<Totals> {
    this.#latency.add(this.#workload.latency);
    this.#workload.latency.clear();
    const cpuMs = cpuTimeMs(this.#pooler.pid);
    const own = process.cpuUsage(this.#startedOwnCpu);
    return {
      elapsedMs: performance.now() - this.#startedAtMs,
      clientsConnected: this.#clientsConnected,
      visitorsMost: this.#visitorsMost,
      waitingMost: this.#waitingMost,
      serversMost: this.#serversMost,
      latency: latencyFigures(this.#latency),
      counts: this.#workload.counts(),
      stats: difference(this.#startedStats, (await this.#console.stats()) ?? this.#stats),
      cpuMs: cpuMs === null || this.#startedCpuMs === null ? null : cpuMs - this.#startedCpuMs,
      ownCpuMs: (own.user + own.system) / 1000,
      memoryMostBytes: this.#memoryMostBytes,
      backendBytes: this.#backendBytes,
    };
  }

  async #backends(): Promise<readonly number[] | null> {
    try {
      const backends = await this.#database.backends();
      this.#serversMost = Math.max(this.#serversMost ?? 0, backends.length);
      return backends;
    } catch {
      // PostgreSQL is busy beyond measure, or gone: the screen shows the figure as missing.
      return null;
    }
  }

  #clients(samples: readonly PoolRow[]): ClientFigures | null {
    const last = samples.at(-1);
    const connected = this.#workload.connectedClients;
    this.#clientsConnected = Math.max(this.#clientsConnected, connected);
    if (last === undefined) return null;
    const all = last.clActive + last.clWaiting;
    const visitors = Math.max(0, all - connected);
    this.#visitorsMost = Math.max(this.#visitorsMost, visitors);
    const served = Math.min(all, Math.round(mean(samples.map((row) => row.svActive))));
    const waiting = Math.min(all - served, Math.round(mean(samples.map((row) => row.clWaiting))));
    return { all, visitors, served, waiting, idle: all - served - waiting };
  }

  #processFigures(
    backends: readonly number[],
    passedMs: number,
  ): Pick<Figures, "cpuPercent" | "memoryBytes" | "backendBytes"> {
    const { pid } = this.#pooler;
    const cpuMs = cpuTimeMs(pid);
    const before = this.#cpuMs;
    this.#cpuMs = cpuMs;
    const memoryBytes = residentBytes(pid);
    if (memoryBytes !== null) this.#memoryMostBytes = Math.max(this.#memoryMostBytes ?? 0, memoryBytes);
    const sizes = backends.map((backend) => privateBytes(backend)).filter((bytes) => bytes !== null);
    if (sizes.length > 0) this.#backendBytes = mean(sizes);
    const cpuPercent = cpuMs === null || before === null ? null : ((cpuMs - before) / passedMs) * 100;
    return { cpuPercent, memoryBytes, backendBytes: this.#backendBytes };
  }
}

function latencyFigures(histogram: LatencyHistogram): LatencyFigures | null {
  const [p50Ms, p95Ms, p99Ms] = [0.5, 0.95, 0.99].map((share) => histogram.percentileMs(share));
  if (typeof p50Ms !== "number" || typeof p95Ms !== "number" || typeof p99Ms !== "number") return null;
  return { p50Ms, p95Ms, p99Ms };
}

function averages(before: StatsRow | null, after: StatsRow | null): Pick<Figures, "queryMs" | "waitMs"> {
  const between = difference(before, after);
  if (between === null) return { queryMs: null, waitMs: null };
  const { queries, queryTimeUs, serverAssignments, waitTimeUs } = between;
  return {
    queryMs: queries > 0 ? queryTimeUs / queries / 1000 : null,
    waitMs: serverAssignments > 0 ? waitTimeUs / serverAssignments / 1000 : null,
  };
}

function difference(before: StatsRow | null, after: StatsRow | null): StatsRow | null {
  if (before === null || after === null) return after;
  const entries = Object.entries(after).map(([name, value]) => [name, value - before[name as keyof StatsRow]]);
  return Object.fromEntries(entries) as StatsRow;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
