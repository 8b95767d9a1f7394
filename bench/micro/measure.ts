/**
 * The clock of the micro-benchmarks: best of several rounds, because the machine is shared and nothing makes a program
 * faster than it is.
 */

const ROUNDS = 7;
const ROUND_MS = 250;

export function runtimeLabel(): string {
  return process.versions.bun === undefined ? `Node ${process.versions.node}` : `Bun ${process.versions.bun}`;
}

/** Nanoseconds per operation. `run` does some operations and returns how many; it is run for warmth first. */
export function nanosecondsPer(run: () => number): number {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round <= ROUNDS; round++) {
    const fromMs = performance.now();
    let operations = 0;
    let elapsedMs = 0;
    while (elapsedMs < ROUND_MS) {
      operations += run();
      elapsedMs = performance.now() - fromMs;
    }
    if (round > 0) best = Math.min(best, (elapsedMs * 1e6) / operations);
  }
  return best;
}

export function printNanoseconds(name: string, run: () => number): void {
  console.log(`${name.padEnd(52)} ${nanosecondsPer(run).toFixed(0).padStart(8)} ns`);
}
