/**
 * Does a transaction cost more when it comes from one of thousands? The same rate of queries over few connections and over
 * many, all of which take part in turn. The load is our own (`load-generator.ts`).
 */
import { failureOf, labelOf, type Failure, type SpreadResult, type SpreadSeat } from "./bench-results.ts";
import type { DriverJob } from "./load-driver.ts";
import { type LoadTools, poolersOfCase } from "./load-part.ts";
import type { Seat } from "./seats.ts";

const FEW_CLIENTS = 50;
const POOL_SIZE = 20;
/** Well below what any of the poolers can do. */
const RATE_PER_SECOND = 4000;
const WARM_UP_SECONDS = 2;
/** CPU time is told in steps of 10 ms. */
const SECONDS_MIN = 3;
/** A rate that was missed by more is another rate: the machine had something else to do. */
const RATE_FRACTION_MIN = 0.8;
const DRIVER = `${import.meta.dirname}/load-driver.ts`;

/** Runs the part for every pooler. */
export async function runSpreadPart(tools: LoadTools): Promise<SpreadSeat[]> {
  const { options } = tools;
  const rows: SpreadSeat[] = poolersOfCase(options, POOL_SIZE).map(({ seat, poolSize }) => ({
    seat,
    poolSize,
    few: [],
    many: [],
  }));
  const seats: (Seat | null)[] = [];
  try {
    for (const row of rows) {
      const seat = await tools.seats.start(row.seat, POOL_SIZE).catch((error: unknown) => {
        row.few.push(failureOf(error));
        return null;
      });
      seats.push(seat);
    }
    for (let round = 0; round < options.rounds; round++) {
      for (let place = 0; place < rows.length; place++) {
        const at = (place + round) % rows.length;
        const row = rows[at] as SpreadSeat;
        const seat = seats[at] ?? null;
        if (seat === null) continue;
        row.few.push(await measure(tools, row, seat, FEW_CLIENTS, round));
        row.many.push(await measure(tools, row, seat, options.idleClients, round));
      }
    }
  } finally {
    for (const seat of seats) await seat?.stop();
  }
  return rows;
}

async function measure(
  tools: LoadTools,
  row: SpreadSeat,
  seat: Seat,
  clients: number,
  round: number,
): Promise<SpreadResult | Failure> {
  const title = `spread: ${clients} clients, round ${round + 1}, ${labelOf(row)}`;
  const job: DriverJob = {
    address: seat.address,
    pid: seat.pid as number,
    clients,
    ratePerSecond: RATE_PER_SECOND,
    warmUpSeconds: WARM_UP_SECONDS,
    measureSeconds: Math.max(tools.options.measureSeconds, SECONDS_MIN),
  };
  try {
    let text = "";
    const onStdout = (more: string): void => void (text += more);
    await tools.processes.run("load driver", process.execPath, [DRIVER, JSON.stringify(job)], { onStdout });
    const result = JSON.parse(text) as SpreadResult;
    if (result.achievedPerSecond < RATE_FRACTION_MIN * RATE_PER_SECOND) {
      throw new Error(`${Math.round(result.achievedPerSecond)} queries a second instead of ${RATE_PER_SECOND}`);
    }
    tools.say(`${title}: ${result.cpuUs.toFixed(1)} µs`);
    return result;
  } catch (error) {
    tools.say(`${title}: ${(error as Error).message}`);
    return failureOf(error);
  }
}
