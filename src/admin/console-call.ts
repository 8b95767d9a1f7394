/**
 * One command being run for one client of the console: what it was given, and the answer it builds.
 *
 * Ends exactly once, by `done` or `fail`; whatever comes after that has no effect. Knows nothing of how the answer is
 * sent (`console-session.ts`).
 */
import type { LocalTime } from "../log/local-time.ts";
import type { Pooler } from "../pooler/pooler.ts";
import type { ErrorToSend } from "../protocol/error-messages.ts";
import type { Client } from "../session/client.ts";
import type { CellValue } from "./result-table.ts";

/** PgBouncer's for nearly all errors of its own. */
const PROTOCOL_VIOLATION = "08P01";
const QUERY_CANCELED = "57014";

/** A command's answer, complete. */
export type Answer =
  | {
      readonly kind: "done";
      readonly notices: readonly ErrorToSend[];
      readonly rows: readonly (readonly CellValue[])[];
      readonly tag: string;
      /** The client has been sent columns and rows. */
      readonly rowsAreSent: boolean;
    }
  | { readonly kind: "failed"; readonly error: ErrorToSend };

export interface CallInput {
  readonly pooler: Pooler;
  readonly client: Client;
  readonly localTime: LocalTime;
  readonly text: string;
  readonly argument: string;
  readonly value: string;
  /** It came as a Query: the command may send rows itself. */
  readonly isSimple: boolean;
}

export class ConsoleCall {
  readonly pooler: Pooler;
  /** Who gave the command. */
  readonly client: Client;
  /** For times that people read. */
  readonly localTime: LocalTime;
  /** What stands behind the command's word (for SET: the key); empty where nothing does. */
  readonly argument: string;
  /** What SET sets the key to. */
  readonly value: string;
  readonly isSimple: boolean;
  readonly #text: string;
  readonly #finish: (answer: Answer) => void;
  readonly #notices: ErrorToSend[] = [];
  readonly #rows: (readonly CellValue[])[] = [];
  #giveUp: () => void = () => {};
  #ended = false;

  constructor(input: CallInput, finish: (answer: Answer) => void) {
    this.pooler = input.pooler;
    this.client = input.client;
    this.localTime = input.localTime;
    this.argument = input.argument;
    this.value = input.value;
    this.isSimple = input.isSimple;
    this.#text = input.text;
    this.#finish = finish;
  }

  get hasEnded(): boolean {
    return this.#ended;
  }

  /** One row of the result: a value for each of the command's columns. */
  row(values: readonly CellValue[]): void {
    this.#rows.push(values);
  }

  notice(message: string, detail?: string): void {
    const notice = { severity: "NOTICE", code: "00000", message } as const;
    this.#notices.push(detail === undefined ? notice : { ...notice, detail });
  }

  done(tag: string): void {
    this.#end({ kind: "done", notices: this.#notices, rows: this.#rows, tag, rowsAreSent: false });
  }

  /** As `done`, for a command that has sent columns and rows itself. */
  answered(tag: string): void {
    this.#end({ kind: "done", notices: [], rows: [], tag, rowsAreSent: true });
  }

  fail(message: string, code: string = PROTOCOL_VIOLATION): void {
    this.#end({ kind: "failed", error: { severity: "ERROR", code, message } });
  }

  /** The text is no command. */
  invalid(): void {
    this.fail(invalidCommand(this.#text));
  }

  /** The answer comes later. `giveUp` is called when nobody waits for it any more. */
  waits(giveUp: () => void): void {
    this.#giveUp = giveUp;
  }

  /** What it waited for was taken back, or the client waits no longer. */
  cancelled(): void {
    this.#giveUp();
    this.fail("canceling statement due to user request", QUERY_CANCELED);
  }

  /** Nobody wants the answer any more. */
  abandon(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#giveUp();
  }

  #end(answer: Answer): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#finish(answer);
  }
}

/** PgBouncer's text for everything it does not understand. */
export function invalidCommand(text: string): string {
  return `invalid command '${text}', use SHOW HELP;`;
}
