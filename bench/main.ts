/**
 * `npm run bench`: pgcarpool beside PgBouncer and beside no pooler at all, in one run on one machine.
 *
 * Progress goes to stderr, the report to stdout. The exit status is 1 when something could not be measured, so that a
 * half-empty table is not taken for a whole one; a target that was missed is a result and no error, and so is a part that
 * this machine cannot run, which the report names.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { constants } from "node:os";
import { endWithLauncher } from "../src/demo/lifeline.ts";
import { type BenchResults, type Environment, isFailure, type LoadCase } from "./bench-results.ts";
import { runCallsPart } from "./calls-part.ts";
import { runComparisons } from "./comparison-part.ts";
import { runConnectPart } from "./connect-part.ts";
import { copyDirectly, runCopyPart } from "./copy-part.ts";
import { readEnvironment } from "./environment.ts";
import { runIdlePart } from "./idle-part.ts";
import { runLatencyPart } from "./latency-part.ts";
import { type LoadTools, runLoadPart } from "./load-part.ts";
import { type BenchOptions, parseOptions, Part, USAGE } from "./options.ts";
import { rowsOfSlowCount, startPostgres } from "./postgres.ts";
import { Processes } from "./processes.ts";
import { printReport } from "./report.ts";
import { findPrograms } from "./requirements.ts";
import { SeatMaker } from "./seats.ts";
import { runSpreadPart } from "./spread-part.ts";
import { runStoppedReaderPart } from "./stopped-reader-part.ts";
import { runTailPart } from "./tail-part.ts";
import { runTlsPart } from "./tls-part.ts";
import { writeScripts } from "./workload.ts";

const root = dirname(import.meta.dirname);

async function main(chosen: BenchOptions): Promise<void> {
  const fromMs = performance.now();
  checkDescriptors(chosen);
  const programs = findPrograms(chosen);
  const environment = readEnvironment(root, programs);
  const processes = new Processes();
  const say = (line: string): void => {
    if (processes.ending) return; // whatever fails now fails because of that
    console.error(`[${((performance.now() - fromMs) / 1000).toFixed(0).padStart(5)} s] ${line}`);
  };
  endOnSignal(processes);
  try {
    say("making and filling a PostgreSQL cluster");
    const postgres = await startPostgres(processes, programs, chosen.unixSockets);
    const scripts = processes.makeFolder("scripts");
    writeScripts(scripts);
    const pgcarpool = chosen.pgcarpoolPath ?? join(root, "bin", "pgcarpool");
    const seats = new SeatMaker(processes, postgres, chosen, programs, pgcarpool);
    const slowRows = await rowsOfSlowCount(postgres);
    const tools: LoadTools = { processes, seats, pgbench: programs.pgbench, scripts, slowRows, options: chosen, say };
    const results = await runParts(tools, emptyResults(environment, chosen));
    if (processes.ending) return; // a signal came: half a table is no result
    results.elapsedSeconds = (performance.now() - fromMs) / 1000;
    const report = printReport(results);
    console.log(report);
    if (chosen.save) save(results, report);
    process.exitCode = hasFailure(results) ? 1 : 0;
  } finally {
    await processes.close();
  }
}

function emptyResults(environment: Environment, chosen: BenchOptions): BenchResults {
  return {
    environment,
    options: chosen,
    load: [],
    spread: [],
    idle: [],
    copy: [],
    stopped: [],
    skipped: [],
    elapsedSeconds: 0,
  };
}

/** Parts that are cases of pgbench; a sentence in place of cases says why there are none. */
const LOAD_PARTS: Readonly<Partial<Record<Part, (tools: LoadTools) => Promise<LoadCase[] | string>>>> = {
  load: runLoadPart,
  calls: runCallsPart,
  latency: runLatencyPart,
  tail: runTailPart,
  tls: runTlsPart,
  few: (tools) => runComparisons(tools, Part.few),
  mixed: (tools) => runComparisons(tools, Part.mixed),
  alone: (tools) => runComparisons(tools, Part.alone),
  begin: (tools) => runComparisons(tools, Part.begin),
  anonymous: (tools) => runComparisons(tools, Part.anonymous),
  connect: runConnectPart,
};

async function runParts(tools: LoadTools, results: BenchResults): Promise<BenchResults> {
  const { parts } = tools.options;
  for (const part of parts) {
    const cases = (await LOAD_PARTS[part]?.(tools)) ?? [];
    if (typeof cases === "string") {
      tools.say(cases);
      results.skipped.push(cases);
    } else {
      results.load.push(...cases);
    }
    if (part === Part.spread) results.spread = await runSpreadPart(tools);
    if (part === Part.idle) results.idle = await runIdlePart(tools);
  }
  if (parts.includes(Part.copy) || parts.includes(Part.stopped)) {
    const expected = await copyDirectly(tools);
    if (parts.includes(Part.copy)) results.copy = await runCopyPart(tools, expected);
    if (parts.includes(Part.stopped)) results.stopped = await runStoppedReaderPart(tools, expected);
  }
  return results;
}

/** Idle clients need a descriptor each, here and in the pooler, which inherits our limit. Node has raised it as far as it may. */
function checkDescriptors(chosen: BenchOptions): void {
  const many = chosen.parts.includes(Part.idle) || chosen.parts.includes(Part.spread);
  const needed = Math.max(1400, many ? chosen.idleClients + 200 : 0);
  const limit = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "latin1"))?.[1];
  if (limit !== undefined && Number(limit) < needed) {
    throw new Error(
      `${needed} open files are needed and ${limit} allowed: ulimit -n ${needed}, or fewer --idle-clients`,
    );
  }
}

/** Ends what was started, then ourselves as the signal would have: on Ctrl-C, on a kill, and when the launcher is gone. */
function endOnSignal(processes: Processes): void {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const) {
    process.once(signal, () => {
      void processes.close().finally(() => process.exit(128 + constants.signals[signal]));
    });
  }
  endWithLauncher();
}

function hasFailure(results: BenchResults): boolean {
  const single = results.stopped.map((row) => row.result as object);
  const spread = results.spread.flatMap(({ few, many }) => [{ rounds: few }, { rounds: many }]);
  const rounds = [...results.load.flatMap(({ seats }) => seats), ...spread, ...results.idle, ...results.copy];
  const all = [...single, ...rounds.flatMap((row) => row.rounds as object[])];
  return all.some((result) =>
    isFailure(result) ? result.unsupported !== true : "intact" in result && result.intact === false,
  );
}

function save(results: BenchResults, report: string): void {
  const folder = join(root, "bench", "results");
  mkdirSync(folder, { recursive: true });
  const { date, commit } = results.environment;
  const path = join(folder, `${date.slice(0, 10)}-${commit}`);
  writeFileSync(`${path}.md`, report);
  writeFileSync(`${path}.json`, `${JSON.stringify(results, null, 2)}\n`);
  console.error(`kept in ${path}.md and .json`);
}

const { options, complaints } = parseOptions(process.argv.slice(2), process.env);
if (options.help) {
  console.log(USAGE);
} else if (complaints.length > 0) {
  console.error(`${complaints.join("\n")}\n\n${USAGE}`);
  process.exitCode = 2;
} else {
  // One line for what a user can mend.
  await main(options).catch((error: unknown) => {
    console.error(`bench: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
  });
}
