/**
 * What PostgreSQL itself sees of the pooler: its connections in pg_stat_activity. Watches over the Unix socket, so that
 * the watcher is not among them (the pooler under test comes by TCP).
 */
import { Client } from "pg";
import type { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { waitFor } from "../support/wait-for.ts";

export interface Backend {
  readonly pid: number;
  readonly database: string;
  readonly user: string;
  readonly state: string;
  readonly query: string;
  readonly application: string;
}

export interface BackendFilter {
  readonly database?: string;
  readonly user?: string;
  readonly state?: string;
}

export class Backends {
  readonly #client: Client;

  private constructor(client: Client) {
    this.#client = client;
  }

  static async watch(cluster: EmbeddedPostgres): Promise<Backends> {
    const client = new Client({ host: cluster.socketFolder, port: cluster.port, user: cluster.superuser });
    // A test that ends PostgreSQL ends this too; the next look reports it.
    client.on("error", () => undefined);
    await client.connect();
    return new Backends(client);
  }

  async end(): Promise<void> {
    await this.#client.end();
  }

  /** Connections that have come by TCP, the oldest first. */
  async list(filter: BackendFilter = {}): Promise<Backend[]> {
    const { rows } = await this.#client.query<Backend>(
      `select pid, datname as database, usename as "user", coalesce(state, '') as state, query,
              application_name as application
       from pg_stat_activity where backend_type = 'client backend' and client_addr is not null
       order by backend_start, pid`,
    );
    return rows.filter(
      (row) =>
        (filter.database === undefined || row.database === filter.database) &&
        (filter.user === undefined || row.user === filter.user) &&
        (filter.state === undefined || row.state === filter.state),
    );
  }

  async count(filter: BackendFilter = {}): Promise<number> {
    return (await this.list(filter)).length;
  }

  async pids(filter: BackendFilter = {}): Promise<number[]> {
    return (await this.list(filter)).map(({ pid }) => pid);
  }

  async waitForCount(count: number, filter: BackendFilter = {}, deadlineMs?: number): Promise<void> {
    await waitFor(`${count} servers`, async () => (await this.count(filter)) === count, deadlineMs);
  }

  /** The most connections that were there at once while `work` ran, as far as looking again and again tells. */
  async mostDuring(work: Promise<unknown>, filter: BackendFilter): Promise<number> {
    const looking = { over: false };
    let most = 0;
    const look = async (): Promise<void> => {
      while (!looking.over) most = Math.max(most, await this.count(filter));
    };
    const looks = look();
    try {
      await work;
    } finally {
      looking.over = true;
      await looks;
    }
    return most;
  }

  /** The backend that runs a query whose text contains `part`. */
  waitForQuery(part: string): Promise<Backend> {
    return waitFor(`a backend that runs ${part}`, async () =>
      (await this.list({ state: "active" })).find(({ query }) => query.includes(part)),
    );
  }

  /** Ends backends as an operator would, and returns when they are gone. */
  async terminate(pids: readonly number[]): Promise<void> {
    await this.#client.query("select pg_terminate_backend(pid) from unnest($1::int[]) pid", [pids]);
    await waitFor("the backends to be gone", async () => {
      const { rows } = await this.#client.query("select 1 from pg_stat_activity where pid = any($1::int[])", [pids]);
      return rows.length === 0;
    });
  }
}
