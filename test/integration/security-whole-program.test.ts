/** The program itself under mutated conversations, for ten seconds: `npm run fuzz -- --minutes N whole-program` goes on. */
import { expect, test } from "vitest";
import { fuzzWholeProgram } from "../fuzz/whole-program.ts";

test("normal clients have every answer right while others send broken conversations", async () => {
  const runtime = process.env["PGCARPOOL_RUNTIME"] === "bun" ? "bun" : "node";
  const seed = Math.floor(Math.random() * 0x7fffffff);
  const run = fuzzWholeProgram({ runtime, seed, durationMs: 10_000 });
  const { attacks, answers } = await run.catch((cause: unknown) => {
    throw new Error(`seed ${seed}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  });
  expect(attacks).toBeGreaterThan(100);
  expect(answers).toBeGreaterThan(100);
}, 60_000);
