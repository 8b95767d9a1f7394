/**
 * A simulated client: a connection, its login, its program, and the proof of every byte it receives.
 *
 * Not responsible for: what it does (`client-program.ts`), what it should get (`expectation.ts`), which ends of its
 * connection are excused (`client-host` decides from faults and configuration).
 */
import { Buffer } from "node:buffer";
import type { ConnectionEvents } from "../../src/net/transport.ts";
import type { ClientTemper } from "./client-temper.ts";
import { ClientProgram } from "./client-program.ts";
import type { Program, ProgramHost, Wait } from "./client-program.ts";
import { describe, Expectation } from "./expectation.ts";
import type { Random } from "./random.ts";
import { SessionSettings, TRACKED } from "./session-settings.ts";
import { SimCanceller } from "./sim-canceller.ts";
import type { SimConnection } from "./sim-connection.ts";
import type { SimWorld } from "./sim-world.ts";
import { fieldsOf, MalformedError, MessageReader, startupMessage } from "./wire.ts";
import type { Message } from "./wire.ts";
import type { Address } from "../../src/net/transport.ts";

export interface ClientOrder {
  readonly id: number;
  readonly at: Address;
  readonly parameters: ReadonlyMap<string, string>;
  readonly temper: ClientTemper;
  /** A client that only asks whether everything works. */
  readonly checking: boolean;
  /** A BEGIN may be answered before it is run. */
  readonly defersBegin: boolean;
  readonly beginMayFail: boolean;
}

export interface ClientHost {
  /** May this client be closed with this error (null: without one), given what happened since `sinceMs`? */
  excuses(client: SimClient, sinceMs: number, text: string | null): boolean;
  /** These statements were cancelled while they waited for a server. */
  spared(identities: readonly string[]): void;
  /** The client's program is over and its connection closed. */
  finished(client: SimClient): void;
}

export class SimClient implements ConnectionEvents, ProgramHost {
  readonly order: ClientOrder;
  /** "login", then "busy" or "idle", then "gone". */
  phase: "login" | "busy" | "idle" | "gone" = "login";
  outcome = "";
  /** Since when something is owed to this client: its login, an unanswered unit, an open transaction. */
  owedSinceMs: number | null;
  received = 0;
  /** Since something is owed to it something of that has come. */
  #hasSome = false;
  readonly #world: SimWorld;
  readonly #host: ClientHost;
  readonly #random: Random;
  readonly #reader = new MessageReader();
  readonly #expectation: Expectation;
  readonly #program: Program;
  readonly #end: SimConnection;
  readonly #cancellers: SimCanceller[] = [];
  #key: Buffer | null = null;
  #wait: Wait = "answers";
  #started = false;
  #lastType = "";
  #closeExpected = false;
  #fatal: string | null = null;
  #writable: Buffer[] = [];
  #writing = false;
  #leaving: "end" | "destroy" | null = null;

