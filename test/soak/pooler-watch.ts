/**
 * Looks at the pooler's process every few seconds: its memory, which must stop growing, and how many servers it has, which
 * must never be more than allowed.
 */
import { readMemory } from "../../bench/proc-reader.ts";
import type { SoakRun } from "./soak-run.ts";
import { poolSizes, soakDatabase } from "./soak-stage.ts";

interface MemorySample {
  readonly atMs: number;
  readonly rssMb: number;
  /** The runtime's own figure. */
  readonly heapMb: number;
}

const sampleEveryMs = 2000;
/** Until then compilers and collectors have not found their size: on Node RSS grows by a quarter within the first two minutes. */
const warmUpMsMin = 120_000;
const warmUpPart = 0.25;
/** Fewer samples say nothing about growth. */
const samplesMin = 30;
/**
 * What may be grown from the first third to the last one. RSS: of the medians, the larger of both bounds. Heap: of the
 * least figures, which are those behind a collection.
 */
const rssGrowthMbMax = 32;
const rssGrowthPartMax = 0.2;
const heapGrowthMbMax = 10;

/** Not `sv_active_cancel`: those connections carry cancel requests and are no servers of the pool. */
const serverColumns = ["sv_active", "sv_being_canceled", "sv_idle", "sv_used", "sv_tested", "sv_login"];

export class PoolerWatch {
  readonly #run: SoakRun;
  readonly #samples: MemorySample[] = [];

  constructor(run: SoakRun) {
    this.#run = run;
  }

  /** Looks until the soak is over. */
  async live(): Promise<void> {
    while (!this.#run.isOver) {
      try {
        await this.#look();
      } catch (error) {
        this.#run.fail(`a look at the pooler: ${error instanceof Error ? error.message : String(error)}`);
        this.#run.end();
      }
      await this.#run.rest(sampleEveryMs);
    }
  }

  /** Memory now, in a word or two. */
  get figures(): string {
    const last = this.#samples.at(-1);
    return last === undefined ? "" : `RSS ${last.rssMb.toFixed(0)} MB, heap ${last.heapMb.toFixed(0)} MB`;
  }

  /** Judges the memory of the whole run, and says what it is. */
  judge(): string {
    const warmUpMs = Math.max(warmUpMsMin, this.#run.durationMs * warmUpPart);
    const warm = this.#samples.filter(({ atMs }) => atMs - this.#run.startedMs >= warmUpMs);
    if (warm.length < samplesMin) return `memory:     ${this.figures} (too short a run to judge it)`;
    const third = Math.floor(warm.length / 3);
    const first = warm.slice(0, third);
    const last = warm.slice(-third);
    const rss = [median(first.map(({ rssMb }) => rssMb)), median(last.map(({ rssMb }) => rssMb))] as const;
    const heap = [
      Math.min(...first.map(({ heapMb }) => heapMb)),
      Math.min(...last.map(({ heapMb }) => heapMb)),
    ] as const;
    const rssText = `RSS ${rss[0].toFixed(0)} → ${rss[1].toFixed(0)} MB`;
    const heapText = `heap ${heap[0].toFixed(0)} → ${heap[1].toFixed(0)} MB`;
    if (rss[1] - rss[0] > Math.max(rssGrowthMbMax, rss[0] * rssGrowthPartMax))
      this.#run.fail(`memory grows: ${rssText}`);
    if (heap[1] - heap[0] > heapGrowthMbMax) this.#run.fail(`memory grows: ${heapText}`);
    const slope = slopePerMinute(warm.map(({ atMs, rssMb }) => [atMs, rssMb] as const));
    return `memory:     ${rssText}, ${slope.toFixed(1)} MB a minute; ${heapText}`;
  }

  async #look(): Promise<void> {
    const { bouncer } = this.#run.stage;
    const rows = await bouncer.admin("SHOW MEM");
    const heapKb = Number(rows.find(({ name }) => name === "heap")?.["used"]);
    const { rssKb } = readMemory(bouncer.pid);
    this.#samples.push({ atMs: performance.now(), rssMb: rssKb / 1024, heapMb: heapKb / 1024 });
    const pools = await bouncer.admin("SHOW POOLS");
    const pool = pools.find(({ database }) => database === soakDatabase);
    const servers = serverColumns.reduce((total, column) => total + Number(pool?.[column] ?? 0), 0);
    const allowed = Math.max(...poolSizes);
    if (servers > allowed) this.#run.fail(`${servers} servers where ${allowed} are allowed: ${JSON.stringify(pool)}`);
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

/** The slope of the least squares, for points of milliseconds and a value. */
function slopePerMinute(points: readonly (readonly [ms: number, value: number])[]): number {
  const meanMs = points.reduce((total, [ms]) => total + ms, 0) / points.length;
  const meanValue = points.reduce((total, [, value]) => total + value, 0) / points.length;
  let covariance = 0;
  let variance = 0;
  for (const [ms, value] of points) {
    covariance += (ms - meanMs) * (value - meanValue);
    variance += (ms - meanMs) ** 2;
  }
  return (covariance / variance) * 60_000;
}
