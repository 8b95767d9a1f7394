/**
 * Named prepared statements of clients in transaction and statement mode: which name goes to the server, what is sent
 * before, and which answer is made up.
 *
 *     client            server                          answer
 *     Parse s           Parse PGBOUNCER_7               forwarded          the server did not have it
 *     Parse s           –                               ParseComplete put in
 *     Bind s            Bind PGBOUNCER_7                forwarded
 *     Bind s            Parse PGBOUNCER_7, Bind         1 swallowed        the server did not have it
 *     Close s           –                               CloseComplete put in
 *     –                 Close PGBOUNCER_3               3 swallowed        more than max_prepared_statements
 *
 * Portals and PREPARE in SQL pass through. So does the unnamed statement, but a server is never asked for one that another
 * client has parsed: Bind, Describe and Close of it are for a statement then that PostgreSQL does not have (26000). Counterpart: PgBouncer's `prepare.c`.
 */
import type { Undoable } from "../pipeline/pipeline.ts";
import { PUT_IN, Step, SWALLOW } from "../pipeline/step.ts";
import type { Framer } from "../protocol/framer.ts";
import { HEADER_BYTES } from "../protocol/framer.ts";
import { close } from "../protocol/frontend-messages.ts";
import { Frontend, TargetKind, TransactionStatus } from "../protocol/message-type.ts";
import {
  BindParts,
  ParseParts,
  TargetParts,
  inspectBind,
  inspectParse,
  inspectTarget,
  renameBindHead,
  renameTarget,
} from "../protocol/statement-messages.ts";
import { StatementUnit } from "../protocol/statement-unit.ts";
import type { PreparedStatement } from "../state/prepared-statement.ts";
import { latin1 } from "../state/prepared-statement.ts";
import type { Client } from "./client.ts";
import type { PoolerErrorRow } from "./pooler-error.ts";
import { PoolerErrors, poolerError } from "./pooler-error.ts";
import type { Server } from "./server.ts";

/** What became of a message; any other value is the offset from where its bytes go on to the server as they are. */
export const Relayed = {
  /** Nothing to do with names: the caller forwards it. */
  asItIs: -1,
  /** The client has been closed. */
  refused: -2,
  /** What its name means is not known before an answer has come: the client's input waits for the end of a unit. */
  later: -3,
} as const;

/** What an unnamed statement is called that is not on this server: PostgreSQL says that there is no such statement. */
const NOT_ITS_OWN = Buffer.from("unnamed, and not parsed on this server connection", "latin1");

/** A named Parse is held whole up to here. */
export const PARSE_HELD_BYTES_MAX = 16 * 1024 * 1024;
/** Both names of a Bind must lie within this. */
const BIND_NAMES_BYTES_MAX = 64 * 1024;
/** Describe and Close consist of a name. */
const TARGET_BYTES_MAX = 64 * 1024;
/** One client's names. */
export const CLIENT_STATEMENTS_MAX = 100_000;

/** The offsets of the message being looked at, one set for a pooler. Written and read within one call. */
export class MessageParts {
  readonly parse = new ParseParts();
  readonly bind = new BindParts();
  readonly target = new TargetParts();
  readonly unit = new StatementUnit();
}

/**
 * Whether enough of the Parse, Bind, Describe or Close that `framer` offers is there to see which statement it names. If
 * not, the framer holds it, or the client has been closed because of it. To be asked before a server is.
 */
export function isReadable(client: Client, framer: Framer, memory: Uint8Array): boolean {
  const { at, size, available } = framer;
  switch (framer.type) {
    case Frontend.Parse:
      // One without a body is whole, and broken: it would be waited for without end.
      if (available <= HEADER_BYTES && size > HEADER_BYTES) {
        framer.holdFor(HEADER_BYTES + 1);
        return false;
      }
      if (size > HEADER_BYTES && memory[at + HEADER_BYTES] === 0) return true;
      if (!isWhole(client, framer, PARSE_HELD_BYTES_MAX, PoolerErrors.parseTooLong)) return false;
      return isSound(client, inspectParse(memory, at, size, client.engine.parts.parse), PoolerErrors.brokenParse);
    case Frontend.Bind: {
      const parts = inspectBind(memory, at, size, available, client.engine.parts.bind);
      if (parts?.complete === true) return true;
      if (parts === null || available >= BIND_NAMES_BYTES_MAX || framer.last) refuse(client, PoolerErrors.brokenBind);
      // Twice what is there each time: copied twice at most, and never all of a large one.
      else framer.holdFor(Math.min(BIND_NAMES_BYTES_MAX, Math.max(256, available * 2)));
      return false;
    }
    default: {
      const broken = framer.type === Frontend.Describe ? PoolerErrors.brokenDescribe : PoolerErrors.brokenClose;
      if (!isWhole(client, framer, TARGET_BYTES_MAX, broken)) return false;
      return isSound(client, inspectTarget(memory, at, size, client.engine.parts.target), broken);
    }
  }
}

