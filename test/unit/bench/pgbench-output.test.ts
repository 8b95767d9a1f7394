/** What pgbench prints, read back. The samples were printed by pgbench 13, 15 and 18. */
import { describe, expect, test } from "vitest";
import { findTrouble, measureWindow, parseLog, parseProgress } from "../../../bench/pgbench-output.ts";

describe("parseProgress", () => {
  test("reads the lines of several versions", () => {
    expect(parseProgress("progress: 1795360918.246 s, 12345.6 tps, lat 2.710 ms stddev 1.200, 0 failed")).toEqual({
      atSeconds: 1795360918.246,
      tps: 12345.6,
      latencyMs: 2.71,
    });
    expect(parseProgress("progress: 5.0 s, 900.0 tps, lat 0.809 ms stddev 0.2")).toEqual({
      atSeconds: 5,
      tps: 900,
      latencyMs: 0.809,
    });
    expect(parseProgress("progress: 2.0 s, 0.0 tps, lat NaN ms stddev NaN, 0 failed")).toEqual({
      atSeconds: 2,
      tps: 0,
      latencyMs: 0,
    });
  });

  test("takes nothing else for progress", () => {
    expect(parseProgress("pgbench: error: client 3 aborted")).toBeNull();
    expect(parseProgress("tps = 12345.6 (without initial connection time)")).toBeNull();
    expect(parseProgress("progress: soon")).toBeNull();
    expect(parseProgress("")).toBeNull();
  });
});

describe("measureWindow", () => {
  const line = (atSeconds: number, tps: number, latencyMs: number) => ({ atSeconds, tps, latencyMs });

  test("weighs each interval with its length and its transactions", () => {
    const window = measureWindow([line(100, 9999, 99), line(101, 1000, 1), line(103, 2000, 2)], 0);
    expect(window).toEqual({ seconds: 3, transactions: 5000, tps: 5000 / 3, latencyAvgMs: 9000 / 5000 });
  });

  test("leaves the warm-up out", () => {
    const window = measureWindow([line(100, 1, 1), line(101, 50_000, 70), line(102, 10, 4)], 1);
    expect(window).toEqual({ seconds: 1, transactions: 10, tps: 10, latencyAvgMs: 4 });
  });

  test("is nothing without a line behind the opening one", () => {
    expect(measureWindow([], 0)).toBeNull();
    expect(measureWindow([line(100, 1, 1)], 0)).toBeNull();
    expect(measureWindow([line(100, 1, 1)], 4)).toBeNull();
    expect(measureWindow([line(100, 1, 1), line(100, 1, 1)], 0)).toBeNull();
  });

  test("counts a silent interval as time without transactions", () => {
    expect(measureWindow([line(1, 5, 5), line(2, 0, 0)], 0)).toEqual({
      seconds: 1,
      transactions: 0,
      tps: 0,
      latencyAvgMs: 0,
    });
  });
});

describe("parseLog", () => {
  test("takes the transactions that ended within the window, in ms", () => {
    const text = "0 199 2241 0 1795360918 995000\n1 200 2465 0 1795360919 100000 0\n2 201 9000 0 1795360920 0\n";
    expect(parseLog(text, 1795360919, 1795360920)).toEqual([2.465]);
    expect(parseLog(text, 1795360918, 1795360921)).toEqual([2.241, 2.465, 9]);
  });

  test("leaves out failed and skipped ones and a line cut short", () => {
    expect(parseLog("3 0 failed 0 1795360919 100000\n3 0 skipped 0 1795360919 1\n0 1 22", 0, 2e9)).toEqual([]);
  });
});

describe("findTrouble", () => {
  test("names failed transactions and errors", () => {
    expect(findTrouble("number of failed transactions: 3 (0.1%)\n", "")).toBe("3 transactions failed");
    expect(findTrouble("", "pgbench: error: connection to server failed\npgbench: error: more\n")).toBe(
      "connection to server failed",
    );
    expect(findTrouble("", "pgbench: fatal: Run was aborted\n")).toBe("Run was aborted");
  });

  test("is silent about a clean run", () => {
    expect(findTrouble("number of failed transactions: 0 (0.000%)\ntps = 1\n", "pgbench (15.18)\n")).toBeNull();
  });
});
