/**
 * A seat at the table: one way to PostgreSQL. Direct, or a pooler of its own with a configuration that differs between
 * the seats in nothing but ports, folders and the pool's size.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { findFreePort } from "./free-port.ts";
import { type BenchOptions, SeatName } from "./options.ts";
import { waitForLogin } from "./postgres.ts";
import type { Processes } from "./processes.ts";
import { parsePgbouncerVersion, type Programs, versionOf } from "./requirements.ts";
import { type Address, BENCH_DATABASE, BENCH_USER } from "./wire-client.ts";

export interface Seat {
  readonly name: SeatName;
  /** Null for direct. */
  readonly poolSize: number | null;
  readonly address: Address;
  /** The pooler's process; null for direct. */
  readonly pid: number | null;
  stop(): Promise<void>;
}

/** Starts seats one after another; knows the programs and the PostgreSQL behind all of them. */
export class SeatMaker {
  readonly #processes: Processes;
  readonly #postgres: Address;
  readonly #options: BenchOptions;
  readonly #programs: Programs;
  readonly #pgcarpool: string;
  readonly #pgbouncerVersion: string;
  #made = 0;

  constructor(processes: Processes, postgres: Address, options: BenchOptions, programs: Programs, pgcarpool: string) {
    this.#processes = processes;
    this.#postgres = postgres;
    this.#options = options;
    this.#programs = programs;
    this.#pgcarpool = pgcarpool;
    this.#pgbouncerVersion = programs.pgbouncer === null ? "" : versionOf(programs.pgbouncer);
  }

  /** PgBouncer follows prepared statements in transaction mode from 1.21 on. */
  get pgbouncerPrepares(): boolean {
    const version = parsePgbouncerVersion(this.#pgbouncerVersion);
    return version === null || version[0] > 1 || version[1] >= 21;
  }

  /** Starts a seat and waits until a query goes through it. Throws with the log's end when it does not come up. */
  async start(name: SeatName, poolSize: number): Promise<Seat> {
    if (name === SeatName.direct) {
      return { name, poolSize: null, address: this.#postgres, pid: null, stop: async () => {} };
    }
    const folder = this.#processes.makeFolder(`${name}-${++this.#made}`);
    const port = await findFreePort();
    const config = join(folder, "pooler.ini");
    const userlist = join(folder, "userlist.txt");
    const logFile = join(folder, "pooler.log");
    writeFileSync(userlist, `"${BENCH_USER}" ""\n`);
    const isPgbouncer = name === SeatName.pgbouncer;
    const prepares = !isPgbouncer || this.pgbouncerPrepares;
    writeFileSync(config, this.#configuration({ folder, port, userlist, logFile, poolSize, prepares }));
    const program = isPgbouncer ? (this.#programs.pgbouncer as string) : this.#pgcarpool;
    const env = isPgbouncer ? {} : { PGCARPOOL_RUNTIME: name };
    const running = this.#processes.start(name, program, ["-q", config], { env });
    const address: Address = {
      host: "127.0.0.1",
      port,
      socketFolder: this.#postgres.socketFolder === null ? null : folder,
    };
    try {
      await waitForLogin(running, address, logFile);
    } catch (error) {
      await this.#processes.stop(running);
      throw error;
    }
    return { name, poolSize, address, pid: running.pid, stop: () => this.#processes.stop(running) };
  }

  #configuration(values: {
    folder: string;
    port: number;
    userlist: string;
    logFile: string;
    poolSize: number;
    prepares: boolean;
  }): string {
    const { host, port, socketFolder } = this.#postgres;
    return [
      "[databases]",
      `${BENCH_DATABASE} = host=${socketFolder ?? host} port=${port} dbname=${BENCH_DATABASE}`,
      "[pgbouncer]",
      "listen_addr = 127.0.0.1",
      `listen_port = ${values.port}`,
      `unix_socket_dir = ${values.folder}`,
      `logfile = ${values.logFile}`,
      "auth_type = trust",
      `auth_file = ${values.userlist}`,
      `admin_users = ${BENCH_USER}`,
      "pool_mode = transaction",
      `default_pool_size = ${values.poolSize}`,
      `max_client_conn = ${this.#options.idleClients + 1000}`,
      ...(values.prepares ? ["max_prepared_statements = 200"] : []), // the default was 0 before 1.24
      "",
    ].join("\n");
  }
}
