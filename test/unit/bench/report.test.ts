/** The printed report: ratios against the right neighbour, failures shown. */
import { describe, expect, test } from "vitest";
import { markdownTable, formatNumber } from "../../../bench/markdown-table.ts";
import { printReport } from "../../../bench/report.ts";
import { benchResults, loadCase, loadResult, seatRounds } from "./bench-samples.ts";

const DIRECT = seatRounds("direct", null, [loadResult(3000, null)], { clients: 32 });
const PGBOUNCER = seatRounds("pgbouncer", 20, [loadResult(1500, 20), loadResult(3000, 20)]);
const BUN = seatRounds("bun", 20, [loadResult(1500, 30), { failed: "it fell over\nsecond line" }]);

describe("printReport", () => {
  test("shows medians, ratios of the same rounds, and every failure", () => {
    const text = printReport(benchResults([], { load: [loadCase("load", 64, [DIRECT, PGBOUNCER, BUN])] }));
    expect(text).toMatch(/\| direct +\| +simple \| +32 \| +– \| +3000 \| +2.00× \|/);
    expect(text).toMatch(/\| pgcarpool on Bun +\| +simple \| +64 \| +20 \| +1500 \| +1.00× \|/);
    expect(text).toContain("- simple, 64 clients, pgcarpool on Bun, 20 servers, round 2: it fell over / second line");
    expect(text).not.toContain("## COPY");
  });

  test("compares settings of one runtime with its own first", () => {
    const off = { name: "sharing = 0", settings: ["sharing = 0"] };
    const on = { name: "sharing = 1", settings: ["sharing = 1"] };
    const load = loadCase("alone", 64, [
      seatRounds("node", 4, [loadResult(1000, 10)], { variant: off }),
      seatRounds("node", 4, [loadResult(1100, 30)], { variant: on }),
      seatRounds("bun", 4, [loadResult(500, 20)], { variant: off }),
      seatRounds("bun", 4, [loadResult(2000, 20)], { variant: on }),
    ]);
    const text = printReport(benchResults([], { load: [load] }));
    expect(text).toMatch(/pgcarpool on Node, sharing = 1 .* 1.10× .* 3.00× \|/);
    expect(text).toMatch(/pgcarpool on Bun, sharing = 1 .* 4.00× .* 1.00× \|/);
  });

  test("says what a pooler adds to direct, and how much more than PgBouncer", () => {
    const load = loadCase("latency", 1, [
      seatRounds("direct", null, [loadResult(1, null, { p50Ms: 0.03 })]),
      seatRounds("pgbouncer", 20, [loadResult(1, 1, { p50Ms: 0.05 })]),
      seatRounds("node", 20, [loadResult(1, 1, { p50Ms: 0.062 })]),
    ]);
    const text = printReport(benchResults([], { load: [load] }));
    expect(text).toMatch(/pgcarpool on Node +\| +62.0 \| +32.0 \| +12.0 \|/);
  });

  test("a copy that is not intact shows", () => {
    const round = { bytes: 1e9, intact: false, seconds: 2, userSeconds: 1, systemSeconds: 1, peakKb: 2048 };
    const copy = [{ seat: "node" as const, poolSize: 4, direction: "in" as const, rounds: [round] }];
    const text = printReport(benchResults([], { copy }));
    expect(text).toMatch(/pgcarpool on Node +\| +in .*\| +NO \|/);
    expect(text).toMatch(/Node: COPY in byte for byte +\| +no \|/);
  });

  test("names what was not run", () => {
    expect(printReport(benchResults([], { skipped: ["TLS: there is none"] }))).toContain("- TLS: there is none");
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
