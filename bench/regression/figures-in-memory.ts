/**
 * A program for either runtime: what a transaction costs the engine in a world of memory, as JSON on stdout.
 *
 * Reads, writes, turns and steps are exact and the same on every machine. Bytes are counted where the runtime tells (Node
 * with --expose-gc). Times are left to the bench and to `bench/micro`: on a machine with neighbours even ratios of two of
 * them differ by two between one minute and the next.
 */
import { settingRow } from "../../src/config/settings-table.ts";
import { Pipeline } from "../../src/pipeline/pipeline.ts";
import { Exchange, MemoryPooler } from "../memory/memory-pooler.ts";
import { median } from "../statistics.ts";
import type { Figures } from "./compare-baseline.ts";

const SIZES = [
  { clients: 64, poolSize: 4 },
  { clients: 8, poolSize: 20 },
] as const;
/** Until everything is compiled: unoptimised code allocates more. */
const WARM_UP_TRANSACTIONS = 40_000;
const COUNTED_ROUNDS = 20;
/** Few transactions at a time, so that hardly anything is collected meanwhile; the median passes over where it was. */
const BYTES_BATCHES = 21;
const BYTES_TRANSACTIONS = 1000;

const figures: Figures = {};
let steps = 0;

for (const { clients, poolSize } of SIZES) {
  for (const exchange of Object.values(Exchange)) {
    // What is shared depends on the database's catalogue, which memory has not.
    const settings = settingRow("sharing") === undefined ? [] : ["sharing = 0"];
    const pooler = await MemoryPooler.start(clients, poolSize, settings);
    const name = `${exchange} ${clients}/${poolSize}`;
    for (let done = 0; done < WARM_UP_TRANSACTIONS;) done += pooler.round(exchange);
    measureBytes(name, pooler, exchange);
    measureCounts(name, pooler, exchange);
    pooler.stop();
  }
}
console.log(JSON.stringify(figures));

function measureCounts(name: string, pooler: MemoryPooler, exchange: Exchange): void {
  const { counts } = pooler.world;
  const before = { ...counts };
  steps = 0;
  const push = Reflect.get<Pipeline, "push">(Pipeline.prototype, "push");
  Pipeline.prototype.push = function counted(...args): void {
    steps++;
    Reflect.apply(push, this, args);
  };
  let transactions = 0;
  for (let round = 0; round < COUNTED_ROUNDS; round++) transactions += pooler.round(exchange);
  Pipeline.prototype.push = push;
  for (const key of ["clientReads", "clientWrites", "serverReads", "serverWrites"] as const) {
    figures[`${name} ${key}`] = (counts[key] - before[key]) / transactions;
  }
  figures[`${name} steps`] = steps / transactions;
  figures[`${name} turnsOfRound`] = (counts.turns - before.turns) / COUNTED_ROUNDS;
}

function measureBytes(name: string, pooler: MemoryPooler, exchange: Exchange): void {
  const collect = globalThis.gc;
  if (collect === undefined || process.versions.bun !== undefined) return;
  const used = (): number => {
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };
  const batches: number[] = [];
  for (let batch = 0; batch < BYTES_BATCHES; batch++) {
    collect();
    const before = used();
    let transactions = 0;
    while (transactions < BYTES_TRANSACTIONS) transactions += pooler.round(exchange);
    batches.push((used() - before) / transactions);
  }
  figures[`${name} bytes`] = median(batches) as number;
}
