/** SHOW TOTALS: the sums of SHOW STATS over all databases, one figure a row. */
import { ConsoleLevel } from "../pooler/console-level.ts";
import type { ConsoleCommand } from "./console-command.ts";
import { numericColumn, textColumn } from "./result-table.ts";
import { valuesOf } from "./show-stats.ts";

/** In the order of the counters; other words than in SHOW STATS, as in PgBouncer. */
const NAMES = [
  "server_assignment_count",
  "xact_count",
  "query_count",
  "client_bytes",
  "server_bytes",
  "xact_time",
  "query_time",
  "wait_time",
  "ps_client_parse_count",
  "ps_server_parse_count",
  "ps_bind_count",
  "client_login_count",
];

export const showTotalsCommand: ConsoleCommand = {
  name: "SHOW TOTALS",
  argument: "",
  level: ConsoleLevel.stats,
  columns: [textColumn("name"), numericColumn("value")],
  doc: "The figures of SHOW STATS for all databases together, the console's own traffic included.",
  run: (call) => {
    const { statistics } = call.pooler;
    const totals = valuesOf(statistics.sum());
    const averages = valuesOf(statistics.sumAverages());
    for (const [index, name] of NAMES.entries()) call.row([`total_${name}`, totals[index] ?? 0]);
    for (const [index, name] of NAMES.entries()) call.row([`avg_${name}`, averages[index] ?? 0]);
    call.done("SHOW");
  },
};
