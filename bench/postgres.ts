/**
 * The PostgreSQL that all seats share: a cluster of its own in the bench's folder, filled by `pgbench -i`, with
 * durability off, because nothing here measures the disk.
 */
import { closeSync, openSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { findFreePort } from "./free-port.ts";
import { describeEnd, type Processes, type RunningProcess } from "./processes.ts";
import type { Programs } from "./requirements.ts";
import { COPY_SEQUENCE, COPY_TABLE } from "./copy-statement.ts";
import { COUNT, INSERT_TABLE, SCALE } from "./workload.ts";
import { type Address, BENCH_DATABASE, BENCH_USER, WireClient } from "./wire-client.ts";

const START_DEADLINE_MS = 30_000;
/** The direct seat at its most clients, and the servers of all poolers of a case beside it. */
const CONNECTIONS_MAX = 400;
const ROWS = 100_000 * SCALE;
const SLOW_COUNT_MS = 100;
const SLOW_COUNT_RUNS = 3;
const LOG_TAIL_BYTES = 2_000;

/** Makes, starts and fills the cluster. Throws with the log's end. */
export async function startPostgres(processes: Processes, programs: Programs, unixSockets: boolean): Promise<Address> {
  const folder = processes.makeFolder("postgres");
  const data = join(folder, "data");
  await processes.run("initdb", programs.initdb, [
    `--pgdata=${data}`,
    `--username=${BENCH_USER}`,
    "--auth=trust",
    "--encoding=UTF8",
    "--locale=C",
    "--no-sync",
  ]);
  const port = await findFreePort();
  const settings: Record<string, string | number> = {
    listen_addresses: "127.0.0.1",
    port,
    unix_socket_directories: folder,
    max_connections: CONNECTIONS_MAX,
    shared_buffers: "256MB",
    fsync: "off",
    synchronous_commit: "off",
    full_page_writes: "off",
    autovacuum: "off",
    jit: "off",
    max_wal_size: "4GB",
  };
  const logFile = join(folder, "log");
  const running = processes.start("postgres", "/bin/sh", [
    "-c",
    'log=$1; shift; exec "$@" >"$log" 2>&1',
    "sh",
    logFile,
    programs.postgres,
    `-D${data}`,
    ...Object.entries(settings).map(([name, value]) => `--${name}=${value}`),
  ]);
  const address: Address = { host: "127.0.0.1", port, socketFolder: unixSockets ? folder : null };
  await waitForLogin(running, address, logFile);
  await processes.run("pgbench -i", programs.pgbench, [
    "--initialize",
    "--quiet",
    `--scale=${SCALE}`,
    "--unlogged-tables",
    `--host=${folder}`,
    `--port=${port}`,
    `--username=${BENCH_USER}`,
    BENCH_DATABASE,
  ]);
  await prepareTables(address);
  return address;
}

/** What the scripts of our own need, and what the bench itself reads and writes. */
async function prepareTables(address: Address): Promise<void> {
  const client = await WireClient.open(address);
  await client.query(`create unlogged table ${INSERT_TABLE} (client int, number int)`);
  await client.query(`create unlogged table ${COPY_TABLE} (number bigint, filler text)`);
  await client.query(`create sequence ${COPY_SEQUENCE} cache 1000`);
  await client.close();
}

/** How many rows of pgbench_accounts a `count(*)` must look at to take 100 ms here. */
export async function rowsOfSlowCount(address: Address): Promise<number> {
  const client = await WireClient.open(address);
  await client.query("set plan_cache_mode = force_generic_plan");
  await client.query(`prepare slow (int) as ${COUNT} $1`);
  let bestMs = Number.POSITIVE_INFINITY;
  for (let run = 0; run < SLOW_COUNT_RUNS; run++) {
    const fromMs = performance.now();
    await client.query(`execute slow(${ROWS})`);
    bestMs = Math.min(bestMs, performance.now() - fromMs);
  }
  await client.close();
  return Math.min(ROWS, Math.round((ROWS * SLOW_COUNT_MS) / bestMs));
}

/** Waits until a query through `address` is answered. Throws with the end of the process's log when it ended or the time did. */
export async function waitForLogin(running: RunningProcess, address: Address, logFile: string): Promise<void> {
  const deadlineMs = performance.now() + START_DEADLINE_MS;
  let last = "";
  while (running.end === null && performance.now() < deadlineMs) {
    try {
      const client = await WireClient.open(address);
      await client.query("select 1");
      await client.close();
      return;
    } catch (error) {
      last = (error as Error).message;
      await sleep(30);
    }
  }
  const log = `${running.stderrTail.trim()}\n${logTail(logFile)}`.trim();
  throw new Error(`${describeEnd(running)} and takes no logins (${last})\n${log}`);
}

function logTail(path: string): string {
  try {
    const size = statSync(path).size;
    const file = openSync(path, "r");
    try {
      const tail = Buffer.alloc(Math.min(size, LOG_TAIL_BYTES));
      readSync(file, tail, 0, tail.length, size - tail.length);
      return tail.toString("utf8");
    } finally {
      closeSync(file);
    }
  } catch {
    return ""; // it never came to writing one
  }
}
