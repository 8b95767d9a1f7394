/**
 * Every target of the fuzzer, for seconds: `npm run fuzz -- --minutes N` goes on as long as is wanted. CI adds a longer run
 * (PGCARPOOL_FUZZ_FACTOR times the usual inputs) whose seed is always the same: what it gets through once it must always.
 */
import { describe, expect, test } from "vitest";
import { corpusOf } from "../../fuzz/corpus.ts";
import { allTargets, runKnown, runRandom, type Failure } from "../../fuzz/fuzz-run.ts";

const factor = Number(process.env["PGCARPOOL_FUZZ_FACTOR"] ?? 0);

function told(failure: Failure | null): string | null {
  if (failure === null) return null;
  const { input, error } = failure;
  return `${error instanceof Error ? error.message : String(error)}\ninput (latin1, JSON): ${JSON.stringify(Buffer.from(input).toString("latin1").slice(0, 4000))}`;
}

describe.each(allTargets().map((target) => ({ name: target.name, target })))("$name", ({ target }) => {
  test("its examples and its corpus", async () => {
    expect(told(await runKnown(target))).toBeNull();
  }, 60_000);

  test("random inputs", async () => {
    const seed = Math.floor(Math.random() * 0x7fffffff);
    const failure = await runRandom(target, { runs: target.runs, seed });
    expect(told(failure), `seed ${seed}`).toBeNull();
  }, 60_000);

  test.skipIf(factor === 0)(
    "many inputs of one seed",
    async () => {
      expect(told(await runRandom(target, { runs: target.runs * factor, seed: 20261122 }))).toBeNull();
    },
    240_000,
  );
});

test("every folder of the corpus belongs to a target, and its files are small", () => {
  const inputs = allTargets().flatMap(({ name }) => corpusOf(name));
  expect(inputs.length).toBeGreaterThan(20);
  for (const { bytes } of inputs) expect(bytes.length).toBeLessThanOrEqual(70_000);
});
