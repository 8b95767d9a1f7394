/**
 * PostgreSQL's rules of answering, executable: one frontend message in, the types of its answers out. Written from the
 * protocol chapter "Message Flow" and from what a server does, and not from the pipeline that is checked against it.
 *
 *     ready ──error in the extended protocol──▶ skipping ──Sync──▶ ready
 *     ready ──COPY FROM STDIN──▶ copying ──CopyDone, CopyFail, error──▶ ready or skipping
 *
 * The recorded traces show that these rules are those of the real server.
 */
import type { ModelMessage, ModelStatement } from "./model-message.ts";

/** One backend message. */
export interface ModelAnswer {
  readonly type: string;
  /** Which message it answers, by its number; the messages of a COPY are answered as the statement that began it. */
  readonly to: number;
  readonly tag?: string;
}

export type ModelState = "ready" | "skipping" | "copying" | "dead";

interface RunningCopy {
  readonly number: number;
  readonly extended: boolean;
  /** Statements of the same Query behind it. */
  readonly rest: readonly ModelStatement[];
  readonly tag?: string;
}

export class ServerModel {
  state: ModelState = "ready";
  /** A message of the extended protocol was taken since the last ReadyForQuery. */
  open = false;
  /** Numbers of the messages that were skipped, or failed without being a terminator. */
  readonly undone = new Set<number>();
  #copy: RunningCopy | null = null;
  #answers: ModelAnswer[] = [];

  /** Nothing is expected from PostgreSQL before it is sent something. */
  get betweenUnits(): boolean {
    return this.state === "ready" && !this.open;
  }

  take(number: number, message: ModelMessage): ModelAnswer[] {
    this.#answers = [];
    switch (this.state) {
      case "copying":
        this.#copying(number, message);
        break;
      case "skipping":
        if (message.kind === "sync") this.#ready(number);
        else this.undone.add(number);
        break;
      case "ready":
        this.#obey(number, message);
        break;
      case "dead":
        break;
    }
    return this.#answers;
  }

  #say(type: string, to: number, tag?: string): void {
    this.#answers.push(tag === undefined ? { type, to } : { type, to, tag });
  }

  #ready(to: number): void {
    this.state = "ready";
    this.open = false;
    this.#say("Z", to);
  }

  /** An error of the extended protocol: nothing more is obeyed up to the next Sync. */
  #fail(number: number): void {
    this.#say("E", number);
    this.undone.add(number);
    this.state = "skipping";
  }

  #obey(number: number, message: ModelMessage): void {
    switch (message.kind) {
      case "parse":
      case "bind":
      case "close":
        this.open = true;
        if (message.fails === true) this.#fail(number);
        else this.#say(message.kind === "parse" ? "1" : message.kind === "bind" ? "2" : "3", number);
        break;
      case "describe":
        this.open = true;
        if (message.answer === "E") this.#fail(number);
        else for (const type of message.answer) this.#say(type, number);
        break;
      case "execute":
        this.open = true;
        this.#execute(number, message.statement);
        break;
      case "sync":
        // A deferred constraint is checked here.
        if (message.fails === true) this.#say("E", number);
        this.#ready(number);
        break;
      case "functionCall":
        this.#say(message.fails === true ? "E" : "V", number);
        this.#ready(number);
        break;
      case "query":
        if (message.statements.length === 0) this.#say("I", number);
        this.#run(number, message.statements);
        break;
      case "copyData":
      case "copyDone":
      case "copyFail":
        // "The backend must ignore them": they may be late ones of a COPY that has failed.
        break;
      case "flush":
        break;
    }
  }

  #execute(number: number, { rows, end, tag }: ModelStatement): void {
    if (end === "in" || end === "inE") {
      this.#beginCopy({ number, extended: true, rest: [], ...(tag === undefined ? {} : { tag }) }, end === "inE");
      return;
    }
    if (end === "out" || end === "outE") this.#copyOut(number, rows, end === "out");
    else for (let i = 0; i < rows; i++) this.#say("D", number);
    if (end === "E" || end === "outE") this.#fail(number);
    else if (end === "out") this.#say("C", number, tag);
    else this.#say(end, number, tag);
  }

  #run(number: number, statements: readonly ModelStatement[]): void {
    for (const [index, { rows, end, tag }] of statements.entries()) {
      if (end === "in" || end === "inE") {
        this.#beginCopy(
          { number, extended: false, rest: statements.slice(index + 1), ...(tag === undefined ? {} : { tag }) },
          end === "inE",
        );
        return;
      }
      if (end === "out" || end === "outE") this.#copyOut(number, rows, end === "out");
      else {
        if (rows > 0) this.#say("T", number);
        for (let i = 0; i < rows; i++) this.#say("D", number);
      }
      if (end === "E" || end === "outE") {
        this.#say("E", number);
        break;
      }
      this.#say(end === "out" ? "C" : end, number, tag);
    }
    this.#ready(number);
  }

  #copyOut(number: number, rows: number, succeeds: boolean): void {
    this.#say("H", number);
    for (let i = 0; i < rows; i++) this.#say("d", number);
    if (succeeds) this.#say("c", number);
  }

  #beginCopy(copy: RunningCopy, fails: boolean): void {
    this.#say("G", copy.number);
    this.#copy = copy;
    this.state = "copying";
    if (fails) this.#copyFails(copy);
  }

  #copying(number: number, message: ModelMessage): void {
    const copy = this.#copy as RunningCopy;
    switch (message.kind) {
      case "copyData":
        if (message.bad === true) this.#copyFails(copy);
        break;
      case "copyFail":
        this.#copyFails(copy);
        break;
      case "copyDone":
        if (message.fails === true) {
          this.#copyFails(copy);
          break;
        }
        this.#copy = null;
        this.state = "ready";
        this.#say("C", copy.number, copy.tag);
        if (!copy.extended) this.#run(copy.number, copy.rest);
        break;
      case "flush":
      case "sync":
        // Taken as part of the COPY, for clients that send them without knowing what they execute.
        break;
      case "parse":
      case "bind":
      case "describe":
      case "execute":
      case "close":
      case "query":
      case "functionCall":
        // Anything else is an error, and behind it the stream cannot be understood any more: FATAL.
        this.#say("E", copy.number);
        this.#say("E", number);
        this.state = "dead";
    }
  }

  #copyFails(copy: RunningCopy): void {
    this.#copy = null;
    if (copy.extended) {
      this.#fail(copy.number);
      return;
    }
    this.#say("E", copy.number);
    this.#ready(copy.number);
  }
}
