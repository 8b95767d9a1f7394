/**
 * What pgbench is told to do: its built-in scripts, and a few of our own, written into the run's folder when the bench
 * starts. Pure, but for `writeScripts`.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";

export const Workload = {
  /** `pgbench -S`: one row of pgbench_accounts by its key. */
  select: "select",
  /** `select 1`: nothing but the way there and back. */
  pingPong: "ping-pong",
  /** pgbench's transaction of seven statements, four of them writes. */
  tpcB: "tpcb-like",
  /** One INSERT without a transaction around it. */
  insert: "insert",
  /** BEGIN, one SELECT, COMMIT. */
  readTransaction: "read-transaction",
  /** `count(*)` over the first ten rows: the text that `slowCount` has too. */
  quickCount: "quick-count",
  /** The same text as `quickCount` over so many rows that it takes about 100 ms. */
  slowCount: "slow-count",
  /** 100 ms in which the server does nothing. */
  sleep: "sleep",
} as const;
export type Workload = (typeof Workload)[keyof typeof Workload];

/** Where `insert` writes to: made with the cluster. */
export const INSERT_TABLE = "bench_insert";

/** Rows of pgbench_accounts in units of 100,000: larger than any cache of the processor, small beside shared_buffers. */
export const SCALE = 10;

const AID = "\\set aid random(1, 100000 * :scale)";

/** With a range of two ends PostgreSQL's generic plan goes by the index, however many rows that are in the end. */
export const COUNT = "select count(*) from pgbench_accounts where aid between 1 and";

const SCRIPTS: Readonly<Partial<Record<Workload, readonly string[]>>> = {
  "ping-pong": ["select 1;"],
  insert: [AID, `insert into ${INSERT_TABLE} (client, number) values (:client_id, :aid);`],
  "read-transaction": [AID, "begin;", "select abalance from pgbench_accounts where aid = :aid;", "commit;"],
  "quick-count": ["\\set n random(1, 10)", `${COUNT} :n;`],
  "slow-count": ["\\set n :slow", `${COUNT} :n;`],
  sleep: ["select pg_sleep(0.1);"],
};

/** Writes the scripts that are not built into pgbench. */
export function writeScripts(folder: string): void {
  for (const [name, lines] of Object.entries(SCRIPTS)) {
    writeFileSync(join(folder, `${name}.sql`), `${lines.join("\n")}\n`);
  }
}

/** pgbench's arguments. `folder`: where the scripts were written; `slowRows`: the rows that `slowCount` counts. */
export function workloadArguments(workload: Workload, folder: string, slowRows: number): string[] {
  if (workload === Workload.select) return ["--select-only"];
  if (workload === Workload.tpcB) return ["--builtin=tpcb-like"];
  const file = `--file=${join(folder, `${workload}.sql`)}`;
  const scale = `--define=scale=${SCALE}`;
  return workload === Workload.slowCount ? [file, scale, `--define=slow=${slowRows}`] : [file, scale];
}
