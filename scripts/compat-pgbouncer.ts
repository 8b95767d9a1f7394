/**
 * `npm run compat:pgbouncer -- [--install] [--again] CHECKOUT [pytest arguments]`: PgBouncer's own test suite against
 * bin/pgcarpool.
 *
 * CHECKOUT is a clone of pgbouncer/pgbouncer (commit 13a344f is the one that results are kept for; 1.25.2 and older cannot be
 * told which executable to test). Nothing of it is kept in this repository and nothing is written to it: the few folders that
 * the suite needs are copied to a scratch folder, which also holds what stands for a build there.
 *
 * What is tested is the package: `src/` as it is now is built into the scratch folder first, so that it starts as fast as what
 * users install, and stays the same for the run. It runs on PGCARPOOL_RUNTIME (node or bun). BOUNCER_EXE tests another
 * executable, PgBouncer itself for example, which shows what the machine and not the pooler is to blame for.
 *
 * PostgreSQL and the pooler refuse to run as root: started by root, the suite runs as `nobody`.
 *
 * The exit status is 0 when nothing failed but what test/compat/expected.json names for this runtime. `--again` runs what
 * failed once more, alone: the suite counts seconds, and a busy machine makes it miss some. Logs of failures are kept.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { endWithLauncher } from "../src/demo/lifeline.ts";
import { makeTemporaryFolder } from "../src/demo/temporary-folder.ts";
import { isReachable, unprivilegedUser } from "../src/demo/unprivileged-user.ts";
import { installRequirements, missingRequirements, python, suitePath } from "../test/compat/requirements.ts";

/** A line of test/compat/report.py. */
interface ReportLine {
  readonly test: string;
  readonly phase: "setup" | "call" | "teardown";
  readonly outcome: "passed" | "failed" | "skipped";
  readonly seconds: number;
  readonly text?: string;
  readonly printed?: string;
}

interface Result {
  outcome: ReportLine["outcome"];
  seconds: number;
  /** What pytest says, and what the test, the pooler and PostgreSQL printed. */
  text: string;
}

interface FileCount {
  passed: number;
  failed: number;
  expected: number;
  skipped: number;
  seconds: number;
}

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const usage = "usage: npm run compat:pgbouncer -- [--install] [--again] CHECKOUT [pytest arguments]";
const runtime = process.env["PGCARPOOL_RUNTIME"] ?? "node";
const given = process.env["BOUNCER_EXE"];
/** What fixtures need to stop PostgreSQL and the poolers of a run that is interrupted. */
const interruptedMs = 15_000;

const args = process.argv.slice(2);
const options = { install: take("--install"), again: take("--again") };
const checkout = args.shift();
if (checkout === undefined) refuse(usage);
for (const path of ["test/conftest.py", "include/bouncer.h", "pyproject.toml"]) {
  if (!existsSync(join(checkout, path))) refuse(`${checkout} is no checkout of PgBouncer that can be run: no ${path}`);
}
if (!readFileSync(join(checkout, "test/utils.py"), "utf8").includes("BOUNCER_EXE")) {
  refuse(`the suite in ${checkout} always tests its own executable; commit 13a344f and newer can be told another`);
}
const expected = readExpected();
if (options.install) installRequirements();
const missing = missingRequirements();
if (missing.length > 0) refuse(`the suite needs ${missing.join(", ")}; --install installs them (root, Debian)`);
const user = unprivilegedUser();
for (const path of given === undefined ? [process.execPath, join(root, "node_modules")] : [given]) {
  if (!isReachable(path, user)) refuse(`${path} cannot be read by ${user?.name ?? "this user"}`);
}

endWithLauncher();
const scratch = makeTemporaryFolder("pgcs-", user);
const executable = given === undefined ? join(scratch, "package", "bin", "pgcarpool") : resolve(given);
const suite = join(scratch, "suite");
const failures = join(scratch, "failures");
let running: ChildProcess | null = null;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => void interrupt());
copySuite(checkout);
if (given === undefined) buildPackage();
if (user !== null) spawnSync("chown", ["-hR", `${user.uid}:${user.gid}`, scratch]);

