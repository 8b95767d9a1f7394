/**
 * A client's BEGIN that was answered without a server, until a server has it.
 *
 *     none ──BEGIN──▶ deferred ──its first unit──▶ leading: BEGIN, and the unit behind it in the same write ──▶ none
 *                      │  │  └──time is over────▶ alone: BEGIN, Sync ──▶ none
 *                      │  └──COMMIT, ROLLBACK──▶ none, without a server
 *                      └──cancelled, BEGIN refused──▶ failed ──ROLLBACK──▶ none, without a server
 *                                                       └──anything else──▶ a server in a failed transaction ──▶ none
 *
 * The BEGIN goes before the unit without a Sync of its own: if PostgreSQL refuses it, it skips the unit, a Query too. The client gets the
 * error as its unit's, and has a transaction that has failed, as PostgreSQL would have it. Nothing behind that unit is sent before the BEGIN is
 * decided, so nothing of the transaction can ever run outside it.
 *
 * Time counts from the answer: the statistics' transaction begins there, and the time limits of transactions run from there. Which
 * texts there are for it: `state/transaction-text.ts`. Why: docs/decisions/0016. Not for: who gets which server.
 */
import { idleTransactionTimeoutMs, transactionTimeoutMs } from "../config/precedence.ts";
import { PoolMode } from "../config/setting-words.ts";
import type { Timer } from "../net/world.ts";
import { Step, UNNAMED } from "../pipeline/step.ts";
import {
  BIND_COMPLETE,
  NO_DATA,
  PARSE_COMPLETE,
  READY_IDLE,
  READY_IN_TRANSACTION,
  commandComplete,
} from "../protocol/backend-messages.ts";
import { readErrorFields } from "../protocol/error-fields.ts";
import type { Framer } from "../protocol/framer.ts";
import { SYNC, bind, execute } from "../protocol/frontend-messages.ts";
import { Backend, TransactionStatus } from "../protocol/message-type.ts";
import { parseWithTail } from "../protocol/statement-messages.ts";
import type { StatementUnit } from "../protocol/statement-unit.ts";
import { inspectStatementUnit, isPlain, passUnit } from "../protocol/statement-unit.ts";
import { TransactionText, readTransactionText } from "../state/transaction-text.ts";
import { AnswerPieces, messageBytes } from "./answer-pieces.ts";
import type { Client } from "./client.ts";
import { ClientState } from "./client-state.ts";
import { isIdle } from "./client-message.ts";
import type { FailStop } from "./fail-stop.ts";
import type { Server } from "./server.ts";
import { Task } from "./task.ts";

/** What becomes of a message that the client's input has come to. */
export const Meeting = {
  /** It goes its ordinary way. */
  passes: 0,
  /** Its unit was answered, and is gone from the framer. */
  answered: 1,
  /** The input waits until `ClientInput.unitEnded`. */
  later: 2,
} as const;
export type Meeting = (typeof Meeting)[keyof typeof Meeting];

const Phase = { none: 0, deferred: 1, failed: 2, leading: 3, alone: 4 } as const;
type Phase = (typeof Phase)[keyof typeof Phase];

/** A BEGIN that was refused when it went alone has disturbed nobody: it is tried again then, or by the first unit. */
const RETRY_MS = 1000;

/** Brings a server to where a transaction has failed: PostgreSQL itself then says to each statement that it has. */
const FAILED_TRANSACTION = 'BEGIN; ROLLBACK TO SAVEPOINT "the transaction has failed before it had a server"';

const NO_TYPES = Uint8Array.of(0, 0, 0);
const UNNAMED_NAME = new Uint8Array(0);
const BIND_AND_EXECUTE = Buffer.concat([bind("", ""), execute("")]);

const ANSWERS = {
  begin: answersWith("BEGIN", READY_IN_TRANSACTION),
  startTransaction: answersWith("START TRANSACTION", READY_IN_TRANSACTION),
  commit: answersWith("COMMIT", READY_IDLE),
  rollback: answersWith("ROLLBACK", READY_IDLE),
};

/** What is answered to a Query, to a unit of the extended protocol, and to one with a Describe. */
interface Answers {
  readonly simple: Uint8Array;
  readonly extended: Uint8Array;
  readonly described: Uint8Array;
}

