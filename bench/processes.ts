/**
 * The processes and the temporary folder of one bench run, and that nothing of them is left behind.
 *
 * Everything is started with the uid of nobody when we are root (PostgreSQL, PgBouncer and pgcarpool all refuse root) and
 * ended by pid, never by name. Three nets, each for what the one before cannot catch: `close` in order; the signal
 * handlers of `main.ts`, which call it; and a guardian, a small shell that learns each pid through a pipe and, when the
 * pipe ends without a farewell (we were killed with −9, or crashed), ends what is still listed and removes the folder.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { chownSync, chmodSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const NOBODY_ID = 65534;
/** How long a process may take to end after SIGQUIT before it is killed. */
const STOP_DEADLINE_MS = 5_000;
const TAIL_CHARACTERS = 4_000;

const GUARDIAN = `
trap '' INT TERM HUP
pids=" "
while read -r verb pid; do
  case $verb in
    add) pids="$pids$pid " ;;
    drop) pids="\${pids%% $pid *} \${pids#* $pid }" ;;
  esac
done
for pid in $pids; do kill -QUIT "$pid"; alive=1; done
[ -n "$alive" ] && sleep 1
for pid in $pids; do kill -KILL "$pid"; done
rm -rf "$1"
`;

export interface RunningProcess {
  readonly name: string;
  readonly pid: number;
  readonly child: ChildProcess;
  /** Resolves when the process has ended; never rejects. */
  readonly ended: Promise<ProcessEnd>;
  /** Null while it runs. */
  end: ProcessEnd | null;
  /** The last of what it wrote to stderr. */
  stderrTail: string;
}

export interface ProcessEnd {
  readonly code: number | null;
  readonly signal: string | null;
}

export interface StartOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Called with each piece of stdout; without it stdout goes nowhere. */
  readonly onStdout?: (text: string) => void;
  readonly onStderr?: (text: string) => void;
}

export class Processes {
  /** Belongs to the user the processes run as; removed by `close`. */
  readonly folder: string;
  readonly #running = new Set<RunningProcess>();
  readonly #guardian: ChildProcess;
  readonly #identity: { uid?: number; gid?: number };
  #closing: Promise<void> | null = null;

  constructor() {
    this.#identity = process.getuid?.() === 0 ? { uid: NOBODY_ID, gid: NOBODY_ID } : {};
    this.folder = mkdtempSync(join(tmpdir(), "pgcarpool-bench-"));
    this.#own(this.folder);
    this.#guardian = spawn("sh", ["-c", GUARDIAN, "guardian", this.folder], {
      stdio: ["pipe", "ignore", "ignore"],
      detached: true,
    });
    this.#guardian.stdin?.on("error", () => {}); // a guardian that was killed: the other two nets remain
    this.#guardian.unref();
  }

  /** True as soon as `close` was called. What fails from then on fails because of that. */
  get ending(): boolean {
    return this.#closing !== null;
  }

  /** Makes a folder under `folder` that the processes may write to. */
  makeFolder(name: string): string {
    const path = join(this.folder, name);
    mkdirSync(path);
    this.#own(path);
    return path;
  }

  /** Starts a program in a process group of its own. Throws when it cannot be started at all. */
  start(name: string, file: string, args: readonly string[], options: StartOptions = {}): RunningProcess {
    if (this.#closing !== null) throw new Error(`${name}: the bench is ending`);
    const child = spawn(file, args, {
      ...this.#identity,
      cwd: this.folder,
      env: cleanEnvironment(this.folder, options.env ?? {}),
      // A group of its own: Ctrl-C must reach it once, through us, or the order of ending is lost.
      detached: true,
      stdio: ["ignore", options.onStdout === undefined ? "ignore" : "pipe", "pipe"],
    });
    let resolve: (end: ProcessEnd) => void = () => {};
    const ended = new Promise<ProcessEnd>((resolveEnded) => (resolve = resolveEnded));
    const running: RunningProcess = { name, pid: child.pid ?? 0, child, ended, end: null, stderrTail: "" };
    const finish = (code: number | null, signal: string | null): void => {
      if (running.end !== null) return;
      running.end = { code, signal };
      this.#running.delete(running);
      if (running.pid !== 0) this.#tellGuardian("drop", running.pid);
      resolve(running.end);
    };
    child.on("error", (error) => {
      running.stderrTail += `${error.message}\n`;
      if (child.pid === undefined) finish(127, null);
    });
    // "close" and not "exit": what it wrote has been read by then.
    child.on("close", finish);
    child.stdout?.setEncoding("utf8").on("data", (text: string) => options.onStdout?.(text));
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      running.stderrTail = (running.stderrTail + text).slice(-TAIL_CHARACTERS);
      options.onStderr?.(text);
    });
    if (running.pid !== 0) {
      this.#running.add(running);
      this.#tellGuardian("add", running.pid);
    }
    return running;
  }

  /** Runs a program to its end. Throws with its stderr when it fails. */
  async run(name: string, file: string, args: readonly string[], options: StartOptions = {}): Promise<void> {
    const running = this.start(name, file, args, options);
    const end = await running.ended;
    if (end.code !== 0) throw new Error(`${describeEnd(running)}\n${running.stderrTail.trim()}`);
  }

  /** Ends one process: SIGQUIT means "now" to PostgreSQL and to both poolers; SIGKILL when that was not heard. */
  async stop(running: RunningProcess): Promise<void> {
    if (running.end !== null) return;
    running.child.kill("SIGQUIT");
    const late = new AbortController();
    const killed = sleep(STOP_DEADLINE_MS, undefined, { signal: late.signal }).then(
      () => void running.child.kill("SIGKILL"),
      () => {},
    );
    await running.ended;
    late.abort();
    await killed;
  }

  /** Ends everything and removes the folder. May be called twice; both callers wait for the same end. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    // Newest first: load before poolers before PostgreSQL.
    for (const running of [...this.#running].reverse()) await this.stop(running);
    rmSync(this.folder, { recursive: true, force: true });
    this.#guardian.stdin?.end();
  }

  #own(path: string): void {
    chmodSync(path, 0o755);
    if (this.#identity.uid !== undefined) chownSync(path, this.#identity.uid, NOBODY_ID);
  }

  #tellGuardian(verb: "add" | "drop", pid: number): void {
    if (this.#guardian.stdin?.writable === true) this.#guardian.stdin.write(`${verb} ${pid}\n`);
  }
}

/** "postgres ended with status 1", for messages. */
export function describeEnd(running: RunningProcess): string {
  const end = running.end;
  if (end === null) return `${running.name} is running`;
  return `${running.name} ended ${end.signal === null ? `with status ${end.code}` : `by ${end.signal}`}`;
}

/** libpq and the poolers read PG… variables; those of whoever starts the bench must not change what it measures. */
function cleanEnvironment(home: string, added: Readonly<Record<string, string>>): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const name of ["PATH", "TMPDIR", "LD_LIBRARY_PATH"]) {
    const value = process.env[name];
    if (value !== undefined) kept[name] = value;
  }
  return { ...kept, HOME: home, LC_ALL: "C.UTF-8", TZ: "UTC", ...added };
}
