/**
 * pgbench through every seat, rounds interleaved: how all cases are run, and the cases of the load part.
 *
 * For each case all seats are started fresh and stay up over the rounds; in each round every seat runs once, and each
 * round begins with another seat, so that no seat always runs behind the same neighbour. While one is measured the others
 * idle. Direct connections take part with as many clients as suit PostgreSQL best: that is what a pooler is up against.
 */
import {
  failureOf,
  isFailure,
  labelOf,
  type Failure,
  type LoadCase,
  type LoadSeatRounds,
  type SeatKey,
} from "./bench-results.ts";
import type { CallCounts } from "./call-counter.ts";
import { type BenchOptions, Part, type Protocol, SeatName } from "./options.ts";
import { type LoadResult, runLoad } from "./pgbench-run.ts";
import type { Processes, RunningProcess } from "./processes.ts";
import type { Seat, SeatMaker } from "./seats.ts";
import { BENCH_DATABASE, BENCH_USER } from "./wire-client.ts";
import { Workload, workloadArguments } from "./workload.ts";

/**
 * A runtime compiles what runs often, which takes some ten seconds of full load; what is of interest here is how it runs for
 * days. So a pooler that has a runtime is loaded for longer before its first round; programs in C need no such time.
 */
const RUNTIME_WARM_UP_SECONDS = 15;
const RUNTIME_WARM_UP_SECONDS_WHEN_QUICK = 1;
/** Where PostgreSQL's best is looked for. */
const DIRECT_CLIENTS = [8, 16, 20, 32, 64, 100, 200];

export type LoadSpecification = Omit<LoadCase, "seats"> & {
  /** Clients use TLS. */
  readonly tls?: boolean;
  /** Every transaction's latency is wanted, not every tenth's. */
  readonly everyLatency?: boolean;
  /** The window of a full run, where the option's is too short for what is measured. */
  readonly secondsMin?: number;
  /** Run at the window's opening, beside the load. */
  readonly countCalls?: (seat: Seat) => Promise<CallCounts>;
};

export interface LoadTools {
  readonly processes: Processes;
  readonly seats: SeatMaker;
  readonly pgbench: string;
  /** Folder of the scripts. */
  readonly scripts: string;
  /** What `slowCount` counts. */
  readonly slowRows: number;
  readonly options: BenchOptions;
  readonly say: (line: string) => void;
}

/** The chosen seats, the poolers with a pool of that size. `directClients`: absent = as many as the case has. */
export function seatsOfCase(options: BenchOptions, poolSize: number, directClients?: number): SeatKey[] {
  return options.seats.map((seat) => {
    if (seat !== SeatName.direct) return { seat, poolSize };
    return directClients === undefined ? { seat, poolSize: null } : { seat, poolSize: null, clients: directClients };
  });
}

/** The chosen poolers: for what cannot be measured without one. */
export function poolersOfCase(options: BenchOptions, poolSize: number): SeatKey[] {
  return seatsOfCase(options, poolSize).filter(({ seat }) => seat !== SeatName.direct);
}

/**
 * Runs one case over all its rounds. A seat that fails is stopped and keeps its place, with the reason; the others go on.
 * `rounds`: absent = as the options say.
 */
