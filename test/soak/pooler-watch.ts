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
  /** The runtime's own figures. */
  readonly heapMb: number;
  readonly externalMb: number;
}

type Figure = "rssMb" | "heapMb" | "externalMb";

const sampleEveryMs = 2000;
/** Until then compilers and collectors have not found their size: on Node RSS grows by a quarter within the first two minutes. */
const warmUpMsMin = 120_000;
const warmUpPart = 0.25;
/** Fewer samples say nothing about growth. */
const samplesMin = 30;
/**
 * What may be grown from the first third to the last one, of the least figures of each: those behind a collection. In the runtime's own
 * figures that is what lives. RSS has room for what V8 does not hurry to collect: its pages went from 45 to 74 MB within four minutes of
 * load while 20 MB lived throughout, and back in other runs.
 */
const rssGrowthMbMax = 64;
const runtimeGrowthMbMax = 10;

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
    return last === undefined
      ? ""
      : `RSS ${last.rssMb.toFixed(0)} MB, heap ${last.heapMb.toFixed(0)} MB, external ${last.externalMb.toFixed(0)} MB`;
  }

  /** Judges the memory of the whole run, and says what it is. */
  judge(): string {
    const warmUpMs = Math.max(warmUpMsMin, this.#run.durationMs * warmUpPart);
    const warm = this.#samples.filter(({ atMs }) => atMs - this.#run.startedMs >= warmUpMs);
    if (warm.length < samplesMin) return `memory:     ${this.figures} (too short a run to judge it)`;
    const third = Math.floor(warm.length / 3);
    const first = warm.slice(0, third);
    const last = warm.slice(-third);
    const least = (figure: Figure): readonly [number, number] => [
      Math.min(...first.map((sample) => sample[figure])),
      Math.min(...last.map((sample) => sample[figure])),
    ];
    const texts: string[] = [];
    const judgeOne = (name: string, figure: Figure, growthMbMax: number): void => {
      const [before, after] = least(figure);
      const text = `${name} ${before.toFixed(0)} → ${after.toFixed(0)} MB`;
      if (after - before > growthMbMax) this.#run.fail(`memory grows: ${text}`);
      texts.push(text);
    };
    judgeOne("RSS", "rssMb", rssGrowthMbMax);
    judgeOne("heap", "heapMb", runtimeGrowthMbMax);
    judgeOne("external", "externalMb", runtimeGrowthMbMax);
    const slope = slopePerMinute(warm.map(({ atMs, rssMb }) => [atMs, rssMb] as const));
    return `memory:     ${texts.join(", ")} (the least of the first and the last third); RSS ${slope.toFixed(1)} MB a minute`;
  }

  async #look(): Promise<void> {
    const { bouncer } = this.#run.stage;
    const rows = await bouncer.admin("SHOW MEM");
    const usedMb = (row: string): number => Number(rows.find(({ name }) => name === row)?.["used"]) / 1024;
    const { rssKb } = readMemory(bouncer.pid);
    this.#samples.push({
      atMs: performance.now(),
      rssMb: rssKb / 1024,
      heapMb: usedMb("heap"),
      externalMb: usedMb("external"),
    });
    const pools = await bouncer.admin("SHOW POOLS");
    const pool = pools.find(({ database }) => database === soakDatabase);
    const servers = serverColumns.reduce((total, column) => total + Number(pool?.[column] ?? 0), 0);
    const allowed = Math.max(...poolSizes);
    if (servers > allowed) this.#run.fail(`${servers} servers where ${allowed} are allowed: ${JSON.stringify(pool)}`);
  }
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
