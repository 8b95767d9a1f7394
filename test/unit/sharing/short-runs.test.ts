/** When a statement counts as short: how many good runs it takes, and what bad ones cost. */
import { describe, expect, test } from "vitest";
import { type ShortLimits, ShortRuns } from "../../../src/sharing/short-runs.ts";

const limits: ShortLimits = { runsMin: 3, durationMaxMs: 10, bytesMax: 16_384 };

/** Good runs, one a millisecond from `nowMs` on, until it is short; how many it took. */
function runsUntilShort(runs: ShortRuns, nowMs = 0): number {
  let count = 0;
  while (!runs.isShort(limits)) {
    runs.add(1, 100, nowMs + count);
    count++;
    if (count > 10_000) throw new Error("never short");
  }
  return count;
}

describe("a statement", () => {
  test("is short after some good runs", () => {
    expect(runsUntilShort(new ShortRuns())).toBe(3);
  });

  test("that ran before anybody asked is judged by its worst run", () => {
    const good = new ShortRuns();
    const bad = new ShortRuns();
    for (let i = 0; i < 3; i++) good.add(10, 16_384, i);
    for (let i = 0; i < 3; i++) bad.add(i === 0 ? 11 : 1, 100, i);
    expect([good.isShort(limits), bad.isShort(limits)]).toEqual([true, false]);
  });

  test.each([
    ["longer than the limit", 10.1, 100],
    ["larger than the limit", 1, 16_385],
  ])("is not short after one run that was %s", (_what, durationMs, bytes) => {
    const runs = new ShortRuns();
    runsUntilShort(runs);
    runs.add(durationMs, bytes, 10);
    expect(runs.isShort(limits)).toBe(false);
  });

  test("has to run well more often with each bad run, within a bound", () => {
    const runs = new ShortRuns();
    const needed = [runsUntilShort(runs)];
    for (let i = 0; i < 9; i++) {
      runs.add(100, 100, 1);
      needed.push(runsUntilShort(runs, 1));
    }
    expect(needed).toEqual([3, 6, 12, 24, 48, 96, 192, 192, 192, 192]);
  });

  test("is forgiven with time", () => {
    const runs = new ShortRuns();
    runsUntilShort(runs);
    for (let i = 0; i < 3; i++) runs.add(100, 100, 0);
    for (let i = 1; i <= 3; i++) runs.add(1, 100, i * 60_000);
    expect(runs.isShort(limits)).toBe(true);
  });

  test("is measured by limits that have changed from the next run on", () => {
    const runs = new ShortRuns();
    runsUntilShort(runs);
    const tight = { ...limits, durationMaxMs: 0.5 };
    expect(runs.isShort(tight)).toBe(true);
    runs.add(1, 100, 10);
    expect(runs.isShort(tight)).toBe(false);
  });

  test("with no runs asked for is short at once", () => {
    expect(new ShortRuns().isShort({ ...limits, runsMin: 0 })).toBe(true);
  });
});

describe("the mean", () => {
  test("begins with the first run and follows", () => {
    const runs = new ShortRuns();
    expect([runs.meanMs, runs.count]).toEqual([0, 0]);
    runs.add(8, 0, 0);
    expect(runs.meanMs).toBe(8);
    runs.add(16, 0, 1);
    expect([runs.meanMs, runs.count]).toEqual([9, 2]);
    for (let i = 0; i < 100; i++) runs.add(2, 0, i);
    expect(runs.meanMs).toBeCloseTo(2, 3);
  });
});