  constructor(world: SimWorld, order: ClientOrder, random: Random, host: ClientHost) {
    this.#world = world;
    this.#host = host;
    this.#random = random;
    this.order = order;
    this.owedSinceMs = world.nowMs;
    this.#expectation = new Expectation(
      new SessionSettings(order.parameters),
      (sentAtMs) => this.#cancelMayHit(sentAtMs),
      (identities) => host.spared(identities),
      order.defersBegin,
      order.beginMayFail,
    );
    const program = new ClientProgram(this, order.id, random, order.temper);
    this.#program = order.checking ? program.check() : program.run();
    this.#end = world.network.transport("actor").connect(order.at, this) as SimConnection;
  }

  get name(): string {
    return `client ${this.order.id}`;
  }

  /** Its address, as the engine logs it. */
  get source(): string {
    return `${this.#end.local.address}:${this.#end.local.port}`;
  }

  get database(): string {
    return this.order.parameters.get("database") ?? "";
  }

  get isCopying(): boolean {
    return this.#lastType === "G";
  }

  get status(): "I" | "T" | "E" {
    return this.#expectation.session.status;
  }

  get preparedNames(): readonly string[] {
    return [...this.#expectation.session.prepared.keys()].filter((name) => name !== "");
  }

  /** It has sent something, and nothing of the answer has come but that the server has ended. */
  get hasNothing(): boolean {
    return this.owedSinceMs !== null && !this.#hasSome && this.#reader.length === 0;
  }

  /** For reports: what it waits for. */
  get state(): string {
    return `${this.name} (${this.phase}) waits for ${String(this.#wait)}, status ${this.status}, last got ${this.#lastType}`;
  }

  onSecure(): void {}
  onDrain(): void {}

  onOpen(): void {
    this.#write(startupMessage(this.order.parameters));
  }

  onData(bytes: Uint8Array): void {
    this.received += bytes.length;
    this.#reader.push(bytes);
    while (this.#leaving !== "destroy") {
      let received: Message | null;
      try {
        received = this.#reader.next(true);
      } catch (error) {
        if (!(error instanceof MalformedError)) throw error;
        this.#violate(`got bytes that are no message: ${error.message}`);
        this.destroy();
        break;
      }
      if (received === null) break;
      this.#judge(received);
    }
    this.#continue();
  }

  onEnd(): void {
    // Nothing more comes; a client has nothing to say to a server that has gone.
    this.#end.end();
  }

  onClose(error: Error | null): void {
    const left = this.#leaving === "destroy";
    this.phase = "gone";
    if (!left) this.#judgeClose(error);
    if (this.outcome === "") this.outcome = "done";
    this.#wait = "answers";
    this.#world.chronicle.say(() => `${this.name} gone: ${this.outcome}`);
    this.#host.finished(this);
  }

  // What the program does.

  send(messages: readonly Buffer[]): void {
    for (const bytes of messages) {
      this.#world.chronicle.say(() => `${this.name} sends ${describe(split(bytes), false)}`);
      this.#expectation.sent(String.fromCharCode(bytes[0] as number), bytes.subarray(5), this.#world.nowMs);
      // The sending itself may take its time; order is kept.
    }
    this.owedSinceMs ??= this.#world.nowMs;
    if (this.phase === "idle") this.phase = "busy";
    this.#write(messages.length === 1 ? (messages[0] as Buffer) : Buffer.concat(messages));
  }

  sendRaw(bytes: Buffer): void {
    this.#world.chronicle.say(() => `${this.name} sends ${bytes.length} raw bytes`);
    this.owedSinceMs ??= this.#world.nowMs;
    // What is whole in it gets its answer.
    const reader = new MessageReader();
    reader.push(bytes);
    try {
      for (let whole = reader.next(true); whole !== null && "PBDESQ".includes(whole.type); whole = reader.next(true)) {
        this.#expectation.sent(whole.type, whole.body, this.#world.nowMs);
      }
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
    }
    this.#write(bytes);
  }

  pauseReading(): void {
    this.#end.pause();
  }

  resumeReading(): void {
    this.#end.resume();
  }

  cancel(): void {
    if (this.#key === null) return;
    this.#world.chronicle.say(() => `${this.name} cancels`);
    this.#cancellers.push(new SimCanceller(this.#world, this.order.at, this.#key));
  }

  expectClose(): void {
    this.#closeExpected = true;
  }

  /** It expects nothing any more, or nothing can come any more: its connection has broken, and it has not heard of that yet. */
  get hasLeft(): boolean {
    if (this.phase === "gone" || this.#closeExpected || this.#leaving !== null || this.#fatal !== null) return true;
    return this.#end.peer?.inUse !== true;
  }

  destroy(): void {
    if (this.phase === "gone") return;
    this.#world.chronicle.say(() => `${this.name} breaks its connection`);
    this.#closeExpected = true;
    this.#leaving = "destroy";
    this.#writable = [];
    this.#end.destroy();
  }

  end(): void {
    this.#leaving ??= "end";
    if (this.#writable.length === 0) this.#end.end();
  }

  // How bytes leave: at once, or in pieces with time between.

  #write(bytes: Buffer): void {
    if (bytes.length === 0) return;
    this.#writable.push(bytes);
    if (!this.#writing) this.#writeNext();
  }

  #writeNext(): void {
    this.#writing = false;
    const first = this.#writable[0];
    if (first === undefined) {
      if (this.#leaving === "end") this.#end.end();
      return;
    }
    if (first.length < 2 || !this.#random.chance(this.order.temper.dribbleChance)) {
      this.#writable.shift();
      this.#end.write(first);
      if (this.#writable.length > 0 || this.#leaving === "end") this.#writeNext();
      return;
    }
    const cut = this.#random.between(1, first.length - 1);
    this.#end.write(first.subarray(0, cut));
    this.#writable[0] = first.subarray(cut);
    this.#writing = true;
    this.#world.plan(this.#random.fraction() * 10, () => this.#writeNext());
  }

  // What comes in.

  #judge(received: Message): void {
    const { type } = received;
    const isFatal = type === "E" && fieldsOf(received.body).get("S") === "FATAL";
    // The server's own FATAL may be followed by the pooler's, which says that the server is gone; by nothing else.
    if (this.#fatal !== null && !isFatal) {
      this.#violate(`got ${describe(received)} after a FATAL error`);
      return;
    }
    if (isFatal) {
      this.#fatal ??= fieldsOf(received.body).get("M") ?? "";
      this.#world.chronicle.say(() => `${this.name} gets ${describe(received)}`);
      return;
    }
    this.#hasSome = true;
    if (this.#key === null || !this.#started) {
      this.#judgeLogin(received);
      return;
    }
    const wrong = this.#expectation.received(received);
    if (wrong !== null) {
      // A client that has broken the protocol may be told so at any place.
      if (this.#closeExpected && type === "E") return;
      this.#violate(wrong);
      this.destroy();
      return;
    }
    if (!"SN".includes(type)) this.#lastType = type;
  }

  #judgeLogin(received: Message): void {
    const { type, body } = received;
    switch (type) {
      case "R":
        if (body.readInt32BE(0) !== 0) this.#violate(`was asked to authenticate: ${describe(received)}`);
        return;
      case "S":
        this.#expectation.received(received);
        return;
      case "N":
        return;
      case "K":
        this.#key = Buffer.from(body);
        return;
      case "Z":
        break;
      default:
        this.#violate(`got ${describe(received)} during login`);
        return;
    }
    if (this.#key === null) this.#violate("was let in without a cancel key");
    for (const name of TRACKED) {
      const wanted = this.#expectation.session.settings.get(name);
      const told = this.#expectation.told.get(name);
      if (wanted !== told) this.#violate(`was welcomed with ${name}=${told} and had asked for ${wanted}`);
    }
    this.#started = true;
    this.phase = "idle";
    this.owedSinceMs = null;
    this.#hasSome = false;
    this.#advance();
  }

  #judgeClose(error: Error | null): void {
    const { chronicle, nowMs } = this.#world;
    const rest = this.#reader.rest;
    if (rest.length > 0 && this.#started && !this.#closeExpected && !this.#expectation.beginsNext(rest)) {
      chronicle.violate(
        `${this.name} was left with the beginning of a message that is not its own: ${describe(split(rest))}`,
      );
    }
    if (this.#closeExpected) {
      // A FATAL to somebody who was leaving anyway disturbs nobody.
      this.outcome = this.#fatal === null ? "done" : `closed: ${this.#fatal}`;
      return;
    }
    const since = this.owedSinceMs ?? nowMs;
    this.outcome = `lost: ${this.#fatal ?? error?.message ?? "closed"}`;
    if (this.#host.excuses(this, since, this.#fatal)) return;
    chronicle.violate(
      `${this.name} lost its connection without a reason (${this.#fatal ?? error?.message ?? "closed"})`,
    );
  }

  #violate(what: string): void {
    this.#world.chronicle.violate(`${this.name} ${what}`);
  }

  /** The program goes on if what it waits for has come. */
  #continue(): void {
    if (this.phase === "gone" || !this.#started || this.#fatal !== null) return;
    if (!this.#expectation.settled) return;
    if (this.status === "I" && this.#lastType === "Z") {
      this.owedSinceMs = null;
      this.#hasSome = false;
      if (this.phase === "busy") this.phase = "idle";
    }
    if (this.#wait === "answers") this.#advance();
  }

  #advance(): void {
    for (;;) {
      const next = this.#program.next();
      if (next.done === true) return;
      this.#wait = next.value;
      if (typeof next.value === "number") {
        this.#world.plan(next.value, () => {
          if (this.phase !== "gone") this.#advance();
        });
        return;
      }
      if (next.value === "close" || this.phase === "gone" || !this.#expectation.settled) return;
    }
  }

  /** A cancel may hit whatever was sent before its connection was closed. */
  #cancelMayHit(sentAtMs: number): boolean {
    return this.#cancellers.some((canceller) => canceller.closedAtMs === null || sentAtMs <= canceller.closedAtMs);
  }
}

function split(bytes: Buffer): Message {
  return { type: String.fromCharCode(bytes[0] ?? 0), body: bytes.subarray(5) };
}
