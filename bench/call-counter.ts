/**
 * Counts the system calls of a process for a while, apart for its clients' and its servers' sockets.
 *
 * By the kernel's trace points and `perf stat`, which filters by descriptor and adds up inside the kernel. (strace stops
 * the process at each call: it would see another program, one that finds more to do each time that it looks.) The
 * descriptors of a pool's servers do not change while it is busy; that they did not is checked.
 */
import { spawn, spawnSync } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

export interface CallTotals {
  readonly seconds: number;
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
const ALL = "raw_syscalls:sys_enter";

/** Why calls cannot be counted here, null when they can. */
export function callCountingProblem(): string | null {
  const { status, error, stderr } = spawnSync("perf", ["stat", "-e", ALL, "true"], { encoding: "utf8" });
  if (error !== undefined) return "perf is not installed (Debian: linux-perf)";
  return status === 0 ? null : `perf cannot count system calls: ${stderr.trim().split("\n")[0] ?? ""}`;
}

/** Counts for so many seconds. `serverPort`: where PostgreSQL listens. */
export async function countCalls(pid: number, serverPort: number, seconds: number): Promise<CallTotals> {
  const sockets = socketsOf(pid, serverPort);
  if (sockets.server.length === 0) throw new Error("no server connection to count the calls of");
  const text = await runPerf(pid, sockets, seconds);
  const after = socketsOf(pid, serverPort);
  if (after.server.join() !== sockets.server.join())
    throw new Error("server connections changed while calls were counted");
  return parsePerf(text);
}

export function callsPerTransaction(totals: CallTotals, tps: number): CallCounts {
  const transactions = totals.seconds * tps;
  const { client, server, waits, all } = totals;
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
  const seconds = /([\d.]+) seconds time elapsed/.exec(text)?.[1];
  const counts = [...text.matchAll(/^\s*(\d+|<not \w+>)\s+(?:syscalls|raw_syscalls):sys_enter\S*/gm)].map(([, count]) =>
    Number(count),
  );
  const expected = 2 * TRANSFERS.length + WAITS.length + 1;
  if (seconds === undefined || counts.length !== expected || counts.some(Number.isNaN)) {
    throw new Error(`perf said something else than ${expected} counts: ${text.trim().slice(-300)}`);
  }
  const sum = (from: number, count: number): number => counts.slice(from, from + count).reduce((a, b) => a + b, 0);
  return {
    seconds: Number(seconds),
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

function runPerf(pid: number, sockets: SocketDescriptors, seconds: number): Promise<string> {
  const args = ["stat", "-p", String(pid)];
  // Descriptors of servers are few; a client's is any other that is a socket's. The rest are few and named as well.
  const clients = filterOf(sockets.client);
  const servers = filterOf(sockets.server);
  for (const filter of [clients, servers]) {
    for (const call of TRANSFERS) args.push("-e", `syscalls:sys_enter_${call}`, "--filter", filter);
  }
  for (const call of WAITS) args.push("-e", `syscalls:sys_enter_${call}`);
  args.push("-e", ALL, "sleep", String(seconds));
  return new Promise((resolve, reject) => {
    const child = spawn("perf", args, { stdio: ["ignore", "ignore", "pipe"], env: { ...process.env, LC_ALL: "C" } });
    let text = "";
    child.stderr.setEncoding("utf8").on("data", (more: string) => (text += more));
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0) resolve(text);
      else reject(new Error(`perf ended with status ${code}: ${text.trim().slice(-300)}`));
    });
  });
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