console.log(`${basename(executable)}${given === undefined ? ` on ${runtime}` : ""}, in ${scratch}`);
const results = new Map<string, Result>();
const paths = args.some((word) => existsSync(join(suite, word.split("::")[0] ?? ""))) ? args : [...args, "test"];
await runPytest(paths, results);
const failed = namesOf("failed").filter((name) => expected[name] === undefined);
if (options.again && failed.length > 0) {
  console.log(`\nonce more: ${failed.length} that failed`);
  for (const name of failed.filter((test) => test.includes("::"))) {
    results.delete(name);
    await runPytest([`test/${name}`], results);
  }
}
process.exit(report() ? 0 : 1);

/** Removes a word from the options before CHECKOUT. */
function take(word: string): boolean {
  const at = args.slice(0, 2).indexOf(word);
  if (at !== -1) args.splice(at, 1);
  return at !== -1;
}

function refuse(text: string): never {
  console.error(text);
  process.exit(2);
}

function readExpected(): Readonly<Record<string, string>> {
  const all = JSON.parse(readFileSync(join(root, "test/compat/expected.json"), "utf8")) as Record<
    string,
    Readonly<Record<string, string>>
  >;
  if (given !== undefined) return {};
  const ours = all[runtime];
  if (ours === undefined) refuse(`PGCARPOOL_RUNTIME must be node or bun, not '${runtime}'`);
  return ours;
}

/** Folders of the checkout that the suite reads, owned by who runs it (it makes its certificates beside the tests). */
function copySuite(from: string): void {
  for (const path of ["test", "include", "pyproject.toml"]) {
    cpSync(join(from, path), join(suite, path), { recursive: true, filter: (name) => !/\.(?:pyc|log)$/.test(name) });
  }
  cpSync(join(root, "test/compat/report.py"), join(scratch, "plugin", "compat_report.py"));
  // The suite asks what the executable was built with.
  writeFileSync(join(suite, "config.mak"), "ldap_support = yes\ntls_support = yes\n");
  mkdirSync(failures);
  chmodSync(scratch, 0o755);
}

/** What `npm pack` would hold, with the installed dependencies. */
function buildPackage(): void {
  const folder = join(scratch, "package");
  for (const path of ["bin", "package.json"]) cpSync(join(root, path), join(folder, path), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  const compiler = join(root, "node_modules/typescript/bin/tsc");
  const words = [compiler, "-p", join(root, "tsconfig.build.json"), "--outDir", join(folder, "dist")];
  const built = spawnSync(process.execPath, words, { stdio: ["ignore", 2, 2] });
  if (built.status === 0) return;
  rmSync(scratch, { recursive: true, force: true });
  refuse("the package cannot be built");
}

/** Runs pytest, adds to `found` and prints a line a test. A run that reports nothing is a failure with pytest's output. */
async function runPytest(words: readonly string[], found: Map<string, Result>): Promise<void> {
  const outputPath = join(scratch, "pytest.txt");
  const output = openSync(outputPath, "w");
  // The pooler's Unix socket lies in there, and its path must be short.
  const basetemp = join(scratch, "t");
  rmSync(basetemp, { recursive: true, force: true });
  // No -n: the versions that Debian 12 has lose their event loop with it. xdist stays loaded, a fixture is from it.
  const fixed = ["-m", "pytest", "-p", "compat_report", "-p", "no:cacheprovider", "--basetemp", basetemp];
  // Short tracebacks are made with the source's syntax tree, and Python 3.11.2 sometimes fails in making it.
  fixed.push("--tb=native");
  const child = spawn(python, [...fixed, ...words], {
    cwd: suite,
    env: suiteEnvironment(),
    stdio: ["ignore", output, output, "pipe"],
    ...(user === null ? {} : { uid: user.uid, gid: user.gid }),
  });
  running = child;
  const ended = new Promise<number>((resolveEnd) => {
    child.on("error", () => resolveEnd(-1));
    child.on("exit", (status) => resolveEnd(status ?? -1));
  });
  for await (const line of createInterface({ input: child.stdio[3] as Readable })) {
    note(found, JSON.parse(line) as ReportLine);
  }
  const status = await ended;
  running = null;
  endLeftovers();
  const testsFailed = 1;
  const nothingSelected = 5;
  if (![0, testsFailed].includes(status) || found.size === 0) {
    console.error(readFileSync(outputPath, "utf8"));
    if (status !== nothingSelected)
      found.set("pytest", { outcome: "failed", seconds: 0, text: "pytest did not end well" });
  }
}

function note(found: Map<string, Result>, line: ReportLine): void {
  const name = line.test.replace(/^test\//, "");
  const result = found.get(name) ?? { outcome: "passed", seconds: 0, text: "" };
  found.set(name, result);
  result.seconds += line.seconds;
  if (line.text !== undefined) result.text += `=== ${line.phase}\n${line.text}\n`;
  if (line.printed !== undefined) result.text += line.printed;
  if (line.outcome === "failed" || (line.outcome === "skipped" && result.outcome === "passed")) {
    result.outcome = line.outcome;
  }
  if (line.phase !== "teardown") return;
  const mark = { passed: "ok", failed: expected[name] === undefined ? "FAILED" : "failed (known)", skipped: "skipped" };
  console.log(`${mark[result.outcome]} ${name} ${result.seconds.toFixed(1)} s`);
  if (result.outcome === "failed") {
    writeFileSync(join(failures, `${name.replaceAll(/[^\w.]+/g, "-")}.txt`), result.text);
  }
}

function suiteEnvironment(): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    // The package takes the Node that is in PATH: ours.
    PATH: `${dirname(process.execPath)}:${suitePath()}`,
    BOUNCER_EXE: executable,
    PGCARPOOL_RUNTIME: runtime,
    PYTHONPATH: join(scratch, "plugin"),
    PYTHONDONTWRITEBYTECODE: "1",
    COMPAT_REPORT_FD: "3",
    LC_ALL: "C.UTF-8",
  };
  if (user !== null) Object.assign(env, { USER: user.name, LOGNAME: user.name, HOME: scratch });
  // libpq would take these for its defaults.
  for (const name of Object.keys(env)) if (/^PG(?!CARPOOL)/.test(name)) delete env[name];
  return env;
}

