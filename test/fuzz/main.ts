/**
 * `npm run fuzz -- [--minutes N] [target…]`: random inputs for all targets, or those named, one after the other, with new
 * seeds, until the time is over (1 minute when nothing is said). Target `whole-program` runs only when named.
 *
 * What fails is written to test/corpus, where the test suite finds it, and ends the run with status 1. Targets run in a
 * worker that says what it is about to run, so that an input that hangs is found and kept too.
 */
import { Worker } from "node:worker_threads";
import { saveInput } from "./corpus.ts";
import { allTargets } from "./fuzz-run.ts";
import { INPUT_BYTES_MAX } from "./fuzz-target.ts";
import type { WorkerReport, WorkerTask } from "./fuzz-worker.ts";
import { fuzzWholeProgram } from "./whole-program.ts";

const HANG_MS = 30_000;
const WHOLE_PROGRAM = "whole-program";

const { minutes, names } = readArguments(process.argv.slice(2));
const endsAtMs = performance.now() + minutes * 60_000;
const known = allTargets().map(({ name }) => name);
const unknown = names.filter((name) => name !== WHOLE_PROGRAM && !known.includes(name));
if (unknown.length > 0) {
  console.error(`no such target: ${unknown.join(", ")} (there are ${[...known, WHOLE_PROGRAM].join(", ")})`);
  process.exit(2);
}

let isFine = true;
if (names.includes(WHOLE_PROGRAM)) {
  for (const runtime of ["node", "bun"] as const) {
    const seed = randomSeed();
    console.log(`${WHOLE_PROGRAM} on ${runtime}, seed ${seed}`);
    const { attacks, answers } = await fuzzWholeProgram({ runtime, seed, durationMs: (minutes * 60_000) / 2 });
    console.log(`${attacks} attacks; ${answers} answers of the normal clients, all right`);
  }
} else {
  const targets = names.length > 0 ? names : known;
  for (let round = 0; isFine && performance.now() < endsAtMs; round++) {
    isFine = await runWorker(targets[round % targets.length] as string);
  }
}
process.exit(isFine ? 0 : 1);

/** A few seconds of one target; says whether all went well. */
async function runWorker(name: string): Promise<boolean> {
  const seed = randomSeed();
  const current = new SharedArrayBuffer(8 + INPUT_BYTES_MAX);
  const task: WorkerTask = { name, seed, current, forMs: Math.min(5000, endsAtMs - performance.now()) };
  const worker = new Worker(new URL("./fuzz-worker.ts", import.meta.url), { workerData: task });
  const [count] = new Int32Array(current, 0, 2);
  let lastCount = count;
  let lastChangeMs = performance.now();
  const report = await new Promise<WorkerReport | "hangs">((resolve, reject) => {
    const watch = setInterval(() => {
      const now = new Int32Array(current, 0, 2)[0];
      if (now !== lastCount) {
        lastCount = now;
        lastChangeMs = performance.now();
      } else if (performance.now() - lastChangeMs > HANG_MS) {
        resolve("hangs");
      }
    }, 1000);
    const settle = (then: () => void): void => {
      clearInterval(watch);
      then();
    };
    worker.on("message", (said: WorkerReport) => settle(() => resolve(said)));
    worker.on("error", (error) => settle(() => reject(error)));
  });
  await worker.terminate();
  if (report === "hangs") {
    const size = new Int32Array(current, 0, 2)[1] as number;
    fail(name, seed, new Uint8Array(current, 8, size).slice(), `no end within ${HANG_MS / 1000} s`);
  } else if (report.failure !== null) {
    fail(name, seed, report.failure.input, report.failure.error);
  } else {
    console.log(`${name}: ${report.runs} inputs, seed ${seed}`);
    return true;
  }
  return false;
}

function fail(name: string, seed: number, input: Uint8Array, error: string): void {
  console.error(`${name}, seed ${seed}: ${error}\nsaved as ${saveInput(name, input)}`);
}

function randomSeed(): number {
  return Math.floor(Math.random() * 0x7fffffff);
}

function readArguments(args: readonly string[]): { minutes: number; names: string[] } {
  const at = args.indexOf("--minutes");
  const minutes = at < 0 ? 1 : Number(args[at + 1]);
  if (!(minutes > 0)) {
    console.error("usage: npm run fuzz -- [--minutes N] [target…]");
    process.exit(2);
  }
  return { minutes, names: args.filter((_, index) => at < 0 || (index !== at && index !== at + 1)) };
}
