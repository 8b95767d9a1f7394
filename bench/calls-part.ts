/**
 * System calls per transaction, 500 clients on 20 servers: counts, which the machine's weather touches less than times.
 */
import type { LoadCase } from "./bench-results.ts";
import { callCountingProblem, countCalls } from "./call-counter.ts";
import { type LoadTools, poolersOfCase, runLoadCase } from "./load-part.ts";
import { Part } from "./options.ts";
import type { Seat } from "./seats.ts";
import { Workload } from "./workload.ts";

const CLIENTS = 500;
const POOL_SIZE = 20;
const ROUNDS_MAX = 3;
const COUNTED_SECONDS = 2;

/** Runs the part for every pooler, or says why it cannot. */
export async function runCallsPart(tools: LoadTools): Promise<LoadCase[] | string> {
  const { options } = tools;
  const problem = options.unixSockets
    ? "system calls: with Unix sockets it is not seen which are the servers'"
    : callCountingProblem();
  if (problem !== null) return problem;
  const { port } = tools.seats.postgres;
  const cases: LoadCase[] = [];
  for (const protocol of options.protocols) {
    const specification = {
      part: Part.calls,
      workload: Workload.select,
      protocol,
      clients: CLIENTS,
      countCalls: (seat: Seat) => countCalls(seat, port, COUNTED_SECONDS),
    };
    const keys = poolersOfCase(options, POOL_SIZE);
    cases.push(await runLoadCase(tools, specification, keys, Math.min(options.rounds, ROUNDS_MAX)));
  }
  return cases;
}
