/**
 * `npm run demo` from the outside: what it prints, how it ends, and that nothing is left behind however it ends.
 *
 * Every run gets a temporary folder of its own; what the demo leaves would be in it, or would be a process that works in
 * it or names it.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Client } from "pg";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { findFreePort } from "../../src/demo/free-port.ts";
import { childrenOf, signalProcess } from "../../src/demo/processes.ts";
import { screenOff } from "../../src/demo/terminal-screen.ts";
import { unprivilegedUser } from "../../src/demo/unprivileged-user.ts";
import { waitFor } from "../support/wait-for.ts";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const launcher = join(root, "scripts", "run.mjs");
const runtime = process.env["PGCARPOOL_RUNTIME"] === "bun" ? "bun" : "node";
const startMs = 40_000;
/** A start takes two seconds, or ten on a busy machine; some tests start twice. */
const deadlineMs = 90_000;
const leftoverMs = 10_000;

interface Exit {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
}

class Run {
  readonly child: ChildProcess;
  readonly exited: Promise<Exit>;
  output = "";

  constructor(command: readonly string[], temporary: string, options: { uid?: number; gid?: number } = {}) {
    const [program, ...args] = command;
    this.child = spawn(program!, args, {
      cwd: root,
      // npm itself would leave its compile cache in the temporary folder.
      env: {
        ...process.env,
        PGCARPOOL_RUNTIME: runtime,
        TMPDIR: temporary,
        TERM: "xterm",
        NODE_DISABLE_COMPILE_CACHE: "1",
      },
      stdio: ["ignore", "pipe", "pipe"],
      ...options,
    });
    this.child.stdout!.on("data", (chunk: Buffer) => (this.output += chunk.toString("utf8")));
    this.child.stderr!.on("data", (chunk: Buffer) => (this.output += chunk.toString("utf8")));
    this.exited = new Promise((resolve, reject) => {
      this.child.on("error", reject);
      // Not "exit": what was printed last must have arrived.
      this.child.on("close", (status, signal) => resolve({ status, signal }));
    });
    this.exited.catch(() => undefined);
  }

  /** How it ended, and behind that everything it printed, for the message of a failed comparison. */
  async end(): Promise<string> {
    const { status, signal } = await this.exited;
    return `${signal === null ? `status ${status}` : `signal ${signal}`}\n${this.output}`;
  }

  async prints(pattern: RegExp): Promise<RegExpExecArray> {
    return waitFor(`${String(pattern)} in the output`, () => pattern.exec(this.output), startMs).catch(
      (cause: unknown) => {
        throw new Error(`the demo printed:\n${this.output}`, { cause });
      },
    );
  }

  get launcherPid(): number {
    return this.child.pid!;
  }

  /** The demo's own process, the launcher's only child. */
  get demoPid(): number {
    return childrenOf(this.launcherPid)[0]!;
  }
}

/** The first line of figures. Which second it names depends on the machine. */
const firstFigures = /^ *\d+ s .* queries\/s /m;

let temporary = "";
let runs: Run[] = [];

function start(...args: string[]): Run {
  const run = new Run([process.execPath, launcher, "demo", "--clients", "20", ...args], temporary);
  runs.push(run);
  return run;
}

/** Processes that name the temporary folder or work in it. */
function leftoverProcesses(): string[] {
  const found: string[] = [];
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, "latin1").replaceAll("\0", " ");
      if (command.includes(temporary) || readlinkSync(`/proc/${pid}/cwd`).startsWith(temporary)) {
        found.push(`${pid} ${command}`);
      }
    } catch {
      // It ended while we looked, or is not ours to look into.
      continue;
    }
  }
  return found;
}

interface Leftovers {
  readonly processes: readonly string[];
  readonly files: readonly string[];
}

const nothing: Leftovers = { processes: [], files: [] };

/** What is still there when there is nothing any more, or after ten seconds. */
async function leftovers(): Promise<Leftovers> {
  const look = (): Leftovers => ({ processes: leftoverProcesses(), files: readdirSync(temporary) });
  const isGone = (): boolean => look().processes.length + look().files.length === 0;
  // The caller compares, and shows what is left by name.
  await waitFor("nothing to be left", isGone, leftoverMs).catch(() => undefined);
  return look();
}

function figure(output: string, pattern: RegExp): number {
  const found = pattern.exec(output);
  if (found === null) throw new Error(`${String(pattern)} is not in:\n${output}`);
  return Number(found[1]!.replaceAll(",", ""));
}

beforeEach(() => {
  temporary = mkdtempSync(join(tmpdir(), "pgc-dt-"));
  chmodSync(temporary, 0o777);
});

afterEach(async () => {
  for (const run of runs) {
    if (run.child.exitCode !== null || run.child.signalCode !== null) continue;
    run.child.kill("SIGTERM");
    await run.exited;
  }
  runs = [];
  rmSync(temporary, { recursive: true, force: true });
});

