/**
 * A seat at the table: one way to PostgreSQL. Direct, or a pooler of its own. The configuration differs between the seats
 * of a case in nothing but ports and folders, and where a case compares settings in those.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Certificate, createCertificate } from "../test/transport/certificate.ts";
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
  /** Clients are to use TLS. */
  readonly tls: boolean;
  stop(): Promise<void>;
}

export interface SeatExtras {
  /** Lines for the section [pgbouncer]. */
  readonly settings?: readonly string[];
  /** Clients are to use TLS, with one certificate for all seats; the way to PostgreSQL stays as it is. */
  readonly tls?: boolean;
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
  #certificate: Certificate | null = null;

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
  async start(name: SeatName, poolSize: number, extras: SeatExtras = {}): Promise<Seat> {
    if (name === SeatName.direct) {
      return { name, poolSize: null, address: this.#postgres, pid: null, tls: false, stop: async () => {} };
    }
    const folder = this.#processes.makeFolder(`${name}-${++this.#made}`);
    const port = await findFreePort();
    const config = join(folder, "pooler.ini");
    const userlist = join(folder, "userlist.txt");
    const logFile = join(folder, "pooler.log");
    writeFileSync(userlist, `"${BENCH_USER}" ""\n`);
    const isPgbouncer = name === SeatName.pgbouncer;
    const prepares = !isPgbouncer || this.pgbouncerPrepares;
    const settings = [...(extras.settings ?? []), ...(extras.tls === true ? this.#tlsSettings(folder) : [])];
    writeFileSync(config, this.#configuration({ folder, port, userlist, logFile, poolSize, prepares, settings }));
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
    const tls = extras.tls === true;
    return { name, poolSize, address, pid: running.pid, tls, stop: () => this.#processes.stop(running) };
  }

  /** Where PostgreSQL listens. */
  get postgres(): Address {
    return this.#postgres;
  }

  #tlsSettings(folder: string): string[] {
    this.#certificate ??= createCertificate({ commonName: "bench", altNames: ["127.0.0.1"], isRsa: true });
    writeFileSync(join(folder, "server.crt"), this.#certificate.certPem);
    writeFileSync(join(folder, "server.key"), this.#certificate.keyPem);
    return [
      "client_tls_sslmode = allow", // our own first login comes without; pgbench insists
      `client_tls_cert_file = ${join(folder, "server.crt")}`,
      `client_tls_key_file = ${join(folder, "server.key")}`,
    ];
  }

  #configuration(values: {
    folder: string;
    port: number;
    userlist: string;
    logFile: string;
    poolSize: number;
    prepares: boolean;
    settings: readonly string[];
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
      ...values.settings,
      "",
    ].join("\n");
  }
}
