/**
 * A replication client's claim to a server of its own: one that is opened for it, with what it brought along in the startup packet,
 * and that closes behind it.
 *
 *     login ─▶ queue ─▶ attempt ─┬─ logged in ──▶ linked: the client's login ends, told what this server reports
 *                ▲               ├─ refused ────▶ the client fails; nobody else hears of it
 *                └── requeued ───┴─ no answer
 *
 * Such a server is never reset or checked, runs no SETs of ours, renames no statements, and is in session mode whatever the pool is
 * in: PostgreSQL's walsender would understand none of it. It counts in all limits like any other. How it gets its slot is `pool/`'s.
 *
 * Counterpart: what `launch_new_connection`, `send_startup_message` and `release_server` of PgBouncer do for `client->replication`.
 */
import type { ErrorFields } from "../protocol/error-fields.ts";
import type { ErrorToSend } from "../protocol/error-messages.ts";
import type { Client } from "./client.ts";
import { welcomeOf } from "./client-welcome.ts";
import { PoolerErrors, poolerError } from "./pooler-error.ts";
import { Replication } from "./replication.ts";
import type { Server } from "./server.ts";
import type { ServerPool } from "./server-pool.ts";

export class Dedication {
  readonly client: Client;
  /** As it stood in the client's startup packet, null without. */
  readonly #options: string | null;
  /** Its server, from the first attempt on that is made for it; null while it waits. */
  #server: Server | null = null;
  #isLinked = false;

  constructor(client: Client, options: string | null) {
    this.client = client;
    this.#options = options;
  }

  /** The server that is the client's, or will be. */
  get server(): Server | null {
    return this.#server;
  }

  /** Its server takes no SQL, only commands of replication. */
  get isPhysical(): boolean {
    return this.client.replication === Replication.physical;
  }

  /** What its server's startup packet carries beside the database and user, in order. */
  *startupParameters(): IterableIterator<readonly [name: string, value: string]> {
    const { engine, parameters, replication } = this.client;
    yield ["replication", replication];
    for (const [index, name] of engine.parameters.names.entries()) {
      const value = parameters[index];
      if (value !== null && value !== undefined) yield [name, value];
    }
    if (this.#options !== null) yield ["options", this.#options];
  }

  // ── The wait ────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The client has authenticated. */
  seek(pool: ServerPool): void {
    const { client } = this;
    const { directory, turn } = client.engine;
    const closed = directory.serversClosedWith;
    if (closed === null) pool.core.dedicate(client.waiting, turn.now, turn.now);
    else client.fail(closed);
  }

  /** An attempt is made for it. */
  attempted(server: Server): void {
    this.#server = server;
  }

  /** `server` has begun to close. Before its login was over: the client waits for another, at its old place in the queue. */
  closing(server: Server): void {
    const { client } = this;
    if (this.#server !== server) return;
    this.#server = null;
    if (this.#isLinked || client.isClosed) return;
    server.pool.core.dedicate(client.waiting, client.waiting.since, client.engine.turn.now);
  }

  /** PostgreSQL has refused the login. That says nothing of others': they lack no REPLICATION right, and no HBA line for it. */
  refused(server: Server, reason: string, error: ErrorToSend): void {
    this.#giveUp(server, reason);
    this.client.fail(error);
  }

  /** What PostgreSQL says against a login is for the log; the client is told that there was something. */
  refusedBy(server: Server, { severity, message, detail }: ErrorFields): void {
    const more = detail === null ? "" : ` (${detail})`;
    server.engine.log.error(`${server} S: login failed: ${severity ?? "FATAL"}: ${message ?? ""}${more}`);
    const error = poolerError(PoolerErrors.replicationLogin);
    this.refused(server, error.message, message === null ? error : { ...error, detail: message });
  }

  /** The client has gone. */
  abandon(): void {
    if (this.#server !== null && !this.#isLinked) this.#giveUp(this.#server, "replication client disconnected");
  }

  /** Not as a failed attempt: that would keep the pool's other clients from trying. */
  #giveUp(server: Server, reason: string): void {
    this.#server = null;
    server.pool.core.retire(server, reason, server.engine.turn.now);
  }

  // ── The link ────────────────────────────────────────────────────────────────────────────────────────────────────

  /** `server` has logged in. `reported`: its ParameterStatus, in order. */
  opened(server: Server, reported: ReadonlyMap<string, string>): void {
    const { client } = this;
    this.#isLinked = true;
    server.pool.core.opened(server, client.engine.turn.now);
    server.pool.assign(server, client);
    client.linked(server, welcomeOf(client.engine, reported, server.parameters));
  }

  /** Another process has opened `server` for the client. */
  takeUp(server: Server): void {
    this.#server = server;
    this.#isLinked = true;
  }

  /** The client leaves its server, which is ready. */
  released(server: Server): void {
    server.close("replication client was closed");
  }
}
