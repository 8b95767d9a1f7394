/**
 * Who stands around the engine while it is fuzzed, in the simulated world: a PostgreSQL that answers with what it was asked,
 * a witness that checks each of its answers, and an attacker at either side that sends bytes.
 */
import type { Connection, ConnectionEvents, Transport } from "../../src/net/transport.ts";
import {
  bind,
  describePortal,
  execute,
  int16,
  int32,
  message,
  parse,
  query,
  startupMessage,
  sync,
} from "../support/wire-client.ts";

const READY = 0x5a;
const SSL_REQUEST = 80877103;

/** A connection of an actor: collects what comes. */
class Party implements ConnectionEvents {
  connection: Connection | null = null;
  received: Buffer = Buffer.alloc(0);
  closed = false;
  ended = false;

  onOpen(): void {}
  onSecure(): void {}
  onDrain(): void {}

  onData(bytes: Uint8Array): void {
    this.received = Buffer.concat([this.received, bytes]);
    this.heard();
  }

  onEnd(): void {
    this.ended = true;
    this.connection?.end();
  }

  onClose(): void {
    this.closed = true;
  }

  heard(): void {}

  send(...bytes: readonly Uint8Array[]): void {
    if (!this.closed) this.connection?.write(new Uint8Array(Buffer.concat(bytes)));
  }

  /** The next whole message, taken out; `typed`: false for the first packet of a connection. */
  take(typed = true): { type: string; body: Buffer } | null {
    const head = typed ? 1 : 0;
    if (this.received.length < head + 4) return null;
    const end = head + this.received.readInt32BE(head);
    if (end < head + 4 || this.received.length < end) return null;
    const type = typed ? String.fromCharCode(this.received[0] as number) : "";
    const body = this.received.subarray(head + 4, end);
    this.received = this.received.subarray(end);
    return { type, body };
  }
}

export const serverWelcome = Buffer.concat([
  message("R", int32(0)),
  message("S", "server_version", "18.0"),
  message("S", "client_encoding", "UTF8"),
  message("S", "DateStyle", "ISO, MDY"),
  message("S", "TimeZone", "UTC"),
  message("S", "standard_conforming_strings", "on"),
  message("S", "application_name", ""),
  message("K", int32(4242), int32(99)),
  message("Z", Buffer.from("I")),
]);

const rowOf = (text: string): Buffer => {
  const value = Buffer.from(text, "latin1");
  return message("D", int16(1), int32(value.length), value);
};
const rowForm = message("T", int16(1), "n", int32(0), int16(0), int32(25), int16(-1), int32(-1), int16(0));

/** Answers any conversation as PostgreSQL might; a row holds the text that was asked. */
export class EchoServer extends Party {
  #greeted = false;
  #status = "I";
  /** The protocol has been broken: up to the next Sync nothing counts. */
  #skipping = false;
  readonly #statements = new Map<string, string>();
  readonly #portals = new Map<string, string>();

