/**
 * What a simulated client does from its login to its end, drawn from its seed.
 *
 * A coroutine over a client: it sends, and waits for answers, for time, or for the connection's end. Does only what the
 * pool mode promises to keep working: what a private PostgreSQL would do beyond that (unnamed statements that outlive
 * their unit, portals outside a block) is left out where servers are shared.
 */
import { Buffer } from "node:buffer";
import type { ClientTemper } from "./client-temper.ts";
import {
  bind,
  ClientWords,
  closePortal,
  closeStatement,
  describePortal,
  describeStatement,
  execute,
  FLUSH_MESSAGE,
  parse,
  SYNC,
  TERMINATE,
} from "./client-words.ts";
import type { Random } from "./random.ts";
import { TRACKED } from "./session-settings.ts";
import { message } from "./wire.ts";

/** What a program waits for: so many milliseconds, all answers, or the end of the connection. */
export type Wait = number | "answers" | "close";
export type Program = Generator<Wait, void, void>;

/** What a program does to its connection. */
export interface ProgramHost {
  send(messages: readonly Buffer[]): void;
  /** Bytes that are no whole message; the client expects its connection to be closed, or goes by itself. */
  sendRaw(bytes: Buffer): void;
  pauseReading(): void;
  resumeReading(): void;
  cancel(): void;
  /** Nothing that comes from here on is compared: the client has broken the protocol, or is leaving. */
  expectClose(): void;
  destroy(): void;
  end(): void;
  /** In copy mode, or the status of the last ReadyForQuery; meaningful when all answers are there. */
  readonly isCopying: boolean;
  readonly status: "I" | "T" | "E";
  /** Names of prepared statements that the client has, known when all answers are there. */
  readonly preparedNames: readonly string[];
}

export class ClientProgram {
  readonly #host: ProgramHost;
  readonly #random: Random;
  readonly #temper: ClientTemper;
  readonly #words: ClientWords;

  constructor(host: ProgramHost, client: number, random: Random, temper: ClientTemper) {
    this.#host = host;
    this.#random = random;
    this.#temper = temper;
    this.#words = new ClientWords(client, random, temper);
  }

