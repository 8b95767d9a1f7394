/**
 * A pooler under test: bin/pgcarpool as a child process, with a folder, a configuration, a port and a Unix socket of its
 * own. The counterpart of `Bouncer` in PgBouncer's test suite.
 *
 * The runtime is the option's, else PGCARPOOL_RUNTIME's (scripts/test.ts runs every file once for each). With
 * PGCARPOOL_EXECUTABLE another program is tested, PgBouncer itself for example: the tests then check the tests.
 *
 * Started by root it runs as `nobody`. A watcher process removes folder and pooler when the test process is killed.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, chownSync, closeSync, openSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { Client, type ClientConfig } from "pg";
import { findFreePort } from "../../src/demo/free-port.ts";
import { readTextIfThere } from "../../src/demo/processes.ts";
import { makeTemporaryFolder } from "../../src/demo/temporary-folder.ts";
import { isReachable, unprivilegedUser, type UnprivilegedUser } from "../../src/demo/unprivileged-user.ts";
import { type IniSections, iniText, userlistText } from "./ini-text.ts";
import { waitFor } from "./wait-for.ts";

export interface BouncerOptions extends IniSections {
  /** Entries of userlist.txt: name → secret as it stands there. The console's user is added. */
  readonly userlist?: Readonly<Record<string, string>>;
  readonly runtime?: "node" | "bun";
  /** More command line arguments, before the path of the configuration. */
  readonly args?: readonly string[];
  /** More environment for the pooler. */
  readonly env?: Readonly<Record<string, string>>;
  /** A program with arguments that becomes the pooler: it is given the pooler's command line behind its own. */
  readonly launcher?: readonly string[];
  /** Descriptors of this process that the pooler finds as its own 3, 4, … */
  readonly descriptors?: readonly number[];
  /** Instead of a free one: several poolers may share a port. */
  readonly port?: number;
  /** Another program for this one pooler. */
  readonly executable?: string;
  /** True: log lines go to stderr too, which `output()` shows. */
  readonly loud?: boolean;
}

/** A row of the console: integers of any width arrive as numbers, everything else as text or null. */
export type ConsoleRow = Readonly<Record<string, string | number | null>>;

/** What a pooler that takes another's place may have of its own. */
export interface Heir {
  readonly runtime?: "node" | "bun";
  readonly executable?: string;
}

export interface Exit {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
}

const repository = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const consoleUser = "console";
const consolePassword = "console-password";
const startDeadlineMs = 20_000;
const startsMax = 5;
const stopDeadlineMs = 10_000;

/** Log lines that mean a defect, whatever the test was about. */
const defectPattern = /FATAL.*Assert|broken invariant|\b(?:TypeError|ReferenceError|RangeError|AssertionError)\b/;

/** Waits for its pipe (descriptor 3): a line ends its duty; the end of file kills pooler $1 and removes folder $2. */
const watcherScript = `read -r word <&3 || { kill -9 "$1"; rm -rf "$2"; }`;

export class Bouncer {
  readonly host = "127.0.0.1";
  readonly folder: string;
  readonly logPath: string;
  readonly iniPath: string;
  runtime: "node" | "bun";
  /** Resolves when the process has ended, by whatever cause. */
  exited: Promise<Exit> = Promise.resolve({ status: null, signal: null });
  readonly #user: UnprivilegedUser | null;
  #options: BouncerOptions;
  #port = 0;
  #child: ChildProcess | null = null;
  #watch: Writable | null = null;

