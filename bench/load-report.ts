/**
 * Prints what pgbench measured: medians over the rounds, and ratios paired by round, to PgBouncer or, where settings are
 * compared, to the first setting. Pure.
 */
import { isFailure, labelOf, type LoadCase, type LoadSeatRounds, nameOf, type SeatKey } from "./bench-results.ts";
import {
  column,
  differenceTo,
  firstVariantOf,
  p50Of,
  p99Of,
  type Pick,
  ratioTo,
  roundTripsOf,
  seatOf,
  totalCpuUs,
  tpsOf,
} from "./figures.ts";
import { formatMegabytes, formatNumber, formatRatio, markdownTable } from "./markdown-table.ts";
import { Part, SeatName } from "./options.ts";
import { medianOf } from "./statistics.ts";

const FAILURE_CHARACTERS = 320;

const SECTIONS: readonly { part: Part; title: string; print: (cases: readonly LoadCase[]) => string }[] = [
  { part: Part.load, title: "pgbench -S", print: printLoad },
  { part: Part.calls, title: "System calls per transaction", print: printCalls },
  { part: Part.latency, title: "Latency added to direct, one client, select 1", print: printLatency },
  { part: Part.tail, title: "Latency at a fixed rate, from when a transaction was due", print: printTail },
  { part: Part.tls, title: "TLS: pgbench -S, and logins (login, one query, close)", print: printLoad },
  { part: Part.few, title: "Fewer clients than servers: sharing off and on", print: printComparison },
  { part: Part.mixed, title: "A statement of 100 ms a second among short ones", print: printComparison },
  { part: Part.alone, title: "What cannot be shared: sharing off and on", print: printComparison },
  { part: Part.begin, title: "Transactions: deferred BEGIN off and on", print: printComparison },
  { part: Part.anonymous, title: "Unnamed statements: plans kept or not", print: printComparison },
  { part: Part.connect, title: "Connections: login, one query, close (pgbench -C)", print: printLoad },
];

/** Heading and table of each part that was run, and what of it failed. */
export function printLoadParts(cases: readonly LoadCase[]): string[] {
  return SECTIONS.flatMap(({ part, title, print }) => {
    const own = cases.filter((one) => one.part === part);
    return own.length === 0 ? [] : [`## ${title}`, withFailures(print(own), own.flatMap(failuresOfCase))];
  });
}

/** The table, and below it what could not be measured. */
export function withFailures(table: string, failures: readonly string[]): string {
  return failures.length === 0
    ? table
    : [table, "", "Not measured:", "", ...failures.map((line) => `- ${line}`)].join("\n");
}

/** "PgBouncer, 4 servers, round 2: reason" for each failed round. */
export function failuresOf(rows: readonly (SeatKey & { readonly rounds: readonly object[] })[]): string[] {
  return rows.flatMap((row) =>
    row.rounds.flatMap((round, index) =>
      isFailure(round) ? [`${labelOf(row)}, round ${index + 1}: ${oneLine(round.failed)}`] : [],
    ),
  );
}