/** False when a message cannot be read, and its client has been closed. No server is taken for such a one. */
function isSound(client: Client, parts: object | null, broken: PoolerErrorRow): boolean {
  if (parts === null) refuse(client, broken);
  return parts !== null;
}

function isWhole(client: Client, framer: Framer, bytesMax: number, tooLong: PoolerErrorRow): boolean {
  if (framer.whole) return true;
  if (framer.size > bytesMax) refuse(client, tooLong);
  else framer.hold();
  return false;
}

/**
 * Relays the Parse, Bind, Describe or Close that `framer` offers, after `isReadable`, where statements are tracked. `runStart`, `runEnd`: bytes before
 * it that are still to be forwarded; unless the result is `asItIs` or `later` they have been.
 */
export function relayStatementMessage(
  client: Client,
  server: Server,
  framer: Framer,
  memory: Uint8Array,
  runStart: number,
  runEnd: number,
): number {
  if (server.pipeline.isSkipping) {
    if (framer.type === Frontend.Parse) noteSkippedParse(client, framer, memory);
    return Relayed.asItIs;
  }
  switch (framer.type) {
    case Frontend.Parse:
      return relayParse(client, server, framer, memory, runStart, runEnd);
    case Frontend.Bind:
      return relayBind(client, server, memory, runStart, runEnd);
    case Frontend.Describe:
      return relayDescribe(client, server, framer, memory, runStart, runEnd);
    case Frontend.Close:
      return relayClose(client, server, framer, memory, runStart, runEnd);
    default:
      return Relayed.asItIs;
  }
}

function relayParse(
  client: Client,
  server: Server,
  framer: Framer,
  memory: Uint8Array,
  runStart: number,
  runEnd: number,
): number {
  const { at, size } = framer;
  if (memory[at + HEADER_BYTES] === 0) return Relayed.asItIs;
  if (server.pipeline.isUndecided) return Relayed.later;
  const parts = inspectParse(memory, at, size, client.engine.parts.parse);
  if (parts === null) return refuse(client, PoolerErrors.brokenParse);
  const name = latin1(memory, parts.nameStart, parts.nameEnd);
  if (client.statements.get(name) !== undefined) {
    client.engine.log.error(`${client} prepared statement '${name}' was already prepared`);
    return refuse(client, PoolerErrors.statementInUse);
  }
  if (client.statementCount >= CLIENT_STATEMENTS_MAX) return refuse(client, PoolerErrors.tooManyStatements);

  client.forward(memory, runStart, runEnd);
  const statement = client.engine.statements.take(
    memory.subarray(parts.queryStart, parts.end),
    client.engine.parameters.parsing(server.parameters),
  );
  client.statements.forgetLost(name);
  client.statements.set(name, statement);
  server.pool.database.counters.clientParseCount += 1;
  // In a failed transaction PostgreSQL refuses a Parse, whether it has the statement or not: it has to say so itself.
  if (server.status !== TransactionStatus.Failed && server.statements.use(statement)) {
    server.pipeline.push(Step.parse | PUT_IN, client, new NewName(client, name, statement));
  } else {
    prepare(client, server, statement, Step.parse, new NewName(client, name, statement));
  }
  return parts.end;
}

/** PostgreSQL is going to skip this Parse: its name is lost. What it cannot read is skipped without a word. */
export function noteSkippedParse(client: Client, framer: Framer, memory: Uint8Array): void {
  const parts = inspectParse(memory, framer.at, framer.size, client.engine.parts.parse);
  if (parts === null || parts.nameStart === parts.nameEnd) return;
  const statement = client.engine.statements.take(
    memory.subarray(parts.queryStart, parts.end),
    client.engine.parameters.parsing(client.parameters),
  );
  client.statements.lose(latin1(memory, parts.nameStart, parts.nameEnd), statement);
}

