/**
 * SHOW STATS, STATS_TOTALS and STATS_AVERAGES: what was done for each database that has a pool, and for the console.
 *
 * The columns' names differ from one command to the next, as PgBouncer's do; what they mean is the order of
 * `TRAFFIC_COUNTERS`. Counterpart: stats.c.
 */
import type { TrafficCounters } from "../metrics/traffic-counters.ts";
import { TRAFFIC_COUNTERS } from "../metrics/traffic-counters.ts";
import { ConsoleLevel } from "../pooler/console-level.ts";
import type { ConsoleCommand } from "./console-command.ts";
import { numericColumn, textColumn } from "./result-table.ts";

const TOTALS = [
  "server_assignment_count",
  "xact_count",
  "query_count",
  "received",
  "sent",
  "xact_time",
  "query_time",
  "wait_time",
  "client_parse_count",
  "server_parse_count",
  "bind_count",
  "client_login_count",
];
const BYTES: Readonly<Record<string, string>> = { received: "bytes_received", sent: "bytes_sent" };
const RATES: Readonly<Record<string, string>> = { received: "recv" };
/** Those that came later carry the prefix in SHOW STATS_AVERAGES; the older ones do not. */
const PREFIXED = TOTALS.slice(-4);

export const showStatsCommand: ConsoleCommand = {
  name: "SHOW STATS",
  argument: "",
  level: ConsoleLevel.stats,
  columns: [
    textColumn("database"),
    ...TOTALS.map((name) => numericColumn(`total_${name}`)),
    ...TOTALS.map((name) => numericColumn(`avg_${RATES[name] ?? name}`)),
  ],
  doc:
    "Totals since the start, and averages of the last stats_period, by database. Counts per second; times in " +
    "microseconds: for each transaction, query and server assignment.",
  run: (call) => {
    const { statistics } = call.pooler;
    for (const [name, totals] of statistics.totals()) {
      call.row([name, ...valuesOf(totals), ...valuesOf(statistics.averages(name, totals))]);
    }
    call.done("SHOW");
  },
};

export const showStatsTotalsCommand: ConsoleCommand = {
  name: "SHOW STATS_TOTALS",
  argument: "",
  level: ConsoleLevel.stats,
  columns: [textColumn("database"), ...TOTALS.map((name) => numericColumn(BYTES[name] ?? name))],
  doc: "The totals of SHOW STATS.",
  run: (call) => {
    for (const [name, totals] of call.pooler.statistics.totals()) call.row([name, ...valuesOf(totals)]);
    call.done("SHOW");
  },
};

export const showStatsAveragesCommand: ConsoleCommand = {
  name: "SHOW STATS_AVERAGES",
  argument: "",
  level: ConsoleLevel.stats,
  columns: [
    textColumn("database"),
    ...TOTALS.map((name) => numericColumn(PREFIXED.includes(name) ? `avg_${name}` : (BYTES[name] ?? name))),
  ],
  doc: "The averages of SHOW STATS.",
  run: (call) => {
    const { statistics } = call.pooler;
    for (const [name, totals] of statistics.totals()) call.row([name, ...valuesOf(statistics.averages(name, totals))]);
    call.done("SHOW");
  },
};

/** In the order of the columns. */
export function valuesOf(counters: TrafficCounters): number[] {
  return TRAFFIC_COUNTERS.map((name) => counters[name]);
}
