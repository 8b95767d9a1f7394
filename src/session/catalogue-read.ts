/**
 * One reading of what a database's catalogue says about sharing, on a server of a pool.
 *
 *     request ─▶ server ─▶ (parameters back to the pool's own) ─▶ Query ─▶ rows ─▶ release
 *
 * It waits for its server and holds it like a look-up of auth_query (`auth-query.ts`), and is no client: nothing counts it. It
 * ends by itself in a bounded time, whether it waits or runs. What is asked is `sharing/catalogue-query.ts`; when, and what
 * becomes of a failure, `catalogue-watch.ts`.
 */
import type { Timer } from "../net/world.ts";
import { Step } from "../pipeline/step.ts";
import { Waiting } from "../pool/wait-queue.ts";
import { readDataRow } from "../protocol/backend-readers.ts";
import { readErrorFields } from "../protocol/error-fields.ts";
import type { ErrorToSend } from "../protocol/error-messages.ts";
import { Framer } from "../protocol/framer.ts";
import { query } from "../protocol/frontend-messages.ts";
import { Backend } from "../protocol/message-type.ts";
import type { CatalogueFacts } from "../sharing/catalogue-facts.ts";
import { CATALOGUE_QUERY, CatalogueRows } from "../sharing/catalogue-query.ts";
import type { ParameterValues } from "../state/tracked-parameters.ts";
import { setParameters } from "./parameter-sync.ts";
import type { Server } from "./server.ts";
import type { ServerSeeker } from "./server-holder.ts";
import type { ServerPool } from "./server-pool.ts";

/** Waiting and running together. PostgreSQL itself gives up before. */
const READING_MAX_MS = 10_000;
/** How often is looked whether there is still anything to wait for. */
const LOOK_MS = 333;
/** A name has 63 bytes; a sentence several. */
const ROW_BYTES_MAX = 16 * 1024;

export class CatalogueRead implements ServerSeeker {
  readonly id: number;
  readonly waiting: Waiting<ServerSeeker> = new Waiting<ServerSeeker>(this, true);
  readonly clock = null;
  readonly dedication = null;
  readonly ride = null;
  readonly isCounted = false;
  readonly isMidMessage = false;
  parameters: ParameterValues;
  readonly #pool: ServerPool;
  readonly #done: (result: CatalogueFacts | string | null) => void;
  readonly #framer = new Framer();
  readonly #rows = new CatalogueRows();
  #server: Server | null = null;
  #timer: Timer | null = null;
  /** Monotonic ms. */
  #endsAt = 0;
  /** When PostgreSQL was asked, monotonic ms; infinite before. */
  #askedAt = Number.POSITIVE_INFINITY;
  #failure: string | null = null;
  #isOver = false;

  /** `done` is called once, maybe within `start`: with the facts, with why there are none, or with null if it has come to no reading. */
  constructor(pool: ServerPool, done: (result: CatalogueFacts | string | null) => void) {
    this.id = pool.engine.nextId();
    this.#pool = pool;
    this.#done = done;
    this.parameters = pool.engine.parameters.unknown;
  }

  toString(): string {
    return `${this.#pool.database.name}/${this.#pool.user.name}`;
  }

  /** How long PostgreSQL has worked on it, ms; 0 before it is asked. */
  get tookMs(): number {
    return Math.max(0, this.#pool.engine.turn.now - this.#askedAt);
  }

  start(): void {
    this.#endsAt = this.#pool.engine.turn.now + READING_MAX_MS;
    this.#lookAgain();
    const server = this.#pool.request(this);
    if (server !== null) this.served(server);
  }

  #lookAgain(): void {
    this.#timer = this.#pool.engine.world.clock.after(LOOK_MS, () => this.#look());
  }

  #look(): void {
    const { core, engine } = this.#pool;
    if (engine.turn.now >= this.#endsAt) {
      this.#timeOut();
    } else if (this.#server === null && core.connections === 0 && core.waiters.demanding === 0) {
      // No server is opened for it, and there is none that could become free. Who waits next will wish for it again.
      this.#pool.leaveQueue(this);
      this.#finish(null);
    } else {
      this.#lookAgain();
    }
  }

  #timeOut(): void {
    const server = this.#server;
    if (server !== null) {
      this.#failure = "no answer in time";
      server.close("catalogue query timeout");
      return;
    }
    this.#pool.leaveQueue(this);
    this.#finish("no server was free in time");
  }

  // ── As one who asks for a server ────────────────────────────────────────────────────────────────────────────────

  mayShare(): boolean {
    return false;
  }

  entered(): void {
    // It is no client of the pool.
  }

  served(server: Server): void {
    this.#server = server;
    this.parameters = this.#pool.welcome?.tracked ?? server.parameters;
    const isSetting = setParameters(this.#pool.engine, this, server, (failure) => {
      if (this.#server !== server) return;
      if (failure === null) this.#ask(server);
      else server.close("var change failed");
    });
    if (!isSetting) this.#ask(server);
  }

  #ask(server: Server): void {
    this.#askedAt = this.#pool.engine.turn.now;
    server.pipeline.push(Step.query, this, null);
    // A Query ends the unnamed statement.
    server.unnamed = -1;
    server.send(query(CATALOGUE_QUERY));
  }

  fail(error: ErrorToSend): void {
    this.#pool.leaveQueue(this);
    this.#finish(error.message);
  }

  // ── As the owner of what it asked ───────────────────────────────────────────────────────────────────────────────

  answer(memory: Uint8Array, start: number, end: number): void {
    const framer = this.#framer;
    // The server has counted it as what clients are sent.
    this.#pool.database.counters.bytesSent -= end - start;
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
        this.#failure ??= "the answer cannot be read";
      }
    }
    if (framer.broken) this.#failure ??= "the answer is too long";
  }

  #read(type: number, memory: Uint8Array, at: number, size: number): void {
    if (type === Backend.DataRow) {
      this.#rows.add(readDataRow(memory, at, size));
    } else if (type === Backend.ErrorResponse) {
      const { severity, message } = readErrorFields(memory, at, size);
      this.#failure ??= `${severity ?? "ERROR"}: ${message ?? ""}`;
    }
  }

  ended(): void {
    const server = this.#server;
    if (server === null) return;
    this.#server = null;
    if (server.isReady) this.#pool.release(server);
    else server.close("catalogue query left a transaction open");
    this.#finish(this.#failure ?? this.#rows.facts() ?? "the answer is not one to this query");
  }

  serverDrained(): void {}

  forgetStatements(): void {}

  serverLost(_server: Server, error: ErrorToSend): void {
    this.#server = null;
    this.#finish(this.#failure ?? error.message);
  }

  #finish(result: CatalogueFacts | string | null): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#timer?.cancel();
    this.#done(result);
  }
}
