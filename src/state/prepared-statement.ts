/**
 * Named protocol-level prepared statements that follow a client from server to server (transaction and statement mode).
 *
 * A statement is its query text, its parameter types, and the settings under which PostgreSQL parses it: '02/01/2003' is
 * another day under another DateStyle, and stays what it was when it was parsed. All clients that prepare the same under
 * the same settings share one `PreparedStatement`, which is called `PGBOUNCER_N` on every server that has it.
 *
 * Counterpart: PgBouncer's `prepare.c`, which knows text and types only. Names and texts are kept as latin1 strings: bytes, in any client encoding.
 */
import { parseWithTail, unnamedPortalBindHead } from "../protocol/statement-messages.ts";

export class PreparedStatement {
  /** Its name on servers. */
  readonly serverName: string;
  readonly serial: number;
  /** The same, as it stands in messages. */
  readonly serverNameBytes: Uint8Array;
  /** The settings it is parsed under (`TrackedParameters.parsing`), NUL, and what Parse carries behind the name. */
  readonly key: string;
  readonly settings: string;
  /** Query text, NUL, and the parameter types as Parse carries them: everything behind the name. */
  readonly body: Uint8Array;
  /** A Parse under the server's name. */
  readonly parse: Uint8Array;
  /** How many clients' names and servers refer to it. */
  users = 0;
  #bindHead: Uint8Array | null = null;
  #bindTailBytes = 0;

  constructor(serial: number, key: string) {
    this.serverName = `PGBOUNCER_${serial}`;
    this.serial = serial;
    this.key = key;
    const separator = key.indexOf("\0");
    this.settings = key.slice(0, separator);
    this.body = Uint8Array.from({ length: key.length - separator - 1 }, (_, i) => key.charCodeAt(separator + 1 + i));
    this.serverNameBytes = Uint8Array.from(this.serverName, (letter) => letter.charCodeAt(0));
    this.parse = parseWithTail(this.serverNameBytes, this.body);
  }

  /**
   * What a Bind of the unnamed portal to this statement begins with on a server, up to the zero byte of its name, when
   * `tailBytes` follow. Never written to again: whoever has it may keep it.
   */
  bindHead(tailBytes: number): Uint8Array {
    // Values of one statement are mostly of one length.
    if (this.#bindHead === null || this.#bindTailBytes !== tailBytes) {
      this.#bindHead = unnamedPortalBindHead(this.serverNameBytes, tailBytes);
      this.#bindTailBytes = tailBytes;
    }
    return this.#bindHead;
  }
}

/** All statements that a client or server refers to. One for a pooler. */
export class StatementStore {
  readonly #byKey = new Map<string, PreparedStatement>();
  #serial = 0;
  #unnamed = 0;

  /** A number for the Parse of an unnamed statement: whoever has the same number last has what it made. */
  nextUnnamed(): number {
    this.#unnamed += 1;
    return this.#unnamed;
  }

  get size(): number {
    return this.#byKey.size;
  }

