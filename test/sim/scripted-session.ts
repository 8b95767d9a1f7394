/**
 * What PostgreSQL answers to which message: one session's protocol state, without time and without a socket.
 *
 * A coroutine. It asks for messages and gives out answers, rests and flushes; who drives it decides how long a rest is
 * and what becomes of the bytes. The scripted backend drives one on each connection; each simulated client drives one of
 * its own to know what a private PostgreSQL would have answered: through the pooler it must see exactly that.
 *
 * Keeps: transaction status, skipping to the next Sync after an error, prepared statements and portals, copy mode (in
 * which Sync and Flush are ignored), settings with their rollback. Protocol chapters "Message Flow" and "COPY Operations".
 */
import { Buffer } from "node:buffer";
import { CATALOGUE_QUERY } from "../../src/sharing/catalogue-query.ts";
import { runCopyIn, runCopyOut } from "./scripted-copy.ts";
import { cancelled, FLUSH, READ, SessionError, tag } from "./session-steps.ts";
import type { Steps } from "./session-steps.ts";
import type { SessionSettings } from "./session-settings.ts";
import { identityParts, parseStatements } from "./statement.ts";
import type { Statement } from "./statement.ts";
import { BodyReader, dataRow, errorMessage, int16, MalformedError, message } from "./wire.ts";
import type { Message } from "./wire.ts";

/** Watches what runs; the audit of the scripted PostgreSQL. */
export interface SessionWatcher {
  /** A statement begins. `identity` is null for statements that no client sent. */
  ran(identity: string | null, statement: Statement): void;
  /** A unit is over and the session is outside any transaction. */
  rested(): void;
}

interface Prepared {
  readonly statement: Statement;
  readonly types: readonly number[];
  binds: number;
}

interface Portal {
  readonly statement: Statement;
  readonly parameter: string | null;
  /** Rows given out already. */
  at: number;
  started: boolean;
}

const Built = {
  parseComplete: message("1"),
  bindComplete: message("2"),
  closeComplete: message("3"),
  noData: message("n"),
  suspended: message("s"),
  empty: message("I"),
};

export class ScriptedSession {
  /** As in ReadyForQuery: idle, in a transaction, in a failed one. */
  status: "I" | "T" | "E" = "I";
  readonly settings: SessionSettings;
  readonly prepared = new Map<string, Prepared>();
  /** The statement that runs now, for cancels; null between statements. */
  running: string | null = null;
  isRunning = false;
  /** It is a BEGIN. */
  runsBegin = false;
  readonly #portals = new Map<string, Portal>();
  readonly #watcher: SessionWatcher | null;
  #skipping = false;

  constructor(settings: SessionSettings, watcher: SessionWatcher | null) {
    this.settings = settings;
    this.#watcher = watcher;
  }

  /** The session from behind the login to Terminate. */
  *run(): Steps {
    for (;;) {
      const request = (yield READ) as Message;
      if (request.type === "X") return;
      if (this.#skipping && request.type !== "S") continue;
      const extended = "PBDEC".includes(request.type);
      try {
        yield* this.#answer(request);
      } catch (error) {
        const known = error instanceof MalformedError ? new SessionError("08P01", error.message) : error;
        if (!(known instanceof SessionError)) throw error;
        this.#abort();
        yield errorMessage("E", "ERROR", known.code, known.message);
        yield FLUSH;
        if (extended) this.#skipping = true;
        else yield* this.#ready();
      } finally {
        this.isRunning = false;
        this.running = null;
        this.runsBegin = false;
      }
    }
  }

  *#answer({ type, body }: Message): Steps {
    switch (type) {
      case "Q":
        yield* this.#query(new BodyReader(body).text());
        return;
      case "P":
        yield* this.#parse(new BodyReader(body));
        return;
      case "B":
        yield* this.#bind(new BodyReader(body));
        return;
      case "D":
        yield* this.#describe(body);
        return;
      case "E":
        yield* this.#execute(new BodyReader(body));
        return;
      case "C":
        if (body[0] === 0x53) this.prepared.delete(body.toString("utf8", 1, body.length - 1));
        else this.#portals.delete(body.toString("utf8", 1, body.length - 1));
        yield Built.closeComplete;
        return;
      case "H":
        yield FLUSH;
        return;
      case "S":
        this.#skipping = false;
        yield* this.#ready();
        return;
      case "F":
        yield* this.#functionCall(new BodyReader(body));
        return;
      case "d":
      case "c":
      case "f":
        // The end of a copy that has failed already.
        return;
      default:
        throw new SessionError("08P01", `invalid frontend message type ${type.charCodeAt(0)}`);
    }
  }

