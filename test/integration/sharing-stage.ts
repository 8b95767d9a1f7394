/**
 * PostgreSQL, a tap, and a pooler that shares: what the tests of sharing play on. It makes riding certain instead of likely: servers are
 * held by transactions, a crowd queues behind them in a known order, and then all of it boards at once.
 */
import { connect } from "node:net";
import { Client } from "pg";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer, type BouncerOptions } from "../support/bouncer.ts";
import { waitFor } from "../support/wait-for.ts";
import { columns, errorFields, int32, query, type WireMessage, types, WireClient } from "../support/wire-client.ts";
import { type TappedServer, WireTap } from "./wire-tap.ts";

export interface StageOptions {
  readonly postgres?: NonNullable<Parameters<typeof EmbeddedPostgres.start>[0]>;
  /** Statements run before the pooler is there. */
  readonly setup?: readonly string[];
  /** The pooler's databases, beyond `shared`; `servers` is where they lead. */
  readonly databases?: (servers: string) => Readonly<Record<string, string>>;
  readonly pooler?: Omit<BouncerOptions, "databases">;
  /** Of the database `shared`; 1 by default. */
  readonly poolSize?: number;
}

/** What one unit was answered. */
export interface Answer {
  readonly types: string;
  /** First columns of the rows. */
  readonly rows: readonly (string | null)[];
  /** SQLSTATE, null without an error. */
  readonly code: string | null;
}

export class SharingStage {
  readonly cluster: EmbeddedPostgres;
  readonly tap: WireTap;
  readonly bouncer: Bouncer;
  readonly #clients = new Set<WireClient>();
  readonly #locks = new Set<() => Promise<void>>();

  private constructor(cluster: EmbeddedPostgres, tap: WireTap, bouncer: Bouncer) {
    this.cluster = cluster;
    this.tap = tap;
    this.bouncer = bouncer;
  }

  static async start(options: StageOptions = {}): Promise<SharingStage> {
    const cluster = await EmbeddedPostgres.start(options.postgres);
    await cluster.query("create table locked (text text)");
    for (const statement of options.setup ?? []) await cluster.query(statement);
    const tap = await WireTap.start(cluster);
    const servers = `host=127.0.0.1 port=${tap.port} dbname=postgres`;
    const bouncer = await Bouncer.start({
      userlist: { postgres: "" },
      ...options.pooler,
      databases: { shared: `${servers} pool_size=${options.poolSize ?? 1}`, ...options.databases?.(servers) },
      settings: {
        pool_mode: "transaction",
        server_tls_sslmode: "disable",
        max_client_conn: 500,
        sharing_short_runs: 0,
        // What is not about slow heads is not disturbed by a busy machine.
        sharing_short_time: 60_000,
        ...options.pooler?.settings,
      },
    });
    return new SharingStage(cluster, tap, bouncer);
  }

