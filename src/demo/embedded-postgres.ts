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
import { findFreePort } from "./free-port.ts";
import { findPostgresBinaries, reachableBinaries, type PostgresBinaries } from "./postgres-binaries.ts";
import { childrenOf, isRunning, readTextIfThere, signalProcess } from "./processes.ts";
import { makeTemporaryFolder } from "./temporary-folder.ts";
import { unprivilegedUser, type UnprivilegedUser } from "./unprivileged-user.ts";

export interface EmbeddedPostgresOptions {
  /** Lines of postgresql.conf, on top of the fast defaults; values as they are written there, without quotes. */
  readonly settings?: Readonly<Record<string, string | number>>;
  /** pg_hba.conf. The superuser's entry by Unix socket is put in front. Default: trust for all. */
  readonly hba?: string;
  /** Files in PEM format; given, `ssl` is on. */
  readonly tls?: { readonly certPath: string; readonly keyPath: string; readonly caPath?: string };
  /** Roles with LOGIN; `encryption` says how PostgreSQL stores the password, none leaves the role without one. */
  readonly roles?: readonly EmbeddedRole[];
  readonly databases?: readonly string[];
  /** Default: the packaged ones. */
  readonly binaries?: PostgresBinaries;
  /** Keep the template for the next start, in node_modules/.cache. Default true. */
  readonly keepTemplate?: boolean;
}

export interface EmbeddedRole {
  readonly name: string;
  readonly password?: string;
  readonly encryption?: "md5" | "scram-sha-256";
  /** More words of CREATE ROLE, such as SUPERUSER. */
  readonly attributes?: string;
}

const fastSettings = {
  fsync: "off",
  synchronous_commit: "off",
  full_page_writes: "off",
  autovacuum: "off",
  shared_buffers: "32MB",
  max_connections: 200,
  wal_level: "logical",
  max_wal_senders: 5,
  min_wal_size: "8MB",
  timezone: "UTC",
  log_timezone: "UTC",
  log_connections: "on",
  log_disconnections: "on",
  log_line_prefix: "%m [%p] %q%u@%d %a ",
  listen_addresses: "127.0.0.1",
};

const trustForAll = [
  "local all all trust",
  "host all all 127.0.0.1/32 trust",
  "local replication all trust",
  "host replication all 127.0.0.1/32 trust",
].join("\n");

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
    const folder = makeTemporaryFolder("pgc-pg-", user);
    try {
      const binaries = reachableBinaries(options.binaries ?? (await findPostgresBinaries()), user, folder);
      await copyCluster(binaries, join(folder, "data"), user, options.keepTemplate ?? true);
      const cluster = new EmbeddedPostgres(folder, binaries, user, options);
      cluster.setHba(options.hba ?? trustForAll);
      cluster.#installCertificates();
      await cluster.startAgain();
      await cluster.#makeRolesAndDatabases();
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
    const settings: Record<string, string | number> = { ...fastSettings, port };
    settings["unix_socket_directories"] = this.socketFolder;
    // Worker processes for reading ahead are no use in a cluster that fits in memory.
    if (this.binaries.major >= 18) settings["io_method"] = "sync";
    if (this.#options.tls !== undefined) {
      settings["ssl"] = "on";
      settings["ssl_cert_file"] = "server.crt";
      settings["ssl_key_file"] = "server.key";
      if (this.#options.tls.caPath !== undefined) settings["ssl_ca_file"] = "root.crt";
    }
    Object.assign(settings, this.#options.settings);
    const lines = Object.entries(settings).map(([key, value]) => `${key} = '${String(value).replaceAll("'", "''")}'`);
    writeFileSync(join(this.#dataFolder, "postgresql.conf"), `${lines.join("\n")}\n`);
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

  async #makeRolesAndDatabases(): Promise<void> {
    const statements: string[] = [];
    for (const role of this.#options.roles ?? []) {
      const password = role.password === undefined ? "" : ` password ${quoteLiteral(role.password)}`;
      statements.push(`set password_encryption = '${role.encryption ?? "scram-sha-256"}'`);
      statements.push(`create role ${quoteName(role.name)} login ${role.attributes ?? ""}${password}`);
    }
    if (statements.length > 0) await this.query(statements.join("; "));
    for (const database of this.#options.databases ?? []) await this.query(`create database ${quoteName(database)}`);
  }
}

function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

function quoteLiteral(text: string): string {
  return ` E'${text.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`;
}
