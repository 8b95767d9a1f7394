/** /proc as Linux prints it. */
import { describe, expect, test } from "vitest";
import { parseStat, parseStatus, readCpu, readMemory } from "../../../bench/proc-reader.ts";

describe("parseStat", () => {
  test("finds the times behind a name with spaces and parentheses", () => {
    const text = "4711 (pg) (car pool) S 1 4711 4711 0 -1 4194560 900 0 0 0 123 45 7 8 20 0 11 0 100 1000 200\n";
    expect(parseStat(text)).toEqual({ userUs: 1_230_000, systemUs: 450_000 });
  });

  test("refuses what is not such a line", () => {
    expect(() => parseStat("4711 (x) S 1 2")).toThrow(/no field 14/);
  });
});

describe("parseStatus", () => {
  test("reads resident memory and its peak", () => {
    const text = "Name:\tnode\nVmPeak:\t  900 kB\nVmHWM:\t   51234 kB\nVmRSS:\t   45000 kB\nThreads:\t11\n";
    expect(parseStatus(text)).toEqual({ rssKb: 45_000, peakKb: 51_234 });
  });

  test("says what is missing (a zombie has no memory)", () => {
    expect(() => parseStatus("Name:\tnode\n")).toThrow(/VmRSS/);
  });
});

test("the reader sees this very process at work", () => {
  const before = readCpu(process.pid);
  const untilMs = performance.now() + 60;
  while (performance.now() < untilMs) Math.sqrt(untilMs);
  const after = readCpu(process.pid);
  expect(after.userUs + after.systemUs).toBeGreaterThan(before.userUs + before.systemUs);
  const { rssKb, peakKb } = readMemory(process.pid);
  expect(rssKb).toBeGreaterThan(1000);
  expect(peakKb).toBeGreaterThanOrEqual(rssKb);
});
