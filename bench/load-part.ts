/**
 * The table: pgbench through every seat, rounds interleaved.
 *
 * For each protocol and number of clients all seats are started fresh and stay up over the rounds; in each round every
 * seat runs once, and each round begins with another seat, so that no seat always runs behind the same neighbour. While
 * one is measured the others idle. One client needs one server: pool sizes make no difference, and only the last is run.
 */
import { type BenchOptions, type Protocol, SeatName } from "./options.ts";
import { runLoad } from "./pgbench-run.ts";
import type { Processes } from "./processes.ts";
import { failureOf, isFailure, labelOf, type LoadCase, type LoadSeatRounds, type SeatKey } from "./bench-results.ts";
import type { Seat, SeatMaker } from "./seats.ts";

/** A runtime compiles what runs often during its first seconds; what is of interest here is how it runs for days. */
const FIRST_WARM_UP_EXTRA_SECONDS = 1;

export interface LoadSpecification {
  readonly protocol: Protocol;
  readonly clients: number;
  readonly reconnect: boolean;
}

export interface LoadTools {
  readonly processes: Processes;
  readonly seats: SeatMaker;
  readonly pgbench: string;
  readonly options: BenchOptions;
  readonly say: (line: string) => void;
}

/** Which seats a case has: direct once, the poolers once for each pool size that makes a difference. */
export function seatsOfCase(options: BenchOptions, clients: number): SeatKey[] {
  const sizes = clients === 1 ? options.poolSizes.slice(-1) : options.poolSizes;
  const keys: SeatKey[] = [];
  if (options.seats.includes(SeatName.direct)) keys.push({ seat: SeatName.direct, poolSize: null });
  for (const poolSize of sizes) {
    for (const seat of options.seats) {
      if (seat !== SeatName.direct) keys.push({ seat, poolSize });
    }
  }
  return keys;
}

/** Runs one case over all its rounds. A seat that fails is stopped and keeps its place, with the reason; the others go on. */
export async function runLoadCase(
  tools: LoadTools,
  specification: LoadSpecification,
  keys: readonly SeatKey[],
): Promise<LoadSeatRounds[]> {
  const rows: LoadSeatRounds[] = keys.map(({ seat, poolSize }) => ({ seat, poolSize, rounds: [] }));
  const started: (Seat | null)[] = [];
  try {
    for (const row of rows) started.push(await startForCase(tools, specification, row));
    for (let round = 0; round < tools.options.rounds; round++) {
      for (let place = 0; place < rows.length; place++) {
        const at = (place + round) % rows.length;
        const row = rows[at] as LoadSeatRounds;
        const seat = started[at] ?? null;
        if (seat === null) continue;
        const result = await runOnce(tools, specification, row, seat, round);
        row.rounds.push(result);
        if (!isFailure(result)) continue;
        // Not run again: a pooler that hangs would cost half a minute each time, and its numbers be of a sick process.
        started[at] = null;
        await seat.stop();
      }
    }
  } finally {
    for (const seat of started) await seat?.stop();
  }
  return rows;
}

/** All cases of the load part, one after another. */
export async function runLoadPart(tools: LoadTools): Promise<LoadCase[]> {
  const cases: LoadCase[] = [];
  for (const protocol of tools.options.protocols) {
    for (const clients of tools.options.clientCounts) {
      const specification = { protocol, clients, reconnect: false };
      const seats = await runLoadCase(tools, specification, seatsOfCase(tools.options, clients));
      cases.push({ protocol, clients, seats });
    }
  }
  return cases;
}

async function startForCase(
  tools: LoadTools,
  specification: LoadSpecification,
  row: LoadSeatRounds,
): Promise<Seat | null> {
  if (row.seat === SeatName.pgbouncer && specification.protocol === "prepared" && !tools.seats.pgbouncerPrepares) {
    row.rounds.push({ failed: "no prepared statements in transaction mode before 1.21", unsupported: true });
    return null;
  }
  try {
    return await tools.seats.start(row.seat, row.poolSize ?? 0);
  } catch (error) {
    row.rounds.push(failureOf(error));
    tools.say(`${labelOf(row)}: ${(error as Error).message}`);
    return null;
  }
}

async function runOnce(
  tools: LoadTools,
  specification: LoadSpecification,
  row: LoadSeatRounds,
  seat: Seat,
  round: number,
): Promise<LoadSeatRounds["rounds"][number]> {
  const { protocol, clients, reconnect } = specification;
  const title = `${reconnect ? "connect" : protocol}, ${clients} clients, round ${round + 1}, ${labelOf(row)}`;
  try {
    const { options, pgbench } = tools;
    const { measureSeconds } = options;
    const warmUpSeconds = options.warmUpSeconds + (round === 0 ? FIRST_WARM_UP_EXTRA_SECONDS : 0);
    const result = await runLoad(tools.processes, seat, { pgbench, ...specification, warmUpSeconds, measureSeconds });
    tools.say(`${title}: ${Math.round(result.tps)} tps`);
    return result;
  } catch (error) {
    tools.say(`${title}: ${(error as Error).message}`);
    return failureOf(error);
  }
}
