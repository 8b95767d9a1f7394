/**
 * Counts the system calls of a process for a while, apart for its clients' and its servers' sockets.
 *
 * By the kernel's trace points and `perf stat`, which filters by descriptor and adds up inside the kernel. (strace stops
 * the process at each call: it would see another program, one that finds more to do each time that it looks.) The
 * descriptors of a pool's servers do not change while it is busy; that they did not is checked.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import type { Readable, Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import type { Seat } from "./seats.ts";
import { WireClient } from "./wire-client.ts";

export interface CallTotals {
  /** Reads and writes of sockets, by whose they are. */
  readonly client: number;
  readonly server: number;
  /** Waits for sockets. */
  readonly waits: number;
  readonly all: number;
}

/** The same per transaction. */
export interface CallCounts {
  readonly client: number;
  readonly server: number;
  readonly waits: number;
  /** Everything else: a runtime's threads wake each other, memory is mapped, timers are set. */
  readonly other: number;
  readonly all: number;
}

const TRANSFERS = ["read", "write", "readv", "writev", "recvfrom", "sendto", "recvmsg", "sendmsg"];
const WAITS = ["epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll", "select", "pselect6"];
const CONSOLE_DATABASE = "pgbouncer";
const ALL = "raw_syscalls:sys_enter";

/** Why calls cannot be counted here, null when they can. */
export function callCountingProblem(): string | null {
  const { status, error, stderr } = spawnSync("perf", ["stat", "-e", ALL, "true"], { encoding: "utf8" });
  if (error !== undefined) return "perf is not installed (Debian: linux-perf)";
  return status === 0 ? null : `perf cannot count system calls: ${stderr.trim().split("\n")[0] ?? ""}`;
}

/**
 * Counts for so many seconds, per transaction. `serverPort`: where PostgreSQL listens. The transactions are those that the
 * pooler's own console has counted in the meantime: pgbench's window is another one, and the load is not the same throughout.
 */
export async function countCalls(seat: Seat, serverPort: number, seconds: number): Promise<CallCounts> {
  const pid = seat.pid as number;
  const sockets = socketsOf(pid, serverPort);
  if (sockets.server.length === 0) throw new Error("no server connection to count the calls of");
  const perf = new PerfStat(pid, sockets);
  try {
    const console = await WireClient.open(seat.address, CONSOLE_DATABASE);
    await perf.say("enable");
    const before = await readTransactions(console);
    await sleep(seconds * 1000);
    const after = await readTransactions(console);
    await perf.say("disable");
    await console.close();
    const totals = parsePerf(await perf.end());
    if (socketsOf(pid, serverPort).server.join() !== sockets.server.join()) {
      throw new Error("server connections changed while calls were counted");
    }
    return callsPerTransaction(totals, after - before);
  } finally {
    perf.kill();
  }
}

async function readTransactions(console: WireClient): Promise<number> {
  const rows = await console.rows("show totals");
  const count = Number(rows.find(([name]) => name === "total_xact_count")?.[1]);
  if (!Number.isInteger(count)) throw new Error("the console does not tell how many transactions there were");
  return count;
}

export function callsPerTransaction({ client, server, waits, all }: CallTotals, transactions: number): CallCounts {
  return {
    client: client / transactions,
    server: server / transactions,
    waits: waits / transactions,
    other: (all - client - server - waits) / transactions,
    all: all / transactions,
  };
}

/** Reads what `perf stat` printed: events in the order in which they were asked for. */
export function parsePerf(text: string): CallTotals {
  const counts = [...text.matchAll(/^\s*(\d+|<not \w+>)\s+(?:syscalls|raw_syscalls):sys_enter\S*/gm)].map(([, count]) =>
    Number(count),
  );
  const expected = 2 * TRANSFERS.length + WAITS.length + 1;
  if (counts.length !== expected || counts.some(Number.isNaN)) {
    throw new Error(`perf said something else than ${expected} counts: ${text.trim().slice(-300)}`);
  }
  const sum = (from: number, count: number): number => counts.slice(from, from + count).reduce((a, b) => a + b, 0);
  return {
    client: sum(0, TRANSFERS.length),
    server: sum(TRANSFERS.length, TRANSFERS.length),
    waits: sum(2 * TRANSFERS.length, WAITS.length),
    all: counts.at(-1) as number,
  };
}

