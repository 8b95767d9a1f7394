/**
 * The load of the spread part, in a process of its own: a job as JSON in the only argument, the result as JSON on stdout.
 * The pooler's CPU is read here, where the window is known.
 */
import type { SpreadResult } from "./bench-results.ts";
import { LoadGenerator } from "./load-generator.ts";
import { readCpu } from "./proc-reader.ts";
import { percentile } from "./statistics.ts";
import type { Address } from "./wire-client.ts";

export interface DriverJob {
  readonly address: Address;
  /** The pooler's. */
  readonly pid: number;
  readonly clients: number;
  readonly ratePerSecond: number;
  readonly warmUpSeconds: number;
  readonly measureSeconds: number;
}

async function drive(job: DriverJob): Promise<SpreadResult> {
  const { address, pid, clients, ratePerSecond, warmUpSeconds, measureSeconds } = job;
  const generator = await LoadGenerator.open(address, clients);
  await generator.runOpen(ratePerSecond, warmUpSeconds);
  const before = readCpu(pid);
  const { transactions, seconds, latenciesMs } = await generator.runOpen(ratePerSecond, measureSeconds);
  const after = readCpu(pid);
  generator.close();
  return {
    clients,
    ratePerSecond,
    achievedPerSecond: transactions / seconds,
    cpuUs: (after.userUs + after.systemUs - before.userUs - before.systemUs) / transactions,
    p50Ms: percentile(latenciesMs, 0.5) as number,
    p99Ms: percentile(latenciesMs, 0.99) as number,
  };
}

try {
  const result = await drive(JSON.parse(process.argv[2] as string) as DriverJob);
  console.log(JSON.stringify(result));
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}
