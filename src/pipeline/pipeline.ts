/**
 * The ordered queue of what has been sent to one server and not yet fully answered. Long, and one thing: who is owed which
 * answer is one state, and every method here reads or changes all of it.
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
 * STDIN PostgreSQL swallows Syncs; so do we. Which of them it had read when a COPY fails only PostgreSQL knows: a
 * ReadyForQuery too many is expected then, and the server is not used again.
 *
 * Responsible for: order, ownership, and which bytes go where. Not for: sockets, what a message says, when a server is
 * given back.
 *
 * Invariants: an answer is given to the owner of the step it answers; a step leaves exactly once; answers that are put
 * in keep their place in the order. A server whose answers do not fit the steps is reported broken, never guessed at; but one
 * whose steps nobody has told us (another pooler has sent them) is believed up to its next ReadyForQuery.
 *
 * Counterpart: PgBouncer's outstanding requests (`server.c`, `objects.c`). Protocol chapter: "Message Flow".
 */
import type { Framer } from "../protocol/framer.ts";
import { Backend } from "../protocol/message-type.ts";
import { Effect, effectOf } from "./answer-table.ts";
import type { PipelineForm } from "./pipeline-form.ts";
import { KIND_MASK, NOBODY, PUT_IN, Step, SWALLOW, UNNAMED, isTerminator } from "./step.ts";

/** Who gets the answers of an entry: a client, or a task of our own. */
export interface EntryOwner {
  /** The bytes [start, end) of `memory` are the next of this owner's answers. The memory stays as it is. */
  answer(memory: Uint8Array, start: number, end: number): void;
  /** ReadyForQuery ended an entry; its bytes were given before. `status`: `I`, `T` or `E` as a byte. */
  ended(status: number): void;
}

/** Something that was remembered when a Parse or Close was sent. */
export interface Undoable {
  /** The server has failed or skipped it: as if it had never been sent. */
  undo(): void;
}

