import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { lawsHold, runs } from "./pool-runs.ts";

const everyReason = [
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
];

describe("the laws of the pool", () => {
  it("hold after every step of any interleaving, with hosts that call back at any time", () => {
    const property = fc.property(runs, (run) => {
      lawsHold(run);
    });
    const details = fc.check(property, { numRuns: 1500, interruptAfterTimeLimit: 10_000 });
    expect(fc.defaultReportMessage(details)).toBe(undefined);
  }, 60_000);

  it("are put to the test: the runs serve clients, and close servers for every reason there is", () => {
    const reasons = new Set<string>();
    let served = 0;
    for (let seed = 1; seed <= 20 && !everyReason.every((reason) => reasons.has(reason)); seed++) {
      for (const run of fc.sample(runs, { numRuns: 100, seed })) {
        const world = lawsHold(run);
        served += world.all.filter((client) => client.end === "served").length;
        for (const reason of world.reasons) reasons.add(reason);
      }
    }
    expect([...reasons].sort()).toEqual(everyReason);
    expect(served).toBeGreaterThan(100);
  }, 60_000);
});