export async function runLoadCase(
  tools: LoadTools,
  specification: LoadSpecification,
  keys: readonly SeatKey[],
  rounds: number = tools.options.rounds,
): Promise<LoadCase> {
  const rows: LoadSeatRounds[] = keys.map((key) => Object.assign({ rounds: [] }, key));
  const started: (Seat | null)[] = [];
  try {
    for (const row of rows) started.push(await startForCase(tools, specification, row));
    for (let round = 0; round < rounds; round++) {
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
  const { part, workload, beside, protocol, clients, reconnect, ratePerSecond } = specification;
  return {
    part,
    workload,
    protocol,
    clients,
    seats: rows,
    ...(beside === undefined ? {} : { beside }),
    ...(reconnect === undefined ? {} : { reconnect }),
    ...(ratePerSecond === undefined ? {} : { ratePerSecond }),
  };
}

/** All cases of the load part, one after another. */
export async function runLoadPart(tools: LoadTools): Promise<LoadCase[]> {
  const cases: LoadCase[] = [];
  for (const protocol of tools.options.protocols) {
    const directClients = tools.options.seats.includes(SeatName.direct) ? await bestDirectClients(tools, protocol) : 0;
    for (const { clients, poolSize } of tools.options.cases) {
      const specification = { part: Part.load, workload: Workload.select, protocol, clients };
      const keys = seatsOfCase(tools.options, poolSize, directClients);
      cases.push(await runLoadCase(tools, specification, keys));
    }
  }
  return cases;
}

/** One short run, for numbers that others are derived from. Null when it failed. */
export async function runBriefly(
  tools: LoadTools,
  specification: LoadSpecification,
  key: SeatKey,
): Promise<LoadResult | null> {
  const { seats } = await runLoadCase(tools, specification, [key], 1);
  const result = seats[0]?.rounds[0];
  return result === undefined || isFailure(result) ? null : result;
}

async function bestDirectClients(tools: LoadTools, protocol: Protocol): Promise<number> {
  const key: SeatKey = { seat: SeatName.direct, poolSize: null };
  let best = DIRECT_CLIENTS[0] as number;
  let bestTps = 0;
  for (const clients of DIRECT_CLIENTS) {
    const specification = { part: Part.load, workload: Workload.select, protocol, clients };
    const tps = (await runBriefly(tools, specification, key))?.tps ?? 0;
    if (tps > bestTps) [best, bestTps] = [clients, tps];
  }
  return best;
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
    const settings = row.variant?.settings ?? [];
    return await tools.seats.start(row.seat, row.poolSize ?? 0, { settings, tls: specification.tls === true });
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
): Promise<LoadResult | Failure> {
  const { options, pgbench } = tools;
  const { protocol, reconnect = false, workload, beside, secondsMin = 0, countCalls } = specification;
  const clients = row.clients ?? specification.clients;
  const title = `${titleOf(specification, clients)}, round ${round + 1}, ${labelOf(row)}`;
  const measureSeconds = Math.max(options.measureSeconds, options.quick ? 0 : secondsMin);
  const warmUpSeconds = options.warmUpSeconds + (round === 0 ? runtimeWarmUpSeconds(seat.name, options) : 0);
  let neighbour: RunningProcess | null = null;
  let calls: Promise<CallCounts> | null = null;
  let isCounting = false;
  try {
    if (beside !== undefined) neighbour = startBeside(tools, seat, protocol, beside);
    const result = await runLoad(tools.processes, seat, {
      ...specification,
      pgbench,
      script: workloadArguments(workload, tools.scripts, tools.slowRows),
      protocol,
      clients,
      reconnect,
      warmUpSeconds,
      measureSeconds,
      ...(countCalls === undefined ? {} : { isHeld: () => isCounting }),
      onOpening: () => {
        if (countCalls === undefined) return;
        isCounting = true;
        calls = countCalls(seat).finally(() => (isCounting = false));
        calls.catch(() => {}); // awaited below; pgbench may fail first
      },
    });
    if (isCounting) throw new Error("counting took longer than the load");
    const counted = await (calls as Promise<CallCounts> | null);
    if (neighbour !== null && neighbour.end !== null) throw new Error(`beside it: ${neighbour.stderrTail.trim()}`);
    tools.say(`${title}: ${Math.round(result.tps)} tps`);
    return counted === null ? result : { ...result, calls: counted };
  } catch (error) {
    tools.say(`${title}: ${(error as Error).message}`);
    return failureOf(error);
  } finally {
    if (neighbour !== null) await tools.processes.stop(neighbour);
  }
}

function runtimeWarmUpSeconds(seat: SeatName, options: BenchOptions): number {
  if (seat !== SeatName.node && seat !== SeatName.bun) return 0;
  return options.quick ? RUNTIME_WARM_UP_SECONDS_WHEN_QUICK : RUNTIME_WARM_UP_SECONDS;
}

/** One client that runs `workload` once a second until it is stopped. */
function startBeside(tools: LoadTools, seat: Seat, protocol: Protocol, workload: Workload): RunningProcess {
  const { address } = seat;
  return tools.processes.start(
    "pgbench beside",
    tools.pgbench,
    [
      ...workloadArguments(workload, tools.scripts, tools.slowRows),
      "--no-vacuum",
      `--protocol=${protocol}`,
      "--client=1",
      "--rate=1",
      "--time=600",
      `--host=${address.socketFolder ?? address.host}`,
      `--port=${address.port}`,
      `--username=${BENCH_USER}`,
      BENCH_DATABASE,
    ],
    { env: { PGSSLMODE: "disable", PGGSSENCMODE: "disable" } },
  );
}

function titleOf(specification: LoadSpecification, clients: number): string {
  const { part, workload, beside, protocol } = specification;
  const load = beside === undefined ? workload : `${workload} beside ${beside}`;
  return `${part}: ${load}, ${protocol}, ${clients} clients`;
}
