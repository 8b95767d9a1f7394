/** Which statements are taken for short, from how they have run. */
import { describe, expect, it } from "vitest";
import { type ShortLimits, ShortRuns } from "../../../src/sharing/short-runs.ts";

const limits: ShortLimits = { runsMin: 3, durationMaxMs: 10, bytesMax: 16_384 };

function after(...runs: readonly (readonly [ms: number, bytes: number])[]): ShortRuns {
  const short = new ShortRuns();
  for (const [ms, bytes] of runs) short.add(ms, bytes);
  return short;
}

/** So many short runs it takes. */
function runsUntilShort(runs: ShortRuns): number {
  let count = 0;
  for (; !runs.isShort(limits); count++) {
    if (count > 200) throw new Error("it is never taken for short");
    runs.add(1, 100);
  }
  return count;
}

describe("a statement is short", () => {
  it("when it has been short so many times", () => {
    expect(runsUntilShort(new ShortRuns())).toBe(3);
    expect(new ShortRuns().isShort({ ...limits, runsMin: 0 })).toBe(true);
  });

  it("by its time and by its answer, each on average, the limits included", () => {
    const edge = [10, 16_384] as const;
    expect(after(edge, edge, edge).isShort(limits)).toBe(true);
    expect(after([11, 1], [11, 1], [11, 1]).isShort(limits)).toBe(false);
    expect(after([1, 16_385], [1, 16_385], [1, 16_385]).isShort(limits)).toBe(false);
  });

  it("although it was slow once in a while", () => {
    const runs = after(...Array.from({ length: 20 }, () => [1, 100] as const), [60, 100]);
    expect(runs.isShort(limits)).toBe(true);
  });

  it("no more when it has become slow, at once if it is very slow", () => {
    const good = Array.from({ length: 20 }, () => [1, 100] as const);
    expect(after(...good, [100, 100]).isShort(limits)).toBe(false);
    expect(after(...good, [40, 100], [40, 100], [40, 100]).isShort(limits)).toBe(false);
  });

  it("again after more short runs, the slower it has been", () => {
    const slow = runsUntilShort(after([30, 1], [30, 1]));
    const slower = runsUntilShort(after([300, 1], [300, 1]));
    expect([slow > 3, slower > slow, slower < 40]).toEqual([true, true, true]);
  });
});

it("the average follows the late runs", () => {
  const runs = after([8, 1]);
  expect(runs.meanMs).toBe(8);
  runs.add(0, 1);
  expect(runs.meanMs).toBe(7);
  expect(runs.count).toBe(2);
});