  /**
   * The statement with this `body` (a Parse message's bytes behind the name), parsed under `settings`, counted as used once
   * more.
   */
  take(body: Uint8Array, settings: string): PreparedStatement {
    const key = `${settings}\0${latin1(body, 0, body.length)}`;
    let statement = this.#byKey.get(key);
    if (statement === undefined) {
      this.#serial += 1;
      statement = new PreparedStatement(this.#serial, key);
      this.#byKey.set(key, statement);
    }
    statement.users += 1;
    return statement;
  }

  /**
   * The statement that another process has called `PGBOUNCER_<serial>` on servers that are ours now, counted as used once
   * more. `key`: as in `PreparedStatement`.
   */
  restore(serial: number, key: string): PreparedStatement {
    this.startBehind(serial);
    let statement = this.#byKey.get(key);
    if (statement === undefined || statement.serial !== serial) {
      const other = statement;
      statement = new PreparedStatement(serial, key);
      // A text may go by two names for a time; new uses are of the first.
      if (other === undefined) this.#byKey.set(key, statement);
    }
    statement.users += 1;
    return statement;
  }

  /** Names up to this one may be taken on servers that come from elsewhere. */
  startBehind(serial: number): void {
    if (serial > this.#serial) this.#serial = serial;
  }

  /** One use more; also of one that was forgotten, when the end of its last use is undone. */
  keep(statement: PreparedStatement): void {
    if (statement.users === 0 && !this.#byKey.has(statement.key)) this.#byKey.set(statement.key, statement);
    statement.users += 1;
  }

  /** Forgets it with its last user. */
  giveBack(statement: PreparedStatement): void {
    statement.users -= 1;
    // Another one may have come to its place while this one was forgotten.
    if (statement.users === 0 && this.#byKey.get(statement.key) === statement) this.#byKey.delete(statement.key);
  }
}

/** Up to here a loop makes a string faster than the runtime. */
const SHORT_NAME_BYTES = 32;

/** How many names whose Parse came to nothing are remembered for a client. */
const LOST_MAX = 1000;

/**
 * One client's names.
 *
 * A name whose Parse PostgreSQL has refused or skipped is *lost*: it may be prepared anew as if it had never been used, and
 * who uses it all the same gets it prepared then. Drivers in pipeline mode do (psycopg takes every Parse that it has sent
 * for done), and PgBouncer keeps such names too.
 */
export class ClientStatements {
  readonly #store: StatementStore;
  readonly #byName = new Map<string, PreparedStatement>();
  readonly #lost = new Map<string, PreparedStatement>();
  /** What `find` has found last: most clients use one name many times before they use another. */
  #lastName = "";
  #lastFound: PreparedStatement | null = null;

  constructor(store: StatementStore) {
    this.#store = store;
  }

  get size(): number {
    return this.#byName.size;
  }

  /** The statement whose name is `memory[start, end)`; null when there is none. */
  find(memory: Uint8Array, start: number, end: number): PreparedStatement | null {
    const last = this.#lastName;
    if (last.length === end - start) {
      let at = 0;
      while (at < last.length && last.charCodeAt(at) === memory[start + at]) at++;
      if (at === last.length) return this.#lastFound;
    }
    this.#lastName = latin1(memory, start, end);
    this.#lastFound = this.#byName.get(this.#lastName) ?? null;
    return this.#lastFound;
  }

  get(name: string): PreparedStatement | undefined {
    return this.#byName.get(name);
  }

  /** All names, with what they stand for. */
  entries(): IterableIterator<[string, PreparedStatement]> {
    return this.#byName.entries();
  }

  /** Takes over the caller's use of `statement`. */
  set(name: string, statement: PreparedStatement): void {
    this.#byName.set(name, statement);
    this.#forgetLast();
  }

  /** Forgets the name; the caller has the use of the returned statement and gives it back. */
  take(name: string): PreparedStatement | undefined {
    const statement = this.#byName.get(name);
    if (statement !== undefined) this.#byName.delete(name);
    this.#forgetLast();
    return statement;
  }

  #forgetLast(): void {
    this.#lastName = "";
    this.#lastFound = null;
  }

  /** The statement behind a lost name. */
  lost(name: string): PreparedStatement | undefined {
    return this.#lost.get(name);
  }

  /** The Parse of `name` came to nothing. Takes over the caller's use of `statement`; the oldest beyond the bound are forgotten. */
  lose(name: string, statement: PreparedStatement): void {
    this.forgetLost(name);
    this.#lost.set(name, statement);
    if (this.#lost.size <= LOST_MAX) return;
    for (const oldest of this.#lost.keys()) {
      this.forgetLost(oldest);
      return;
    }
  }

  forgetLost(name: string): void {
    const statement = this.#lost.get(name);
    if (statement === undefined) return;
    this.#lost.delete(name);
    this.#store.giveBack(statement);
  }

  clear(): void {
    for (const names of [this.#byName, this.#lost]) {
      for (const statement of names.values()) this.#store.giveBack(statement);
      names.clear();
    }
    this.#forgetLast();
  }
}

/** When a server's statement was used last, counted in uses of all of them. */
interface LastUse {
  at: number;
}

/** The statements one server has, or has been sent, and in which order they were used. */
export class ServerStatements {
  readonly #store: StatementStore;
  readonly #lastUse = new Map<PreparedStatement, LastUse>();
  #uses = 0;

  constructor(store: StatementStore) {
    this.#store = store;
  }

  get size(): number {
    return this.#lastUse.size;
  }

  /** All that it has, or has been sent. */
  all(): IterableIterator<PreparedStatement> {
    return this.#lastUse.keys();
  }

  has(statement: PreparedStatement): boolean {
    return this.#lastUse.has(statement);
  }

  /** True when the server has it; it counts as used now. */
  use(statement: PreparedStatement): boolean {
    const last = this.#lastUse.get(statement);
    if (last === undefined) return false;
    this.#uses += 1;
    last.at = this.#uses;
    return true;
  }

  add(statement: PreparedStatement): void {
    if (this.use(statement)) return;
    this.#uses += 1;
    this.#store.keep(statement);
    this.#lastUse.set(statement, { at: this.#uses });
  }

  delete(statement: PreparedStatement): void {
    if (this.#lastUse.delete(statement)) this.#store.giveBack(statement);
  }

  /** The statement unused for longest, when there are more than `max`. Rare: looks at each. */
  oldestBeyond(max: number): PreparedStatement | null {
    if (this.#lastUse.size <= max) return null;
    let oldest: PreparedStatement | null = null;
    let oldestUse = Infinity;
    for (const [statement, { at }] of this.#lastUse) {
      if (at < oldestUse) {
        oldest = statement;
        oldestUse = at;
      }
    }
    return oldest;
  }

  /** DEALLOCATE ALL, DISCARD ALL, or the end of the server. */
  clear(): void {
    for (const statement of this.#lastUse.keys()) this.#store.giveBack(statement);
    this.#lastUse.clear();
  }
}

/** Bytes as a string, each byte one character. */
export function latin1(memory: Uint8Array, start: number, end: number): string {
  if (end - start > SHORT_NAME_BYTES) {
    return Buffer.from(memory.buffer, memory.byteOffset + start, end - start).toString("latin1");
  }
  let text = "";
  for (let i = start; i < end; i++) text += String.fromCharCode(memory[i] as number);
  return text;
}
