/**
 * The simulation in the test suite: as many seeds as SIM_SEEDS says, from SIM_FROM on.
 *
 * A seed that fails is printed with the command that runs it again, alone and with everything that happened.
 */
import { describe, expect, test } from "vitest";
import type { EngineKind } from "./engine-under-test.ts";
import { engineNamed } from "./engine-names.ts";
import { run } from "./run.ts";

const from = Number(process.env["SIM_FROM"] ?? 1);
const relay = engineNamed("relay");

test("through a relay that is right no law is broken", { timeout: 120_000 }, async () => {
  await expectLawful(relay, Number(process.env["SIM_RELAY_SEEDS"] ?? 300));
});

describe("one seed, one run", () => {
  test("the same events in the same order", async () => {
    for (const seed of [1, 2, 3, 4, 5, 6]) {
      // eslint-disable-next-line no-await-in-loop
      const [first, second] = [await run(seed, { kind: relay }), await run(seed, { kind: relay, tracing: true })];
      expect([second.hash, second.turns, second.statements]).toEqual([first.hash, first.turns, first.statements]);
    }
  });

  test("another seed gives another run", async () => {
    const hashes = new Set<string>();
    // eslint-disable-next-line no-await-in-loop
    for (let seed = 1; seed <= 20; seed++) hashes.add((await run(seed, { kind: relay })).hash);
    expect(hashes.size).toBe(20);
  });
});

async function expectLawful(kind: EngineKind, seeds: number): Promise<void> {
  for (let seed = from; seed < from + seeds; seed++) {
    // eslint-disable-next-line no-await-in-loop -- one after the other: the first failure is the one to look at
    const report = await run(seed, { kind });
    const again = `run it again: npm run sim -- --engine ${kind.name} --seed ${seed}`;
    expect(report.violations, `seed ${seed} breaks a law; ${again}`).toEqual([]);
  }
}
