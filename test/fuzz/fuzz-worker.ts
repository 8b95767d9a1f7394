/** The thread that `main.ts` runs targets in: says each input in shared memory before it runs it. */
import { parentPort, workerData } from "node:worker_threads";
import { allTargets, runRandom } from "./fuzz-run.ts";

export interface WorkerTask {
  readonly name: string;
  readonly seed: number;
  readonly forMs: number;
  /** Two 32-bit numbers, how many inputs were begun and the size of the last; then its bytes. */
  readonly current: SharedArrayBuffer;
}

export interface WorkerReport {
  readonly runs: number;
  readonly failure: { readonly input: Uint8Array; readonly error: string } | null;
}

const { name, seed, forMs, current } = workerData as WorkerTask;
const target = allTargets().find((one) => one.name === name);
if (target === undefined) throw new Error(`no target ${name}`);
const head = new Int32Array(current, 0, 2);
const memory = new Uint8Array(current, 8);
const endsAtMs = performance.now() + forMs;
let failure: WorkerReport["failure"] = null;
for (let round = 0; failure === null && performance.now() < endsAtMs; round++) {
  const found = await runRandom(target, { runs: target.runs, seed: (seed + round) | 0 }, (input) => {
    memory.set(input);
    head[1] = input.length;
    head[0] = (head[0] ?? 0) + 1;
  });
  if (found !== null) {
    const error = found.error instanceof Error ? (found.error.stack ?? found.error.message) : String(found.error);
    failure = { input: found.input, error };
  }
}
const report: WorkerReport = { runs: head[0] ?? 0, failure };
// A thread has no origins to send to.
parentPort?.postMessage(report, []);
