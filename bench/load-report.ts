/**
 * Prints the load and connect parts: medians over the rounds, and ratios to PgBouncer paired by round. Pure.
 */
import { isFailure, labelOf, type LoadCase, type LoadSeatRounds, SEAT_LABELS, type SeatKey } from "./bench-results.ts";
import { formatMegabytes, formatNumber, formatRatio, markdownTable } from "./markdown-table.ts";
import { SeatName } from "./options.ts";
import type { LoadResult } from "./pgbench-run.ts";
import { medianOf, pairedRatio } from "./statistics.ts";

const AFTER_RATE = ["to PgB", "avg ms", "p99 ms", "user µs", "system µs", "CPU µs", "to PgB", "RSS MB"];
const FAILURE_CHARACTERS = 320;

export type Pick = (result: LoadResult) => number | null;

/** User and system together, µs per transaction. */
export const totalCpuUs: Pick = (result) =>
  result.userUs === null || result.systemUs === null ? null : result.userUs + result.systemUs;

/** One number a round; null where the round failed or has no such number. */
export function column(row: LoadSeatRounds, pick: Pick): (number | null)[] {
  return row.rounds.map((round) => (isFailure(round) ? null : pick(round)));
}

/** The ratio of `row` to PgBouncer at the same pool size; for direct to the largest pool. Null without one. */
export function ratioToPgbouncer(row: LoadSeatRounds, all: readonly LoadSeatRounds[], pick: Pick): number | null {
  const theirs = all.findLast(
    (other) => other.seat === SeatName.pgbouncer && (row.poolSize === null || other.poolSize === row.poolSize),
  );
  return theirs === undefined ? null : pairedRatio(column(row, pick), column(theirs, pick));
}

export function printLoad(cases: readonly LoadCase[]): string {
  const head = ["seat", "protocol", "clients", "pool", "tps", ...AFTER_RATE];
  const rows = cases.flatMap(({ protocol, clients, seats }) =>
    seats.map((row) => [
      SEAT_LABELS[row.seat],
      protocol,
      String(clients),
      row.poolSize === null ? "–" : String(row.poolSize),
      ...numbersOf(row, seats),
    ]),
  );
  const failures = cases.flatMap(({ protocol, clients, seats }) =>
    failuresOf(seats).map((line) => `- ${protocol}, ${clients} clients, ${line}`),
  );
  return [markdownTable(head, rows), ...(failures.length > 0 ? ["", "Not measured:", "", ...failures] : [])].join("\n");
}

export function printConnect(rows: readonly LoadSeatRounds[]): string {
  const head = ["seat", "connections/s", ...AFTER_RATE];
  const cells = rows.map((row) => [SEAT_LABELS[row.seat], ...numbersOf(row, rows)]);
  const failures = failuresOf(rows).map((line) => `- ${line}`);
  return [markdownTable(head, cells), ...(failures.length > 0 ? ["", "Not measured:", "", ...failures] : [])].join(
    "\n",
  );
}

/** "PgBouncer, 4 servers, round 2: reason" for each failed round. */
export function failuresOf(rows: readonly (SeatKey & { readonly rounds: readonly object[] })[]): string[] {
  return rows.flatMap((row) =>
    row.rounds.flatMap((round, index) =>
      isFailure(round) ? [`${labelOf(row)}, round ${index + 1}: ${oneLine(round.failed)}`] : [],
    ),
  );
}

/** A log's end came with the reason: its last lines say most. */
function oneLine(text: string): string {
  const joined = text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "")
    .join(" / ");
  return joined.length <= FAILURE_CHARACTERS ? joined : `${joined.slice(0, 150)} … ${joined.slice(-150)}`;
}

function numbersOf(row: LoadSeatRounds, all: readonly LoadSeatRounds[]): string[] {
  const middle = (pick: Pick): number | null => medianOf(column(row, pick));
  return [
    formatNumber(middle((result) => result.tps)),
    formatRatio(ratioToPgbouncer(row, all, (result) => result.tps)),
    formatNumber(middle((result) => result.latencyAvgMs)),
    formatNumber(middle((result) => result.p99Ms)),
    formatNumber(middle((result) => result.userUs)),
    formatNumber(middle((result) => result.systemUs)),
    formatNumber(middle(totalCpuUs)),
    formatRatio(ratioToPgbouncer(row, all, totalCpuUs)),
    formatMegabytes(middle((result) => result.rssKb)),
  ];
}
