/**
 * The simulation in the test suite: SIM_SEEDS seeds (default 500) from SIM_FROM on (default 1).
 *
 * A seed that fails is printed with the command that runs it again, alone and with everything that happened.
 */
import { describe, expect, test } from "vitest";
import type { EngineKind } from "./engine-under-test.ts";
import { poolerKind } from "./pooler-engine.ts";
import { relayKind } from "./relay-engine.ts";
import { run } from "./run.ts";

const from = Number(process.env["SIM_FROM"] ?? 1);
const seeds = Number(process.env["SIM_SEEDS"] ?? 500);
/** Generous: the machine may be busy with other things. */
const MS_PER_SEED = 400;

test(`no law is broken: pooler, ${seeds} seeds from ${from}`, { timeout: 30_000 + seeds * MS_PER_SEED }, async () => {
  expect(await lawfulRuns(poolerKind, seeds)).toBe(seeds);
});

test("no law is broken: relay, which proves the simulator by itself", { timeout: 60_000 }, async () => {
  expect(await lawfulRuns(relayKind, 100)).toBe(100);
});

describe("one seed, one run", () => {
  test.each([poolerKind, relayKind])("$name: the same events in the same order", { timeout: 60_000 }, async (kind) => {
    for (let seed = 1; seed <= 10; seed++) {
      // eslint-disable-next-line no-await-in-loop
      const [first, second] = [await run(seed, { kind }), await run(seed, { kind, tracing: true })];
      expect([second.hash, second.turns, second.statements]).toEqual([first.hash, first.turns, first.statements]);
      expect(second.lines.length).toBeGreaterThan(first.lines.length);
    }
  });

  test("another seed gives another run", { timeout: 60_000 }, async () => {
    const hashes = new Set<string>();
    // eslint-disable-next-line no-await-in-loop
    for (let seed = 1; seed <= 20; seed++) hashes.add((await run(seed, { kind: relayKind })).hash);
    expect(hashes.size).toBe(20);
  });
});

/** How many runs kept the laws, up to the first that does not: that one fails the test. */
async function lawfulRuns(kind: EngineKind, count: number): Promise<number> {
  for (let seed = from; seed < from + count; seed++) {
    // eslint-disable-next-line no-await-in-loop -- one after the other: the first failure is the one to look at
    const report = await run(seed, { kind });
    const again = `run it again: node test/sim/main.ts --engine ${kind.name} --seed ${seed}`;
    expect(report.violations, `seed ${seed} breaks a law; ${again}`).toEqual([]);
  }
  return count;
}