describe("a run with an end", { timeout: deadlineMs }, () => {
  test("npm run demo -- --seconds 3 --plain: lines, and a summary whose figures make sense", async () => {
    const run = new Run(["npm", "run", "demo", "--", "--seconds", "3", "--plain", "--show-config"], temporary);
    runs.push(run);
    expect(await run.end()).toMatch(/^status 0\n/);
    const { output } = run;
    expect(output).toMatch(runtime === "bun" ? /pgcarpool \S+ on Bun \d/ : /pgcarpool \S+ on Node \d/);
    expect(output).toMatch(/^pool_mode = transaction$/m);
    expect(output).toMatch(/^default_pool_size = 8$/m);
    // Three, unless the machine is so busy that a second is missed.
    expect(output.match(/^ +\d+ s {2}/gm)?.length).toBeLessThanOrEqual(3);
    expect(output).toMatch(/^ +\d s .* 200 clients \(\d+ served, \d+ waiting, \d+ idle\) /m);
    expect(figure(output, /^ {2}clients +([\d,]+),/m)).toBe(200);
    const queries = figure(output, /^ {2}queries +([\d,]+),/m);
    expect(queries).toBeGreaterThan(200);
    expect(figure(output, /, ([\d,]+) per second$/m)).toBeLessThanOrEqual(queries / 2.9);
    const servers = figure(output, /^ {2}servers +(\d+) at most/m);
    expect(servers).toBeGreaterThanOrEqual(1);
    expect(servers).toBeLessThanOrEqual(8);
    // A transaction of the workload is one query or four.
    const transactions = figure(output, /^ {2}SHOW STATS +([\d,]+) transactions/m);
    expect(transactions).toBeGreaterThan(queries / 4 - 200);
    expect(transactions).toBeLessThan(queries + 200);
    const [p50, p95, p99] = [/p50 ([\d.]+)/, /p95 ([\d.]+)/, /p99 ([\d.]+)/].map((pattern) =>
      figure(output.slice(output.lastIndexOf("latency ")), pattern),
    );
    expect(p50).toBeGreaterThan(0);
    expect(p50).toBeLessThanOrEqual(p95!);
    expect(p95).toBeLessThanOrEqual(p99!);
    expect(output).toMatch(/0 went to the wrong client, 0 errors, 0 lost connections, the balances add up/);
    expect(await leftovers()).toEqual(nothing);
  });

  test("a taken port is said and another one used; clients that never pause wait for two servers", async () => {
    const port = await findFreePort();
    const server = await new Promise<Server>((resolve) => {
      const listening = createServer().listen(port, "127.0.0.1", () => resolve(listening));
    });
    try {
      const run = start("--port", String(port), "--pool-size=2", "--think", "0", "--seconds", "1");
      expect(await run.end()).toMatch(/^status 0\n/);
      expect(figure(run.output, /is up on port (\d+) \(\d+ is taken\)$/m)).not.toBe(port);
      expect(run.output).toContain(`(${port} is taken)`);
      expect(figure(run.output, /^ {2}servers +(\d+) at most/m)).toBe(2);
      expect(figure(run.output, /at most ([\d,]+) waited$/m)).toBeGreaterThan(0);
      expect(await leftovers()).toEqual(nothing);
    } finally {
      server.close();
    }
  });

  test.runIf(process.getuid?.() === 0)("as an ordinary user", async () => {
    const { uid, gid } = unprivilegedUser()!;
    const command = [process.execPath, launcher, "demo", "--clients", "20", "--seconds", "1"];
    const run = new Run(command, temporary, { uid, gid });
    runs.push(run);
    expect(await run.end()).toMatch(/^status 0\n/);
    expect(figure(run.output, /^ {2}queries +([\d,]+),/m)).toBeGreaterThan(0);
    expect(await leftovers()).toEqual(nothing);
  });

  test("wrong options are named, and nothing is started", async () => {
    const run = start("--pool-size", "0", "--clients=many");
    expect(await run.end()).toMatch(/^status 2\n/);
    expect(run.output).toMatch(/--clients must be .* not 'many'/);
    expect(run.output).toMatch(/--pool-size must be .* not '0'/);
    expect(run.output).not.toMatch(/is up/);
  });
});

describe("while it runs", { timeout: deadlineMs }, () => {
  test("the printed connection strings work, and a visitor is counted", async () => {
    const run = start("--plain");
    const [, url] = await run.prints(/psql (postgres:\S+\/demo)$/m);
    await run.prints(firstFigures);
    const visitor = new Client({ connectionString: url! });
    await visitor.connect();
    const { rows } = await visitor.query("select count(*)::int as accounts from accounts");
    expect(rows).toEqual([{ accounts: 20_000 }]);
    await run.prints(/21 clients .*1 visitor/);
    await visitor.end();

    const [, consoleUrl] = await run.prints(/psql (postgres:\S+\/pgbouncer) -c 'SHOW POOLS'$/m);
    const operator = new Client({ connectionString: consoleUrl! });
    await operator.connect();
    const pools = await operator.query("SHOW POOLS");
    expect(pools.rows.map((row: { database: string }) => row.database)).toContain("demo");
    await operator.end();

    run.child.kill("SIGINT");
    expect(await run.end()).toMatch(/^status 0\n/);
    expect(run.output).toMatch(/^ {2}queries /m);
    expect(await leftovers()).toEqual(nothing);
  });

  test.each(["pooler", "guard"] as const)("when its %s dies the demo ends with the log and status 1", async (who) => {
    const run = start("--plain");
    await run.prints(firstFigures);
    const [folder] = readdirSync(temporary);
    const pooler = Number(readFileSync(join(temporary, folder!, "pooler.pid"), "utf8"));
    const guard = childrenOf(run.demoPid).find((pid) => childrenOf(pid).includes(pooler));
    expect(guard).toBeDefined();
    signalProcess(who === "pooler" ? pooler : guard!, "SIGKILL");
    expect(await run.end()).toMatch(/^status 1\n/);
    expect(run.output).toMatch(/the pooler has ended; the last of its log:\n[\s\S]* LOG /);
    expect(await leftovers()).toEqual(nothing);
  });
});