function relayBind(client: Client, server: Server, memory: Uint8Array, runStart: number, runEnd: number): number {
  // `isReadable` has just looked at this very message.
  const parts = client.engine.parts.bind;
  if (parts.statementStart === parts.statementEnd) {
    if (server.unnamed === client.unnamed) return Relayed.asItIs;
    client.forward(memory, runStart, runEnd);
    const isParsed = client.anonymous?.parseOn(server) === true;
    if (!isParsed) server.outbox.addAll(renameBindHead(memory, parts, NOT_ITS_OWN));
    server.pipeline.push(Step.bind, client, null);
    return isParsed ? client.framer.at : parts.tailStart;
  }
  if (server.pipeline.isUndecided) return Relayed.later;
  const statement = find(client, memory, parts.statementStart, parts.statementEnd);
  if (statement === null) return Relayed.refused;

  client.forward(memory, runStart, runEnd);
  server.pool.database.counters.bindCount += 1;
  const there = server.statements.use(statement) ? statement : prepareAgain(client, server, statement);
  const isUnnamedPortal = parts.portalStart === parts.portalEnd;
  server.outbox.addAll(
    isUnnamedPortal
      ? there.bindHead(parts.end - parts.tailStart)
      : renameBindHead(memory, parts, there.serverNameBytes),
  );
  server.pipeline.push(Step.bind, client, null);
  return parts.tailStart;
}

function relayDescribe(
  client: Client,
  server: Server,
  framer: Framer,
  memory: Uint8Array,
  runStart: number,
  runEnd: number,
): number {
  const parts = inspectTarget(memory, framer.at, framer.size, client.engine.parts.target);
  if (parts === null) return refuse(client, PoolerErrors.brokenDescribe);
  if (parts.kind !== TargetKind.Statement) return Relayed.asItIs;
  if (parts.nameStart === parts.nameEnd) return relayUnnamedTarget(client, server, framer, memory, runStart, runEnd);
  if (server.pipeline.isUndecided) return Relayed.later;
  const statement = find(client, memory, parts.nameStart, parts.nameEnd);
  if (statement === null) return Relayed.refused;

  client.forward(memory, runStart, runEnd);
  const there = server.statements.use(statement) ? statement : prepareAgain(client, server, statement);
  server.outbox.addAll(renameTarget(parts, there.serverNameBytes));
  server.pipeline.push(Step.describe, client, null);
  return framer.at + framer.size;
}

/** Describe or Close of the unnamed statement. */
function relayUnnamedTarget(
  client: Client,
  server: Server,
  framer: Framer,
  memory: Uint8Array,
  runStart: number,
  runEnd: number,
): number {
  if (server.unnamed === client.unnamed) return Relayed.asItIs;
  client.forward(memory, runStart, runEnd);
  if (framer.type === Frontend.Describe && client.anonymous?.parseOn(server) === true) {
    server.pipeline.push(Step.describe, client, null);
    return framer.at;
  }
  client.anonymous = null;
  server.outbox.addAll(renameTarget(client.engine.parts.target, NOT_ITS_OWN));
  server.pipeline.push(framer.type === Frontend.Describe ? Step.describe : Step.close, client, null);
  return framer.at + framer.size;
}

function relayClose(
  client: Client,
  server: Server,
  framer: Framer,
  memory: Uint8Array,
  runStart: number,
  runEnd: number,
): number {
  const parts = inspectTarget(memory, framer.at, framer.size, client.engine.parts.target);
  if (parts === null) return refuse(client, PoolerErrors.brokenClose);
  if (parts.kind !== TargetKind.Statement) return Relayed.asItIs;
  if (parts.nameStart === parts.nameEnd) return relayUnnamedTarget(client, server, framer, memory, runStart, runEnd);
  if (server.pipeline.isUndecided) return Relayed.later;
  client.forward(memory, runStart, runEnd);
  const name = latin1(memory, parts.nameStart, parts.nameEnd);
  const statement = client.statements.take(name);
  let closed: ClosedName | null = null;
  if (statement !== undefined) {
    client.engine.statements.giveBack(statement);
    closed = new ClosedName(client, name, statement);
  }
  client.statements.forgetLost(name);
  server.pipeline.push(Step.close | PUT_IN, client, closed);
  return framer.at + framer.size;
}

