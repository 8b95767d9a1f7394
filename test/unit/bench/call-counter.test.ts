/** What perf prints becomes calls per transaction; the filters name the sockets they should. */
import { describe, expect, test } from "vitest";
import { callsPerTransaction, filterOf, parsePerf } from "../../../bench/call-counter.ts";

/** 8 reads and writes of clients, 8 of servers, 7 waits, everything. */
function perfText(counts: readonly (number | string)[]): string {
  const lines = counts.map((count, index) => {
    const event = index === counts.length - 1 ? "raw_syscalls:sys_enter" : "syscalls:sys_enter_read";
    return `${String(count).padStart(18)}      ${event}                                           `;
  });
  return `\n Performance counter stats for process id '1':\n\n${lines.join("\n")}\n\n       2.000000000 seconds time elapsed\n`;
}

const COUNTS = [...Array(8).fill(10), ...Array(8).fill(5), ...Array(7).fill(2), 200] as number[];

describe("parsePerf", () => {
  test("adds up by side", () => {
    const totals = parsePerf(perfText(COUNTS));
    expect(totals).toEqual({ client: 80, server: 40, waits: 14, all: 200 });
    expect(callsPerTransaction(totals, 40)).toEqual({ client: 2, server: 1, waits: 0.35, other: 1.65, all: 5 });
  });

  test.each([
    ["a count that is missing", perfText(COUNTS.slice(1))],
    ["one that was not counted", perfText(["<not counted>", ...COUNTS.slice(1)])],
    ["an error", "Error: no permission"],
  ])("refuses %s", (_name, text) => {
    expect(() => parsePerf(text)).toThrow(/perf said something else/);
  });
});

test("filterOf joins neighbours", () => {
  expect(filterOf([7])).toBe("fd == 7");
  expect(filterOf([12, 5, 6, 7, 9])).toBe("(fd >= 5 && fd <= 7) || fd == 9 || fd == 12");
  expect(filterOf([])).toBe("fd < 0");
});