  *run(): Program {
    const random = this.#random;
    const count = random.between(0, this.#temper.actionsMax);
    for (let i = 0; i < count; i++) yield* this.#act(false);
    yield* this.#leave();
  }

  /** A few plain questions that must work: what is asked after all faults are over. */
  *check(): Program {
    for (let i = 0; i < 3; i++) {
      this.#host.send([this.#words.query(`SELECT rows(2,20) /*${this.#words.identity()}*/`)]);
      yield "answers";
    }
    this.#host.expectClose();
    this.#host.send([TERMINATE]);
    yield "close";
  }

  *#act(inBlock: boolean): Program {
    const random = this.#random;
    const action = random.weighted(this.#temper.actions);
    switch (action) {
      case "simple":
        this.#host.send([this.#words.query(this.#texts())]);
        break;
      case "extended":
        if (this.#temper.repeats && random.chance(0.9)) yield* this.#repeat();
        else this.#host.send([...this.#extended(), SYNC]);
        break;
      case "prepared":
        yield* this.#usePrepared();
        break;
      case "portal":
        yield* this.#usePortal(inBlock);
        break;
      case "pipeline":
        this.#pipeline();
        break;
      case "flush":
        yield* this.#flush();
        break;
      case "block":
        if (inBlock || !this.#temper.blocks) this.#host.send([this.#words.query(this.#texts())]);
        else yield* this.#block();
        break;
      case "copyIn":
        yield* this.#copyIn();
        break;
      case "copyOut":
        this.#copyOut();
        break;
      case "functionCall":
        this.#host.send([this.#words.functionCall()]);
        break;
      case "setting":
        this.#setting();
        break;
      case "discard":
        if (!inBlock) yield* this.#discard();
        break;
      case "create":
        this.#host.send([this.#words.query(this.#words.own("CREATE VIEW v"))]);
        break;
      case "cancel":
        yield* this.#cancel();
        break;
      case "slowRead":
        yield* this.#slowRead();
        break;
      case "think":
        yield this.#random.fraction() * this.#temper.thinkMaxMs;
        break;
    }
    yield "answers";
  }

  #texts(): string {
    const random = this.#random;
    const count = random.chance(this.#temper.severalChance) ? random.between(2, 3) : 1;
    return Array.from({ length: count }, () => this.#words.statement()).join("; ");
  }

  /** One to three statements before one Sync. */
  #extended(): Buffer[] {
    const random = this.#random;
    const messages: Buffer[] = [];
    const count = random.chance(this.#temper.severalChance) ? random.between(2, 3) : 1;
    for (let i = 0; i < count; i++) messages.push(...this.#words.unnamed(this.#words.statement()));
    return messages;
  }

  /** Several units sent without waiting for the answers between them. */
  #pipeline(): void {
    const random = this.#random;
    const messages: Buffer[] = [];
    const known = this.#host.preparedNames;
    for (let left = random.between(2, 6); left > 0; left--) {
      if (known.length > 0 && random.chance(0.3)) {
        messages.push(...this.#execution(random.pick(known)), SYNC);
      } else if (random.chance(0.3)) messages.push(this.#words.query(this.#texts()));
      else messages.push(...this.#extended(), SYNC);
      if (random.chance(0.1)) messages.push(SYNC);
    }
    this.#host.send(messages);
  }

  /** What others ask as well, one after the other, mostly waiting for the answers. */
  *#repeat(): Program {
    const random = this.#random;
    for (let left = random.between(2, 10); left > 0; left--) {
      this.#host.send([...this.#words.repeated(), SYNC]);
      if (random.chance(0.1)) yield random.fraction();
      else if (random.chance(0.9)) yield "answers";
    }
  }

  #execution(name: string): Buffer[] {
    const messages = [bind("", name, this.#words.identity())];
    if (this.#random.chance(0.5)) messages.push(describePortal(""));
    messages.push(execute("", 0));
    return messages;
  }

  /** Prepares under a name, or uses or closes what is prepared; something before it in the unit may fail. */
  *#usePrepared(): Program {
    const random = this.#random;
    const name = `p${random.below(this.#temper.names)}`;
    const messages: Buffer[] = [];
    // In a failed transaction a pooler that knows the statement may answer a Parse that PostgreSQL would refuse.
    if (this.#host.status === "E") return;
    let has = this.#host.preparedNames.includes(name);
    if (random.chance(this.#temper.failChance)) messages.push(...this.#words.unnamed(this.#words.statement()));
    if (has && random.chance(this.#temper.closeChance)) {
      messages.push(closeStatement(name));
      has = false;
      if (random.chance(0.3)) {
        this.#host.send([...messages, SYNC]);
        return;
      }
    }
    if (!has) {
      const failing = random.chance(this.#temper.failChance / 3);
      const own = !random.chance(this.#temper.ownTextChance) ? "" : ` /*${this.#words.identity()}*/`;
      messages.push(parse(name, failing ? `WRONG $1${own}` : `${this.#words.sharedText()}${own}`));
      if (random.chance(0.5)) messages.push(describeStatement(name));
      if (random.chance(0.3)) {
        this.#host.send([...messages, SYNC]);
        yield "answers";
        if (!this.#host.preparedNames.includes(name)) return;
        messages.length = 0;
      }
    } else if (random.chance(0.2)) messages.push(describeStatement(name));
    const count = random.chance(3 * this.#temper.severalChance) ? random.between(1, 3) : 1;
    for (let left = count; left > 0; left--) messages.push(...this.#execution(name));
    this.#host.send([...messages, SYNC]);
  }

  /** Fetches rows in portions. Inside a block the portal lives on from unit to unit. */
  *#usePortal(inBlock: boolean): Program {
    const random = this.#random;
    const portal = random.chance(0.5) ? "" : "cur";
    const text = this.#words.own(`SELECT rows(${random.between(0, 8)},20)`);
    const messages = [parse("", text), bind(portal, ""), describePortal(portal)];
    for (let left = random.between(1, 4); left > 0; left--) {
      messages.push(execute(portal, random.between(1, 4)));
      if (inBlock && portal !== "" && random.chance(0.4)) {
        this.#host.send([...messages, SYNC]);
        yield "answers";
        if (this.#host.status !== "T") return;
        messages.length = 0;
      }
    }
    messages.push(closePortal(portal), SYNC);
    this.#host.send(messages);
  }

  /** Asks for answers in the middle of a unit and waits for them, as pipeline modes of drivers do. */
  *#flush(): Program {
    const random = this.#random;
    this.#host.send([parse("", this.#words.statement()), FLUSH_MESSAGE]);
    yield "answers";
    if (random.chance(0.3)) yield random.fraction() * 20;
    this.#host.send([bind("", ""), describePortal(""), FLUSH_MESSAGE]);
    yield "answers";
    this.#host.send(random.chance(0.5) ? [execute("", 0), FLUSH_MESSAGE] : [execute("", 0)]);
    if (random.chance(0.3)) yield random.fraction() * 20;
    this.#host.send([SYNC]);
  }

  *#block(): Program {
    const random = this.#random;
    const begin = this.#words.own(random.pick(BEGINS));
    if (random.chance(0.5)) this.#host.send([this.#words.query(begin)]);
    else this.#host.send([...this.#words.bare(begin), SYNC]);
    if (random.chance(0.7)) yield "answers";
    for (let left = random.between(0, 4); left > 0; left--) {
      yield* this.#act(true);
      if (random.chance(0.3)) yield random.fraction() * this.#temper.thinkMaxMs;
    }
    const end = this.#words.own(random.chance(0.7) ? random.pick(["COMMIT", "COMMIT", "END"]) : "ROLLBACK");
    if (random.chance(0.5)) this.#host.send([this.#words.query(end)]);
    else this.#host.send([...this.#words.bare(end), SYNC]);
  }

  *#copyIn(): Program {
    const random = this.#random;
    const identity = this.#words.identity();
    const fails = random.chance(0.3) ? (random.chance(0.3) ? " refused" : ` fail(${random.between(1, 4)})`) : "";
    const text = `COPY t FROM STDIN${fails} /*${identity}*/`;
    const extended = random.chance(0.4);
    const waits = random.chance(0.7);
    if (!extended) this.#host.send([this.#words.query(text)]);
    // Drivers send the Sync at once; copy mode swallows it.
    else this.#host.send([parse("", text), bind("", ""), execute("", 0), waits ? FLUSH_MESSAGE : SYNC]);
    if (waits) {
      yield "answers";
      if (!this.#host.isCopying) {
        if (extended) this.#host.send([SYNC]);
        return;
      }
    }
    const pieces = random.chance(0.4) ? this.#temper.rowsMax / 4 : 5;
    for (let left = random.between(0, Math.ceil(pieces)); left > 0; left--) {
      this.#host.send([this.#words.copyData(identity)]);
      if (random.chance(0.1)) yield random.fraction() * 10;
    }
    const done = random.chance(0.75) ? message("c") : message("f", "changed my mind");
    this.#host.send(extended ? [done, SYNC] : [done]);
  }

  #copyOut(): void {
    const random = this.#random;
    const size = `rows(${random.skewed(0, this.#temper.rowsMax)},${random.skewed(8, this.#temper.rowBytesMax)})`;
    const text = this.#words.own(`COPY t TO STDOUT ${size}`);
    this.#host.send(random.chance(0.5) ? [this.#words.query(text)] : [...this.#words.unnamed(text), SYNC]);
  }

  #setting(): void {
    const random = this.#random;
    const values: Readonly<Record<string, readonly string[]>> = {
      application_name: [`app ${this.#words.client}`, "it's", "x"],
      DateStyle: ["ISO, MDY", "German, DMY"],
      TimeZone: ["Etc/UTC", "Europe/Vienna"],
      IntervalStyle: ["postgres", "iso_8601"],
    };
    const name = random.pick(Object.keys(values));
    if (random.chance(0.4)) {
      this.#host.send([this.#words.query(this.#words.own(`SHOW ${random.pick(TRACKED)}`))]);
      return;
    }
    const value = random.pick(values[name] as readonly string[]).replaceAll("'", "''");
    this.#host.send([this.#words.query(`SET ${name} = '${value}' /*${this.#words.identity()}*/`)]);
    this.#host.send([this.#words.query(this.#words.own(`SHOW ${name}`))]);
  }

  *#discard(): Program {
    if (this.#host.status !== "I") return;
    this.#host.send([this.#words.query(`DEALLOCATE ALL /*${this.#words.identity()}*/`)]);
    yield "answers";
  }

  /** A slow statement, and a cancel that may come in time or too late. */
  *#cancel(): Program {
    const random = this.#random;
    const pause = `pause(${random.skewed(1, 200)})`;
    const what = random.chance(0.5) ? `SELECT 'rows(2,20) ${pause}' AS k2` : `SELECT rows(2,20) ${pause}`;
    // A quick one may be anywhere by then: waiting, behind others, or answered.
    const isQuick = random.chance(0.3);
    const slow = isQuick ? this.#words.own(this.#words.select()) : `${what} /*${this.#words.identity()}*/`;
    this.#host.send(random.chance(0.5) ? [this.#words.query(slow)] : [...this.#words.unnamed(slow), SYNC]);
    if (random.chance(0.3)) this.#host.send([...this.#extended(), SYNC]);
    yield random.fraction() * this.#temper.cancelMaxMs;
    this.#host.cancel();
  }

  /** Asks for much and reads nothing of it for a while. */
  *#slowRead(): Program {
    const random = this.#random;
    const what = `rows(${random.between(1, this.#temper.unreadRowsMax)},${this.#temper.rowBytesMax})`;
    const text = random.chance(this.#temper.readChance) ? `SELECT '${what}'` : `SELECT ${what}`;
    this.#host.pauseReading();
    this.#host.send([this.#words.query(this.#words.own(text))]);
    yield random.fraction() * this.#temper.unreadMaxMs;
    this.#host.resumeReading();
  }

  *#leave(): Program {
    const random = this.#random;
    const host = this.#host;
    const ending = random.weighted(this.#temper.endings);
    switch (ending) {
      case "terminate":
        if (random.chance(0.15)) host.send([...this.#extended(), SYNC]);
        host.expectClose();
        host.send([TERMINATE]);
        yield "close";
        return;
      case "halfClose":
        host.expectClose();
        host.end();
        yield 200;
        host.destroy();
        return;
      case "abrupt": {
        if (this.#temper.blocks && random.chance(0.4)) host.send([this.#words.query(this.#words.own("BEGIN"))]);
        if (random.chance(0.7)) host.send([...this.#extended(), SYNC]);
        if (random.chance(0.5)) yield random.fraction() * 30;
        host.expectClose();
        host.destroy();
        return;
      }
      case "midMessage": {
        host.expectClose();
        const whole = Buffer.concat([...this.#extended(), SYNC, this.#words.query(this.#texts())]);
        host.sendRaw(whole.subarray(0, random.below(whole.length)));
        yield random.fraction() * 500;
        host.destroy();
        return;
      }
      case "malformed":
        host.expectClose();
        host.sendRaw(malformed(random));
        yield "close";
    }
  }
}

/** What a transaction may begin with; one of them never without a server. */
const BEGINS = ["BEGIN", "BEGIN", "begin", "START TRANSACTION", "BEGIN READ ONLY", "BEGIN READ WRITE"];

/** Bytes after which a connection cannot go on. */
function malformed(random: Random): Buffer {
  return random.pick([
    Buffer.from([0x7f, 0, 0, 0, 4]),
    Buffer.from([0x51, 0, 0, 0, 3]),
    Buffer.from([0x51, 0xff, 0xff, 0xff, 0xff]),
    Buffer.from([0x50, 0, 0, 0, 0, 0, 0, 0]),
    Buffer.from([0, 0, 0, 0, 8]),
  ]);
}