  private constructor(options: BouncerOptions) {
    this.#user = unprivilegedUser();
    this.#options = options;
    this.#port = options.port ?? 0;
    this.folder = makeTemporaryFolder("pgc-b-", this.#user);
    this.logPath = join(this.folder, "pooler.log");
    this.iniPath = join(this.folder, "pooler.ini");
    this.runtime = options.runtime ?? (process.env["PGCARPOOL_RUNTIME"] === "bun" ? "bun" : "node");
  }

  /** Starts a pooler and returns when it serves. Rejects with its log and output when it does not. */
  static async start(options: BouncerOptions): Promise<Bouncer> {
    const bouncer = new Bouncer(options);
    try {
      await bouncer.startAgain();
      return bouncer;
    } catch (error) {
      bouncer.#child?.kill("SIGKILL");
      bouncer.#remove();
      throw error;
    }
  }

  /**
   * Runs a pooler that is expected to refuse its configuration: returns its end, with log and output together, instead of
   * waiting for it to serve. One that serves nevertheless is stopped, and the promise rejects.
   */
  static async startAndFail(options: BouncerOptions): Promise<Exit & { readonly output: string }> {
    const bouncer = new Bouncer(options);
    try {
      bouncer.#port = await findFreePort();
      bouncer.#writeFiles();
      bouncer.#spawn();
      const up = waitFor("the end", () => bouncer.#isUp(), startDeadlineMs).then(() => null);
      const exit = await Promise.race([bouncer.exited, up]);
      const output = bouncer.log() + bouncer.output();
      if (exit === null) throw new Error(`the pooler was expected not to start:\n${output}`);
      return { ...exit, output };
    } finally {
      bouncer.#child?.kill("SIGKILL");
      bouncer.#remove();
    }
  }

  get port(): number {
    return this.#port;
  }

  get pid(): number {
    const pid = this.#child?.pid;
    if (pid === undefined) throw new Error("the pooler does not run");
    return pid;
  }

  /** A connection URI, over TCP. */
  url(database: string, user = "postgres", password?: string): string {
    const secret = password === undefined ? "" : `:${encodeURIComponent(password)}`;
    return `postgres://${encodeURIComponent(user)}${secret}@${this.host}:${this.port}/${encodeURIComponent(database)}`;
  }

  /** A connected node-postgres client. Who asks for it ends it. */
  async connect(config: ClientConfig = {}): Promise<Client> {
    const client = new Client({ host: this.host, port: this.port, user: "postgres", ...config });
    // An error between queries would otherwise end the test process; the next query reports it.
    client.on("error", () => undefined);
    await client.connect();
    return client;
  }

  /** Runs one command on the console, as admin over the Unix socket, on a connection of its own. */
  async admin(command: string): Promise<ConsoleRow[]> {
    const client = await this.connect({
      host: this.folder,
      database: "pgbouncer",
      user: consoleUser,
      password: consolePassword,
      types: { getTypeParser: consoleTypeParser },
    });
    try {
      const result = await client.query(command);
      return result.rows as ConsoleRow[];
    } finally {
      await client.end();
    }
  }

  /** The log so far. */
  log(): string {
    return readTextIfThere(this.logPath);
  }

  /** What the process wrote to stdout and stderr. */
  output(): string {
    return readTextIfThere(this.#outputPath);
  }

  logContains(pattern: RegExp): boolean {
    return pattern.test(this.log());
  }

  /** How often `pattern` occurs in the log. */
  logCount(pattern: RegExp): number {
    return [...this.log().matchAll(new RegExp(pattern.source, `${pattern.flags.replace("g", "")}g`))].length;
  }

  /** What is logged while `work` runs (the log is written before its clients see the event). */
  async logDuring(work: () => Promise<unknown>): Promise<string> {
    const before = this.log().length;
    await work();
    return this.log().slice(before);
  }

  /** Waits for a log line. Only for what no client sees: everything else is in the log already. */
  async waitForLog(pattern: RegExp, deadlineMs = 10_000): Promise<void> {
    await waitFor(`${String(pattern)} in the log`, () => this.logContains(pattern), deadlineMs);
  }

  /** Replaces parts of the configuration on disk; sections that are given replace whole sections. */
  rewrite(changes: BouncerOptions): void {
    this.#options = { ...this.#options, ...changes };
    this.#writeFiles();
  }

  /** `rewrite`, then RELOAD on the console. */
  async reload(changes: BouncerOptions): Promise<void> {
    this.rewrite(changes);
    await this.admin("RELOAD");
  }

  signal(signal: NodeJS.Signals): void {
    process.kill(this.pid, signal);
  }

  /** Ends the pooler at once, removes its folder, and rejects when its log shows a defect. Safe to call twice. */
  async stop(): Promise<void> {
    try {
      await this.#end();
      this.#refuseDefects();
    } finally {
      this.#remove();
    }
  }

  /** Ends the pooler and starts it again: same folder, port and configuration. */
  async restart(): Promise<void> {
    await this.#end();
    this.#refuseDefects();
    await this.startAgain();
  }

  /** Starts a pooler that has ended. */
  async startAgain(): Promise<void> {
    for (let starts = 1; ; starts += 1) {
      const portIsOurs = this.#port !== 0;
      if (!portIsOurs) this.#port = await findFreePort();
      rmSync(this.logPath, { force: true });
      this.#writeFiles();
      this.#spawn();
      let exit: Exit | null = null;
      void this.exited.then((value) => (exit = value));
      await waitFor("the pooler to serve", () => exit !== null || this.#isUp(), startDeadlineMs).catch(
        (cause: unknown) => {
          throw new Error(`the pooler does not serve:\n${this.log()}${this.output()}`, { cause });
        },
      );
      if (exit === null) return;
      if (!portIsOurs && starts < startsMax && /EADDRINUSE|Address already in use/i.test(this.log() + this.output())) {
        this.#port = 0;
        continue;
      }
      throw new Error(`the pooler ended (${JSON.stringify(exit)}):\n${this.log()}${this.output()}`);
    }
  }

  /** Starts a pooler on the same configuration that takes the place of this one (-R). Returns when the old one has ended and it serves. */
  async reboot(heir: Heir = {}): Promise<void> {
    const old = this.exited;
    const ups = this.logCount(/process up: /);
    this.rebootStarted(heir);
    let exit: Exit | null = null;
    void this.exited.then((value) => (exit = value));
    await waitFor(
      "the new pooler to serve",
      () => exit !== null || this.logCount(/process up: /) > ups,
      startDeadlineMs,
    );
    if (exit !== null)
      throw new Error(`the new pooler ended (${JSON.stringify(exit)}):\n${this.log()}${this.output()}`);
    await old;
  }

  /** `reboot` without waiting. Returns the process of the old pooler, which nobody looks after any more. */
  rebootStarted(heir: Heir = {}): ChildProcess {
    const old = this.#child;
    if (old === null) throw new Error("the pooler does not run");
    this.#dismissWatcher();
    if (heir.runtime !== undefined) this.runtime = heir.runtime;
    this.#spawn(["-R"], heir.executable);
    return old;
  }

  get #outputPath(): string {
    return join(this.folder, "output.txt");
  }

  /** PgBouncer's last line of a start; listeners, console and signals are ready before it. */
  #isUp(): boolean {
    return this.logContains(/process up: /);
  }

  async #end(): Promise<void> {
    const child = this.#child;
    if (child === null) return;
    if (child.exitCode === null && child.signalCode === null) {
      child.kill("SIGQUIT");
      const late = setTimeout(() => child.kill("SIGKILL"), stopDeadlineMs);
      const exit = await this.exited;
      clearTimeout(late);
      if (exit.signal === "SIGKILL")
        throw new Error(`the pooler ignored SIGQUIT for ${stopDeadlineMs} ms:\n${this.log()}`);
    }
    this.#dismissWatcher();
    this.#child = null;
  }

