/**
 * Latency when there is enough to do but not too much: 1,000 clients on 20 servers, at 70 % of what PgBouncer can do with
 * just as many. A latency counts from when the transaction was due (pgbench --rate), so that a pooler that stands still
 * for a moment pays for all who came meanwhile.
 */
import type { LoadCase } from "./bench-results.ts";
import { type LoadTools, poolersOfCase, runBriefly, runLoadCase } from "./load-part.ts";
import { Part, Protocol, SeatName } from "./options.ts";
import { median } from "./statistics.ts";
import { Workload } from "./workload.ts";

const CLIENTS = 1000;
const POOL_SIZE = 20;
const RATE_FRACTION = 0.7;
const BEST_RUNS = 3;
/** A hundredth of the transactions decides. */
const SECONDS_MIN = 4;

/** Runs the part for every pooler, or says why it cannot. */
export async function runTailPart(tools: LoadTools): Promise<LoadCase[] | string> {
  const { options } = tools;
  if (!options.seats.includes(SeatName.pgbouncer))
    return "p99 at a fixed rate: the rate is PgBouncer's, who is not there";
  const load = { part: Part.tail, workload: Workload.select, protocol: Protocol.simple, clients: CLIENTS };
  const best: number[] = [];
  for (let run = 0; run < BEST_RUNS; run++) {
    const result = await runBriefly(tools, load, { seat: SeatName.pgbouncer, poolSize: POOL_SIZE });
    if (result !== null) best.push(result.tps);
  }
  const bestTps = median(best);
  if (bestTps === null) return "p99 at a fixed rate: the rate is PgBouncer's, whose best could not be measured";
  const ratePerSecond = Math.round(RATE_FRACTION * bestTps);
  const specification = { ...load, ratePerSecond, everyLatency: true, secondsMin: SECONDS_MIN };
  return [await runLoadCase(tools, specification, poolersOfCase(options, POOL_SIZE))];
}
