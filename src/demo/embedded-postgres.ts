/**
 * A PostgreSQL cluster of one's own for the demo and for a test file: real executables, a private folder, a free port on
 * loopback and a Unix socket, durability off.
 *
 * Starts in 100 to 300 ms from a copied template; the first start makes the template (initdb, under a second). Runs as
 * root (PostgreSQL then runs as `nobody`) and as an ordinary user.
 *
 * Nothing is left behind whatever happens: PostgreSQL runs below a guard, a few lines of sh that hold a pipe to us. The
 * orderly way is `stop()`. When this process dies, by kill -9 too, the guard sees the pipe end, stops PostgreSQL and
 * removes the folder. The guard has a session of its own, so that Ctrl-C in a terminal does not reach it first.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, chownSync, closeSync, copyFileSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { Client, type QueryResult } from "pg";
import { copyCluster } from "./cluster-template.ts";
import { type EmbeddedPostgresOptions, quoteName, rolesText, settingsText, trustForAll } from "./cluster-settings.ts";
import { findFreePort } from "./free-port.ts";
import { findPostgresBinaries, type PostgresBinaries, reachableBinaries } from "./postgres-binaries.ts";
import { childrenOf, isRunning, readTextIfThere, signalProcess } from "./processes.ts";
import { makeTemporaryFolder } from "./temporary-folder.ts";
import { type UnprivilegedUser, unprivilegedUser } from "./unprivileged-user.ts";

/**
 * $1 is the folder to remove, the rest is PostgreSQL's command. Descriptor 3 is the pipe to us: a line ends the guard's
 * duty, an end of file without one is the case it is there for. (Not descriptor 0: Node closes its end of that when the
 * shell exits, and the folder of a cluster that was only shut down would go.)
 */
const guardScript = `
folder=$1; shift
"$@" 3<&- & postgres=$!
{
  if ! read -r word <&3; then
    kill -QUIT "$postgres" 2>/dev/null
    while kill -0 "$postgres" 2>/dev/null; do sleep 0.05; done
    rm -rf "$folder"
  fi
} >/dev/null 2>&1 &
exec 3<&-
wait "$postgres"
`;

const startDeadlineMs = 60_000;
const stopDeadlineMs = 10_000;
const pollMs = 5;
const startsMax = 5;

/** A running cluster. All methods are for one caller at a time. */
export class EmbeddedPostgres {
  readonly host = "127.0.0.1";
  readonly superuser = "postgres";
  /** For `host` in connection strings that should use the Unix socket. */
  readonly socketFolder: string;
  readonly logPath: string;
  readonly binaries: PostgresBinaries;
  readonly #user: UnprivilegedUser | null;
  readonly #options: EmbeddedPostgresOptions;
  #port = 0;
  #guard: ChildProcess | null = null;
  /** Our end of the guard's pipe. */
  #duty: Writable | null = null;
  #exited: Promise<void> = Promise.resolve();

  private constructor(
    folder: string,
    binaries: PostgresBinaries,
    user: UnprivilegedUser | null,
    options: EmbeddedPostgresOptions,
  ) {
    this.socketFolder = folder;
    this.logPath = join(folder, "postgres.log");
    this.binaries = binaries;
    this.#user = user;
    this.#options = options;
  }