  async stop(): Promise<void> {
    for (const client of this.#clients) client.destroy();
    this.tap.stop();
    try {
      await this.bouncer.stop();
    } finally {
      await this.cluster.stop();
    }
  }

  /** After a test, whatever has become of it: nothing is held, and nobody is there. */
  async clear(): Promise<void> {
    this.tap.poison = null;
    this.tap.deliverCancels();
    for (const unlock of this.#locks) await unlock();
    for (const server of this.tap.open) server.flow();
    for (const client of this.#clients) client.destroy();
    this.#clients.clear();
    await waitFor("nobody", async () =>
      (await this.bouncer.admin("SHOW CLIENTS")).every((row) => row["database"] === "pgbouncer"),
    );
  }

  async login(database = "shared", parameters: Readonly<Record<string, string>> = {}): Promise<WireClient> {
    const client = await WireClient.login(this.bouncer, { user: "postgres", ...parameters, database });
    this.#clients.add(client);
    return client;
  }

  logins(count: number, database = "shared"): Promise<WireClient[]> {
    return Promise.all(Array.from({ length: count }, () => this.login(database)));
  }

  leave(...clients: readonly WireClient[]): void {
    for (const client of clients) {
      client.end();
      this.#clients.delete(client);
    }
  }

  /** Figures of `database` in SHOW POOLS. */
  async pool(database = "shared", user = "postgres"): Promise<Readonly<Record<string, unknown>>> {
    const row = (await this.bouncer.admin("SHOW POOLS")).find(
      (one) => one["database"] === database && one["user"] === user,
    );
    return row ?? {};
  }

  async waitForWaiting(count: number, database = "shared", user = "postgres"): Promise<void> {
    await waitFor(`${count} who wait`, async () => (await this.pool(database, user))["cl_waiting"] === count);
  }

  /** What SHOW SHARING counts for `event`, of all reasons or of one. */
  async counted(event: string, reason?: string, database = "shared"): Promise<number> {
    const rows = (await this.bouncer.admin("SHOW SHARING")).filter(
      (row) =>
        row["database"] === database && row["event"] === event && (reason === undefined || row["reason"] === reason),
    );
    return rows.reduce((sum, row) => sum + Number(row["count"]), 0);
  }

  /** Takes `count` servers of `database`, each by a transaction. */
  async holdServers(count = 1, database = "shared"): Promise<Holder[]> {
    const holders: Holder[] = [];
    for (let i = 0; i < count; i++) {
      const client = await this.login(database);
      const mark = `begin /* ${this.#marks++} */`;
      client.send(query(mark));
      await answerOf(client);
      const server = this.tap.servers.find(({ sent }) => sent.at(-1) === mark)!;
      server.deepest = 0;
      holders.push(new Holder(this, client, server));
    }
    return holders;
  }

  #marks = 0;

  /** Takes a lock on the table `locked` in a session of its own, beside the pooler. Returns what gives it back. */
  async lockTable(): Promise<() => Promise<void>> {
    const client = new Client({ host: this.cluster.socketFolder, port: this.cluster.port, user: "postgres" });
    await client.connect();
    await client.query("begin; lock table locked in access exclusive mode");
    const unlock = async (): Promise<void> => {
      if (this.#locks.delete(unlock)) await client.end();
    };
    this.#locks.add(unlock);
    return unlock;
  }

  /** Until what has to be known of the catalogue is known: two clients have ridden together. */
  async warm(database = "shared", poolSize = 1): Promise<void> {
    const clients = await this.logins(2, database);
    await waitFor(
      "two who ride together",
      async () => {
        const holders = await this.holdServers(poolSize, database);
        const servers = holders.map(({ server }) => server);
        clients.forEach((client, i) => client.send(query(`select ${i} as warm`)));
        await this.waitForWaiting(2, database);
        for (const holder of holders) await holder.release();
        for (const client of clients) await answerOf(client);
        return servers.some(({ deepest }) => deepest >= 2);
      },
      20_000,
    );
    this.leave(...clients);
  }

  /**
   * Each of `clients` sends its messages, one after the other, while the servers are held: they wait in this order. Then the first
   * server becomes free, and its answers to them are held back by the tap. Returns when all of them ride there.
   */
  async board(
    clients: readonly WireClient[],
    messages: (number: number) => readonly Uint8Array[],
    database = "shared",
    riding = clients.length,
  ): Promise<TappedServer> {
    const [holder] = await this.holdServers(1, database);
    await this.queue(clients, messages, database);
    const { server } = holder!;
    server.hold(1);
    await holder!.release();
    await waitFor(`${riding} who ride`, () => server.underWay.length === riding);
    return server;
  }

  /** Each of `clients` sends its messages and waits, in this order. */
  async queue(
    clients: readonly WireClient[],
    messages: (number: number) => readonly Uint8Array[],
    database = "shared",
  ): Promise<void> {
    for (const [number, client] of clients.entries()) {
      client.send(...messages(number));
      await this.waitForWaiting(number + 1, database);
    }
  }
}

/** Sends a cancel request with the key of `client`, and returns when the pooler has closed its connection. */
export function cancel(stage: SharingStage, client: WireClient): Promise<void> {
  const { pid, secret } = client.key!;
  const packet = Buffer.concat([int32(12 + secret.length), int32(80877102), int32(pid), secret]);
  return new Promise((resolve, reject) => {
    const socket = connect(stage.bouncer.port, stage.bouncer.host);
    socket.on("error", reject);
    socket.on("close", () => resolve());
    socket.resume();
    socket.write(packet);
  });
}

/** A client that holds a server by a transaction. */
export class Holder {
  readonly client: WireClient;
  readonly server: TappedServer;
  readonly #stage: SharingStage;

  constructor(stage: SharingStage, client: WireClient, server: TappedServer) {
    this.#stage = stage;
    this.client = client;
    this.server = server;
  }

  async release(): Promise<void> {
    this.client.send(query("commit"));
    await answerOf(this.client);
    this.#stage.leave(this.client);
  }
}

/** The answer to one unit, or what came of it before the connection ended. */
export async function answerOf(client: WireClient): Promise<Answer> {
  const messages: WireMessage[] = [];
  for (let message = await client.next(); message !== null; message = await client.next()) {
    // What the server reports of its own accord may come in front of any answer.
    if (message.type !== "S" && message.type !== "N") messages.push(message);
    if (message.type === "Z") break;
  }
  const error = messages.find(({ type }) => type === "E");
  return {
    types: types(messages),
    rows: messages.filter(({ type }) => type === "D").map(({ body }) => columns(body)[0] ?? null),
    code: error === undefined ? null : errorFields(error.body)["C"]!,
  };
}

export const answersOf = (clients: readonly WireClient[]): Promise<Answer[]> => Promise.all(clients.map(answerOf));

/** A statement that answers with `text`; it shares. */
export const saying = (text: string): Buffer => query(`select '${text}'`);

/** What `saying` is answered. */
export const said = (text: string): Answer => ({ types: "TDCZ", rows: [text], code: null });

/** A statement that answers with `text` when nobody has a lock on the table `locked`; it shares. */
export const sayingUnlocked = (text: string): Buffer =>
  query(`select '${text}' from (select count(*) from locked) as counted`);

/** Each with a text of its own. */
export const names = (count: number): string[] => Array.from({ length: count }, (_, number) => `client ${number}`);