/** What the pipeline tells the server it belongs to. Any of these may close the server. */
export interface PipelineHost {
  /** ReadyForQuery ended an entry of `owner`; its bytes were forwarded before. The host tells the owner. */
  ready(owner: EntryOwner | null, status: number): void;
  /**
   * ReadyForQuery with an open transaction is about to be given to `owner`: true keeps it from it. The host ends the
   * owner when `ready` comes, with an error that a ReadyForQuery must not precede.
   */
  withholdsReady(owner: EntryOwner | null): boolean;
  /** An ErrorResponse for `owner`, whole when it is not longer than `HELD_ANSWER_BYTES`. Before it is forwarded. */
  failed(owner: EntryOwner | null, memory: Uint8Array, at: number, size: number): void;
  /** The Parse of the unnamed statement that was sent last came to nothing. */
  unnamedLost(): void;
  /** A CommandComplete whose tag begins as those do that change what others see or have: DISCARD, CREATE, ALTER, DROP … */
  completed(owner: EntryOwner | null, memory: Uint8Array, at: number, size: number): void;
  parameterStatus(memory: Uint8Array, at: number, size: number): void;
  /**
   * A message came although nobody asked for anything and nobody holds the server. With the type ReadyForQuery and no
   * bytes: one more of them may be still to come, for a Sync within a COPY that has failed.
   */
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
const READY_BYTES = 6;
const IDLE = 0x49;
const LETTER_A = 0x41;
const LETTER_C = 0x43;
const LETTER_D = 0x44;
const LETTER_I = 0x49;
const LETTER_M = 0x4d;
const LETTER_R = 0x52;
const NO_BYTES = new Uint8Array(0);

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
  /** Steps with something to undo: all, and those sent since the last Sync. */
  #refsCount = 0;
  #refsOfUnit = 0;
  /** An error was answered and its Sync has not been sent yet. */
  #skipping = false;
  /** The server takes COPY data. */
  #copyIn = false;
  /** The CopyDone or CopyFail of the running COPY has been sent. */
  #copyEndSent = false;
  /** Syncs sent into the running COPY before its end. */
  #syncsInCopy = 0;
  /** A COPY with such Syncs has failed: as many ReadyForQuery as this may come for those it had not read. */
  #lateReadies = 0;
  #lateOwner: EntryOwner | null = null;
  /** It was a Query: its own ReadyForQuery comes before them. */
  #ownReadyFirst = false;
  /** Who gets the rest of an answer that is streamed; null also when there is none. */
  #restOwner: EntryOwner | null = null;
  /** Another pooler has sent we do not know what to the server. */
  #unknown = false;
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
    return this.#count === 0 && !this.#open && !this.#skipping && !this.#copyIn && !this.#unknown;
  }

  /** It is not known what the server has been asked, if anything. */
  get isUnknown(): boolean {
    return this.#unknown;
  }

  /**
   * Something that was to change before the last Sync, and that `undo` may take back, has not been answered: what a name
   * means now is not known yet. Behind the same Sync it is: what fails with it is skipped with it.
   */
  get isUndecided(): boolean {
    return this.#refsCount > this.#refsOfUnit;
  }

  /** Messages of the extended protocol were sent and no Sync behind them. */
  get isOpen(): boolean {
    return this.#open;
  }

  /** The server takes COPY data, and the end of them has not been sent. */
  get awaitsCopyEnd(): boolean {
    return this.#copyIn && !this.#copyEndSent;
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

  /**
   * Written down, between two messages. Null when something in it is neither `linked`'s nor nobody's. What is `aside`'s becomes `linked`'s, who hears
   * of it only if it fails.
   */
  written(aside: EntryOwner | null = null): PipelineForm | null {
    const steps: number[] = [];
    for (let i = 0; i < this.#count; i++) {
      const at = (this.#head + i) & this.#mask;
      const owner = this.#owners[at] as EntryOwner | null;
      if (owner !== null && owner !== this.linked && owner !== aside) return null;
      const swallow = owner !== null && owner === aside ? SWALLOW : 0;
      steps.push((this.#steps[at] as number) | (owner === null ? NOBODY : swallow));
    }
    if (this.#restOwner !== null || this.#unknown) return null;
    return {
      steps,
      open: this.#open,
      skipping: this.#skipping,
      copyIn: this.#copyIn,
      copyEndSent: this.#copyEndSent,
      syncsInCopy: this.#syncsInCopy,
      lateReadies: this.#lateReadies,
      ownReadyFirst: this.#ownReadyFirst,
      undecided: this.#refsCount > 0,
    };
  }

  /** What was written down goes on for `owner`, in a pipeline in which nothing has happened. Null: it is not known. */
  restore(form: PipelineForm | null, owner: EntryOwner): void {
    this.linked = owner;
    if (form === null) {
      this.#unknown = true;
      return;
    }
    for (const step of form.steps) this.push(step & ~NOBODY, (step & NOBODY) === 0 ? owner : null, null);
    this.#open = form.open;
    this.#skipping = form.skipping;
    this.#copyIn = form.copyIn;
    this.#copyEndSent = form.copyEndSent;
    this.#syncsInCopy = form.syncsInCopy;
    this.#lateReadies = form.lateReadies;
    this.#lateOwner = form.lateReadies > 0 ? owner : null;
    this.#ownReadyFirst = form.ownReadyFirst;
  }

  /** Nothing is read or told any more. */
  close(): void {
    this.#closed = true;
    this.linked = null;
    this.#lateOwner = null;
    this.#count = 0;
    this.#owners = [];
    this.#refs = [];
    this.#refsCount = 0;
    this.#refsOfUnit = 0;
    this.#steps = [];
  }

  /**
   * A message was sent to the server, or with `PUT_IN` would have been.
   * `step`: a kind of `Step` with `SWALLOW` or `PUT_IN`; `ref`: undone when the server skips the message.
   */
  push(step: number, owner: EntryOwner | null, ref: Undoable | null): void {
    if (this.#closed) return;
    const kind = step & KIND_MASK;
    if (this.#skipping) {
      if (kind !== Step.sync) {
        if ((step & UNNAMED) !== 0) this.#host.unnamedLost();
        ref?.undo();
        return;
      }
      this.#skipping = false;
    } else if (this.#copyIn && !this.#copyEndSent && kind === Step.sync) {
      this.#syncsInCopy++;
      return;
    }
    if (kind === Step.copyEnd) {
      // Behind the answer PostgreSQL ignores it. A second one may be for the next COPY of the same Query.
      if (this.#count === 0) return;
      this.#copyEndSent = this.#copyIn;
    } else {
      this.#open = !isTerminator(step);
      if (kind === Step.sync) this.#refsOfUnit = 0;
    }
    if ((step & PUT_IN) !== 0 && this.#count === 0 && this.#restOwner === null) {
      owner?.answer(putInAnswer(kind), 0, 5);
      return;
    }
    if (this.#count > this.#mask) this.#grow();
    const at = (this.#head + this.#count) & this.#mask;
    this.#steps[at] = step;
    this.#owners[at] = owner;
    this.#refs[at] = ref;
    this.#count++;
    if (ref === null) return;
    this.#refsCount++;
    this.#refsOfUnit++;
  }

  /** What `from` has asked is `to`'s from now on, whoever `linked` was. */
  replaceOwner(from: EntryOwner, to: EntryOwner): void {
    for (let i = 0; i < this.#count; i++) {
      const at = (this.#head + i) & this.#mask;
      if (this.#owners[at] === from) this.#owners[at] = to;
    }
    if (this.#lateOwner === from) this.#lateOwner = to;
    if (this.#restOwner === from) this.#restOwner = to;
    if (this.linked === from) this.linked = to;
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
      let end = at + framer.available;
      const size = framer.size;
      if (framer.continues) {
        framer.advance();
        const rest = this.#restOwner;
        if (rest !== runOwner || runEnd !== at) {
          if (runOwner !== null) runOwner.answer(memory, runStart, runEnd);
          runOwner = rest;
          runStart = at;
        }
        runEnd = end;
        if (end - at < size) continue;
        this.#restOwner = null;
      } else {
        const type = framer.type;
        if (type === Backend.DataRow || type === Backend.CopyData) {
          if (end - at === size) end = framer.advanceRun(maxBytes);
          else framer.advance();
        } else if (end - at < size && size <= HELD_ANSWER_BYTES) {
          framer.hold();
          break;
        } else {
          framer.advance();
        }
        const kind = this.#count === 0 ? 0 : (this.#steps[this.#head] as number) & KIND_MASK;
        let effect = effectOf(kind, type);
        let late = false;
        if (type === Backend.ReadyForQuery) {
          late = this.#lateReadies > 0 && !this.#ownReadyFirst && kind !== Step.sync;
          if (late) effect = Effect.ready;
          if (size !== READY_BYTES || this.#copyIn) effect = Effect.forbidden;
        }
        const foreign = effect === Effect.forbidden && this.#unknown;
        if (foreign) effect = type === Backend.ReadyForQuery && size === READY_BYTES ? Effect.ready : Effect.passes;
        if (effect === Effect.forbidden) {
          if (runOwner !== null) runOwner.answer(memory, runStart, runEnd);
          this.#host.broken(`message '${String.fromCharCode(type)}' does not answer what was asked`);
          return;
        }
        const owner = late ? this.#lateOwner : foreign ? this.linked : this.#ownerOf(type);
        if (end - at < size) this.#restOwner = owner;
        // What is told to the host may close the server: what came before goes first.
        if (owner !== runOwner || runEnd !== at || effect >= Effect.error) {
          if (runOwner !== null) runOwner.answer(memory, runStart, runEnd);
          runOwner = owner;
          runStart = at;
        }
        runEnd = end;
        if (effect === Effect.passes) continue;
        if (effect === Effect.ready) {
          const status = memory[at + 5] as number;
          const withheld = status !== IDLE && this.#host.withholdsReady(owner);
          if (runOwner !== null) runOwner.answer(memory, runStart, withheld ? at : end);
          runOwner = null;
          if (foreign) this.#becomeKnown(status);
          else this.#becomeReady(late, status);
        } else {
          this.#apply(effect, kind, type, memory, at, end);
        }
        if (this.#closed) return;
      }
      if (this.#count > 0 && this.#restOwner === null && needsNoAnswer(this.#steps[this.#head] as number)) {
        if (runOwner !== null) runOwner.answer(memory, runStart, runEnd);
        runOwner = null;
        this.#settleHead();
      }
    }
    if (runOwner !== null) runOwner.answer(memory, runStart, runEnd);
    if (framer.broken) this.#host.broken("bad packet header");
  }

  /** Who gets a message that comes now; errors are not swallowed. */
  #ownerOf(type: number): EntryOwner | null {
    if (this.#count === 0) return this.linked;
    const step = this.#steps[this.#head] as number;
    if ((step & SWALLOW) !== 0 && type !== Backend.ErrorResponse) return null;
    return this.#owners[this.#head] as EntryOwner | null;
  }

  /** A ReadyForQuery has been forwarded. `late`: it is for a Sync that a failed COPY had not read. */
  #becomeReady(late: boolean, status: number): void {
    let asker = this.#lateOwner;
    if (late) {
      this.#lateReadies--;
      if (this.#skipping) {
        this.#skipping = false;
        this.#open = false;
      }
    } else {
      asker = this.#owners[this.#head] as EntryOwner | null;
      this.#ownReadyFirst = false;
      this.#pop();
      this.#settleHead();
    }
    // The one that has come may have been for what another pooler has sent.
    if (this.#lateReadies > 0 || this.#unknown) this.#host.stray(Backend.ReadyForQuery, NO_BYTES, 0, 0);
    this.#unknown = false;
    if (!this.#closed) this.#host.ready(asker, status);
  }

  /** ReadyForQuery of something that another pooler has sent. */
  #becomeKnown(status: number): void {
    this.#unknown = false;
    this.#host.ready(this.linked, status);
  }

  /** Changes the queue as the answer says, and tells the host what concerns it. */
  #apply(effect: number, kind: number, type: number, memory: Uint8Array, at: number, end: number): void {
    switch (effect) {
      case Effect.answers:
        this.#lateReadies = 0;
        this.#pop();
        return;
      case Effect.concludes:
        this.#lateReadies = 0;
        return;
      case Effect.completes:
        this.#lateReadies = 0;
        if (this.#copyIn) this.#endCopy();
        if (mayChangeMore(memory[at + 5] as number, memory[at + 6] as number))
          this.#host.completed(this.headOwner, memory, at, end - at);
        if (kind === Step.execute && !this.#closed) this.#pop();
        return;
      case Effect.beginsCopy:
        this.#lateReadies = 0;
        this.#beginCopy();
        return;
      case Effect.error:
        this.#host.failed(this.headOwner, memory, at, end - at);
        if (!this.#closed && this.#count > 0) this.#fail(kind);
        return;
      case Effect.parsed:
        this.#steps[this.#head] = (this.#steps[this.#head] as number) & ~UNNAMED;
        return;
      case Effect.parameterStatus:
        this.#host.parameterStatus(memory, at, end - at);
        return;
      default:
        if (this.#count === 0 && this.linked === null) this.#host.stray(type, memory, at, end - at);
    }
  }

  /** The step at the head was answered with an error. */
  #fail(kind: number): void {
    this.#lateReadies = 0;
    if (this.#copyIn) {
      const step = this.#steps[this.#head] as number;
      this.#lateReadies = this.#syncsInCopy;
      this.#lateOwner = (step & SWALLOW) === 0 ? (this.#owners[this.#head] as EntryOwner | null) : null;
      this.#ownReadyFirst = kind === Step.query;
      this.#endCopy();
    }
    if (!isTerminator(kind)) this.#skipToSync();
    else if (((this.#steps[this.#head] as number) & UNNAMED) !== 0) this.#unitLosesUnnamed();
  }

  /** The unit at the head has failed before its Parse was answered. */
  #unitLosesUnnamed(): void {
    this.#steps[this.#head] = (this.#steps[this.#head] as number) & ~UNNAMED;
    if (!this.#parsesUnnamed) this.#host.unnamedLost();
  }

  #pop(): void {
    this.#owners[this.#head] = null;
    if (this.#refs[this.#head] !== null) {
      this.#refs[this.#head] = null;
      this.#refsCount--;
      if (this.#refsOfUnit > this.#refsCount) this.#refsOfUnit = this.#refsCount;
    }
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
    let unnamedLost = false;
    this.#skipping = true;
    while (this.#count > 0) {
      unnamedLost ||= ((this.#steps[this.#head] as number) & UNNAMED) !== 0;
      if (((this.#steps[this.#head] as number) & KIND_MASK) === Step.sync) {
        this.#skipping = false;
        break;
      }
      const ref = this.#refs[this.#head] as Undoable | null;
      if (ref !== null) undone.push(ref);
      this.#pop();
    }
    for (let i = undone.length - 1; i >= 0; i--) undone[i]?.undo();
    if (unnamedLost && !this.#parsesUnnamed) this.#host.unnamedLost();
  }

  /** What is still to be answered brings another one. */
  get #parsesUnnamed(): boolean {
    for (let i = 0; i < this.#count; i++) {
      if (((this.#steps[(this.#head + i) & this.#mask] as number) & UNNAMED) !== 0) return true;
    }
    return false;
  }

  /** PostgreSQL reads Syncs as part of the COPY until its end has come. */
  #beginCopy(): void {
    this.#copyIn = true;
    this.#copyEndSent = false;
    this.#syncsInCopy = 0;
    // A Sync that the COPY takes has ended nothing.
    this.#open = !isTerminator(this.#steps[this.#head] as number);
    let kept = 1;
    for (let i = 1; i < this.#count; i++) {
      const from = (this.#head + i) & this.#mask;
      const step = this.#steps[from] as number;
      const kind = step & KIND_MASK;
      if (kind === Step.sync && !this.#copyEndSent) {
        this.#syncsInCopy++;
        continue;
      }
      if (kind === Step.copyEnd) this.#copyEndSent = true;
      else this.#open = !isTerminator(step);
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

/** A tag that begins with these letters is neither of a query nor of a transaction: D…, CR…, A…, IM… */
function mayChangeMore(first: number, second: number): boolean {
  if (first === LETTER_D || first === LETTER_A) return true;
  return (first === LETTER_C && second === LETTER_R) || (first === LETTER_I && second === LETTER_M);
}

function needsNoAnswer(step: number): boolean {
  return (step & PUT_IN) !== 0 || (step & KIND_MASK) === Step.copyEnd;
}

function putInAnswer(kind: number): Uint8Array {
  return kind === Step.parse ? PARSE_COMPLETE : CLOSE_COMPLETE;
}