function failuresOfCase(one: LoadCase): string[] {
  return failuresOf(one.seats).map((line) => `${one.protocol}, ${one.clients} clients, ${line}`);
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

function middle(row: LoadSeatRounds, pick: Pick): number | null {
  return medianOf(column(row, pick));
}

/** Columns that begin most tables. */
const WHAT = ["protocol", "clients", "pool"];
function whatOf({ protocol, clients }: LoadCase, row: LoadSeatRounds): string[] {
  return [protocol, String(row.clients ?? clients), row.poolSize === null ? "–" : String(row.poolSize)];
}

function tableOf(
  head: readonly string[],
  cases: readonly LoadCase[],
  cells: (row: LoadSeatRounds, one: LoadCase) => string[],
): string {
  const rows = cases.flatMap((one) => one.seats.map((row) => [nameOf(row), ...cells(row, one)]));
  return markdownTable(["seat", ...head], rows);
}

function printLoad(cases: readonly LoadCase[]): string {
  const numbers = ["tps", "to PgB", "avg ms", "p99 ms", "user µs", "system µs", "CPU µs", "to PgB", "RSS MB"];
  const hasLogins =
    cases.some(({ reconnect }) => reconnect === true) && cases.some(({ reconnect }) => reconnect !== true);
  return tableOf([...(hasLogins ? ["what"] : []), ...WHAT, ...numbers], cases, (row, one) => {
    const theirs = seatOf(one.seats, SeatName.pgbouncer);
    return [
      ...(hasLogins ? [one.reconnect === true ? "logins" : "queries"] : []),
      ...whatOf(one, row),
      formatNumber(middle(row, tpsOf)),
      formatRatio(ratioTo(row, theirs, tpsOf)),
      formatNumber(middle(row, (result) => result.latencyAvgMs)),
      formatNumber(middle(row, p99Of)),
      formatNumber(middle(row, (result) => result.userUs)),
      formatNumber(middle(row, (result) => result.systemUs)),
      formatNumber(middle(row, totalCpuUs)),
      formatRatio(ratioTo(row, theirs, totalCpuUs)),
      formatMegabytes(middle(row, (result) => result.rssKb)),
    ];
  });
}

function printCalls(cases: readonly LoadCase[]): string {
  const head = [...WHAT, "clients' sockets", "servers' sockets", "waits", "other", "all"];
  return tableOf(head, cases, (row, one) => [
    ...whatOf(one, row),
    ...(["client", "server", "waits", "other", "all"] as const).map((name) =>
      formatNumber(middle(row, ({ calls }) => calls?.[name] ?? null)),
    ),
  ]);
}

function printLatency(cases: readonly LoadCase[]): string {
  const head = ["median µs", "added to direct, µs", "more than PgB adds, µs", "p99 µs", "round trips"];
  const us = (value: number | null): string => formatNumber(value === null ? null : value * 1000);
  return tableOf(head, cases, (row, { seats }) => [
    us(middle(row, p50Of)),
    us(differenceTo(row, seatOf(seats, SeatName.direct), p50Of)),
    us(row.seat === SeatName.direct ? null : differenceTo(row, seatOf(seats, SeatName.pgbouncer), p50Of)),
    us(middle(row, p99Of)),
    String(roundTripsOf(row)),
  ]);
}

function printTail(cases: readonly LoadCase[]): string {
  const head = [...WHAT, "rate", "tps", "p50 ms", "p99 ms", "to PgB", "CPU µs", "to PgB"];
  return tableOf(head, cases, (row, one) => {
    const theirs = seatOf(one.seats, SeatName.pgbouncer);
    return [
      ...whatOf(one, row),
      formatNumber(one.ratePerSecond ?? null),
      formatNumber(middle(row, tpsOf)),
      formatNumber(middle(row, p50Of)),
      formatNumber(middle(row, p99Of)),
      formatRatio(ratioTo(row, theirs, p99Of)),
      formatNumber(middle(row, totalCpuUs)),
      formatRatio(ratioTo(row, theirs, totalCpuUs)),
    ];
  });
}

function printComparison(cases: readonly LoadCase[]): string {
  const head = ["what", ...WHAT, "tps", "to first", "avg ms", "to first", "p99 ms", "to first", "CPU µs", "to first"];
  const picks: Pick[] = [tpsOf, (result) => result.latencyAvgMs, p99Of, totalCpuUs];
  return tableOf(head, cases, (row, one) => {
    const theirs = firstVariantOf(row, one.seats);
    return [
      one.beside === undefined ? one.workload : `${one.workload} beside ${one.beside}`,
      ...whatOf(one, row),
      ...picks.flatMap((pick) => [
        formatNumber(middle(row, pick)),
        theirs === row ? "" : formatRatio(ratioTo(row, theirs, pick)),
      ]),
    ];
  });
}
