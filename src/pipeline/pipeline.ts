/**
 * The ordered queue of what has been sent to one server and not yet fully answered.
 *
 * Everything sent to a server after its login is a step here, a client's messages and our own alike, and every byte that
 * comes back belongs to the step at the head: it is forwarded to the step's owner, swallowed, or followed by an answer
 * that is put in. Nothing else reads from a server.
 *
 *      head                                                tail
 *       │ Parse│Bind│Execute│Sync ║ Query ║ Parse(swallow)│Bind …
 *       └ answers go here                  ║ = end of an entry (ReadyForQuery)
 *
 * After an ErrorResponse to a step of the extended protocol PostgreSQL skips everything up to the next Sync, a Query
 * too; the same steps are dropped here, and what was remembered about them is undone. During COPY FROM
 * STDIN PostgreSQL swallows Syncs; so do we.
 *
 * Responsible for: order, ownership, and which bytes go where. Not for: sockets, what a message says, when a server is
 * given back.
 *
 * Invariants: an answer is given to the owner of the step it answers; a step leaves exactly once; answers that are put
 * in keep their place in the order. A server whose answers do not fit the steps is reported broken, never guessed at.
 *
 * Counterpart: PgBouncer's outstanding requests (`server.c`, `objects.c`). Protocol chapter: "Message Flow".
 */
import type { Framer } from "../protocol/framer.ts";
import { Backend } from "../protocol/message-type.ts";
import { KIND_MASK, PUT_IN, Step, SWALLOW, isTerminator } from "./step.ts";

/** Who gets the answers of an entry: a client, or a task of our own. */
export interface EntryOwner {
  /** The bytes [start, end) of `memory` are the next of this owner's answers. The memory stays as it is. */
  answer(memory: Uint8Array, start: number, end: number): void;
  /** ReadyForQuery ended an entry; its bytes were given before. `status`: `I`, `T` or `E` as a byte. */
  ended(status: number): void;
}

/** Something that was remembered when a message was sent, and must be forgotten when the server has skipped it. */
export interface Undoable {
  undo(): void;
}

/** What the pipeline tells the server it belongs to. Any of these may close the server. */
export interface PipelineHost {
  /** ReadyForQuery ended an entry of `owner`; its bytes were forwarded before. The host tells the owner. */
  ready(owner: EntryOwner | null, status: number): void;
  /** An ErrorResponse for `owner`, whole when it is not longer than `HELD_ANSWER_BYTES`. Before it is forwarded. */
  failed(owner: EntryOwner | null, memory: Uint8Array, at: number, size: number): void;
  /** A CommandComplete whose tag begins with `D`: DEALLOCATE ALL, DISCARD ALL, DELETE … */
  completed(owner: EntryOwner | null, memory: Uint8Array, at: number, size: number): void;
  parameterStatus(memory: Uint8Array, at: number, size: number): void;
  /** A message came although nobody asked for anything and nobody holds the server. */
  stray(type: number, memory: Uint8Array, at: number, size: number): void;
  /** The server's answers make no sense; `reason` is for the log. It must be closed. */
  broken(reason: string): void;
}

/** Longer answers than this are passed on as they come and not looked into. */
export const HELD_ANSWER_BYTES = 16 * 1024;

/** A client that has sent this many messages without an answer is not read from until some have been answered. */
export const STEPS_MAX = 16 * 1024;

const PARSE_COMPLETE = Uint8Array.of(Backend.ParseComplete, 0, 0, 0, 4);
const CLOSE_COMPLETE = Uint8Array.of(Backend.CloseComplete, 0, 0, 0, 4);

const FIRST_CAPACITY = 16;
const LETTER_D = 0x44;

