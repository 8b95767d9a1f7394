/** Figures against the kept ones: a clear regression is named with numbers, noise is not. */
import { describe, expect, test } from "vitest";
import { compareWithBaseline } from "../../../bench/regression/compare-baseline.ts";

describe("compareWithBaseline", () => {
  test("counts are strict, both in what fails and in what is said", () => {
    const kept = { "node simple 64/4 clientWrites": 1 };
    expect(compareWithBaseline({ "node simple 64/4 clientWrites": 1.004 }, kept)).toEqual({
      regressions: [],
      remarks: [],
    });
    expect(compareWithBaseline({ "node simple 64/4 clientWrites": 1.25 }, kept).regressions).toEqual([
      "node simple 64/4 clientWrites: 1.250, was 1.000 (+25 %); at most 1.005",
    ]);
    expect(compareWithBaseline({ "node simple 64/4 clientWrites": 0.5 }, kept)).toEqual({
      regressions: [],
      remarks: ["node simple 64/4 clientWrites: 0.500, was 1.000: better, the baseline can be renewed"],
    });
  });

  test("what a busy machine changes may be twice as many, and bytes may be more by two fifths", () => {
    const kept = { "bun 64/4 socketServerWrites": 0.4, "node simple 64/4 bytes": 400 };
    const worse = { "bun 64/4 socketServerWrites": 0.9, "node simple 64/4 bytes": 500 };
    expect(compareWithBaseline(worse, kept)).toEqual({ regressions: [], remarks: [] });
    const muchWorse = { "bun 64/4 socketServerWrites": 1.1, "node simple 64/4 bytes": 620 };
    expect(compareWithBaseline(muchWorse, kept).regressions).toHaveLength(2);
  });

  test("a figure that is gone, and one that is no number, fail; a new one is told", () => {
    const kept = { "node simple 64/4 steps": 1 };
    expect(compareWithBaseline({}, kept).regressions).toEqual(["node simple 64/4 steps: was not measured"]);
    expect(compareWithBaseline({ "node simple 64/4 steps": Number.NaN }, kept).regressions).toHaveLength(1);
    expect(compareWithBaseline({ "node simple 64/4 steps": 1, "node x 1/1 steps": 2 }, kept)).toEqual({
      regressions: [],
      remarks: ["node x 1/1 steps: 2.000, not in the baseline"],
    });
  });

  test("an unknown kind of figure is a mistake of ours", () => {
    expect(() => compareWithBaseline({ "node x": 1 }, { "node x": 1 })).toThrow(/unknown kind/);
  });
});
