/** The printed report: ratios against the right neighbour, failures shown, targets only where they were measured. */
import { describe, expect, test } from "vitest";
import type { BenchResults, LoadSeatRounds } from "../../../bench/bench-results.ts";
import { ratioToPgbouncer, totalCpuUs } from "../../../bench/load-report.ts";
import { formatNumber, markdownTable } from "../../../bench/markdown-table.ts";
import { parseOptions } from "../../../bench/options.ts";
import type { LoadResult } from "../../../bench/pgbench-run.ts";
import { printReport } from "../../../bench/report.ts";
import { checkTargets } from "../../../bench/targets.ts";

function loadResult(tps: number, cpuUs: number | null): LoadResult {
  return {
    tps,
    latencyAvgMs: 1,
    p99Ms: 2,
    userUs: cpuUs === null ? null : cpuUs / 4,
    systemUs: cpuUs === null ? null : (cpuUs * 3) / 4,
    rssKb: 10_240,
    peakKb: 20_480,
    windowSeconds: 2,
    transactions: tps * 2,
    sampledLatencies: 100,
  };
}

function seat(name: LoadSeatRounds["seat"], poolSize: number | null, rounds: LoadSeatRounds["rounds"]): LoadSeatRounds {
  return { seat: name, poolSize, rounds };
}

function benchResults(args: string[], changes: Partial<BenchResults>): BenchResults {
  return {
    environment: {
      date: "2026-01-02T03:04:05.000Z",
      commit: "abc",
      dirty: false,
      processor: "a processor",
      processors: 2,
      memoryMb: 1,
      kernel: "6",
      loadAverage: 0,
      versions: { PostgreSQL: "18.1" },
    },
    options: parseOptions(args, {}).options,
    load: [],
    idle: [],
    connect: [],
    copy: [],
    stopped: [],
    elapsedSeconds: 60,
    ...changes,
  };
}

const SEATS = [
  seat("direct", null, [loadResult(3000, null)]),
  seat("pgbouncer", 4, [loadResult(1000, 10)]),
  seat("bun", 4, [loadResult(2000, 20)]),
  seat("pgbouncer", 20, [loadResult(1500, 20), loadResult(3000, 20)]),
  seat("bun", 20, [loadResult(1500, 30), { failed: "it fell over\nsecond line" }]),
];

describe("ratioToPgbouncer", () => {
  test("compares with the same pool size, direct with the largest", () => {
    const [direct, , bun4, , bun20] = SEATS as [
      LoadSeatRounds,
      LoadSeatRounds,
      LoadSeatRounds,
      LoadSeatRounds,
      LoadSeatRounds,
    ];
    expect(ratioToPgbouncer(bun4, SEATS, totalCpuUs)).toBe(2);
    expect(ratioToPgbouncer(bun20, SEATS, totalCpuUs)).toBe(1.5);
    expect(ratioToPgbouncer(direct, SEATS, (result) => result.tps)).toBe(2);
    expect(ratioToPgbouncer(direct, SEATS, totalCpuUs)).toBeNull();
    expect(ratioToPgbouncer(bun4, [bun4], totalCpuUs)).toBeNull();
  });
});

describe("printReport", () => {
  test("shows medians, ratios and every failure", () => {
    const text = printReport(benchResults([], { load: [{ protocol: "simple", clients: 64, seats: SEATS }] }));
    expect(text).toMatch(/\| pgcarpool on Bun +\| +simple \| +64 \| +20 \| +1500 \| +1.00× \|/);
    expect(text).toContain("- simple, 64 clients, pgcarpool on Bun, 20 servers, round 2: it fell over / second line");
    expect(text).not.toContain("## COPY");
  });

  test("a copy that is not intact shows", () => {
    const round = { bytes: 1e9, intact: false, seconds: 2, userSeconds: 1, systemSeconds: 1, peakKb: 2048 };
    const text = printReport(benchResults([], { copy: [{ seat: "node", poolSize: 4, rounds: [round] }] }));
    expect(text).toMatch(/pgcarpool on Node .*\| +NO \|/);
    expect(text).toMatch(/Node: COPY out byte for byte +\| +no \|/);
  });
});

describe("checkTargets", () => {
  test("judges 64 clients on 20 servers", () => {
    const checks = checkTargets(benchResults([], { load: [{ protocol: "simple", clients: 64, seats: SEATS }] }));
    expect(checks).toHaveLength(1);
    expect(checks[0]).toMatchObject({ value: "1.50×", limit: "1.25×", reached: false });
  });

  test("leaves out what was measured on a smaller scale", () => {
    const idle = { clients: 100, baseKb: 1000, justAfterKb: 2000, settledKb: 1500, connectSeconds: 1 };
    const seats = SEATS.filter(({ poolSize }) => poolSize !== 20);
    const small = benchResults(["--quick", "--idle-clients", "100"], {
      load: [{ protocol: "simple", clients: 64, seats }],
      idle: [{ seat: "bun", poolSize: 20, result: idle }],
    });
    expect(checkTargets(small)).toEqual([]);
  });

  test("judges idle memory by what the clients added", () => {
    const idle = { clients: 5000, baseKb: 30_000, justAfterKb: 60_000, settledKb: 52_500, connectSeconds: 1 };
    const checks = checkTargets(benchResults([], { idle: [{ seat: "bun", poolSize: 20, result: idle }] }));
    expect(checks).toEqual([{ text: "Bun: memory per idle client", value: "4.50 KB", limit: "5 KB", reached: true }]);
  });
});

test("markdownTable aligns and escapes", () => {
  expect(markdownTable(["a", "number"], [["x|y", "1"], ["long name"]])).toBe(
    ["| a         | number |", "| --------- | -----: |", "| x\\|y      |      1 |", "| long name |        |"].join(
      "\n",
    ),
  );
  expect([formatNumber(null), formatNumber(0.456), formatNumber(45.64), formatNumber(4564.5)]).toEqual([
    "–",
    "0.456",
    "45.6",
    "4565",
  ]);
});