export class Pipeline {
  readonly #host: PipelineHost;
  // A ring of steps, its capacity a power of two.
  #steps: number[] = [];
  #owners: (EntryOwner | null)[] = [];
  #refs: (Undoable | null)[] = [];
  #head = 0;
  #count = 0;
  #mask = -1;
  /** Messages of the extended protocol were sent and no Sync behind them: PostgreSQL has an implicit transaction open. */
  #open = false;
  /** An error was answered and its Sync has not been sent yet. */
  #skipping = false;
  /** The server takes COPY data. */
  #copyIn = false;
  /** The CopyDone or CopyFail of the running COPY has been sent. */
  #copyEndSent = false;
  /** Who gets the rest of an answer that is streamed; null also when there is none. */
  #restOwner: EntryOwner | null = null;
  #closed = false;
  /** Who gets messages that nobody asked for while nothing is outstanding: the client that holds the server. */
  linked: EntryOwner | null = null;

  constructor(host: PipelineHost) {
    this.#host = host;
  }

  /** Steps not yet answered. */
  get length(): number {
    return this.#count;
  }

  /** Between units: everything sent has been answered, up to a ReadyForQuery. */
  get isEmpty(): boolean {
    return this.#count === 0 && !this.#open && !this.#skipping && !this.#copyIn;
  }

  /** The server ignores whatever comes before the next Sync. */
  get isSkipping(): boolean {
    return this.#skipping;
  }

  /** The server is in COPY FROM STDIN and waits for data. */
  get inCopy(): boolean {
    return this.#copyIn;
  }

  /** Its owner has the beginning of a message and not its end: anything else written to it now would be garbage. */
  get isMidAnswer(): boolean {
    return this.#restOwner !== null;
  }

  /** The owner of the step that is being answered. */
  get headOwner(): EntryOwner | null {
    return this.#count === 0 ? this.linked : (this.#owners[this.#head] as EntryOwner | null);
  }

  get full(): boolean {
    return this.#count >= STEPS_MAX;
  }

  /** Nothing is read or told any more. */
  close(): void {
    this.#closed = true;
    this.linked = null;
    this.#count = 0;
    this.#owners = [];
    this.#refs = [];
    this.#steps = [];
  }

