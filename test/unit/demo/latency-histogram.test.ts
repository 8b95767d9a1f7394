/** The histogram against a sorted list: every percentile within its promised 3 per cent. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LatencyHistogram } from "../../../src/demo/latency-histogram.ts";

const durationsMs = fc
  .array(fc.integer({ min: 0, max: 100_000_000 }), { minLength: 1 })
  .map((all) => all.map((us) => us / 1000));

describe("LatencyHistogram", () => {
  test("a percentile is that of the sorted durations, to 3 per cent", () => {
    fc.assert(
      fc.property(durationsMs, fc.double({ min: 0, max: 1, noNaN: true }), (durations, share) => {
        const histogram = new LatencyHistogram();
        for (const duration of durations) histogram.record(duration);
        const sorted = durations.toSorted((a, b) => a - b);
        const exact = sorted[Math.max(1, Math.ceil(share * sorted.length)) - 1]!;
        expect(Math.abs(histogram.percentileMs(share)! - exact)).toBeLessThanOrEqual(exact * 0.03 + 1e-9);
      }),
    );
  });

  test("two histograms added are one of all durations", () => {
    fc.assert(
      fc.property(durationsMs, durationsMs, (some, more) => {
        const [one, other, both] = [new LatencyHistogram(), new LatencyHistogram(), new LatencyHistogram()];
        for (const duration of some) one.record(duration);
        for (const duration of more) other.record(duration);
        for (const duration of [...some, ...more]) both.record(duration);
        one.add(other);
        expect(one.count).toBe(both.count);
        for (const share of [0, 0.5, 0.95, 1]) expect(one.percentileMs(share)).toBe(both.percentileMs(share));
      }),
    );
  });

  test("nothing recorded, nothing known; also after clear", () => {
    const histogram = new LatencyHistogram();
    expect(histogram.percentileMs(0.5)).toBeNull();
    histogram.record(1);
    histogram.clear();
    expect(histogram.percentileMs(0.5)).toBeNull();
    expect(histogram.count).toBe(0);
  });

  test("a duration beyond all bounds counts as the longest", () => {
    const histogram = new LatencyHistogram();
    histogram.record(1e12);
    expect(histogram.percentileMs(1)).toBeGreaterThan(2_000_000);
  });
});