/** A transaction that no server knows of, written down. Plain values, which survive JSON. */
export interface DeferredBeginForm {
  /** The BEGIN, in base64. */
  readonly text: string;
  readonly hasFailed: boolean;
  /** Since it was answered. */
  readonly ageMs: number;
}

/** Whether `value`, from another process, has the shape. */
export function isDeferredBeginForm(value: unknown): value is DeferredBeginForm {
  if (typeof value !== "object" || value === null) return false;
  const form = value as Record<keyof DeferredBeginForm, unknown>;
  return typeof form.text === "string" && typeof form.hasFailed === "boolean" && Number.isFinite(form.ageMs);
}

export class DeferredBegin implements FailStop {
  readonly #client: Client;
  #phase: Phase = Phase.none;
  /** The BEGIN, as the client has written it. */
  #text: Uint8Array = UNNAMED_NAME;
  /** Which unnamed statement it is for the client that has parsed it (`StatementStore.nextUnnamed`). */
  #unnamed = 0;
  #answeredAt = 0;
  #timer: Timer | null = null;
  /** It is the time, and no unit, that asks for a server. */
  #isOverdue = false;
  /** That has been sent the BEGIN. */
  #server: Server | null = null;
  readonly #pieces = new AnswerPieces();

  constructor(client: Client) {
    this.#client = client;
  }

  /** The client is in a transaction that no server knows of. */
  get isPending(): boolean {
    return this.#phase === Phase.deferred || this.#phase === Phase.failed;
  }

  /** The client has been told that the transaction has failed, and no server knows of it. */
  get isFailed(): boolean {
    return this.#phase === Phase.failed;
  }

  // ── What the client sends ───────────────────────────────────────────────────────────────────────────────────────

  /** What becomes of the message that `framer` offers, the beginning of a client's next message. */
  meet(framer: Framer, memory: Uint8Array): Meeting {
    const client = this.#client;
    const { server } = client;
    if (server !== null) {
      if (this.#phase === Phase.alone) return Meeting.later;
      // Its end has been sent, and PostgreSQL may have skipped it.
      const isBehind = this.#phase === Phase.leading && !server.pipeline.isOpen && !isIdle(framer.type);
      return isBehind ? Meeting.later : Meeting.passes;
    }
    if (client.waiting.queued && !this.#isOverdue) return Meeting.passes;
    const unit = client.engine.parts.unit;
    if (!inspectStatementUnit(memory, framer.at, framer.end, unit) || !isPlain(memory, unit)) return Meeting.passes;
    const text = readTransactionText(memory, unit.textStart, unit.textEnd);
    switch (text) {
      case TransactionText.none:
        return Meeting.passes;
      case TransactionText.begin:
      case TransactionText.startTransaction:
        if (!this.#mayDefer(framer, unit)) return Meeting.passes;
        this.#defer(memory, unit);
        this.#answer(framer, unit, text === TransactionText.begin ? ANSWERS.begin : ANSWERS.startTransaction, false);
        return Meeting.answered;
      case TransactionText.commit:
      case TransactionText.rollback: {
        if (!this.isPending || this.#isRefused(unit)) return Meeting.passes;
        const commits = text === TransactionText.commit && !this.isFailed;
        this.#forget();
        this.#answer(framer, unit, commits ? ANSWERS.commit : ANSWERS.rollback, true);
        return Meeting.answered;
      }
    }
  }

  /** What is sent with it could as well take it along. */
  #mayDefer(framer: Framer, unit: StatementUnit): boolean {
    const { engine, pool } = this.#client;
    if (this.#phase !== Phase.none || engine.settings.deferredBeginMs === 0 || this.#isRefused(unit)) return false;
    return pool!.mode === PoolMode.transaction && unit.end === framer.end;
  }

  #isRefused(unit: StatementUnit): boolean {
    return !unit.isExtended && this.#client.engine.settings.disablePqexec;
  }

  #defer(memory: Uint8Array, unit: StatementUnit): void {
    const client = this.#client;
    this.#phase = Phase.deferred;
    this.#text = memory.slice(unit.textStart, unit.textEnd);
    this.#unnamed = client.engine.statements.nextUnnamed();
    if (unit.isExtended) client.unnamed = this.#unnamed;
    this.#answeredAt = client.engine.turn.now;
    this.#wait(this.#delayMs);
  }

  /** Answers the unit that `framer` offers the first message of, and goes behind it. */
  #answer(framer: Framer, unit: StatementUnit, answers: Answers, transactionEnds: boolean): void {
    const client = this.#client;
    const { counters } = client.pool!.database;
    const { now } = client.engine.turn;
    let answer = answers.simple;
    if (unit.isExtended) answer = unit.isDescribed ? answers.described : answers.extended;
    counters.bytesReceived += unit.end - framer.at;
    counters.bytesSent += answer.length;
    client.clock.begin(counters, now);
    client.clock.end(counters, now, transactionEnds);
    passUnit(framer, unit, client.engine.settings.maxPacketSize);
    client.send(answer);
  }

  /** The empty transaction is over. */
  #forget(): void {
    const client = this.#client;
    if (client.waiting.queued) {
      client.pool!.leaveQueue(client);
      client.entered(ClientState.idle);
    }
    this.#isOverdue = false;
    this.#settle();
  }