  /**
   * A message was sent to the server, or with `PUT_IN` would have been.
   * `step`: a kind of `Step` with `SWALLOW` or `PUT_IN`; `ref`: undone when the server skips the message.
   */
  push(step: number, owner: EntryOwner | null, ref: Undoable | null): void {
    const kind = step & KIND_MASK;
    if (this.#skipping) {
      if (kind !== Step.sync) {
        ref?.undo();
        return;
      }
      this.#skipping = false;
    } else if (this.#copyIn && !this.#copyEndSent && kind === Step.sync) {
      return;
    }
    if (kind === Step.copyEnd) {
      // Behind the answer, or without a COPY at all, PostgreSQL ignores it.
      if (this.#count === 0 || this.#copyEndSent) return;
      this.#copyEndSent = this.#copyIn;
    } else {
      this.#open = !isTerminator(step);
    }
    if ((step & PUT_IN) !== 0 && this.#count === 0) {
      owner?.answer(putInAnswer(kind), 0, 5);
      return;
    }
    if (this.#count > this.#mask) this.#grow();
    const at = (this.#head + this.#count) & this.#mask;
    this.#steps[at] = step;
    this.#owners[at] = owner;
    this.#refs[at] = ref;
    this.#count++;
  }

  /** Gives all that is offered by `framer` to those who asked for it. `maxBytes`: the longest message allowed. */
  receive(framer: Framer, maxBytes: number): void {
    const memory = framer.buf;
    // A run of neighbouring messages for one owner is forwarded as one slice.
    let runOwner: EntryOwner | null = null;
    let runStart = 0;
    let runEnd = 0;
    while (framer.next(maxBytes)) {
      const at = framer.at;
      const end = at + framer.available;
      if (framer.continues) {
        const rest = this.#restOwner;
        if (framer.last) this.#restOwner = null;
        framer.advance();
        if (rest === null) continue;
        if (runOwner !== null) runOwner.answer(memory, runStart, runEnd);
        runOwner = rest;
        runStart = at;
        runEnd = end;
        continue;
      }
      const type = framer.type;
      const size = framer.size;
      if (type !== Backend.DataRow && type !== Backend.CopyData && end - at < size && size <= HELD_ANSWER_BYTES) {
        framer.hold();
        break;
      }
      framer.advance();
      let owner: EntryOwner | null;
      let kind = 0;
      if (this.#count > 0) {
        const step = this.#steps[this.#head] as number;
        kind = step & KIND_MASK;
        owner =
          (step & SWALLOW) === 0 || type === Backend.ErrorResponse ? (this.#owners[this.#head] as EntryOwner) : null;
      } else {
        owner = this.linked;
      }
      if (end - at < size) this.#restOwner = owner;
      if (owner !== runOwner || runEnd !== at) {
        if (runOwner !== null) runOwner.answer(memory, runStart, runEnd);
        runOwner = owner;
        runStart = at;
      }
      runEnd = end;
      if (type === Backend.DataRow || type === Backend.CopyData) continue;

      if (type === Backend.ReadyForQuery) {
        if (!isTerminator(kind)) {
          if (runOwner !== null) runOwner.answer(memory, runStart, at);
          this.#host.broken("ReadyForQuery that nobody asked for");
          return;
        }
        const asker = this.#owners[this.#head] as EntryOwner | null;
        if (runOwner !== null) runOwner.answer(memory, runStart, end);
        runOwner = null;
        this.#pop();
        this.#settleHead();
        this.#host.ready(asker, memory[at + 5] as number);
        if (this.#closed) return;
        continue;
      }
      const before = this.#count;
      if (!this.#answered(type, kind, memory, at, end)) {
        if (runOwner !== null && !this.#closed) runOwner.answer(memory, runStart, at);
        if (!this.#closed) this.#host.broken(`message '${String.fromCharCode(type)}' does not answer what was asked`);
        return;
      }
      if (this.#closed) return;
      if (this.#count !== before && this.#count > 0 && needsNoAnswer(this.#steps[this.#head] as number)) {
        if (runOwner !== null) runOwner.answer(memory, runStart, runEnd);
        runOwner = null;
        this.#settleHead();
      }
    }
    if (runOwner !== null) runOwner.answer(memory, runStart, runEnd);
    if (framer.broken) this.#host.broken("bad packet header");
  }

  /** Changes the queue as the message `type` says. False when it does not answer the step at the head. */
  #answered(type: number, kind: number, memory: Uint8Array, at: number, end: number): boolean {
    switch (type) {
      case Backend.CommandComplete:
        if (this.#copyIn) this.#endCopy();
        if (memory[at + 5] === LETTER_D) this.#host.completed(this.headOwner, memory, at, end - at);
        if (kind === Step.execute) this.#pop();
        else return kind === Step.query;
        return true;
      case Backend.EmptyQueryResponse:
      case Backend.PortalSuspended:
        if (kind === Step.execute) this.#pop();
        else return kind === Step.query;
        return true;
      case Backend.ParseComplete:
        if (kind !== Step.parse) return false;
        this.#pop();
        return true;
      case Backend.BindComplete:
        if (kind !== Step.bind) return false;
        this.#pop();
        return true;
      case Backend.CloseComplete:
        if (kind !== Step.close) return false;
        this.#pop();
        return true;
      case Backend.RowDescription:
      case Backend.NoData:
        if (kind === Step.describe) this.#pop();
        return true;
      case Backend.ErrorResponse:
        this.#host.failed(this.headOwner, memory, at, end - at);
        if (!this.#closed && this.#count > 0) {
          if (this.#copyIn) this.#endCopy();
          if (!isTerminator(kind)) this.#skipToSync();
        }
        return true;
      case Backend.CopyInResponse:
      case Backend.CopyBothResponse:
        if (kind !== Step.query && kind !== Step.execute) return false;
        this.#beginCopy();
        return true;
      case Backend.ParameterStatus:
        this.#host.parameterStatus(memory, at, end - at);
        return true;
      case Backend.CopyOutResponse:
      case Backend.CopyDone:
      case Backend.ParameterDescription:
      case Backend.FunctionCallResponse:
        return kind !== 0;
      case Backend.NoticeResponse:
      case Backend.NotificationResponse:
        if (this.#count === 0 && this.linked === null) this.#host.stray(type, memory, at, end - at);
        return true;
      default:
        return false;
    }
  }

  #pop(): void {
    this.#owners[this.#head] = null;
    this.#refs[this.#head] = null;
    this.#head = (this.#head + 1) & this.#mask;
    this.#count--;
  }

  /**
   * Gives answers that wait at the head to their owners, and drops the end of a COPY behind a statement that turned out
   * not to be one: PostgreSQL ignores it.
   */
  #settleHead(): void {
    while (this.#count > 0) {
      const step = this.#steps[this.#head] as number;
      if (!needsNoAnswer(step)) return;
      const owner = this.#owners[this.#head] as EntryOwner | null;
      this.#pop();
      if ((step & PUT_IN) !== 0) owner?.answer(putInAnswer(step & KIND_MASK), 0, 5);
    }
  }

  /** The last of the skipped is undone first: a name that was closed and taken again gets its old meaning back. */
  #skipToSync(): void {
    const undone: Undoable[] = [];
    this.#skipping = true;
    while (this.#count > 0) {
      if (((this.#steps[this.#head] as number) & KIND_MASK) === Step.sync) {
        this.#skipping = false;
        break;
      }
      const ref = this.#refs[this.#head] as Undoable | null;
      if (ref !== null) undone.push(ref);
      this.#pop();
    }
    for (let i = undone.length - 1; i >= 0; i--) undone[i]?.undo();
  }

  /** PostgreSQL reads Syncs as part of the COPY until its end has come. */
  #beginCopy(): void {
    this.#copyIn = true;
    this.#copyEndSent = false;
    let kept = 1;
    for (let i = 1; i < this.#count; i++) {
      const from = (this.#head + i) & this.#mask;
      const step = this.#steps[from] as number;
      const kind = step & KIND_MASK;
      if (kind === Step.sync && !this.#copyEndSent) continue;
      if (kind === Step.copyEnd) this.#copyEndSent = true;
      this.#keep(from, kept++);
    }
    this.#truncate(kept);
  }

  /** The COPY is over, by its completion or by an error: the end that the client sent needs no answer. */
  #endCopy(): void {
    this.#copyIn = false;
    this.#copyEndSent = false;
    let kept = 1;
    let found = false;
    for (let i = 1; i < this.#count; i++) {
      const from = (this.#head + i) & this.#mask;
      if (!found && ((this.#steps[from] as number) & KIND_MASK) === Step.copyEnd) {
        found = true;
        continue;
      }
      this.#keep(from, kept++);
    }
    this.#truncate(kept);
  }

  #keep(from: number, index: number): void {
    const to = (this.#head + index) & this.#mask;
    this.#steps[to] = this.#steps[from] as number;
    this.#owners[to] = this.#owners[from] as EntryOwner | null;
    this.#refs[to] = this.#refs[from] as Undoable | null;
  }

  #truncate(count: number): void {
    for (let i = count; i < this.#count; i++) {
      const at = (this.#head + i) & this.#mask;
      this.#owners[at] = null;
      this.#refs[at] = null;
    }
    this.#count = count;
  }

  #grow(): void {
    const capacity = this.#mask < 0 ? FIRST_CAPACITY : (this.#mask + 1) * 2;
    const steps: number[] = [];
    const owners: (EntryOwner | null)[] = [];
    const refs: (Undoable | null)[] = [];
    for (let i = 0; i < capacity; i++) {
      const from = (this.#head + i) & this.#mask;
      steps.push(i < this.#count ? (this.#steps[from] as number) : 0);
      owners.push(i < this.#count ? (this.#owners[from] as EntryOwner | null) : null);
      refs.push(i < this.#count ? (this.#refs[from] as Undoable | null) : null);
    }
    this.#steps = steps;
    this.#owners = owners;
    this.#refs = refs;
    this.#head = 0;
    this.#mask = capacity - 1;
  }
}

function needsNoAnswer(step: number): boolean {
  return (step & PUT_IN) !== 0 || (step & KIND_MASK) === Step.copyEnd;
}

function putInAnswer(kind: number): Uint8Array {
  return kind === Step.parse ? PARSE_COMPLETE : CLOSE_COMPLETE;
}
