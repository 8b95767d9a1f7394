/**
 * What a pooler adds to the way there and back: one client, `select 1`, nothing else going on. The median of each round;
 * direct is measured in the same rounds, so that what is added can be told from what was there before.
 */
import type { LoadCase } from "./bench-results.ts";
import { type LoadTools, runLoadCase, seatsOfCase } from "./load-part.ts";
import { Part, Protocol } from "./options.ts";
import { Workload } from "./workload.ts";

const POOL_SIZE = 20;

/** Runs the part for every seat. With one client pgbench logs every transaction. */
export async function runLatencyPart(tools: LoadTools): Promise<LoadCase[]> {
  const specification = {
    part: Part.latency,
    workload: Workload.pingPong,
    protocol: Protocol.simple,
    clients: 1,
  };
  return [await runLoadCase(tools, specification, seatsOfCase(tools.options, POOL_SIZE))];
}