function namesOf(outcome: Result["outcome"]): string[] {
  return [...results].filter(([, result]) => result.outcome === outcome).map(([name]) => name);
}

/** Prints the table and what to look at; true when nothing failed that was not expected to. */
function report(): boolean {
  const files = new Map<string, FileCount>();
  for (const [name, result] of results) {
    const file = name.split("::")[0] ?? name;
    const count = files.get(file) ?? { passed: 0, failed: 0, expected: 0, skipped: 0, seconds: 0 };
    files.set(file, count);
    count.seconds = Math.round(count.seconds + result.seconds);
    count[result.outcome === "failed" && expected[name] !== undefined ? "expected" : result.outcome] += 1;
  }
  console.table(Object.fromEntries(files));
  const bad = namesOf("failed").filter((name) => expected[name] === undefined);
  for (const name of namesOf("passed")) {
    if (expected[name] !== undefined) console.log(`passes, and test/compat/expected.json says it cannot: ${name}`);
  }
  for (const name of bad) console.log(`FAILED: ${name}`);
  const known = namesOf("failed").length - bad.length;
  const counts = [`${namesOf("passed").length} passed`, `${bad.length} failed`, `${namesOf("skipped").length} skipped`];
  if (known > 0) counts.push(`${known} known to fail`);
  console.log(counts.join(", "));
  if (bad.length > 0) {
    console.log(`logs of failures: ${failures}`);
    for (const path of [suite, join(scratch, "t"), join(scratch, "package")])
      rmSync(path, { recursive: true, force: true });
  } else {
    rmSync(scratch, { recursive: true, force: true });
  }
  return bad.length === 0 && results.size > 0;
}

/** A fixture that fails does not stop what it started; poolers and PostgreSQL have our scratch folder in their arguments. */
function endLeftovers(): void {
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)) {
    try {
      if (readFileSync(join("/proc", pid, "cmdline"), "utf8").includes(scratch)) process.kill(Number(pid), "SIGKILL");
    } catch {
      // It has ended between the look and the signal.
    }
  }
}

/** Lets pytest end what its fixtures started. */
async function interrupt(): Promise<void> {
  const child = running;
  if (child !== null) {
    child.kill("SIGINT");
    const late = setTimeout(() => child.kill("SIGKILL"), interruptedMs);
    await new Promise((resolveEnd) => child.once("exit", resolveEnd));
    clearTimeout(late);
  }
  endLeftovers();
  report();
  process.exit(130);
}
