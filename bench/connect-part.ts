/**
 * Connections per second: login, one query, close, by `pgbench -C`. Uses the runner of the load part; a "transaction"
 * is one such life here. The client side (libpq and two busy cores) is part of the ceiling, the same for all seats.
 */
import type { LoadSeatRounds } from "./bench-results.ts";
import { type LoadTools, runLoadCase, seatsOfCase } from "./load-part.ts";
import { Protocol } from "./options.ts";

const CLIENTS = 16;
const POOL_SIZE = 20;

/** Runs the part for every seat. */
export function runConnectPart(tools: LoadTools): Promise<LoadSeatRounds[]> {
  const keys = seatsOfCase({ ...tools.options, poolSizes: [POOL_SIZE] }, CLIENTS);
  return runLoadCase(tools, { protocol: Protocol.simple, clients: CLIENTS, reconnect: true }, keys);
}
