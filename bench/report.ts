/**
 * Prints a whole run as Markdown: where it was made, the tables, what was asked for and was it reached. Pure.
 */
import {
  type BenchResults,
  type CopyResult,
  type Environment,
  isFailure,
  SEAT_LABELS,
  type SeatKey,
  type SeatResult,
  type SeatRounds,
} from "./bench-results.ts";
import { failuresOf, printConnect, printLoad } from "./load-report.ts";
import { formatMegabytes, formatNumber, formatRatio, markdownTable } from "./markdown-table.ts";
import { type BenchOptions, SeatName } from "./options.ts";
import { medianOf, pairedRatio } from "./statistics.ts";
import { checkTargets } from "./targets.ts";

export function printReport(results: BenchResults): string {
  const { options } = results;
  const sections: string[] = [`# Bench of ${results.environment.date.slice(0, 10)}`, printConditions(results)];
  if (results.load.length > 0) sections.push("## pgbench -S", printLoad(results.load));
  if (results.connect.length > 0) {
    sections.push("## Connections: login, one query, close (pgbench -C, 16 clients)", printConnect(results.connect));
  }
  if (results.idle.length > 0) {
    sections.push(`## Memory of ${options.idleClients} idle clients, each after one transaction`, printIdle(results));
  }
  if (results.copy.length > 0) sections.push(`## COPY out of ${options.copyMegabytes} MB`, printCopy(results.copy));
  if (results.stopped.length > 0) {
    sections.push(`## COPY out whose reader stops for ${options.stopSeconds} s`, printStopped(results));
  }
  const targets = checkTargets(results);
  if (targets.length > 0) {
    const rows = targets.map(({ text, value, limit, reached }) => [text, value, limit, reached ? "yes" : "NO"]);
    sections.push("## Asked for", markdownTable(["what", "measured", "at most", "reached"], rows));
  }
  return `${sections.join("\n\n")}\n`;
}

/** One CSV-like cell list a copy's rows share. */
function printCopy(rows: readonly SeatRounds<CopyResult>[]): string {
  const pick = (row: SeatRounds<CopyResult>, get: (result: CopyResult) => number | null): (number | null)[] =>
    row.rounds.map((round) => (isFailure(round) ? null : get(round)));
  const cpu = (result: CopyResult): number | null =>
    result.userSeconds === null || result.systemSeconds === null ? null : result.userSeconds + result.systemSeconds;
  const pgbouncer = rows.find((row) => row.seat === SeatName.pgbouncer);
  const cells = rows.map((row) => [
    SEAT_LABELS[row.seat],
    formatNumber(medianOf(pick(row, (result) => result.seconds))),
    formatNumber(medianOf(pick(row, (result) => result.bytes / 1e6 / result.seconds))),
    formatNumber(medianOf(pick(row, (result) => result.userSeconds))),
    formatNumber(medianOf(pick(row, (result) => result.systemSeconds))),
    formatNumber(medianOf(pick(row, cpu))),
    formatRatio(pgbouncer === undefined ? null : pairedRatio(pick(row, cpu), pick(pgbouncer, cpu))),
    formatMegabytes(medianOf(pick(row, (result) => result.peakKb))),
    row.rounds.every(isFailure) ? "–" : row.rounds.every((round) => isFailure(round) || round.intact) ? "yes" : "NO",
  ]);
  const head = ["seat", "seconds", "MB/s", "user s", "system s", "CPU s", "to PgB", "peak MB", "byte for byte"];
  return withFailures(markdownTable(head, cells), failuresOf(rows));
}

function printIdle(results: BenchResults): string {
  const cells = results.idle.map(({ seat, result }) => {
    if (isFailure(result)) return [SEAT_LABELS[seat], "failed"];
    const each = (kb: number): string => formatNumber((kb - result.baseKb) / result.clients);
    return [
      SEAT_LABELS[seat],
      formatMegabytes(result.baseKb),
      formatMegabytes(result.settledKb),
      each(result.justAfterKb),
      each(result.settledKb),
      formatNumber(result.connectSeconds),
    ];
  });
  const head = ["seat", "base MB", "RSS MB", "KB each, at once", "KB each, settled", "login of all, s"];
  return withFailures(markdownTable(head, cells), singleFailures(results.idle));
}

function printStopped(results: BenchResults): string {
  const cells = results.stopped.map(({ seat, result }) => {
    if (isFailure(result)) return [SEAT_LABELS[seat], "failed"];
    return [
      SEAT_LABELS[seat],
      formatMegabytes(result.baseKb),
      formatMegabytes(result.beforeKb),
      formatMegabytes(result.standingKb - result.beforeKb),
      formatMegabytes(result.heldBytes === null ? null : result.heldBytes / 1024),
      formatMegabytes(result.peakKb),
      result.intact ? "yes" : "NO",
    ];
  });
  const head = [
    "seat",
    "base MB",
    "when it stops, MB",
    "growth while standing, MB",
    "own account, MB",
    "peak MB",
    "byte for byte",
  ];
  return withFailures(markdownTable(head, cells), singleFailures(results.stopped));
}

function printConditions({ environment, options, elapsedSeconds }: BenchResults): string {
  const versions = Object.entries(environment.versions).map(([name, version]) => `${name} ${version}`);
  return [
    `- Commit ${environment.commit}${environment.dirty ? " with changes" : ""}, ${environment.date}`,
    `- ${machine(environment)}`,
    `- ${versions.join(", ")}`,
    `- ${conditions(options)}`,
    "- Clients, PostgreSQL and pooler share the machine. Medians over the rounds; “to PgB” is the median of the ratios " +
      "to PgBouncer of the same round and pool size. CPU is the pooler's, all threads, per transaction.",
    `- The run took ${(elapsedSeconds / 60).toFixed(1)} minutes.`,
  ].join("\n");
}

function machine({ processor, processors, memoryMb, kernel, loadAverage }: Environment): string {
  return `${processors} × ${processor}, ${memoryMb} MB, Linux ${kernel}, load average at the start ${loadAverage.toFixed(2)}`;
}

function conditions(options: BenchOptions): string {
  return (
    `pool_mode=transaction, trust, ${options.unixSockets ? "Unix sockets" : "TCP on loopback"}; ${options.rounds} rounds ` +
    `interleaved, each ${options.warmUpSeconds} s warm-up and ${options.measureSeconds} s measured`
  );
}

function singleFailures(rows: readonly SeatResult<object>[]): string[] {
  return failuresOf(
    rows.map(({ seat, poolSize, result }): SeatKey & { rounds: object[] } => ({ seat, poolSize, rounds: [result] })),
  );
}

function withFailures(table: string, failures: readonly string[]): string {
  return failures.length === 0
    ? table
    : [table, "", "Not measured:", "", ...failures.map((line) => `- ${line}`)].join("\n");
}