  /** Makes a cluster and starts it. Rejects with the end of PostgreSQL's log when it does not come up. */
  static async start(options: EmbeddedPostgresOptions = {}): Promise<EmbeddedPostgres> {
    const user = unprivilegedUser();
    const folder = makeTemporaryFolder("pgc-pg-", user, options.parentFolder);
    try {
      const binaries = reachableBinaries(options.binaries ?? (await findPostgresBinaries()), user, folder);
      await copyCluster(binaries, join(folder, "data"), user, options.keepTemplate ?? true);
      const cluster = new EmbeddedPostgres(folder, binaries, user, options);
      cluster.setHba(options.hba ?? trustForAll);
      cluster.#installCertificates();
      await cluster.startAgain();
      const roles = rolesText(options.roles ?? []);
      if (roles !== "") await cluster.query(roles);
      for (const name of options.databases ?? []) await cluster.query(`create database ${quoteName(name)}`);
      return cluster;
    } catch (error) {
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** The TCP port; the same after a restart. */
  get port(): number {
    return this.#port;
  }

  /** The postmaster's process id. Throws when it does not run. */
  get pid(): number {
    const [line] = readFileSync(join(this.#dataFolder, "postmaster.pid"), "utf8").split("\n");
    return Number(line);
  }

  /** A connection URI, over TCP. */
  url(database = "postgres", user: string = this.superuser, password?: string): string {
    const secret = password === undefined ? "" : `:${encodeURIComponent(password)}`;
    return `postgres://${encodeURIComponent(user)}${secret}@${this.host}:${this.port}/${encodeURIComponent(database)}`;
  }

  /** Runs SQL as superuser, over the Unix socket (whatever pg_hba.conf says), on a connection of its own. */
  async query(sql: string, values: unknown[] = [], database = "postgres"): Promise<QueryResult> {
    const client = new Client({ host: this.socketFolder, port: this.port, user: this.superuser, database });
    await client.connect();
    try {
      return await client.query(sql, values.length > 0 ? values : undefined);
    } finally {
      await client.end();
    }
  }

  /** What PostgreSQL has logged so far. */
  log(): string {
    return readFileSync(this.logPath, "utf8");
  }

  /** Replaces pg_hba.conf; `reload()` makes a running cluster follow. */
  setHba(text: string): void {
    writeFileSync(join(this.#dataFolder, "pg_hba.conf"), `local all ${this.superuser} trust\n${text}\n`);
  }

  /** Returns when PostgreSQL has read its configuration files again. */
  async reload(): Promise<void> {
    const loadTime = async (): Promise<unknown> =>
      (await this.query("select pg_conf_load_time()::text as at")).rows[0].at;
    const before = await loadTime();
    process.kill(this.pid, "SIGHUP");
    const deadline = performance.now() + stopDeadlineMs;
    while ((await loadTime()) === before) {
      if (performance.now() > deadline) throw new Error("PostgreSQL did not reload its configuration");
      await sleep(pollMs);
    }
  }

  /** Stops (`fast` disconnects clients with 57P01, `immediate` drops them) and starts again on the same port. */
  async restart(mode: "fast" | "immediate" = "fast"): Promise<void> {
    await this.shutDown(mode);
    await this.startAgain();
  }

  /** Stops and keeps the folder, for `startAgain()`. */
  async shutDown(mode: "fast" | "immediate" = "fast"): Promise<void> {
    await this.#end(mode === "fast" ? "SIGINT" : "SIGQUIT");
  }

  /** As a machine that loses power: SIGKILL to the postmaster and to every backend; keeps the folder. */
  async kill(): Promise<void> {
    const backends = childrenOf(this.pid);
    await this.#end("SIGKILL");
    for (const pid of backends) signalProcess(pid, "SIGKILL");
    const deadline = performance.now() + stopDeadlineMs;
    while (backends.some((pid) => isRunning(pid))) {
      if (performance.now() > deadline) throw new Error(`backends survived: ${backends.join(", ")}`);
      await sleep(pollMs);
    }
    // It still says "ready".
    rmSync(join(this.#dataFolder, "postmaster.pid"), { force: true });
  }

  /** Stops and removes everything. Safe to call twice. */
  async stop(): Promise<void> {
    try {
      await this.#end("SIGQUIT");
    } finally {
      rmSync(this.socketFolder, { recursive: true, force: true });
    }
  }

  /** Starts a cluster that was shut down or killed. */
  async startAgain(): Promise<void> {
    if (this.#guard !== null) throw new Error("the cluster is running");
    for (let starts = 1; ; starts += 1) {
      const portIsOurs = this.#port !== 0;
      const port = portIsOurs ? this.#port : await findFreePort();
      this.#writeSettings(port);
      this.#spawn();
      if (await this.#becomesReady()) {
        this.#port = port;
        return;
      }
      const log = this.log();
      // Somebody took the port between the look and the bind: another one will do, unless clients know ours already.
      if (!portIsOurs && starts < startsMax && log.includes("could not bind")) continue;
      throw new Error(`PostgreSQL did not start:\n${log.slice(-2000)}`);
    }
  }

  get #dataFolder(): string {
    return join(this.socketFolder, "data");
  }

  #spawn(): void {
    const log = openSync(this.logPath, "a");
    const postgres = join(this.binaries.folder, "bin", "postgres");
    const guard = spawn("/bin/sh", ["-c", guardScript, "sh", this.socketFolder, postgres, "-D", this.#dataFolder], {
      cwd: this.socketFolder,
      stdio: ["ignore", log, log, "pipe"],
      detached: true,
      env: { PATH: process.env["PATH"], LC_ALL: "C", TZ: "UTC" },
      ...(this.#user === null ? {} : { uid: this.#user.uid, gid: this.#user.gid }),
    });
    closeSync(log);
    const duty = guard.stdio[3] as Writable & { unref(): void };
    // EPIPE: the guard is gone before our word reached it, which is what the word was for.
    duty.on("error", () => undefined);
    this.#guard = guard;
    this.#duty = duty;
    this.#exited = new Promise((resolve) => {
      guard.on("error", () => resolve());
      guard.on("exit", () => resolve());
    });
    // A test runner or demo that has nothing else to do may end; the guard then does its duty.
    guard.unref();
    duty.unref();
  }

  /** The eighth line of postmaster.pid says when connections are welcome. False: PostgreSQL has ended. */
  async #becomesReady(): Promise<boolean> {
    let ended = false;
    void this.#exited.then(() => (ended = true));
    const deadline = performance.now() + startDeadlineMs;
    while (performance.now() < deadline) {
      if (ended) {
        this.#release();
        return false;
      }
      if (readTextIfThere(join(this.#dataFolder, "postmaster.pid")).split("\n")[7]?.trim() === "ready") return true;
      await sleep(pollMs);
    }
    await this.#end("SIGQUIT");
    return false;
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    if (this.#guard === null) return;
    const deadline = new AbortController();
    const ended = this.#exited.then(() => true);
    const postmaster = Number(readTextIfThere(join(this.#dataFolder, "postmaster.pid")).split("\n")[0]);
    if (postmaster > 0) signalProcess(postmaster, signal);
    const tooLate = sleep(stopDeadlineMs, false, { signal: deadline.signal }).catch(() => false);
    if (!(await Promise.race([ended, tooLate])) && postmaster > 0) {
      signalProcess(postmaster, "SIGKILL");
      await this.#exited;
    }
    deadline.abort();
    this.#release();
  }

  /** Tells the guard that its duty is over. */
  #release(): void {
    this.#duty?.end("over\n");
    this.#duty = null;
    this.#guard = null;
  }

  #writeSettings(port: number): void {
    const text = settingsText(this.#options, this.binaries.major, port, this.socketFolder);
    writeFileSync(join(this.#dataFolder, "postgresql.conf"), text);
  }

  #installCertificates(): void {
    const { tls } = this.#options;
    if (tls === undefined) return;
    const files = [
      [tls.certPath, "server.crt"],
      [tls.keyPath, "server.key"],
      [tls.caPath, "root.crt"],
    ] as const;
    for (const [from, name] of files) {
      if (from === undefined) continue;
      const to = join(this.#dataFolder, name);
      copyFileSync(from, to);
      if (this.#user !== null) chownSync(to, this.#user.uid, this.#user.gid);
      // PostgreSQL refuses a key that others may read.
      chmodSync(to, 0o600);
    }
  }
}
