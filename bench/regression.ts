/**
 * `npm run bench:regression`: a short look at counts that noise does not touch, on both runtimes, against the kept ones of
 * `baseline.json`. Needs nothing but what `npm ci` installs.
 *
 *     npm run bench:regression                compare; exit status 1 and one line for each figure that is clearly worse
 *     npm run bench:regression -- --update    keep today's figures: after a change that is meant to change them
 *
 * Two stages: the engine in memory (`regression/figures-in-memory.ts`), where counts are exact; and on real sockets in front of a
 * real PostgreSQL, where it is seen what a runtime's transport and sharing make of it.
 */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { dirname, join } from "node:path";
import { EmbeddedPostgres } from "../src/demo/embedded-postgres.ts";
import { endWithLauncher } from "../src/demo/lifeline.ts";
import { LoadGenerator } from "./load-generator.ts";
import { compareWithBaseline, type Figures } from "./regression/compare-baseline.ts";
import type { TransportCounts } from "./regression/counting-transport.ts";
import { BENCH_USER } from "./wire-client.ts";

const root = dirname(import.meta.dirname);
const BASELINE = join(import.meta.dirname, "baseline.json");
/** A young generation that nothing is collected from while bytes are counted. */
const NODE_ARGUMENTS = ["--expose-gc", "--max-semi-space-size=128"];
const CLIENTS = 64;
const POOL_SIZE = 4;
/** Statements must have run a few times before they are known to be short. */
const WARM_UP_TRANSACTIONS = 3000;
/** The best of several runs: a busy machine keeps statements from finding each other, and nothing else does. */
const RUNS = 4;
const TRANSACTIONS = 4000;
/** Or a machine that stands still for a moment makes long statements of short ones. */
const SETTINGS = ["sharing_short_time = 1000"];

interface Runtime {
  readonly name: string;
  readonly program: string;
  readonly arguments: readonly string[];
}

function runtimes(): Runtime[] {
  const cpu = process.arch === "arm64" ? "aarch64" : "x64";
  const bun = join(root, "node_modules", "@oven", `bun-linux-${cpu}`, "bin", "bun");
  return [
    { name: "node", program: process.execPath, arguments: NODE_ARGUMENTS },
    { name: "bun", program: bun, arguments: [] },
  ];
}

async function measure(): Promise<Figures> {
  const figures: Figures = {};
  const postgres = await EmbeddedPostgres.start({ roles: [{ name: BENCH_USER }] });
  try {
    for (const runtime of runtimes()) {
      for (const [name, value] of Object.entries(await inMemory(runtime))) figures[`${runtime.name} ${name}`] = value;
      const counts = await onSockets(runtime, postgres.port);
      for (const [name, value] of Object.entries(counts)) {
        figures[`${runtime.name} ${CLIENTS}/${POOL_SIZE} socket${name[0]?.toUpperCase()}${name.slice(1)}`] = value;
      }
    }
  } finally {
    await postgres.stop();
  }
  return figures;
}

function start(runtime: Runtime, file: string, args: readonly string[]): ChildProcessByStdio<Writable, Readable, null> {
  const path = join(import.meta.dirname, "regression", file);
  return spawn(runtime.program, [...runtime.arguments, path, ...args], { stdio: ["pipe", "pipe", "inherit"] });
}

async function inMemory(runtime: Runtime): Promise<Figures> {
  const child = start(runtime, "figures-in-memory.ts", []);
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (more: string) => (text += more));
  const code = await new Promise((resolve) => child.on("close", resolve));
  if (code !== 0) throw new Error(`${runtime.name}: figures-in-memory.ts ended with status ${String(code)}`);
  return JSON.parse(text) as Figures;
}

/** Reads and writes per transaction. */
async function onSockets(runtime: Runtime, postgresPort: number): Promise<TransportCounts> {
  const child = start(runtime, "counting-pooler.ts", [String(postgresPort), String(POOL_SIZE), ...SETTINGS]);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const nextLine = async (): Promise<string> => {
    const { value, done } = await lines.next();
    if (done === true) throw new Error(`${runtime.name}: counting-pooler.ts has ended`);
    return value;
  };
  const read = async (): Promise<TransportCounts> => {
    child.stdin.write("counts\n");
    return JSON.parse(await nextLine()) as TransportCounts;
  };
  try {
    const port = Number(await nextLine());
    const generator = await LoadGenerator.open({ host: "127.0.0.1", port, socketFolder: null }, CLIENTS);
    await generator.runClosed(WARM_UP_TRANSACTIONS);
    const best: TransportCounts = { clientReads: 9, clientWrites: 9, serverReads: 9, serverWrites: 9 };
    for (let run = 0; run < RUNS; run++) {
      const before = await read();
      await generator.runClosed(TRANSACTIONS);
      const after = await read();
      for (const name of Object.keys(best) as (keyof TransportCounts)[]) {
        best[name] = Math.min(best[name], (after[name] - before[name]) / TRANSACTIONS);
      }
    }
    generator.close();
    return best;
  } finally {
    child.kill();
  }
}

endWithLauncher();
const figures = await measure();
if (process.argv.includes("--update")) {
  const rounded = Object.entries(figures).map(([name, value]) => [name, Number(value.toPrecision(4))]);
  writeFileSync(BASELINE, `${JSON.stringify(Object.fromEntries(rounded), null, 2)}\n`);
  console.log(`${rounded.length} figures kept in bench/baseline.json`);
} else {
  const kept = JSON.parse(readFileSync(BASELINE, "utf8")) as Figures;
  const { regressions, remarks } = compareWithBaseline(figures, kept);
  for (const line of remarks) console.log(line);
  for (const line of regressions) console.log(`WORSE  ${line}`);
  console.log(
    `${Object.keys(kept).length - regressions.length} figures as good as they were, ${regressions.length} worse`,
  );
  process.exitCode = regressions.length === 0 ? 0 : 1;
}
