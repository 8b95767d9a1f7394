/**
 * The demo's pooler: bin/pgcarpool as a child, as anybody would start it, with a configuration of its own.
 *
 * It runs below a guard, as the embedded PostgreSQL does: a few lines of sh that hold a pipe to us and kill the pooler
 * when we are gone without a word. Started by root it runs as `nobody`.
 */
import { spawn } from "node:child_process";
import { chmodSync, chownSync, closeSync, openSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type DemoPoolerConfiguration, poolerIni, poolerUserlist } from "./demo-pooler-configuration.ts";
import { findFreePort } from "./free-port.ts";
import { readTextIfThere, signalProcess } from "./processes.ts";
import { isReachable, type UnprivilegedUser } from "./unprivileged-user.ts";

export interface DemoPoolerOptions extends Omit<DemoPoolerConfiguration, "port"> {
  /** Tried first. */
  readonly port: number;
  readonly password: string;
  readonly runtime: "node" | "bun";
  readonly runAs: UnprivilegedUser | null;
}

/**
 * The arguments are the pooler's command. Descriptor 3 is the pipe to us; a line ends the guard's duty, an end of file
 * without one kills the pooler.
 */
const guardScript = `
"$@" 3<&- & pooler=$!
{ read -r word <&3 || kill -KILL "$pooler"; } >/dev/null 2>&1 &
exec 3<&-
wait "$pooler"
`;

const repository = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const startDeadlineMs = 30_000;
const stopDeadlineMs = 5_000;
const pollMs = 10;
const startsMax = 5;
const logTailChars = 2_000;

export class DemoPooler {
  readonly host = "127.0.0.1";
  readonly iniPath: string;
  readonly logPath: string;
  readonly #options: DemoPoolerOptions;
  #port = 0;
  #duty: Writable | null = null;
  #exited: Promise<void> = Promise.resolve();
  #ended = true;

  private constructor(options: DemoPoolerOptions) {
    this.#options = options;
    this.iniPath = join(options.folder, "pgbouncer.ini");
    this.logPath = join(options.folder, "pooler.log");
  }

  /** Returns when the pooler serves. Rejects with the end of its log when it does not. */
  static async start(options: DemoPoolerOptions): Promise<DemoPooler> {
    const pooler = new DemoPooler(options);
    for (let starts = 1; ; starts += 1) {
      pooler.#port = await findFreePort(starts === 1 ? options.port : undefined);
      pooler.#writeFiles();
      pooler.#spawn();
      if (await pooler.#becomesReady()) return pooler;
      await pooler.stop();
      // Somebody took the port between the look and the bind.
      const log = pooler.log();
      if (starts < startsMax && /EADDRINUSE|address already in use/i.test(log)) continue;
      throw new Error(`the pooler does not start:\n${log.slice(-logTailChars)}`);
    }
  }

  get port(): number {
    return this.#port;
  }

  /** 0 when it does not run. */
  get pid(): number {
    return this.#ended ? 0 : Number(readTextIfThere(join(this.#options.folder, "pooler.pid")));
  }

  /** Resolves when the pooler has ended, by whatever cause. */
  get exited(): Promise<void> {
    return this.#exited;
  }

  /** What runs, as the pooler itself says it: "pgcarpool 0.1.0 on Node 24.21.0". */
  get description(): string {
    const found = /process up: .*?\(pgcarpool ([^)]*)\), (node|bun) ([^,\s]+)/.exec(this.log());
    if (found === null) return `pgcarpool on ${this.#options.runtime}`;
    return `pgcarpool ${found[1]} on ${found[2] === "bun" ? "Bun" : "Node"} ${found[3]}`;
  }

  url(database: string): string {
    const { user, password } = this.#options;
    return `postgres://${user}:${password}@${this.host}:${this.port}/${database}`;
  }

  /** Log and output so far. */
  log(): string {
    return readTextIfThere(this.logPath) + readTextIfThere(this.#outputPath);
  }

  /** Ends the pooler at once, as SIGQUIT does. Safe to call twice. */
  async stop(): Promise<void> {
    const { pid } = this;
    if (pid > 0) signalProcess(pid, "SIGQUIT");
    else if (!this.#ended) this.#duty?.destroy();
    const tooLate = sleep(stopDeadlineMs, true, { ref: false });
    if ((await Promise.race([this.#exited, tooLate])) === true) {
      // The guard then kills it.
      this.#duty?.destroy();
      await this.#exited;
    }
    // A guard that ended before us may have been killed itself: then its other half looks after the pooler.
    if (pid > 0) this.#duty?.end("over\n");
    else this.#duty?.destroy();
    this.#duty = null;
  }

  get #outputPath(): string {
    return join(this.#options.folder, "output.txt");
  }

  #writeFiles(): void {
    const { folder, user, password, runAs } = this.#options;
    const userlistPath = join(folder, "userlist.txt");
    writeFileSync(this.iniPath, poolerIni({ ...this.#options, port: this.#port }));
    writeFileSync(userlistPath, poolerUserlist(user, password), { mode: 0o600 });
    writeFileSync(this.logPath, "");
    writeFileSync(this.#outputPath, "");
    chmodSync(this.logPath, 0o640);
    if (runAs === null) return;
    for (const path of [this.iniPath, userlistPath, this.logPath]) chownSync(path, runAs.uid, runAs.gid);
  }

  #spawn(): void {
    const { folder, runtime, runAs } = this.#options;
    const executable = join(repository, "bin", "pgcarpool");
    // A clone below /root: nobody cannot read it, so the pooler starts as root and becomes nobody by itself.
    const startsAsUser = runAs !== null && isReachable(executable, runAs);
    const becomes = runAs !== null && !startsAsUser ? ["-u", runAs.name] : [];
    const output = openSync(this.#outputPath, "a");
    const command = [executable, "--quiet", ...becomes, this.iniPath];
    const guard = spawn("/bin/sh", ["-c", guardScript, "sh", ...command], {
      cwd: folder,
      stdio: ["ignore", output, output, "pipe"],
      detached: true,
      env: { ...process.env, PGCARPOOL_RUNTIME: runtime },
      ...(startsAsUser ? { uid: runAs.uid, gid: runAs.gid } : {}),
    });
    closeSync(output);
    const duty = guard.stdio[3] as Writable;
    // EPIPE: the guard is gone before our word reached it, which is what the word was for.
    duty.on("error", () => undefined);
    this.#duty = duty;
    this.#ended = false;
    this.#exited = new Promise((resolve) => {
      const end = (): void => {
        this.#ended = true;
        resolve();
      };
      guard.on("error", end);
      guard.on("exit", end);
    });
  }

  /** PgBouncer's last line of a start; listeners and console are ready before it. */
  async #becomesReady(): Promise<boolean> {
    const deadlineMs = performance.now() + startDeadlineMs;
    while (!this.#ended && performance.now() < deadlineMs) {
      if (/process up: /.test(readTextIfThere(this.logPath)) && this.pid > 0) return true;
      await sleep(pollMs);
    }
    return false;
  }
}