  override heard(): void {
    for (let next = this.take(this.#greeted); next !== null; next = this.take(true)) {
      if (this.#greeted) this.answer(next.type, next.body);
      else if (next.body.readInt32BE(0) === SSL_REQUEST && this.declinesTls()) continue;
      else this.greet();
      this.#greeted = true;
    }
  }

  /** A request for encryption has come; false: it is for `greet` to answer. */
  declinesTls(): boolean {
    this.send(Buffer.from("N"));
    return true;
  }

  greet(): void {
    this.send(serverWelcome);
  }

  answer(type: string, body: Buffer): void {
    if (this.#skipping && type !== "S" && type !== "X") return;
    const names = body.toString("latin1").split("\0");
    switch (type) {
      case "Q":
        this.#query(names[0] ?? "");
        return;
      case "P":
        this.#statements.set(names[0] ?? "", names[1] ?? "");
        this.send(message("1"));
        return;
      case "B": {
        const text = this.#statements.get(names[1] ?? "");
        if (text === undefined) this.#refuse("26000", "no such statement");
        else {
          this.#portals.set(names[0] ?? "", text);
          this.send(message("2"));
        }
        return;
      }
      case "D":
        if (body[0] === 0x53) this.send(message("t", int16(0)), rowForm);
        else this.send(rowForm);
        return;
      case "E": {
        const text = this.#portals.get(names[0] ?? "");
        if (text === undefined) this.#refuse("34000", "no such portal");
        else this.send(rowOf(text), message("C", "SELECT 1"));
        return;
      }
      case "C":
        this.send(message("3"));
        return;
      case "S":
        this.#skipping = false;
        this.#portals.clear();
        this.send(message("Z", Buffer.from(this.#status)));
        return;
      case "F":
        this.send(message("V", int32(-1)), message("Z", Buffer.from(this.#status)));
        return;
      case "X":
        this.connection?.end();
    }
  }

  #query(text: string): void {
    const word = text.trimStart().slice(0, 6).toLowerCase();
    if (word.startsWith("begin")) this.#status = "T";
    if (/^(commit|rollba|discar)/.test(word)) this.#status = "I";
    // SETs of tracked parameters are reported.
    const reports = [...text.matchAll(/SET (\w+)='([^']*)'/g)].map(([, name, value]) => message("S", name!, value!));
    if (/^(begin|commit|rollba|discar|set )/.test(word)) this.send(message("C", word.toUpperCase()), ...reports);
    else this.send(rowForm, rowOf(text), message("C", "SELECT 1"));
    this.send(message("Z", Buffer.from(this.#status)));
  }

  #refuse(code: string, text: string): void {
    this.#skipping = true;
    this.send(message("E", Buffer.from(`SERROR\0VERROR\0C${code}\0M${text}\0\0`)));
  }
}

/** Where a hostile server says its bytes. */
export type Moment = "ssl" | "startup" | "password" | "query";

/** A server that says `bytes` at one moment of its life, and is honest before. */
export class HostileBackend extends EchoServer {
  readonly #bytes: Uint8Array;
  readonly #moment: Moment;
  #fired = false;

  constructor(moment: Moment, bytes: Uint8Array) {
    super();
    this.#moment = moment;
    this.#bytes = bytes;
  }

  override declinesTls(): boolean {
    return this.#moment === "ssl" ? false : super.declinesTls();
  }

  override greet(): void {
    if (this.#moment === "password") this.send(message("R", int32(10), "SCRAM-SHA-256", Buffer.from([0])));
    else if (this.#moment === "query") super.greet();
    else this.#fire();
  }

  override answer(type: string, body: Buffer): void {
    if (type === "X") super.answer(type, body);
    else if (!this.#fired) this.#fire();
  }

  #fire(): void {
    this.#fired = true;
    this.send(this.#bytes);
  }
}

/** A client that sends bytes. */
export class Attacker extends Party {
  /** What was received, never taken out. */
  start(transport: Transport, at: { host: string; port: number }, ...bytes: readonly Uint8Array[]): void {
    this.connection = transport.connect(at, this);
    for (const one of bytes) this.send(one);
  }
}

/** A client that works all the time, in both protocols, and knows what each answer must be. */
export class Witness extends Party {
  readonly name: string;
  served = 0;
  /** Why it is not content; null while it is. */
  complaint: string | null = null;
  isIn = false;
  #asked: string | null = null;
  #answer = "";

  constructor(name: string) {
    super();
    this.name = name;
  }

  start(transport: Transport, at: { host: string; port: number }, database: string): void {
    this.connection = transport.connect(at, this);
    this.send(startupMessage({ user: "witness", database, application_name: this.name }));
  }

  /** Asks the next question, if the last one was answered. */
  ask(): void {
    if (!this.isIn || this.#asked !== null || this.closed) return;
    const text = `${this.name} asks ${this.served}`;
    this.#asked = text;
    this.#answer = "";
    const extended = [bind("", "mine"), describePortal(""), execute(""), sync()];
    if (this.served === 1) this.send(parse("mine", `${this.name}'s own`), ...extended);
    else if (this.served % 3 === 2) this.send(...extended);
    else this.send(query(text));
  }

  override onClose(): void {
    super.onClose();
    this.complaint ??= `${this.name} was closed`;
  }

  override heard(): void {
    for (let next = this.take(); next !== null; next = this.take()) {
      const { type, body } = next;
      if (type === "E") this.complaint ??= `${this.name} got an error: ${body.toString("latin1")}`;
      this.#answer += type === "D" ? `D(${body.toString("latin1", 6)})` : type;
      if (type.charCodeAt(0) !== READY) continue;
      if (this.isIn) this.#check();
      this.isIn = true;
    }
  }

  #check(): void {
    const own = this.served > 0 && (this.served === 1 || this.served % 3 === 2);
    const row = own ? `${this.name}'s own` : this.#asked;
    const expected = own ? `${this.served === 1 ? "1" : ""}2TD(${row})CZ` : `TD(${row})CZ`;
    if (this.#answer !== expected) {
      this.complaint ??= `${this.name} expected ${expected} and got ${this.#answer}`;
    }
    this.served++;
    this.#asked = null;
  }
}
