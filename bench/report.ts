/**
 * Prints a whole run as Markdown: where it was made, the tables, what was asked for and was it reached. Pure.
 */
import {
  type BenchResults,
  type CopySeat,
  type Environment,
  type IdleResult,
  isFailure,
  nameOf,
  SEAT_LABELS,
  type SeatKey,
  type SeatResult,
  type SeatRounds,
  type SpreadSeat,
} from "./bench-results.ts";
import { copyCpu, idleKbEach, pick, spreadRatio } from "./figures.ts";
import { failuresOf, printLoadParts, withFailures } from "./load-report.ts";
import { formatMegabytes, formatNumber, formatRatio, markdownTable } from "./markdown-table.ts";
import { type BenchOptions, SeatName } from "./options.ts";
import { medianOf, pairedRatio } from "./statistics.ts";
import { checkTargets } from "./targets.ts";

export function printReport(results: BenchResults): string {
  const { options, copy } = results;
  const sections: string[] = [`# Bench of ${results.environment.date.slice(0, 10)}`, printConditions(results)];
  sections.push(...printLoadParts(results.load));
  if (results.spread.length > 0) sections.push("## Few clients and many, at one rate", printSpread(results.spread));
  if (results.idle.length > 0) {
    sections.push(
      `## Memory of ${options.idleClients} idle clients, each after one transaction`,
      printIdle(results.idle),
    );
  }
  if (copy.length > 0) sections.push(`## COPY of ${options.copyMegabytes} MB`, printCopy(copy));
  if (results.stopped.length > 0) {
    sections.push(`## COPY out whose reader stops for ${options.stopSeconds} s`, printStopped(results));
  }
  if (results.skipped.length > 0) {
    sections.push("## Not run here", results.skipped.map((reason) => `- ${reason}`).join("\n"));
  }
  const targets = checkTargets(results);
  if (targets.length > 0) {
    const rows = targets.map(({ text, value, limit, reached }) => [text, value, limit, reached ? "yes" : "NO"]);
    sections.push("## Asked for", markdownTable(["what", "measured", "asked for", "reached"], rows));
  }
  return `${sections.join("\n\n")}\n`;
}

function printSpread(rows: readonly SpreadSeat[]): string {
  const cells = rows.flatMap((row) =>
    [row.few, row.many].map((rounds) => [
      nameOf(row),
      formatNumber(medianOf(pick(rounds, ({ clients }) => clients))),
      formatNumber(medianOf(pick(rounds, ({ achievedPerSecond }) => achievedPerSecond))),
      formatNumber(medianOf(pick(rounds, ({ p50Ms }) => p50Ms))),
      formatNumber(medianOf(pick(rounds, ({ p99Ms }) => p99Ms))),
      formatNumber(medianOf(pick(rounds, ({ cpuUs }) => cpuUs))),
      rounds === row.few ? "" : formatRatio(spreadRatio(row)),
    ]),
  );
  const failures = rows.flatMap((row) => failuresOf([{ ...row, rounds: [...row.few, ...row.many] }]));
  const head = ["seat", "clients", "queries/s", "p50 ms", "p99 ms", "CPU µs", "to few"];
  return withFailures(markdownTable(head, cells), failures);
}

function printCopy(rows: readonly CopySeat[]): string {
  const cells = rows.map((row) => {
    const { rounds } = row;
    const pgbouncer = rows.find(({ seat, direction }) => seat === SeatName.pgbouncer && direction === row.direction);
    return [
      nameOf(row),
      row.direction,
      formatNumber(medianOf(pick(rounds, (result) => result.seconds))),
      formatNumber(medianOf(pick(rounds, (result) => result.bytes / 1e6 / result.seconds))),
      formatNumber(medianOf(pick(rounds, (result) => result.userSeconds))),
      formatNumber(medianOf(pick(rounds, (result) => result.systemSeconds))),
      formatNumber(medianOf(pick(rounds, copyCpu))),
      formatRatio(pgbouncer === undefined ? null : pairedRatio(pick(rounds, copyCpu), pick(pgbouncer.rounds, copyCpu))),
      formatMegabytes(medianOf(pick(rounds, (result) => result.peakKb))),
      rounds.every(isFailure) ? "–" : rounds.every((round) => isFailure(round) || round.intact) ? "yes" : "NO",
    ];
  });
  const head = ["seat", "way", "seconds", "MB/s", "user s", "system s", "CPU s", "to PgB", "peak MB", "byte for byte"];
  return withFailures(markdownTable(head, cells), failuresOf(rows));
}

function printIdle(rows: readonly SeatRounds<IdleResult>[]): string {
  const pgbouncer = rows.find(({ seat }) => seat === SeatName.pgbouncer);
  const cells = rows.map((row) => {
    const { rounds } = row;
    return [
      nameOf(row),
      formatMegabytes(medianOf(pick(rounds, ({ baseKb }) => baseKb))),
      formatMegabytes(medianOf(pick(rounds, ({ settledKb }) => settledKb))),
      formatNumber(medianOf(pick(rounds, ({ justAfterKb, baseKb, clients }) => (justAfterKb - baseKb) / clients))),
      formatNumber(medianOf(pick(rounds, idleKbEach))),
      formatRatio(
        pgbouncer === undefined ? null : pairedRatio(pick(rounds, idleKbEach), pick(pgbouncer.rounds, idleKbEach)),
      ),
      formatNumber(medianOf(pick(rounds, ({ connectSeconds }) => connectSeconds))),
    ];
  });
  const head = ["seat", "base MB", "RSS MB", "KB each, at once", "KB each, settled", "to PgB", "login of all, s"];
  return withFailures(markdownTable(head, cells), failuresOf(rows));
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
    `interleaved, each ${options.warmUpSeconds} s warm-up and ${options.measureSeconds} s measured` +
    (options.quick ? "" : "; 15 s of load before the first round of a pooler that has a runtime")
  );
}

function singleFailures(rows: readonly SeatResult<object>[]): string[] {
  return failuresOf(
    rows.map(({ seat, poolSize, result }): SeatKey & { rounds: object[] } => ({ seat, poolSize, rounds: [result] })),
  );
}
