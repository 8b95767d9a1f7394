/**
 * What a simulated client must receive: the answers that a private PostgreSQL would have given to the same messages.
 *
 * Drives a scripted session of its own, lazily: only as far as the received messages need it, because where a cancel
 * hits is known only when its error arrives. ParameterStatus is compared as knowledge, not as bytes: who shares servers
 * is told of changes at other times, but must know the right values at each ReadyForQuery.
 *
 * Two things a private PostgreSQL has not: a unit may be cancelled while it waits for a server, before any of it was run. And the BEGIN of a
 * transaction may not have been run either by then: the first unit behind it can still wait, and can be told that a cancel has hit the BEGIN.
 * Either way the transaction has failed.
 */
import { Buffer } from "node:buffer";
import { ScriptedSession } from "./scripted-session.ts";
import type { SessionSettings } from "./session-settings.ts";
import { TRACKED } from "./session-settings.ts";
import { FLUSH, READ } from "./session-steps.ts";
import type { Step, StepAnswer, Steps } from "./session-steps.ts";
import { fieldsOf, message } from "./wire.ts";
import type { Message } from "./wire.ts";

/** The next message begins a unit: whether it is run, or was cancelled while it waited, shows in its first answer. */
const BEGIN = Symbol("begin");
/** The text of a cancelled wait; whoever runs something adds its identity. */
const WAIT_CANCELLED = "canceling statement due to user request";
const IDENTITIES = /\bc\d+:\d+/g;

interface Sent extends Message {
  readonly sentAtMs: number;
}

export class Expectation {
  readonly session: ScriptedSession;
  /** What the client was told by ParameterStatus. */
  readonly told = new Map<string, string>();
  readonly #steps: Steps;
  readonly #cancelMayHit: (sentAtMs: number) => boolean;
  readonly #spared: (identities: readonly string[]) => void;
  #sent: Sent[] = [];
  #current: Sent | null = null;
  #pending: Step | null = null;
  #over = false;
  /** Messages of the extended protocol were given to the session, and no Sync. */
  #inUnit = false;
  /** A cancelled unit is skipped up to its Sync. */
  #skipping = false;
  /** The ReadyForQuery of a cancelled unit is still to come. */
  #owesReady = false;
  /** Whose BEGIN the session has run last, as long as nothing but cancelled units has come behind it. */
  #begun: string | null = null;
  #parsed: string | null = null;
  readonly #defersBegin: boolean;
  readonly #beginMayFail: boolean;

  /**
   * `cancelMayHit`: may a cancel of this client hit the message that was sent then? `spared` is told of statements that were
   * cancelled while they waited, and must never run. `defersBegin`: a BEGIN may be answered before it is run; `beginMayFail`: and may
   * be refused, in the words of a cancel.
   */
  constructor(
    settings: SessionSettings,
    cancelMayHit: (sentAtMs: number) => boolean,
    spared: (identities: readonly string[]) => void,
    defersBegin = false,
    beginMayFail = false,
  ) {
    this.#defersBegin = defersBegin;
    this.#beginMayFail = beginMayFail;
    this.session = new ScriptedSession(settings, null);
    this.#steps = this.session.run();
    this.#cancelMayHit = cancelMayHit;
    this.#spared = spared;
  }

  /** A whole message has gone out. */
  sent(type: string, body: Buffer, sentAtMs: number): void {
    this.#sent.push({ type, body, sentAtMs });
  }

  /** Everything sent was answered, as far as PostgreSQL answers without a Sync or Flush. */
  get settled(): boolean {
    return this.#peek() === READ || this.#over;
  }