describe("nothing is left behind", { timeout: deadlineMs }, () => {
  test("after SIGTERM", async () => {
    const run = start("--plain");
    await run.prints(firstFigures);
    // PostgreSQL and the pooler, each with a guard, and the folder's watcher: the look does see what is there.
    expect(leftoverProcesses().length).toBeGreaterThanOrEqual(5);
    run.child.kill("SIGTERM");
    expect(await run.end()).toMatch(/^status 143\n/);
    expect(run.output).toMatch(/^ {2}queries /m);
    expect(await leftovers()).toEqual(nothing);
  });

  test("after SIGKILL of the launcher", async () => {
    const run = start("--plain");
    await run.prints(firstFigures);
    run.child.kill("SIGKILL");
    await run.exited;
    expect(await leftovers()).toEqual(nothing);
  });

  test("after SIGKILL of npm", async () => {
    const run = new Run(["npm", "run", "demo", "--", "--clients", "20", "--plain"], temporary);
    runs.push(run);
    await run.prints(firstFigures);
    run.child.kill("SIGKILL");
    await run.exited;
    expect(await leftovers()).toEqual(nothing);
  });

  test("after SIGKILL of the demo itself", async () => {
    const run = start("--plain");
    await run.prints(firstFigures);
    signalProcess(run.demoPid, "SIGKILL");
    expect(await run.end()).toMatch(/^signal SIGKILL\n/);
    expect(await leftovers()).toEqual(nothing);
  });

  test.each(["SIGINT", "SIGKILL"] as const)("after %s while it starts", async (signal) => {
    const signs = signal === "SIGKILL" ? [null, /PostgreSQL .* is up/] : [null, /pgcarpool .* is up/];
    for (const sign of signs) {
      const run = start("--plain", "--clients", "200");
      if (sign === null) await waitFor("the folder", () => readdirSync(temporary).length > 0, startMs);
      else await run.prints(sign);
      signalProcess(signal === "SIGKILL" ? run.demoPid : run.launcherPid, signal);
      expect(await run.end()).toMatch(signal === "SIGKILL" ? /^signal SIGKILL\n/ : /^status 0\n/);
      expect(await leftovers()).toEqual(nothing);
    }
  });

  test("when nobody reads its output any more", async () => {
    const run = start("--plain");
    await run.prints(firstFigures);
    run.child.stdout!.destroy();
    run.child.stderr!.destroy();
    await run.exited;
    expect(await leftovers()).toEqual(nothing);
  });
});

/** A terminal of its own, from util-linux. */
const scriptProgram = "/usr/bin/script";

describe.runIf(existsSync(scriptProgram))("on a terminal", { timeout: deadlineMs }, () => {
  const onTerminal = (args: string): Run => {
    const command = `stty cols 100 rows 40; exec '${process.execPath}' '${launcher}' demo --clients 20 ${args}`;
    const run = new Run([scriptProgram, "-qefc", command, "/dev/null"], temporary);
    runs.push(run);
    return run;
  };

  test("a screen is drawn, and the old one comes back before the summary", async () => {
    const run = onTerminal("--seconds 2");
    expect(await run.end()).toMatch(/^status 0\n/);
    const { output } = run;
    expect(output).toContain("\u001b[?1049h");
    expect(output).toContain("20 clients");
    expect(output).toMatch(/[▁▂▃▄▅▆▇█]/);
    expect(output).toContain("without a pooler: 20 processes");
    expect(output.indexOf(screenOff)).toBeGreaterThan(output.indexOf("without a pooler: 20 processes"));
    expect(output.indexOf("  queries  ")).toBeGreaterThan(output.indexOf(screenOff));
    expect(await leftovers()).toEqual(nothing);
  });

  test("the terminal is given back when the demo is killed", async () => {
    const run = onTerminal("");
    await run.prints(/without a pooler/);
    const [shell] = childrenOf(run.launcherPid);
    // `exec` made the shell the launcher; the demo is its child.
    signalProcess(childrenOf(shell!)[0]!, "SIGKILL");
    await run.prints(/\[\?7h.\[\?25h.\[\?1049l/);
    await run.exited;
    expect(await leftovers()).toEqual(nothing);
  });
});
