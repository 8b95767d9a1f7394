/**
 * Asks the pooler's console, as an operator would: SHOW POOLS for who waits, SHOW STATS for what queries cost. Opens a new
 * connection when the last one was lost; while there is none its answers are null.
 */
import { Client } from "pg";

/** The row of the demo's pool. Clients that hold a server and clients between transactions are both `clActive`. */
export interface PoolRow {
  readonly clActive: number;
  readonly clWaiting: number;
  readonly svActive: number;
  readonly svIdle: number;
}

/** Totals of the demo's database since the pooler's start; times in µs. */
export interface StatsRow {
  readonly transactions: number;
  readonly queries: number;
  readonly queryTimeUs: number;
  readonly waitTimeUs: number;
  readonly serverAssignments: number;
  readonly clientParses: number;
  readonly serverParses: number;
}

const answerDeadlineMs = 2_000;

type Row = Readonly<Record<string, string | null>>;

export class ConsoleReader {
  readonly #url: string;
  readonly #database: string;
  readonly #user: string;
  #client: Client | null = null;

  /** `url` leads to the console; `database` and `user` name the pool. */
  constructor(url: string, database: string, user: string) {
    this.#url = url;
    this.#database = database;
    this.#user = user;
  }

  async pool(): Promise<PoolRow | null> {
    const rows = await this.#ask("SHOW POOLS");
    const row = rows?.find(({ database, user }) => database === this.#database && user === this.#user);
    if (row === undefined) return null;
    const used = number(row, "sv_idle") + number(row, "sv_used") + number(row, "sv_tested");
    return {
      clActive: number(row, "cl_active"),
      clWaiting: number(row, "cl_waiting"),
      svActive: number(row, "sv_active"),
      svIdle: used,
    };
  }

  async stats(): Promise<StatsRow | null> {
    const rows = await this.#ask("SHOW STATS");
    const row = rows?.find(({ database }) => database === this.#database);
    if (row === undefined) return null;
    return {
      transactions: number(row, "total_xact_count"),
      queries: number(row, "total_query_count"),
      queryTimeUs: number(row, "total_query_time"),
      waitTimeUs: number(row, "total_wait_time"),
      serverAssignments: number(row, "total_server_assignment_count"),
      clientParses: number(row, "total_client_parse_count"),
      serverParses: number(row, "total_server_parse_count"),
    };
  }

  async end(): Promise<void> {
    const client = this.#client;
    this.#client = null;
    // It may have been closed from the other side already, which is as good.
    await client?.end().catch(() => undefined);
  }

  async #ask(command: string): Promise<Row[] | null> {
    try {
      this.#client ??= await this.#connect();
      return (await this.#client.query<Row>(command)).rows;
    } catch {
      // Killed on the console, perhaps: the figures pause, and the next question connects again.
      await this.end();
      return null;
    }
  }

  async #connect(): Promise<Client> {
    const client = new Client({
      connectionString: this.#url,
      connectionTimeoutMillis: answerDeadlineMs,
      query_timeout: answerDeadlineMs,
      types: { getTypeParser: () => String },
    });
    // The next question sees it.
    client.on("error", () => undefined);
    await client.connect();
    return client;
  }
}

/** NaN for a column that is not there: a missing figure must not look like a zero. */
function number(row: Row, column: string): number {
  return Number(row[column] ?? Number.NaN);
}
