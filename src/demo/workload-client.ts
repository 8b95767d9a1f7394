/**
 * One client of the workload: it does a task, thinks, does the next, as an application's session does. When its
 * connection is lost it says so and opens another one after a second.
 *
 *   connecting ──▶ thinking ──▶ asking ──▶ thinking … ──▶ ended
 *        ▲                        │ lost
 *        └──────── waits 1 s ◀────┘
 */
import { readErrorFields } from "../protocol/error-fields.ts";
import { HEADER_BYTES } from "../protocol/framer.ts";
import { TransactionStatus } from "../protocol/message-type.ts";
import { type AnswerReceiver, type WireConnection } from "./wire-connection.ts";
import { rollback, type Step, type Task, TaskMaker } from "./workload-tasks.ts";

/** What a client tells the workload that it belongs to. */
export interface WorkloadLedger {
  /** A connection that has logged in. Rejects with the reason why there is none. */
  connect(): Promise<WireConnection>;
  /** The mean pause now, in ms. */
  meanThinkMs(): number;
  connected(): void;
  lost(reason: string): void;
  answered(durationMs: number): void;
  /** A row, or the number of rows, was not what this client had asked for. */
  wrongAnswer(what: string): void;
  failed(message: string): void;
}

const reconnectMs = 1_000;
/** Columns and their count before the first value of a DataRow, and its length. */
const rowHeadBytes = HEADER_BYTES + 2 + 4;

export class WorkloadClient implements AnswerReceiver {
  readonly #ledger: WorkloadLedger;
  #connection: WireConnection | null = null;
  #tasks = new TaskMaker();
  #task: Task = [];
  #stepAt = 0;
  #asking = false;
  #askedAtMs = 0;
  #rows = 0;
  #stepFailed = false;
  #timer: NodeJS.Timeout | null = null;
  #ending: (() => void) | null = null;

  constructor(ledger: WorkloadLedger) {
    this.#ledger = ledger;
  }

  /** Logs in and begins to work. Rejects when the first login fails. */
  async start(): Promise<void> {
    const connection = await this.#ledger.connect();
    if (this.#ending !== null) {
      connection.end();
      return;
    }
    this.#connection = connection;
    this.#tasks = new TaskMaker();
    connection.receiver = this;
    this.#ledger.connected();
    this.#think();
  }

  /** Finishes the task it is at, says goodbye, and resolves. */
  end(): Promise<void> {
    return new Promise((resolve) => {
      this.#ending = resolve;
      if (!this.#asking) this.#leave();
    });
  }

  /** Drops the connection; an `end` that waits resolves. */
  destroy(): void {
    this.#connection?.destroy();
    this.#connection = null;
    this.#leave();
  }

  onRow(buf: Uint8Array, at: number, size: number): void {
    this.#rows += 1;
    const { expected } = this.#step;
    if (expected === null || !firstColumnIs(expected, buf, at, size)) {
      this.#ledger.wrongAnswer(`a row that is not about ${expected ?? "anything asked"}`);
    }
  }

  onError(buf: Uint8Array, at: number, size: number): void {
    const { code, message } = readErrorFields(buf, at, size);
    this.#stepFailed = true;
    this.#ledger.failed(`${message ?? "an error without a text"} (${code ?? "no SQLSTATE"})`);
  }

  onReady(status: TransactionStatus): void {
    if (!this.#asking) {
      this.#ledger.wrongAnswer("an answer that nobody asked for");
      return;
    }
    this.#ledger.answered(performance.now() - this.#askedAtMs);
    if (this.#stepFailed) {
      if (status === TransactionStatus.Idle) this.#endTask();
      else this.#ask([rollback], 0);
      return;
    }
    const { rows } = this.#step;
    if (this.#rows !== rows) this.#ledger.wrongAnswer(`${this.#rows} rows instead of ${rows}`);
    if (this.#stepAt + 1 < this.#task.length) this.#ask(this.#task, this.#stepAt + 1);
    else this.#endTask();
  }

  onLost(reason: string): void {
    this.#connection = null;
    this.#asking = false;
    this.#ledger.lost(reason);
    if (this.#ending !== null) this.#leave();
    else this.#startLater();
  }

  get #step(): Step {
    return this.#task[this.#stepAt] ?? rollback;
  }

  #ask(task: Task, stepAt: number): void {
    this.#task = task;
    this.#stepAt = stepAt;
    this.#rows = 0;
    this.#stepFailed = false;
    this.#asking = true;
    this.#askedAtMs = performance.now();
    this.#connection?.send(this.#step.bytes);
  }

  #endTask(): void {
    this.#asking = false;
    if (this.#ending !== null) this.#leave();
    else this.#think();
  }

  /** Pauses are spread as independent people's are: exponentially. */
  #think(): void {
    const pauseMs = -Math.log(1 - Math.random()) * this.#ledger.meanThinkMs();
    if (pauseMs < 0.5) this.#ask(this.#tasks.next(), 0);
    else this.#timer = setTimeout(() => this.#ask(this.#tasks.next(), 0), pauseMs);
  }

  #startLater(): void {
    this.#clearTimer();
    this.#timer = setTimeout(() => {
      this.start().catch((error: Error) => {
        this.#ledger.failed(error.message);
        if (this.#ending === null) this.#startLater();
      });
    }, reconnectMs);
  }

  #leave(): void {
    this.#clearTimer();
    this.#asking = false;
    this.#connection?.end();
    this.#connection = null;
    this.#ending?.();
  }

  #clearTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}

/** Is the first column of this DataRow the text `expected` (ASCII)? */
function firstColumnIs(expected: string, buf: Uint8Array, at: number, size: number): boolean {
  const length = expected.length;
  if (size < rowHeadBytes + length) return false;
  const lengthAt = at + HEADER_BYTES + 2;
  if (buf[lengthAt] !== 0 || buf[lengthAt + 1] !== 0 || buf[lengthAt + 2] !== 0 || buf[lengthAt + 3] !== length) {
    return false;
  }
  for (let index = 0; index < length; index += 1) {
    if (buf[at + rowHeadBytes + index] !== expected.charCodeAt(index)) return false;
  }
  return true;
}
