import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { lawsHold, runs } from "./pool-runs.ts";

describe("the laws of the pool", () => {
  it("hold after every step of any interleaving, with hosts that call back at any time", () => {
    fc.assert(
      fc.property(runs, (run) => {
        lawsHold(run);
      }),
      { numRuns: 2000, interruptAfterTimeLimit: 20_000 },
    );
  }, 60_000);

  it("are put to the test: the runs serve, queue, evict, check, fail and close", () => {
    const reasons = new Set<string>();
    let served = 0;
    fc.assert(
      fc.property(runs, (run) => {
        const world = lawsHold(run);
        served += world.all.filter((client) => client.end === "served").length;
        for (const reason of world.reasons) reasons.add(reason);
      }),
      { numRuns: 600, seed: 1 },
    );
    expect(served).toBeGreaterThan(600);
    expect([...reasons].sort()).toEqual([
      "SV_IDLE server got dirty",
      "close_needed",
      "connect string changed",
      "database configuration changed",
      "evicted",
      "idle server got dirty",
      "obsolete connection",
      "pause mode",
      "server idle timeout",
      "server lifetime over",
      "test",
      "too many servers in the pool",
    ]);
  }, 60_000);
});
