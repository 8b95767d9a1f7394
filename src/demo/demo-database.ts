/**
 * The demo's PostgreSQL, seen past the pooler: makes the user and the tables, and asks PostgreSQL itself who is connected.
 * One connection by Unix socket as superuser, which is not counted.
 */
import { Client } from "pg";
import { EmbeddedPostgres } from "./embedded-postgres.ts";
import { accountCount, balanceAtStart, schemaSql } from "./workload-tasks.ts";

export const demoUser = "demo";
export const demoName = "demo";

const hba = [`host ${demoName} ${demoUser} 127.0.0.1/32 scram-sha-256`, "host all all 127.0.0.1/32 reject"].join("\n");
/** For our own connection, PostgreSQL's reserved ones, and a person who looks. */
const sparePlaces = 12;
const answerDeadlineMs = 5_000;

const backendsSql = `
select pid from pg_catalog.pg_stat_activity
where usename = '${demoUser}' and backend_type = 'client backend'`;

export class DemoDatabase {
  readonly #cluster: EmbeddedPostgres;
  readonly #client: Client;
  readonly #connectionsMax: number;

  private constructor(cluster: EmbeddedPostgres, client: Client, connectionsMax: number) {
    this.#cluster = cluster;
    this.#client = client;
    this.#connectionsMax = connectionsMax;
  }

  /** A cluster below `folder` with the tables in it, that has room for `poolSize` servers and not for many more. */
  static async start(folder: string, password: string, poolSize: number): Promise<DemoDatabase> {
    const connectionsMax = poolSize + sparePlaces;
    const cluster = await EmbeddedPostgres.start({
      parentFolder: folder,
      hba,
      roles: [{ name: demoUser, password }],
      settings: {
        max_connections: connectionsMax,
        // Tables are changed all the time, perhaps for hours.
        autovacuum: "on",
        autovacuum_naptime: 5,
        wal_level: "minimal",
        max_wal_senders: 0,
        max_wal_size: "64MB",
        log_connections: "off",
        log_disconnections: "off",
        log_checkpoints: "off",
      },
    });
    try {
      await cluster.query(`create database ${demoName} owner ${demoUser}`);
      await cluster.query(`set role ${demoUser}; ${schemaSql}`, [], demoName);
      const client = new Client({
        host: cluster.socketFolder,
        port: cluster.port,
        user: cluster.superuser,
        database: demoName,
        query_timeout: answerDeadlineMs,
      });
      // A lost connection shows as a figure that is missing; the next question rejects.
      client.on("error", () => undefined);
      await client.connect();
      return new DemoDatabase(cluster, client, connectionsMax);
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  get host(): string {
    return this.#cluster.host;
  }

  get port(): number {
    return this.#cluster.port;
  }

  /** For example `18.4`. */
  get version(): string {
    return this.#cluster.binaries.version;
  }

  /** PostgreSQL's max_connections. */
  get connectionsMax(): number {
    return this.#connectionsMax;
  }

  /** Process ids of the server connections that PostgreSQL counts for the demo's user. */
  async backends(): Promise<number[]> {
    const { rows } = await this.#client.query<{ pid: number }>(backendsSql);
    return rows.map((row) => row.pid);
  }

  /** What the balances of all accounts differ by from what they were at the start: 0, unless a visitor wrote. */
  async missingMoney(): Promise<number> {
    const { rows } = await this.#client.query<{ sum: string }>("select sum(balance)::text as sum from accounts");
    return accountCount * balanceAtStart - Number(rows[0]?.sum);
  }

  /** Stops PostgreSQL and removes its folder. */
  async stop(): Promise<void> {
    await this.#client.end().catch(() => undefined);
    await this.#cluster.stop();
  }
}
