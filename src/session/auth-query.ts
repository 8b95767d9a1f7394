/**
 * One look-up of a user's secret in PostgreSQL: `auth_query`, run as `auth_user` on a server of the pool for both.
 *
 *     request ─▶ server ─▶ (parameters back to the pool's own) ─▶ Parse Bind Describe Execute Sync ─▶ rows ─▶ release
 *
 * It waits for its server like a client and holds it for one unit. Nothing of the client's own session reaches that
 * server: its parameters are the pool's, whoever had the server before (CVE-2025-12819).
 *
 * Counterpart: PgBouncer's `start_auth_query` and `handle_auth_query_response`; log texts are its own.
 */
import { StoredSecret } from "../auth/stored-secret.ts";
import { Step } from "../pipeline/step.ts";
import { Waiting } from "../pool/wait-queue.ts";
import { readDataRow, readRowDescription } from "../protocol/backend-readers.ts";
import { readErrorFields } from "../protocol/error-fields.ts";
import type { ErrorToSend } from "../protocol/error-messages.ts";
import { Framer } from "../protocol/framer.ts";
import { SYNC, bind, describe, execute, parse } from "../protocol/frontend-messages.ts";
import { Backend, TargetKind } from "../protocol/message-type.ts";
import type { ParameterValues } from "../state/tracked-parameters.ts";
import type { Client } from "./client.ts";
import { setParameters } from "./parameter-sync.ts";
import { PoolerErrors, poolerError } from "./pooler-error.ts";
import type { Server } from "./server.ts";
import type { ServerSeeker } from "./server-holder.ts";
import type { ServerPool } from "./server-pool.ts";

/** The longest secret that PostgreSQL can store, a name, and their framing. */
const ROW_BYTES_MAX = 128 * 1024;
const COLUMNS = 2;

/** A user whose stored secret is NULL exists, and passes no password dialogue. */
const NO_SECRET = "";

export type AuthAnswer =
  | { readonly kind: "user"; readonly name: string; readonly secret: StoredSecret }
  /** There is no such user. */
  | { readonly kind: "none" }
  /** It could not be found out; the log says why. */
  | { readonly kind: "failed"; readonly error: ErrorToSend };

export class AuthQuery implements ServerSeeker {
  readonly waiting: Waiting<ServerSeeker> = new Waiting<ServerSeeker>(this);
  readonly clock = null;
  readonly dedication = null;
  readonly ride = null;
  readonly isCounted = true;
  readonly isMidMessage = false;
  parameters: ParameterValues;
  readonly #client: Client;
  readonly #pool: ServerPool;
  readonly #text: string;
  readonly #userName: string;
  readonly #done: (answer: AuthAnswer) => void;
  readonly #framer = new Framer();
  #server: Server | null = null;
  #answer: AuthAnswer = { kind: "none" };
  #isOver = false;

  /** `pool`: of the authentication database and auth_user. `done` is called once, maybe within `start`. */
  constructor(
    client: Client,
    pool: ServerPool,
    query: { readonly text: string; readonly userName: string },
    done: (answer: AuthAnswer) => void,
  ) {
    this.#client = client;
    this.#pool = pool;
    this.#text = query.text;
    this.#userName = query.userName;
    this.#done = done;
    this.parameters = client.engine.parameters.unknown;
  }

  get id(): number {
    return this.#client.id;
  }

  /** Since when it waits for a server, monotonic ms; null when it does not. */
  get waitsSince(): number | null {
    return this.waiting.queued ? this.waiting.since : null;
  }

  toString(): string {
    return String(this.#client);
  }

  start(): void {
    const server = this.#pool.request(this);
    if (server !== null) this.served(server);
  }

  /** The client has gone. A query that runs is read to its end, for nobody. */
  abandon(): void {
    this.#isOver = true;
    if (this.#server === null) this.#pool.leaveQueue(this);
  }

  // ── As one who asks for a server ────────────────────────────────────────────────────────────────────────────────

  mayShare(): boolean {
    return false;
  }

  entered(): void {
    // It is no client of the pool. While it waits SHOW POOLS counts it as one.
  }

  served(server: Server): void {
    this.#server = server;
    this.parameters = this.#pool.welcome?.tracked ?? server.parameters;
    const { engine } = this.#client;
    const isSetting = setParameters(engine, this, server, (failure) => {
      if (this.#server !== server) return;
      if (failure === null) this.#ask(server);
      else server.close("var change failed");
    });
    if (!isSetting) this.#ask(server);
  }

  #ask(server: Server): void {
    for (const step of [Step.parse, Step.bind, Step.describe, Step.execute, Step.sync]) {
      server.pipeline.push(step, this, null);
    }
    server.unnamed = -1;
    server.send(parse("", this.#text));
    server.send(bind("", "", [this.#userName]));
    server.send(describe(TargetKind.Portal, ""));
    server.send(execute(""));
    server.send(SYNC);
  }

  fail(error: ErrorToSend): void {
    this.#pool.leaveQueue(this);
    this.#finish({ kind: "failed", error });
  }

  // ── As the owner of what it asked ───────────────────────────────────────────────────────────────────────────────

  answer(memory: Uint8Array, start: number, end: number): void {
    const framer = this.#framer;
    // Beyond repair: what is behind it is not kept.
    if (framer.broken) return;
    // A copy: what is left of a message outlives the chunk it came in.
    framer.push(new Uint8Array(memory.subarray(start, end)));
    while (framer.next(ROW_BYTES_MAX)) {
      if (!framer.whole) {
        framer.hold();
        return;
      }
      const { buf, at, type, size } = framer;
      framer.advance();
      try {
        this.#read(type, buf, at, size);
      } catch {
        this.#refuse("answer of auth_query cannot be read");
      }
    }
    if (framer.broken) this.#refuse("answer of auth_query is too long");
  }

  #read(type: number, memory: Uint8Array, at: number, size: number): void {
    switch (type) {
      case Backend.RowDescription: {
        const count = readRowDescription(memory, at, size).length;
        if (count !== COLUMNS) this.#refuse(`expected 2 columns from auth_query, not ${count}`);
        return;
      }
      case Backend.DataRow: {
        if (this.#answer.kind === "failed") return;
        const [name, secret] = readDataRow(memory, at, size);
        if (name === null || name === undefined) this.#refuse("auth_query response contained null user name");
        else this.#answer = { kind: "user", name, secret: new StoredSecret(secret ?? NO_SECRET) };
        return;
      }
      case Backend.NoData:
        this.#refuse("expected 2 columns from auth_query, not 0");
        return;
      case Backend.ErrorResponse: {
        const { severity, message, detail } = readErrorFields(memory, at, size);
        const more = detail === null ? "" : ` (${detail})`;
        this.#refuse(`S: error in auth_query: ${severity ?? "ERROR"}: ${message ?? ""}${more}`);
        return;
      }
    }
  }

  #refuse(reason: string): void {
    if (this.#answer.kind === "failed") return;
    this.#client.engine.log.error(`${this} ${reason}`);
    this.#answer = { kind: "failed", error: poolerError(PoolerErrors.configError) };
  }

  ended(): void {
    const server = this.#server;
    if (server === null) return;
    this.#server = null;
    // What the query may have left open is nobody's.
    if (server.isReady) this.#pool.release(server);
    else server.close("error response from auth_query");
    this.#finish(this.#answer);
  }

  serverDrained(): void {}

  forgetStatements(): void {}

  serverLost(): void {
    this.#server = null;
    this.#finish({ kind: "failed", error: poolerError(PoolerErrors.configError) });
  }

  #finish(answer: AuthAnswer): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#done(answer);
  }
}
