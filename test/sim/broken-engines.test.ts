/**
 * The simulator's own proof: engines with a fault put in on purpose must be caught, each within a bounded number of seeds.
 */
import { describe, expect, test } from "vitest";
import { brokenRelays } from "./broken-relays.ts";
import type { BrokenEngine } from "./broken-relays.ts";
import { run } from "./run.ts";

describe("a broken relay is caught", () => {
  test.each(brokenRelays.map((engine) => [engine.fault, engine] as const))("%s", async (_fault, engine) => {
    const caught = await firstViolation(engine);
    expect(caught, `${engine.seedsMax} seeds broke no law`).not.toBeNull();
  });
});

async function firstViolation({ kind, seedsMax }: BrokenEngine): Promise<string | null> {
  for (let seed = 1; seed <= seedsMax; seed++) {
    // eslint-disable-next-line no-await-in-loop -- one after the other is the point: the first that breaks a law
    const report = await run(seed, { kind });
    if (report.violations.length > 0) return `seed ${seed}: ${report.violations[0]}`;
  }
  return null;
}