  /** A message has arrived. Null when it is the right one, else what is wrong. */
  received(actual: Message): string | null {
    if (actual.type === "S") {
      const [name, value] = actual.body.toString("utf8").split("\0");
      this.told.set(name ?? "", value ?? "");
      return null;
    }
    if (actual.type === "N" && !fieldsOf(actual.body).get("M")?.startsWith("sim ")) return null;
    for (;;) {
      const expected = this.#peek();
      if (this.#over) return `got ${describe(actual)} after the session's end`;
      if (expected === READ || expected === FLUSH || expected === null)
        return `got ${describe(actual)} where nothing was expected`;
      if (expected === BEGIN) {
        if (this.#isCancelledWait(actual)) {
          this.#spare();
          return null;
        }
        this.#begin();
        continue;
      }
      if (typeof expected === "number") {
        this.#pending = null;
        const mayHit = this.session.runsBegin ? this.#beginMayFail : false;
        this.#step(this.#isCancel(actual) && (mayHit || this.#cancelMayHit(this.#current?.sentAtMs ?? 0)));
        continue;
      }
      if (expected[0] !== actual.type.charCodeAt(0) || !expected.subarray(5).equals(actual.body)) {
        return `got ${describe(actual)} instead of ${describe(messageIn(expected))}`;
      }
      if (this.#owesReady) this.#owesReady = false;
      else this.#pending = null;
      return actual.type === "Z" ? this.#misinformed() : null;
    }
  }

  /** The beginning of the message expected next, for judging what arrived of it before a connection broke. */
  beginsNext(part: Buffer): boolean {
    let expected = this.#peek();
    // What comes behind a rest depends on a cancel; without one the answer goes on.
    while (typeof expected === "number" || expected === BEGIN) {
      if (expected === BEGIN) this.#begin();
      else {
        this.#pending = null;
        this.#step(false);
      }
      expected = this.#peek();
    }
    const first = part[0] ?? 0;
    if ("SNE".includes(String.fromCharCode(first))) return true;
    return Buffer.isBuffer(expected) && expected.subarray(0, part.length).equals(part);
  }

  /** The next step that matters to the outside, without deciding whether a cancel hits. */
  #peek(): Step | typeof BEGIN | null {
    for (;;) {
      if (this.#over) return null;
      if (this.#owesReady) return message("Z", Buffer.from(this.session.status));
      if (this.#skipping) {
        const next = this.#sent.shift();
        if (next === undefined) return READ;
        this.#skip(next);
        continue;
      }
      if (this.#pending === null) this.#step(undefined);
      const step = this.#pending;
      if (step === READ) {
        const next = this.#sent[0];
        if (next === undefined) return READ;
        const mayWait = this.session.status === "I" || this.#begun !== null;
        if (!this.#inUnit && !this.session.isRunning && mayWait && "QFPBDEC".includes(next.type)) return BEGIN;
        this.#begin();
      } else if (step === FLUSH) this.#step(undefined);
      else if (Buffer.isBuffer(step) && step[0] === 0x53) this.#step(undefined);
      else return step;
    }
  }

  /** The next message is run as PostgreSQL would. */
  #begin(): void {
    const next = this.#sent.shift() as Sent;
    if ("PBDEC".includes(next.type)) this.#inUnit = true;
    else if (next.type === "S") this.#inUnit = false;
    // What a running COPY is fed belongs to the message that started it.
    if (!this.session.isRunning) this.#current = next;
    if (next.type !== "S") this.#begun = null;
    if (next.type === "P") this.#parsed = next.body.toString("latin1").match(IDENTITIES)?.[0] ?? null;
    this.#step(next);
  }

  /** The next unit was cancelled while it waited. */
  #spare(): void {
    const next = this.#sent.shift() as Sent;
    if (this.session.status === "T") this.session.status = "E";
    this.#skipping = true;
    this.#skip(next);
    if (!"QF".includes(next.type)) return;
    this.#skipping = false;
    this.#owesReady = true;
  }

  #skip({ type, body }: Sent): void {
    if (type === "S") {
      this.#skipping = false;
      this.#owesReady = true;
    } else if (type === "X") {
      this.#over = true;
    } else {
      this.#spared(body.toString("latin1").match(IDENTITIES) ?? []);
    }
  }

  #isCancelledWait(actual: Message): boolean {
    if (!this.#isCancel(actual)) return false;
    const mayHit = this.#cancelMayHit(this.#sent[0]?.sentAtMs ?? 0);
    const text = fieldsOf(actual.body).get("M");
    const ofBegin = this.session.status === "T" && text === `${WAIT_CANCELLED} ${this.#begun}`;
    return (mayHit && text === WAIT_CANCELLED) || (ofBegin && (mayHit || this.#beginMayFail));
  }

  /** Of an Execute, what was parsed last: units of a BEGIN are as plain as can be. */
  #identityOf({ type, body }: Sent): string | null {
    return type === "Q" ? (body.toString("latin1").match(IDENTITIES)?.[0] ?? null) : this.#parsed;
  }

  #step(answer: StepAnswer): void {
    const before = this.session.status;
    const result = this.#steps.next(answer);
    const begins = this.#defersBegin && before === "I" && this.session.status === "T";
    if (begins && this.#current !== null) this.#begun = this.#identityOf(this.#current);
    if (result.done === true) {
      this.#over = true;
      this.#pending = null;
    } else this.#pending = result.value;
  }

  #isCancel(actual: Message): boolean {
    if (actual.type !== "E") return false;
    const fields = fieldsOf(actual.body);
    return fields.get("C") === "57014" && fields.get("M")?.startsWith("canceling statement") === true;
  }

  #misinformed(): string | null {
    for (const name of TRACKED) {
      const value = this.session.settings.get(name);
      if (this.told.get(name) !== value) {
        return `was told ${name}=${this.told.get(name)} although its session has ${value}`;
      }
    }
    return null;
  }
}

function messageIn(bytes: Buffer): Message {
  return { type: String.fromCharCode(bytes[0] as number), body: bytes.subarray(5) };
}

/** A message for people: its type and the beginning of its content. */
export function describe({ type, body }: Message, fromServer = true): string {
  if (fromServer && (type === "E" || type === "N")) {
    const fields = fieldsOf(body);
    return `${type} ${fields.get("S")} ${fields.get("C")} "${fields.get("M")}"`;
  }
  const text = body.toString("latin1", 0, 60).replace(/[^\x20-\x7e]/g, ".");
  return `${type} "${text}" (${body.length} bytes)`;
}
