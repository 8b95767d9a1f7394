/**
 * The statements and units that simulated clients send, with the client's identity in each.
 *
 * Not responsible for: when and in which order (`client-program.ts`), what must come back (`expectation.ts`).
 */
import { Buffer } from "node:buffer";
import type { ClientTemper } from "./client-temper.ts";
import type { Random } from "./random.ts";
import { bindMessage, int16, message } from "./wire.ts";

/** Look like reads, and must not share. */
const DISGUISED = ["SELECT 'rows(1,20)' INTO t", "SELECT 'rows(1,20)' FOR UPDATE", "SELECT 'rows(1,20)', nextval('s')"];
/** How often a read of each family rests. */
const REST_CHANCES = [0, 0.02, 0.1, 0.5];
/** Settings that a read may tell of: those that clients differ in. */
const TOLD = ["DateStyle", "application_name", "TimeZone"];

export class ClientWords {
  readonly client: number;
  readonly #random: Random;
  readonly #temper: ClientTemper;
  #serial = 0;

  constructor(client: number, random: Random, temper: ClientTemper) {
    this.client = client;
    this.#random = random;
    this.#temper = temper;
  }

  /** A new identity for the next statement. */
  identity(): string {
    return `c${this.client}:${++this.#serial}`;
  }

  /** A statement that may be sent in any way; now and then one that fails. */
  statement(): string {
    const random = this.#random;
    if (random.chance(this.#temper.failChance)) return this.own(random.pick(["FAIL", "SELECT 'FAIL'", "WRONG"]));
    if (random.chance(this.#temper.writeChance)) return this.own(random.pick(["INSERT", "INSERT", ...DISGUISED]));
    if (random.chance(0.04)) return `/*${this.identity()}*/`;
    return this.own(this.select());
  }

  select(): string {
    const random = this.#random;
    const rows = random.skewed(0, this.#temper.rowsMax);
    const bytes = random.skewed(8, this.#temper.rowBytesMax);
    const stream = random.chance(0.1) ? ` stream(${random.between(1, 4)},${random.between(1, 5)})` : "";
    const what = `rows(${rows},${bytes})${stream}`;
    return random.chance(this.#temper.readChance) ? this.#read(what) : `SELECT ${what}`;
  }

  /** A read of a family: those of the first are quick, those of the others rest the more often. */
  #read(what: string): string {
    const random = this.#random;
    const family = random.skewed(0, REST_CHANCES.length - 1);
    const pause = random.chance(REST_CHANCES[family] ?? 0)
      ? ` pause(${random.skewed(1, this.#temper.pauseMaxMs)})`
      : "";
    const told = random.chance(0.2) ? ` tell(${random.pick(TOLD)})` : "";
    return `SELECT '${what}${pause}${told}' AS k${family}`;
  }

  /** Adds what goes with every statement: rests, notices, the identity. */
  own(words: string): string {
    const random = this.#random;
    // Where one may stand: not behind a constant that ends the text, nor twice.
    const rests = !/^SELECT '.* AS k\d$/.test(words) && random.chance(0.2);
    const pause = rests ? ` pause(${random.skewed(1, this.#temper.pauseMaxMs)})` : "";
    const notice = random.chance(this.#temper.noticeChance) ? " notice" : "";
    // Texts of some size are cut by chunks, and fill what may be kept of a client that waits.
    const filler = random.chance(0.03) ? ` /*${"-".repeat(random.skewed(100, 40_000))}*/` : "";
    // What stands behind a constant would be no part of it.
    const constant = /^SELECT '[^']*/.exec(words)?.[0] ?? words;
    const said = `${constant}${pause}${notice}${words.slice(constant.length)}`;
    return `${said} /*${this.identity()}*/${filler}`;
  }

  query(text: string): Buffer {
    return message("Q", text);
  }

  /** Parse, Bind, maybe Describe, Execute of the unnamed statement; no Sync. */
  unnamed(text: string): Buffer[] {
    const random = this.#random;
    const messages = [parse("", text), bind("", "")];
    if (random.chance(0.6)) messages.push(describePortal(""));
    messages.push(execute("", 0));
    return messages;
  }

  /** A unit, but for its Sync, whose text others send too; some of these texts do not bear to be kept. */
  repeated(): Buffer[] {
    const random = this.#random;
    const fragile = random.chance(0.5) ? " fragile" : "";
    const messages = [parse("", `SELECT rows(2,20)${fragile} $1`), bind("", "", this.identity())];
    if (random.chance(0.5)) messages.push(describePortal(""));
    return [...messages, execute("", 0)];
  }

  /** The same without a parameter, for what takes none. */
  bare(text: string): Buffer[] {
    const [first, , ...rest] = this.unnamed(text);
    return [first as Buffer, message("B", "", "", int16(0), int16(0), int16(0)), ...rest];
  }

  /** The text of a statement that several clients may have prepared under several names. */
  sharedText(): string {
    const random = this.#random;
    const what = `rows(${random.between(0, 3)},${random.pick([8, 40])})`;
    return random.chance(this.#temper.readChance) ? `SELECT '${what}', $1` : `SELECT ${what}, $1`;
  }

  functionCall(): Buffer {
    const argument = Buffer.from(this.identity());
    return message("F", 4711, int16(0), int16(1), argument.length, argument, int16(0));
  }

  copyData(identity: string): Buffer {
    const head = Buffer.from(`${identity} `);
    const size = this.#random.chance(0.5) ? this.#temper.rowBytesMax : this.#random.skewed(0, this.#temper.rowBytesMax);
    return message("d", head, Buffer.alloc(size, 0x2e));
  }
}

export function parse(name: string, text: string): Buffer {
  return message("P", name, text, int16(0));
}

/** Binds with the parameter that says who asks; texts without a parameter take it all the same. */
export function bind(portal: string, name: string, parameter = "unused"): Buffer {
  return bindMessage(portal, name, parameter);
}

export function describePortal(name: string): Buffer {
  return message("D", Buffer.from("P"), name);
}

export function describeStatement(name: string): Buffer {
  return message("D", Buffer.from("S"), name);
}

export function closeStatement(name: string): Buffer {
  return message("C", Buffer.from("S"), name);
}

export function closePortal(name: string): Buffer {
  return message("C", Buffer.from("P"), name);
}

export function execute(portal: string, limit: number): Buffer {
  return message("E", portal, limit);
}

export const SYNC = message("S");
export const FLUSH_MESSAGE = message("H");
export const TERMINATE = message("X");
