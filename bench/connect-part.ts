/**
 * Connections per second: login, one query, close, by `pgbench -C`. A "transaction" is one such life here. The client side
 * (libpq and two busy cores) is part of the ceiling, the same for all seats.
 */
import type { LoadCase } from "./bench-results.ts";
import { type LoadTools, runLoadCase, seatsOfCase } from "./load-part.ts";
import { Part, Protocol } from "./options.ts";
import { Workload } from "./workload.ts";

const CLIENTS = 16;
const POOL_SIZE = 20;

/** Runs the part for every seat. */
export async function runConnectPart(tools: LoadTools): Promise<LoadCase[]> {
  const specification = {
    part: Part.connect,
    workload: Workload.select,
    protocol: Protocol.simple,
    clients: CLIENTS,
    reconnect: true,
  };
  return [await runLoadCase(tools, specification, seatsOfCase(tools.options, POOL_SIZE))];
}