  *#query(text: string): Steps {
    this.prepared.delete("");
    this.#portals.delete("");
    if (text === CATALOGUE_QUERY) {
      // Nothing in this database hides anything.
      yield message("D", int16(2), 1, Buffer.from("e"), 0);
      yield tag("SELECT 1");
      yield* this.#ready();
      return;
    }
    for (const statement of parseStatements(text)) yield* this.#run(statement, statement.identity, true);
    yield* this.#ready();
  }

  /** Runs a statement from its beginning to its tag. */
  *#run(statement: Statement, identity: string | null, described: boolean): Steps {
    yield* this.#begin(statement, identity);
    switch (statement.verb) {
      case "empty":
        yield Built.empty;
        return;
      case "select":
        if (described) yield this.#shape(statement);
        yield* this.#rows(statement, identity, 0, statement.rows);
        yield tag(`SELECT ${statement.rows}`);
        return;
      case "show":
        if (described) yield this.#shape(statement);
        yield dataRow(Buffer.from(`${identity ?? "?"}=${this.settings.get(statement.name) ?? "unset"}`));
        yield tag("SHOW");
        return;
      case "copyIn":
        yield* runCopyIn(statement, identity);
        return;
      case "copyOut":
        yield* runCopyOut(statement, identity, (at) => rowContent(identity, statement, at));
        return;
      case "insert":
      case "create":
      case "fail":
      case "begin":
      case "commit":
      case "rollback":
      case "rollbackTo":
      case "set":
      case "discard":
      case "deallocate":
      case "unknown":
        yield tag(this.#effect(statement, identity));
    }
  }

  /** What every statement begins with: its turn in the audit, its notice, its rest, and whether it may run at all. */
  *#begin(statement: Statement, identity: string | null): Steps {
    this.isRunning = true;
    this.running = identity;
    this.runsBegin = statement.verb === "begin";
    this.#watcher?.ran(identity, statement);
    if (
      this.status === "E" &&
      statement.verb !== "commit" &&
      statement.verb !== "rollback" &&
      statement.verb !== "empty"
    ) {
      throw new SessionError("25P02", `current transaction is aborted ${identity ?? ""}`);
    }
    if (statement.notice) yield errorMessage("N", "NOTICE", "00000", `sim ${identity ?? "nobody"}`);
    if (yield statement.pauseMs) throw cancelled(identity);
  }

  *#rows(statement: Statement, identity: string | null, from: number, to: number): Steps {
    const told = statement.tells === "" ? "" : ` ${this.settings.get(statement.tells) ?? "unset"}`;
    for (let at = from; at < to; at++) {
      yield dataRow(rowContent(identity, statement, at, told));
      if (statement.streamEvery === 0 || (at + 1) % statement.streamEvery !== 0) continue;
      if (yield statement.streamMs) throw cancelled(identity);
    }
  }

  /** Carries out a statement that answers with a tag only. */
  #effect(statement: Statement, identity: string | null): string {
    switch (statement.verb) {
      case "insert":
        return `INSERT 0 ${identity === null ? 0 : identityNumber(identity)}`;
      case "create":
        return "CREATE VIEW";
      case "begin":
        if (this.status === "I") this.status = "T";
        return statement.name === "START" ? "START TRANSACTION" : "BEGIN";
      case "commit": {
        const failed = this.status === "E";
        this.settings.commit();
        this.#endTransaction();
        return failed ? "ROLLBACK" : "COMMIT";
      }
      case "rollback":
        this.settings.abort();
        this.#endTransaction();
        return "ROLLBACK";
      case "set":
        this.settings.set(statement.name, statement.value);
        return "SET";
      case "deallocate":
        this.prepared.clear();
        return "DEALLOCATE ALL";
      case "discard":
        if (this.status !== "I") throw new SessionError("25001", `DISCARD ALL in a transaction ${identity ?? ""}`);
        this.settings.reset();
        this.prepared.clear();
        this.#portals.clear();
        return "DISCARD ALL";
      case "rollbackTo":
        throw new SessionError("3B001", `there is no savepoint ${identity ?? ""}`);
      case "fail":
        throw new SessionError("22012", `failed as asked ${identity ?? ""}`);
      case "unknown":
      case "empty":
      case "select":
      case "show":
      case "copyIn":
      case "copyOut":
        break;
    }
    throw new SessionError("42601", `syntax error ${identity ?? ""}`);
  }

  *#parse(reader: BodyReader): Steps {
    const name = reader.text();
    const statements = parseStatements(reader.text());
    const types: number[] = [];
    for (let left = reader.int16(); left > 0; left--) types.push(reader.int32());
    const statement = statements[0] as Statement;
    const { identity } = statement;
    if (statements.length > 1) throw new SessionError("42601", `several commands in a statement ${identity ?? ""}`);
    if (statement.verb === "unknown") throw new SessionError("42601", `syntax error ${identity ?? ""}`);
    this.#refuseWhenFailed(statement);
    if (name !== "" && this.prepared.has(name))
      throw new SessionError("42P05", `prepared statement "${name}" already exists`);
    this.prepared.set(name, { statement, types, binds: 0 });
    yield Built.parseComplete;
  }

  *#bind(reader: BodyReader): Steps {
    const portal = reader.text();
    const name = reader.text();
    const prepared = this.#preparedBy(name);
    for (let left = reader.int16(); left > 0; left--) reader.int16();
    const values: (string | null)[] = [];
    for (let left = reader.int16(); left > 0; left--) {
      const size = reader.int32();
      values.push(size < 0 ? null : reader.bytes(size).toString("utf8"));
    }
    for (let left = reader.int16(); left > 0; left--) reader.int16();
    if (reader.remaining > 0) throw new SessionError("08P01", "invalid message format");
    this.#refuseWhenFailed(prepared.statement);
    // As if somebody else had changed a table: only what is kept notices.
    if (name !== "" && prepared.statement.isFragile && prepared.binds++ % 3 === 2) {
      throw new SessionError("0A000", "cached plan must not change result type");
    }
    if (portal !== "" && this.#portals.has(portal))
      throw new SessionError("42P03", `cursor "${portal}" already exists`);
    this.#portals.set(portal, { statement: prepared.statement, parameter: values[0] ?? null, at: 0, started: false });
    yield Built.bindComplete;
  }

  *#describe(body: Buffer): Steps {
    const name = body.toString("utf8", 1, body.length - 1);
    if (body[0] === 0x53) {
      const { statement, types } = this.#preparedBy(name);
      this.#refuseWhenFailed(statement);
      yield message("t", int16(types.length), ...types);
      yield hasRows(statement) ? this.#shape(statement) : Built.noData;
      return;
    }
    const { statement } = this.#portalBy(name);
    yield hasRows(statement) ? this.#shape(statement) : Built.noData;
  }

  *#execute(reader: BodyReader): Steps {
    const portal = this.#portalBy(reader.text());
    const limit = reader.int32();
    const { statement } = portal;
    const identity = statement.takesParameter ? portal.parameter : statement.identity;
    if (statement.verb !== "select") {
      if (portal.started) throw new SessionError("55000", `portal cannot be run ${identity ?? ""}`);
      portal.started = true;
      yield* this.#run(statement, identity, false);
      return;
    }
    if (portal.started) this.isRunning = true;
    else {
      portal.started = true;
      yield* this.#begin(statement, identity);
    }
    const to = limit > 0 ? Math.min(statement.rows, portal.at + limit) : statement.rows;
    const from = portal.at;
    yield* this.#rows(statement, identity, from, to);
    portal.at = to;
    // As in PostgreSQL, a limit that is reached exactly suspends although nothing is left.
    if (limit > 0 && to - from === limit) yield Built.suspended;
    else yield tag(`SELECT ${to - from}`);
  }

  *#functionCall(reader: BodyReader): Steps {
    reader.int32();
    for (let left = reader.int16(); left > 0; left--) reader.int16();
    reader.int16();
    const argument = reader.bytes(reader.int32());
    const identity = argument.toString("utf8");
    const statement = parseStatements("SELECT function")[0] as Statement;
    yield* this.#begin(statement, identity);
    yield message("V", argument.length, argument);
    yield* this.#ready();
  }

  *#ready(): Steps {
    if (this.status === "I") {
      this.settings.commit();
      this.#portals.clear();
    }
    for (const [name, value] of this.settings.takeChanges()) yield message("S", name, value);
    if (this.status === "I") this.#watcher?.rested();
    yield message("Z", Buffer.from(this.status));
    yield FLUSH;
  }

  /** An error: a transaction block has failed, an implicit one is rolled back at once. */
  #abort(): void {
    this.settings.abort();
    this.#portals.clear();
    if (this.status === "T") this.status = "E";
  }

  #endTransaction(): void {
    this.status = "I";
    this.#portals.clear();
  }

  #refuseWhenFailed(statement: Statement): void {
    if (this.status === "E" && statement.verb !== "commit" && statement.verb !== "rollback") {
      throw new SessionError("25P02", `current transaction is aborted ${statement.identity ?? ""}`);
    }
  }

  #preparedBy(name: string): Prepared {
    const prepared = this.prepared.get(name);
    if (prepared === undefined) throw new SessionError("26000", `prepared statement "${name}" does not exist`);
    return prepared;
  }

  #portalBy(name: string): Portal {
    const portal = this.#portals.get(name);
    if (portal === undefined) throw new SessionError("34000", `portal "${name}" does not exist`);
    return portal;
  }

  /** The row description; its column is named for whoever wrote the text. */
  #shape(statement: Statement): Buffer {
    return message("T", int16(1), statement.identity ?? "shared", 0, int16(0), 25, int16(-1), -1, int16(0));
  }
}

/** A number that only this identity has. */
function identityNumber(identity: string): number {
  const { client, serial } = identityParts(identity);
  return client * 1_000_000 + serial;
}

function hasRows(statement: Statement): boolean {
  return statement.verb === "select" || statement.verb === "show";
}

/** The content of a row: who asked, which row it is, and what is `told`, over and over to the length wanted. */
function rowContent(identity: string | null, statement: Statement, at: number, told = ""): Buffer {
  const mark = `${identity ?? "nobody"}#${at}${told} `;
  return Buffer.alloc(Math.max(statement.bytes, mark.length), mark);
}
