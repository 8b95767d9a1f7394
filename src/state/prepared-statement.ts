/**
 * Named protocol-level prepared statements that follow a client from server to server (transaction and statement mode).
 *
 * A statement is its query text and parameter types. All clients that prepare the same share one `PreparedStatement`,
 * which is called `PGBOUNCER_N` on every server that has it. Texts are kept once.
 *
 * Counterpart: PgBouncer's `prepare.c`. Names and texts are kept as latin1 strings: bytes, in any client encoding.
 */
import { parseWithTail } from "../protocol/statement-messages.ts";

export class PreparedStatement {
  /** Its name on servers. */
  readonly serverName: string;
  /** The same, as it stands in messages. */
  readonly serverNameBytes: Uint8Array;
  /** Query text, NUL, and the parameter types as Parse carries them: everything behind the name. */
  readonly key: string;
  /** A Parse under the server's name. */
  readonly parse: Uint8Array;
  /** How many clients' names and servers refer to it. */
  users = 0;

  constructor(serial: number, key: string, body: Uint8Array) {
    this.serverName = `PGBOUNCER_${serial}`;
    this.key = key;
    this.serverNameBytes = Uint8Array.from(this.serverName, (letter) => letter.charCodeAt(0));
    this.parse = parseWithTail(this.serverNameBytes, body);
  }
}

/** All statements that a client or server refers to. One for a pooler. */
export class StatementStore {
  readonly #byKey = new Map<string, PreparedStatement>();
  #serial = 0;

  get size(): number {
    return this.#byKey.size;
  }

  /** The statement with this `body` (a Parse message's bytes behind the name), counted as used once more. */
  take(body: Uint8Array): PreparedStatement {
    const key = latin1(body, 0, body.length);
    let statement = this.#byKey.get(key);
    if (statement === undefined) {
      this.#serial += 1;
      statement = new PreparedStatement(this.#serial, key, body);
      this.#byKey.set(key, statement);
    }
    statement.users += 1;
    return statement;
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

/** One client's names. */
export class ClientStatements {
  readonly #store: StatementStore;
  readonly #byName = new Map<string, PreparedStatement>();

  constructor(store: StatementStore) {
    this.#store = store;
  }

  get size(): number {
    return this.#byName.size;
  }

  get(name: string): PreparedStatement | undefined {
    return this.#byName.get(name);
  }

  /** Takes over the caller's use of `statement`. */
  set(name: string, statement: PreparedStatement): void {
    this.#byName.set(name, statement);
  }

  /** Forgets the name; the caller has the use of the returned statement and gives it back. */
  take(name: string): PreparedStatement | undefined {
    const statement = this.#byName.get(name);
    if (statement !== undefined) this.#byName.delete(name);
    return statement;
  }

  clear(): void {
    for (const statement of this.#byName.values()) this.#store.giveBack(statement);
    this.#byName.clear();
  }
}

/** What is known of one statement on one server, from the Parse that was sent for it. */
export class Presence {
  /** The unit that its Parse was part of. */
  readonly unit: number;
  /** Time of the last use, counted in uses. */
  lastUse = 0;
  /** ParseComplete has been seen. */
  confirmed = false;
  /** Its Parse failed or was skipped, or the server has closed it. */
  gone = false;

  constructor(unit: number) {
    this.unit = unit;
  }
}

/**
 * The statements one server has, and in which order they were used.
 *
 * A Parse that was sent is not yet a statement: an error earlier in its unit, or a transaction that has failed, makes the
 * server skip or refuse it. Until its ParseComplete has been seen only the unit that it belongs to may rely on it, because
 * that unit fails with it.
 */
export class ServerStatements {
  readonly #store: StatementStore;
  readonly #presences = new Map<PreparedStatement, Presence>();
  /** Those the server was told to close, until it has said so: until then it may have them or not. */
  readonly #closing = new Map<PreparedStatement, Presence>();
  #uses = 0;

  constructor(store: StatementStore) {
    this.#store = store;
  }

  get size(): number {
    return this.#presences.size;
  }

  /** True when `unit` may rely on the server's having it; it counts as used now. */
  use(statement: PreparedStatement, unit: number): boolean {
    const presence = this.#presences.get(statement);
    if (presence === undefined) return false;
    this.#uses += 1;
    presence.lastUse = this.#uses;
    return presence.confirmed || presence.unit === unit;
  }

  /** What is known of it, null when it was never sent or is gone. */
  presenceOf(statement: PreparedStatement): Presence | null {
    return this.#presences.get(statement) ?? null;
  }

  /** The server may have it, surely or not: a Parse for it must come behind a Close. */
  traceOf(statement: PreparedStatement): Presence | null {
    return this.#presences.get(statement) ?? this.#closing.get(statement) ?? null;
  }

  /** A Close for it is sent. */
  beginClose(statement: PreparedStatement, presence: Presence): void {
    this.delete(statement, presence);
    this.#closing.set(statement, presence);
  }

  /** The Close was carried out, or skipped: then what was before holds again, unless it was prepared anew meanwhile. */
  endClose(statement: PreparedStatement, presence: Presence, closed: boolean): void {
    if (this.#closing.get(statement) === presence) this.#closing.delete(statement);
    if (closed) presence.gone = true;
    else if (!presence.gone && !this.#presences.has(statement)) this.restore(statement, presence);
  }

  /** A Parse for it is sent as part of `unit`. */
  add(statement: PreparedStatement, unit: number): Presence {
    const presence = new Presence(unit);
    this.restore(statement, presence);
    return presence;
  }

  /** `presence` is what holds from now on. */
  restore(statement: PreparedStatement, presence: Presence): void {
    this.#uses += 1;
    presence.lastUse = this.#uses;
    if (!this.#presences.has(statement)) this.#store.keep(statement);
    this.#presences.set(statement, presence);
  }

  /** It was closed, or not made: forgotten, if `presence` is what holds. */
  delete(statement: PreparedStatement, presence: Presence): void {
    if (this.#presences.get(statement) !== presence) return;
    this.#presences.delete(statement);
    this.#store.giveBack(statement);
  }

  /** The statement unused for longest, when there are more than `max`. Rare: looks at each. */
  oldestBeyond(max: number): PreparedStatement | null {
    if (this.#presences.size <= max) return null;
    let oldest: PreparedStatement | null = null;
    let oldestUse = Infinity;
    for (const [statement, { lastUse }] of this.#presences) {
      if (lastUse < oldestUse) {
        oldest = statement;
        oldestUse = lastUse;
      }
    }
    return oldest;
  }

  /** DEALLOCATE ALL, DISCARD ALL, or the end of the server. */
  clear(): void {
    for (const [statement, presence] of this.#presences) {
      presence.gone = true;
      this.#store.giveBack(statement);
    }
    this.#presences.clear();
    for (const presence of this.#closing.values()) presence.gone = true;
    this.#closing.clear();
  }
}

/** Bytes as a string, each byte one character. */
export function latin1(memory: Uint8Array, start: number, end: number): string {
  let text = "";
  for (let i = start; i < end; i += 4096) {
    text += String.fromCharCode(...memory.subarray(i, Math.min(end, i + 4096)));
  }
  return text;
}