  #refuseDefects(): void {
    const text = this.log() + this.output();
    const defect = defectPattern.exec(text);
    if (defect !== null) throw new Error(`the pooler's log shows a defect (${defect[0]}):\n${text}`);
  }

  #spawn(more: readonly string[] = [], program?: string): void {
    const given = program ?? this.#options.executable ?? process.env["PGCARPOOL_EXECUTABLE"];
    const executable = given ?? join(repository, "bin", "pgcarpool");
    // A clone below /root: nobody cannot read it, so the pooler starts as root and becomes nobody by itself.
    const startAsUser = this.#user !== null && isReachable(executable, this.#user);
    const becomes = this.#user !== null && !startAsUser ? ["-u", this.#user.name] : [];
    const output = openSync(this.#outputPath, "a");
    const { args = [], descriptors = [], launcher = [], loud = false } = this.#options;
    const line = [...launcher, executable, ...(loud ? [] : ["--quiet"]), ...becomes, ...args, ...more, this.iniPath];
    const child = spawn(line[0] as string, line.slice(1), {
      cwd: this.folder,
      stdio: ["ignore", output, output, ...descriptors],
      env: { ...process.env, NO_COLOR: "1", PGCARPOOL_RUNTIME: this.runtime, ...this.#options.env },
      ...(startAsUser ? { uid: this.#user.uid, gid: this.#user.gid } : {}),
    });
    closeSync(output);
    this.#child = child;
    this.exited = new Promise((resolve, reject) => {
      child.on("error", reject);
      child.on("exit", (status, signal) => resolve({ status, signal }));
    });
    this.exited.catch(() => undefined);
    if (child.pid !== undefined) this.#watchOver(child.pid);
  }

  #watchOver(pid: number): void {
    const watcher = spawn("/bin/sh", ["-c", watcherScript, "sh", String(pid), this.folder], {
      cwd: "/",
      stdio: ["ignore", "ignore", "ignore", "pipe"],
      detached: true,
    });
    const pipe = watcher.stdio[3] as Writable & { unref(): void };
    pipe.on("error", () => undefined);
    watcher.on("error", () => undefined);
    watcher.unref();
    pipe.unref();
    this.#watch = pipe;
  }

  #dismissWatcher(): void {
    this.#watch?.end("over\n");
    this.#watch = null;
  }

  #remove(): void {
    this.#dismissWatcher();
    rmSync(this.folder, { recursive: true, force: true });
  }

  #writeFiles(): void {
    const userlistPath = join(this.folder, "userlist.txt");
    writeFileSync(userlistPath, userlistText({ ...this.#options.userlist, [consoleUser]: consolePassword }));
    const settings = {
      listen_addr: this.host,
      listen_port: this.port,
      unix_socket_dir: this.folder,
      logfile: this.logPath,
      auth_type: "trust",
      auth_file: userlistPath,
      admin_users: consoleUser,
      ...this.#options.settings,
    };
    writeFileSync(this.iniPath, iniText({ ...this.#options, settings }));
    for (const name of readdirSync(this.folder)) {
      if (this.#user === null || name.startsWith(".")) continue;
      const path = join(this.folder, name);
      chownSync(path, this.#user.uid, this.#user.gid);
      if (path === userlistPath) chmodSync(path, 0o600);
    }
  }
}

function consoleTypeParser(oid: number): (text: string) => string | number {
  const int8 = 20;
  const int2 = 21;
  const int4 = 23;
  return oid === int8 || oid === int2 || oid === int4 ? Number : String;
}