  // ── Time ────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** No longer than it may be idle: then a server has it, and ends it for that. */
  get #delayMs(): number {
    const { engine, pool } = this.#client;
    const { settings } = engine;
    const idleMs = idleTransactionTimeoutMs(settings, pool!.user.entry);
    const wholeMs = transactionTimeoutMs(settings, pool!.user.entry);
    let delayMs = settings.deferredBeginMs;
    if (idleMs > 0) delayMs = Math.min(delayMs, idleMs);
    if (wholeMs > 0) delayMs = Math.min(delayMs, wholeMs);
    return delayMs;
  }

  #wait(ms: number): void {
    this.#timer?.cancel();
    this.#timer = this.#client.engine.world.clock.after(ms, () => this.#timeIsOver());
  }

  #timeIsOver(): void {
    const client = this.#client;
    this.#timer = null;
    if (client.isClosed || !this.isPending || client.server !== null || client.waiting.queued) return;
    this.#isOverdue = true;
    client.input.takeServer();
  }

  /** Why a client whose BEGIN waits for a server is to be closed; null: it may wait on. Limits of 0 are none. */
  overLimit(idleMs: number, transactionMs: number, now: number): string | null {
    if (!this.isPending) return null;
    if (this.#isOverdue && idleMs > 0 && now - this.#answeredAt > idleMs) return "idle transaction timeout";
    const { xactStart } = this.#client.clock;
    return transactionMs > 0 && xactStart > 0 && now - xactStart > transactionMs ? "transaction timeout" : null;
  }

  // ── A server ────────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * `server` is the client's from now on and knows nothing of its transaction: it is told. True when the client's messages must not follow yet:
   * `done` says when they may.
   */
  open(server: Server, done: () => void): boolean {
    if (!this.isPending) return false;
    const isAlone = this.#isOverdue;
    this.#isOverdue = false;
    this.#timer?.cancel();
    this.#timer = null;
    if (this.#phase === Phase.failed) {
      this.#openFailed(server, done);
      return true;
    }
    const { pipeline } = server;
    this.#server = server;
    this.#phase = isAlone ? Phase.alone : Phase.leading;
    server.unnamed = this.#unnamed;
    pipeline.push(Step.parse | UNNAMED, this, null);
    pipeline.push(Step.bind, this, null);
    pipeline.push(Step.execute, this, null);
    server.send(parseWithTail(UNNAMED_NAME, Buffer.concat([this.#text, NO_TYPES])));
    server.send(BIND_AND_EXECUTE);
    if (!isAlone) return false;
    pipeline.push(Step.sync, this, null);
    server.send(SYNC);
    // It is a query that runs, though it was counted when it was answered.
    this.#client.clock.queryStart = this.#client.engine.turn.now;
    return false;
  }

  #openFailed(server: Server, done: () => void): void {
    server.run(
      new Task(FAILED_TRANSACTION, (_error, status) => {
        if (status !== TransactionStatus.Failed) {
          server.close("deferred BEGIN failed");
          return;
        }
        this.#settle();
        done();
      }),
    );
  }

  answer(memory: Uint8Array, start: number, end: number): void {
    const client = this.#client;
    let isDone = false;
    let at = start;
    while (at < end) {
      const next = this.#pieces.behind(memory, at, end);
      if (this.#pieces.type === Backend.CommandComplete) isDone = true;
      if (this.#pieces.isUnasked && !client.isClosed) client.answer(memory, at, next);
      at = next;
    }
    if (!isDone || this.#phase !== Phase.leading) return;
    this.#settle();
    // Not now: somebody is in the middle of giving out answers.
    if (client.input.isStalled && !client.isClosed) client.engine.world.afterTurn(() => client.input.unitEnded());
  }

  /** The Sync behind a BEGIN that went alone. */
  ended(status: number): void {
    const client = this.#client;
    const server = this.#server;
    if (client.isClosed || server === null || client.server !== server) return;
    const { now } = client.engine.turn;
    client.clock.end(client.pool!.database.counters, now, false);
    if (this.#phase === Phase.alone) {
      this.#settle();
      // The client has been silent for longer than the server.
      server.usedAt = this.#answeredAt;
    } else if (status === TransactionStatus.Idle && server.mode === PoolMode.transaction) {
      this.#server = null;
      client.finishUnit(server);
    } else {
      server.close("deferred BEGIN failed");
    }
    client.input.unitEnded();
  }

  refused(memory: Uint8Array, at: number, size: number): void {
    const client = this.#client;
    const server = this.#server;
    if (client.isClosed || server === null || client.server !== server) return;
    const { plainSeverity, severity } = readErrorFields(memory, at, size);
    if ((plainSeverity ?? severity) === "FATAL" || plainSeverity === "PANIC") {
      // These are the server's last words, and the client's own end is near.
      client.answer(memory, at, at + size);
      return;
    }
    if (this.#phase === Phase.alone) {
      this.#phase = Phase.deferred;
      this.#wait(RETRY_MS);
      return;
    }
    if (size < messageBytes(memory, at)) {
      // An error of many pages, which comes in pieces.
      server.close("deferred BEGIN failed");
      return;
    }
    this.#server = null;
    this.#fail();
    client.answer(memory, at, at + size);
    client.input.unitRefused(server);
  }

  /** The first unit was cancelled before it was sent. True when there is a transaction that has failed with it. */
  cancelled(): boolean {
    if (!this.isPending) return false;
    this.#fail();
    return true;
  }

  #fail(): void {
    this.#phase = Phase.failed;
    this.#isOverdue = false;
    this.#wait(this.#delayMs);
  }

  /** The client lets go of `server`, to which it has sent whole messages only: what is open ends with a Sync. */
  leaves(server: Server): void {
    const { pipeline } = server;
    if (this.#phase !== Phase.leading || this.#server !== server || !pipeline.isOpen) return;
    // Nothing is committed by it: what follows is behind a BEGIN, or skipped.
    pipeline.push(Step.sync, this, null);
    server.send(SYNC);
  }

  /** The pooler is suspended: no server is asked for before `wake`. */
  rest(): void {
    this.#isOverdue = false;
    this.end();
  }

  wake(): void {
    const client = this.#client;
    if (this.isPending && this.#timer === null && client.server === null && !client.waiting.queued)
      this.#wait(this.#delayMs);
  }

  /** Written down, for another process; null: no transaction is pending. */
  written(): DeferredBeginForm | null {
    if (!this.isPending) return null;
    const { now } = this.#client.engine.turn;
    return {
      text: Buffer.from(this.#text).toString("base64"),
      hasFailed: this.isFailed,
      ageMs: Math.max(0, Math.round(now - this.#answeredAt)),
    };
  }

  /** As another process has written it; the client is not read from yet. */
  restore(form: DeferredBeginForm): void {
    const { engine } = this.#client;
    this.#phase = form.hasFailed ? Phase.failed : Phase.deferred;
    this.#text = Buffer.from(form.text, "base64");
    this.#unnamed = engine.statements.nextUnnamed();
    this.#answeredAt = engine.turn.now - form.ageMs;
    this.#client.clock.xactStart = this.#answeredAt;
  }

  /** Nothing of it is left to be done. */
  #settle(): void {
    this.#phase = Phase.none;
    this.#server = null;
    this.#text = UNNAMED_NAME;
    this.#timer?.cancel();
    this.#timer = null;
  }

  /** The client is gone. */
  end(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }
}

function answersWith(tag: string, ready: Uint8Array): Answers {
  const complete = commandComplete(tag);
  return {
    simple: Buffer.concat([complete, ready]),
    extended: Buffer.concat([PARSE_COMPLETE, BIND_COMPLETE, complete, ready]),
    described: Buffer.concat([PARSE_COMPLETE, BIND_COMPLETE, NO_DATA, complete, ready]),
  };
}
