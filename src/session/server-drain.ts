/**
 * Brings a server whose client has gone to where it can be given to another: what was asked is answered to nobody, what
 * is open is rolled back, and the connection is kept.
 *
 *     client gone ─┬─ its statement runs in a transaction ─▶ cancelled ─┐
 *                  ├─ it runs by itself ─▶ may finish, for a time ──────┼─▶ (COPY failed) ─▶ (ROLLBACK) ─▶ release
 *                  └─ a transaction is open and nothing runs ───────────┘
 *
 * As PostgreSQL itself does with a client that vanishes: a statement by itself is carried out, a transaction without its
 * COMMIT is not. What would have to be guessed at is not drained: a message cut in two, or statements of the extended
 * protocol without their Sync, which would commit them. Such a server is closed, and PostgreSQL rolls back.
 */
import { Step } from "../pipeline/step.ts";
import { copyFail } from "../protocol/copy-messages.ts";
import { SYNC } from "../protocol/frontend-messages.ts";
import { TransactionStatus } from "../protocol/message-type.ts";
import type { Timer } from "../net/world.ts";
import type { ParameterValues } from "../state/tracked-parameters.ts";
import { CancelForward } from "./cancel-forward.ts";
import type { Client } from "./client.ts";
import type { Server } from "./server.ts";
import type { ServerHolder } from "./server-holder.ts";
import { Task } from "./task.ts";

/** PostgreSQL would have given up sending long before: what answers so much to nobody is cancelled. */
const ANSWER_BYTES_MAX = 1024 * 1024;
/** What has been cancelled, or rolled back, and does not end in this time costs the connection. */
const END_MAX_MS = 10_000;

const NOT_READY = "client disconnect while server was not ready";

/**
 * `client` leaves `server` in the middle of something. `whole`: all that it has sent to it are whole messages. `impatient`:
 * what runs is cancelled at once (the client was ended by an operator, or has done something wrong).
 */
export function drainOrClose(server: Server, client: Client, whole: boolean, impatient: boolean): void {
  const { pipeline } = server;
  const ends =
    !server.dedicated && !pipeline.isUnknown && (!pipeline.isOpen || pipeline.isSkipping || pipeline.awaitsCopyEnd);
  if (whole && ends) {
    void new ServerDrain(server, client, impatient);
    return;
  }
  server.holder = null;
  server.close(NOT_READY, !client.isMidMessage);
}

export class ServerDrain implements ServerHolder {
  readonly id: number;
  readonly clock = null;
  readonly isMidMessage = false;
  parameters: ParameterValues;
  readonly #server: Server;
  readonly #client: string;
  #answeredBytes = 0;
  #isCancelled = false;
  #isRolledBack = false;
  #isOver = false;
  #timer: Timer | null = null;

  /** `server` is this drain's from now on. */
  constructor(server: Server, client: Client, impatient: boolean) {
    this.id = client.id;
    this.#client = String(client);
    this.#server = server;
    this.parameters = client.parameters;
    const { pipeline, engine } = server;
    pipeline.replaceOwner(client, this);
    server.holder = this;
    server.drain = this;
    if (!pipeline.isEmpty && (impatient || server.status !== TransactionStatus.Idle)) this.#cancel();
    else if (engine.settings.disconnectedQueryTimeoutMs > 0) {
      this.#timer = engine.world.clock.after(engine.settings.disconnectedQueryTimeoutMs, () => this.#cancel());
    }
    this.look();
  }

  toString(): string {
    return this.#client;
  }

  /** Something has come from the server, or a cancel request has ended. */
  look(): void {
    const server = this.#server;
    const { pipeline } = server;
    if (this.#isOver) return;
    if (pipeline.awaitsCopyEnd) {
      pipeline.push(Step.copyEnd, this, null);
      server.send(copyFail("client has gone"));
    }
    if (pipeline.isSkipping) {
      pipeline.push(Step.sync, this, null);
      server.send(SYNC);
    }
    if (!pipeline.isEmpty) return;
    for (const cancel of server.cancels) cancel.targetReleased();
    // The last of them has looked again by itself.
    if (this.#isOver || !pipeline.isEmpty) return;
    // One that was sent would hit the ROLLBACK.
    if (server.cancels.size > 0) return;
    if (server.status === TransactionStatus.Idle) this.#finish();
    else if (this.#isRolledBack) server.close(NOT_READY);
    else this.#rollBack();
  }

  #rollBack(): void {
    this.#isRolledBack = true;
    this.#setTimer(END_MAX_MS, () => this.#server.close(NOT_READY));
    this.#server.run(new Task("ROLLBACK", () => {}));
  }

  #cancel(): void {
    const server = this.#server;
    if (this.#isOver || this.#isCancelled || server.pipeline.isEmpty) return;
    this.#isCancelled = true;
    this.#setTimer(END_MAX_MS, () => server.close(NOT_READY));
    // The request is in `server.cancels` until it has ended.
    void new CancelForward(server, () => {});
  }

  #setTimer(ms: number, then: () => void): void {
    this.#timer?.cancel();
    this.#timer = this.#server.engine.world.clock.after(ms, then);
  }

  #finish(): void {
    this.#end();
    this.#server.pool.release(this.#server);
  }

  #end(): void {
    this.#isOver = true;
    this.#timer?.cancel();
    this.#server.drain = null;
  }

  // ── As the owner of what the client has left ────────────────────────────────────────────────────────────────────

  answer(_memory: Uint8Array, start: number, end: number): void {
    this.#answeredBytes += end - start;
    if (this.#answeredBytes > ANSWER_BYTES_MAX) this.#cancel();
  }

  ended(): void {}

  serverDrained(): void {}

  serverLost(): void {
    this.#end();
  }

  forgetStatements(): void {}
}