/** The client's statement of this name; null when it has none and was closed for it. */
function find(client: Client, memory: Uint8Array, start: number, end: number): PreparedStatement | null {
  const found = client.statements.find(memory, start, end);
  if (found !== null) return found;
  const name = latin1(memory, start, end);
  const lost = client.statements.lost(name);
  if (lost !== undefined) return lost;
  client.engine.log.error(`${client} prepared statement '${name}' not found`);
  refuse(client, PoolerErrors.statementMissing);
  return null;
}

function refuse(client: Client, error: PoolerErrorRow): number {
  client.fail(poolerError(error));
  return Relayed.refused;
}

/**
 * A Parse that the client has not sent now: it prepared the statement on another server. Returns what is prepared: the same
 * text under the settings of now, if those of then are gone, and nobody gets it who has others.
 */
function prepareAgain(client: Client, server: Server, statement: PreparedStatement): PreparedStatement {
  const { parameters, statements } = client.engine;
  const settings = parameters.parsing(server.parameters);
  if (settings === statement.settings) {
    prepare(client, server, statement, Step.parse | SWALLOW, null);
    return statement;
  }
  const here = statements.take(statement.body, settings);
  if (!server.statements.use(here)) prepare(client, server, here, Step.parse | SWALLOW, null);
  statements.giveBack(here);
  return here;
}

/** A Parse under the server's name goes to it. `step`: with `SWALLOW` where the client has not asked for it now; `name`: what the client calls it. */
export function prepare(
  client: Client,
  server: Server,
  statement: PreparedStatement,
  step: number,
  name: NewName | null,
): void {
  const { outbox, pipeline, statements } = server;
  if (statements.has(statement)) {
    // In a failed transaction: the server is to refuse the Parse as it would refuse any other.
    outbox.addAll(close(TargetKind.Statement, statement.serverName));
    pipeline.push(Step.close | SWALLOW, client, new Evicting(server, statement));
    statements.delete(statement);
  }
  outbox.addAll(statement.parse);
  pipeline.push(step, client, new Preparing(server, statement, name));
  statements.add(statement);
  server.pool.database.counters.serverParseCount += 1;
  const max = client.engine.settings.maxPreparedStatements;
  for (let oldest = statements.oldestBeyond(max); oldest !== null; oldest = statements.oldestBeyond(max)) {
    statements.delete(oldest);
    outbox.addAll(close(TargetKind.Statement, oldest.serverName));
    pipeline.push(Step.close | SWALLOW, client, new Evicting(server, oldest));
  }
}

/** The client has a name for a statement that the server had already. */
class NewName implements Undoable {
  readonly #client: Client;
  readonly #name: string;
  readonly #statement: PreparedStatement;

  constructor(client: Client, name: string, statement: PreparedStatement) {
    this.#client = client;
    this.#name = name;
    this.#statement = statement;
  }

  undo(): void {
    const client = this.#client;
    if (client.isClosed || client.statements.get(this.#name) !== this.#statement) return;
    client.statements.take(this.#name);
    // The youngest is undone first: what it meant is what the client means.
    if (client.statements.lost(this.#name) === undefined) client.statements.lose(this.#name, this.#statement);
    else client.engine.statements.giveBack(this.#statement);
  }
}

/** A Parse was sent to the server, for a name of the client's or because a server lacked it. */
class Preparing implements Undoable {
  readonly #server: Server;
  readonly #statement: PreparedStatement;
  readonly #name: NewName | null;

  constructor(server: Server, statement: PreparedStatement, name: NewName | null) {
    this.#server = server;
    this.#statement = statement;
    this.#name = name;
  }

  undo(): void {
    this.#server.statements.delete(this.#statement);
    this.#name?.undo();
  }
}

/** The server was told to close one, to make room. */
class Evicting implements Undoable {
  readonly #server: Server;
  readonly #statement: PreparedStatement;

  constructor(server: Server, statement: PreparedStatement) {
    this.#server = server;
    this.#statement = statement;
  }

  undo(): void {
    if (!this.#server.isClosed) this.#server.statements.add(this.#statement);
  }
}

/** The client has closed a name. */
class ClosedName implements Undoable {
  readonly #client: Client;
  readonly #name: string;
  readonly #statement: PreparedStatement;

  constructor(client: Client, name: string, statement: PreparedStatement) {
    this.#client = client;
    this.#name = name;
    this.#statement = statement;
  }

  undo(): void {
    const client = this.#client;
    if (client.isClosed || client.statements.get(this.#name) !== undefined) return;
    client.engine.statements.keep(this.#statement);
    client.statements.set(this.#name, this.#statement);
  }
}
