/**
 * `npm test [-- part…]`: runs the parts of the test suite one after the other, in both runtimes where that matters, and
 * ends with the line `N passed, N failed` that adds all of them up. Without names all parts run. PGCARPOOL_TEST_BRIEF=1, as in
 * CI, leaves out what would be said twice.
 *
 * The counts come from vitest's JSON reports, not from its output. A part that dies, reports nothing, finds no test or
 * does not end in its time counts as one failure: silence is not success. (Vitest's own time-outs do not end a test that
 * loops without ever giving the event loop its turn.)
 */
import { spawn } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { bunPath } from "./installation.mjs";
import { endWithLauncher } from "../src/demo/lifeline.ts";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const vitest = join(root, "node_modules/vitest/vitest.mjs");

interface Part {
  readonly name: string;
  readonly folder: string;
  /** The runtime that vitest itself runs on. */
  readonly inside: "node" | "bun";
  /** The runtime that poolers started by the tests run on. */
  readonly pooler?: "node" | "bun";
  /** Left out with PGCARPOOL_TEST_BRIEF: about things that no runtime does otherwise, and that another part has just shown. */
  readonly notWhenBrief?: readonly string[];
}

const parts: readonly Part[] = [
  { name: "unit", folder: "test/unit", inside: "node" },
  { name: "transport-node", folder: "test/transport", inside: "node" },
  { name: "transport-bun", folder: "test/transport", inside: "bun" },
  { name: "simulation", folder: "test/sim", inside: "node" },
  { name: "integration-node", folder: "test/integration", inside: "node", pooler: "node" },
  {
    name: "integration-bun",
    folder: "test/integration",
    inside: "node",
    pooler: "bun",
    notWhenBrief: [
      "test/integration/demo.test.ts",
      "test/integration/start-texts.test.ts",
      "test/integration/sharing-catalogue.test.ts",
      "test/integration/sharing-functions.test.ts",
      "test/integration/embedded-postgres.test.ts",
      "test/integration/migrating.test.ts",
      "test/integration/auth-hba.test.ts",
      "test/integration/auth-console.test.ts",
      "test/integration/auth-query.test.ts",
      "test/integration/auth-query-isolation.test.ts",
      "test/integration/exporters.test.ts",
      "test/integration/host-lists.test.ts",
      "test/integration/limits.test.ts",
      "test/integration/log-lines.test.ts",
      "test/integration/login-limits.test.ts",
      "test/integration/login-methods.test.ts",
      "test/integration/prepared-lru.test.ts",
      "test/integration/sharing-off.test.ts",
      "test/integration/show-sharing.test.ts",
    ],
  },
];

/** The longest parts take five minutes; the whole suite has to stay under 20. */
const partDeadlineMs = 9 * 60_000;

interface Outcome {
  readonly passed: number;
  readonly failed: number;
}

const ownGroup = endWithLauncher();
const reports = mkdtempSync(join(tmpdir(), "pgcarpool-test-"));
/**
 * Hundreds of poolers are started, each of some 200 source files: what Node has made of them is kept for the next. It saves two thirds of a
 * start's CPU. Poolers that run as another user write here too; Node gives each user a folder of its own.
 */
const compileCache = mkdtempSync(join(tmpdir(), "pgcarpool-test-"));
chmodSync(compileCache, 0o1777);
process.on("exit", removeFolders);
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => stop(signal));
let running: ReturnType<typeof spawn> | null = null;

const names = process.argv.slice(2);
const unknown = names.filter((name) => !parts.some((part) => part.name === name));
if (unknown.length > 0) {
  console.error(`no such part: ${unknown.join(", ")} (there are ${parts.map((part) => part.name).join(", ")})`);
  process.exit(2);
}

const rows: { part: string; passed: number; failed: number; seconds: string }[] = [];
for (const part of parts) {
  if (names.length > 0 && !names.includes(part.name)) continue;
  console.log(`\n=== ${part.name}`);
  const startedMs = performance.now();
  const outcome = await runPart(part);
  rows.push({ part: part.name, ...outcome, seconds: ((performance.now() - startedMs) / 1000).toFixed(1) });
}
console.table(rows);
const passed = rows.reduce((sum, row) => sum + row.passed, 0);
const failed = rows.reduce((sum, row) => sum + row.failed, 0);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);

async function runPart(part: Part): Promise<Outcome> {
  if (!existsSync(join(root, part.folder))) {
    console.error(`${part.folder} does not exist`);
    return { passed: 0, failed: 1 };
  }
  const program = part.inside === "node" ? process.execPath : bunPath(root);
  if (program === null) {
    console.error("Bun is not installed");
    return { passed: 0, failed: 1 };
  }
  const report = join(reports, `${part.name}.json`);
  const args = [vitest, "run", part.folder, "--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
  // Inside Bun vitest's child processes do not come up; its threads do.
  if (part.inside === "bun") args.push("--pool=threads");
  if (process.env["PGCARPOOL_TEST_BRIEF"] === "1") {
    for (const file of part.notWhenBrief ?? []) args.push(`--exclude=${file}`);
  }
  const status = await new Promise<number>((resolve) => {
    running = spawn(program, args, {
      cwd: root,
      stdio: ["ignore", "inherit", "inherit"],
      env: {
        ...process.env,
        NODE_COMPILE_CACHE: compileCache,
        ...(part.pooler === undefined ? {} : { PGCARPOOL_RUNTIME: part.pooler }),
      },
    });
    const late = setTimeout(() => {
      console.error(`${part.name} did not end within ${partDeadlineMs / 60_000} minutes`);
      // SIGKILL: a main process that waits for a looping worker does not listen. The worker's watchdog ends the worker.
      running?.kill("SIGKILL");
    }, partDeadlineMs);
    const end = (code: number | null): void => {
      clearTimeout(late);
      resolve(code ?? -1);
    };
    running.on("error", () => end(-1));
    running.on("exit", end);
  });
  running = null;
  return outcomeOf(report, status);
}

function removeFolders(): void {
  for (const folder of [reports, compileCache]) rmSync(folder, { recursive: true, force: true });
}

function outcomeOf(report: string, status: number): Outcome {
  let counts: { numPassedTests: number; numFailedTests: number; numTotalTests: number };
  try {
    counts = JSON.parse(readFileSync(report, "utf8")) as typeof counts;
  } catch {
    console.error(`no report was written (exit status ${status})`);
    return { passed: 0, failed: 1 };
  }
  // A file that cannot be loaded, or an error outside any test, fails the run without failing a test.
  const failed =
    counts.numFailedTests === 0 && (status !== 0 || counts.numTotalTests === 0) ? 1 : counts.numFailedTests;
  return { passed: counts.numPassedTests, failed };
}

/** Ends vitest, its workers and what they started: all are in our process group, which the launcher made. */
function stop(signal: NodeJS.Signals): void {
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) process.removeAllListeners(name);
  running?.kill("SIGTERM");
  if (ownGroup) {
    removeFolders();
    process.kill(-process.pid, "SIGTERM");
  }
  process.exit(signal === "SIGINT" ? 130 : 143);
}