interface SocketDescriptors {
  readonly client: readonly number[];
  readonly server: readonly number[];
}

/**
 * `perf stat`, which takes its time to attach to every thread and event, and then counts between `enable` and `disable`.
 */
class PerfStat {
  readonly #child: ChildProcess;
  readonly #ended: Promise<string>;
  #answered: (text: string) => void = () => {};

  constructor(pid: number, sockets: SocketDescriptors) {
    const args = ["stat", "-p", String(pid), "--control", "fd:3,4", "--delay=-1"];
    for (const filter of [filterOf(sockets.client), filterOf(sockets.server)]) {
      for (const call of TRANSFERS) args.push("-e", `syscalls:sys_enter_${call}`, "--filter", filter);
    }
    for (const call of WAITS) args.push("-e", `syscalls:sys_enter_${call}`);
    args.push("-e", ALL);
    const env = { ...process.env, LC_ALL: "C" };
    this.#child = spawn("perf", args, { stdio: ["ignore", "ignore", "pipe", "pipe", "pipe"], env });
    let text = "";
    this.#child.stderr?.setEncoding("utf8").on("data", (more: string) => (text += more));
    const answers = this.#child.stdio[4] as Readable;
    answers.on("data", (more: Buffer) => this.#answered(more.toString("latin1")));
    this.#ended = new Promise((resolve, reject) => {
      this.#child.on("error", reject);
      this.#child.on("close", () => resolve(text));
    });
    this.#ended.catch(() => {}); // whoever waits for something is told
  }

  /** Resolves when perf has done so. */
  async say(command: "enable" | "disable"): Promise<void> {
    const answer = new Promise<string>((resolve) => (this.#answered = resolve));
    (this.#child.stdio[3] as Writable).write(`${command}\n`);
    const said = await Promise.race([answer, this.#ended]);
    if (!said.startsWith("ack")) throw new Error(`perf: ${said.trim().slice(-300)}`);
  }

  /** What it prints when it is told to stop. */
  end(): Promise<string> {
    this.#child.kill("SIGINT");
    return this.#ended;
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }
}

/** As ranges: a pool's sockets are often neighbours, and 500 terms are more than a filter takes. */
export function filterOf(descriptors: readonly number[]): string {
  const sorted = [...descriptors].sort((a, b) => a - b);
  const terms: string[] = [];
  for (let i = 0; i < sorted.length;) {
    const from = sorted[i] as number;
    let to = from;
    while (sorted[i + 1] === to + 1) {
      to++;
      i++;
    }
    terms.push(from === to ? `fd == ${from}` : `(fd >= ${from} && fd <= ${to})`);
    i++;
  }
  return terms.length === 0 ? "fd < 0" : terms.join(" || ");
}

/** TCP sockets with a peer, by whether that is PostgreSQL. */
function socketsOf(pid: number, serverPort: number): SocketDescriptors {
  const peers = new Map<string, number>();
  for (const line of readFileSync(`/proc/${pid}/net/tcp`, "latin1").split("\n").slice(1)) {
    const fields = line.trim().split(/\s+/);
    const port = Number.parseInt(fields[2]?.split(":")[1] ?? "", 16);
    if (port > 0) peers.set(fields[9] as string, port);
  }
  const client: number[] = [];
  const server: number[] = [];
  for (const name of readdirSync(`/proc/${pid}/fd`)) {
    const inode = /^socket:\[(\d+)\]$/.exec(linkOf(`/proc/${pid}/fd/${name}`))?.[1];
    const port = inode === undefined ? undefined : peers.get(inode);
    if (port !== undefined) (port === serverPort ? server : client).push(Number(name));
  }
  return { client: client.sort((a, b) => a - b), server: server.sort((a, b) => a - b) };
}

/** A descriptor may be closed while the list is read. */
function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}
