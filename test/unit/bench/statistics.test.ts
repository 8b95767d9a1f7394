/** Medians, percentiles and paired ratios of the bench. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { median, medianOf, pairedRatio, percentile } from "../../../bench/statistics.ts";

describe("median", () => {
  test("takes the middle, or the mean of the two in the middle", () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([10, 2, 9, 1])).toBe(5.5);
    expect(median([])).toBeNull();
    expect(medianOf([null, 4, null, 8])).toBe(6);
  });

  test("has as many values below as above it, and leaves its argument alone", () => {
    fc.assert(
      fc.property(fc.array(fc.integer(), { minLength: 1 }), (values) => {
        const before = [...values];
        const middle = median(values) as number;
        expect(values).toEqual(before);
        const below = values.filter((value) => value < middle).length;
        const above = values.filter((value) => value > middle).length;
        expect(below).toBeLessThanOrEqual(values.length / 2);
        expect(above).toBeLessThanOrEqual(values.length / 2);
      }),
    );
  });
});

describe("percentile", () => {
  test("is the nearest rank", () => {
    const hundred = Array.from({ length: 100 }, (_, i) => 100 - i);
    expect(percentile(hundred, 0.99)).toBe(99);
    expect(percentile(hundred, 0.5)).toBe(50);
    expect(percentile(hundred, 1)).toBe(100);
    expect(percentile([7], 0.99)).toBe(7);
    expect(percentile([], 0.99)).toBeNull();
  });

  test("is not exceeded by at least that fraction", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer(), { minLength: 1 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (values, fraction) => {
          const value = percentile(values, fraction) as number;
          const within = values.filter((other) => other <= value).length;
          expect(values).toContain(value);
          expect(within).toBeGreaterThanOrEqual(fraction * values.length - 1e-6);
        },
      ),
    );
  });
});

describe("pairedRatio", () => {
  test("compares round with round, not median with median", () => {
    // The machine was half as fast in the second round: both suffered, and the ratio is 2 in each round.
    expect(pairedRatio([20, 10, 24], [10, 5, 12])).toBe(2);
    expect(pairedRatio([1, 100, 3], [100, 1, 3])).toBe(1);
  });

  test("leaves out rounds that one of the two did not finish", () => {
    expect(pairedRatio([null, 30], [10, 10])).toBe(3);
    expect(pairedRatio([30, 20], [null, 10])).toBe(2);
    expect(pairedRatio([30, 20, 50], [10])).toBe(3);
    expect(pairedRatio([30], [0])).toBeNull();
    expect(pairedRatio([], [10])).toBeNull();
  });
});
