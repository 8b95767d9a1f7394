/**
 * A unit with an unnamed Parse whose text is kept prepared on servers (`state/anonymous-texts.ts`): its Bind goes to the kept
 * statement, so that PostgreSQL does not parse it anew.
 *
 *     client                         server
 *     Parse "", Bind, …, Sync        Bind PGBOUNCER_7, …, Sync                          ParseComplete put in with the BindComplete
 *                                    Parse PGBOUNCER_7, Bind PGBOUNCER_7, …, Sync       the server did not have it
 *                                    Bind PGBOUNCER_7 ✗, Sync; Parse "", Bind, …        it was refused: as if it had never been
 *
 * The client has asked for a Parse, so it must not hear of what only a kept statement can come to: "cached plan must not change
 * result type" after DDL, or that it is gone. These come with the Bind, before anything has run. So a unit is kept until its Bind is
 * answered, and if PostgreSQL refuses that, the whole unit is sent again as it came; what is wrong with it in truth is said then. Only outside a
 * transaction, which the refusal would have failed, and only units that are whole and alone.
 *
 * Why: docs/decisions/0017. Not for: named statements (`statement-relay.ts`).
 */
import { Step, SWALLOW, UNNAMED } from "../pipeline/step.ts";
import { PARSE_COMPLETE } from "../protocol/backend-messages.ts";
import { readErrorFields } from "../protocol/error-fields.ts";
import type { Framer } from "../protocol/framer.ts";
import { close } from "../protocol/frontend-messages.ts";
import { Backend, TargetKind, TransactionStatus } from "../protocol/message-type.ts";
import { inspectBind, parseWithTail, renameBindHead } from "../protocol/statement-messages.ts";
import { inspectStatementUnit, passUnit } from "../protocol/statement-unit.ts";
import type { PreparedStatement } from "../state/prepared-statement.ts";
import { AnswerPieces } from "./answer-pieces.ts";
import type { Client } from "./client.ts";
import type { FailStop } from "./fail-stop.ts";
import type { Server } from "./server.ts";
import { prepare } from "./statement-relay.ts";

/** Longer ones go their ordinary way: they are kept in memory until their Bind is answered. */
const UNIT_BYTES_MAX = 16 * 1024;
/** Operator intervention: a cancel is for the client, and is not to be outlived by a second try. */
const INTERVENTION = "57";
const UNNAMED_NAME = new Uint8Array(0);

/**
 * Relays the unit that begins with the Parse that `framer` offers, if it is one whose text is kept. False: nothing was done. Nothing
 * waits to be forwarded before it: it is the first of what `server` is asked.
 */
export function relayAnonymousUnit(client: Client, server: Server, framer: Framer, memory: Uint8Array): boolean {
  const { engine, pool } = client;
  const texts = pool!.anonymous;
  const { at } = framer;
  const { pipeline } = server;
  if (texts === null || server.status !== TransactionStatus.Idle || !pipeline.isEmpty) return false;
  const { bind, unit } = engine.parts;
  if (!inspectStatementUnit(memory, at, framer.end, unit) || !unit.isExtended || unit.end !== framer.end) return false;
  if (unit.end - at > UNIT_BYTES_MAX) return false;
  const body = memory.subarray(unit.textStart, unit.bodyEnd);
  const settings = engine.parameters.parsing(server.parameters);
  const statement = texts.statementFor(body, unit.textEnd - unit.textStart, settings);
  const bindBytes = unit.bindEnd - unit.bindStart;
  if (statement === null || inspectBind(memory, unit.bindStart, bindBytes, bindBytes, bind) === null) return false;

  client.unnamed = engine.statements.nextUnnamed();
  const isThere = server.statements.use(statement);
  const anonymous = new AnonymousUnit(client, server, statement, isThere ? memory.slice(at, unit.end) : null);
  client.anonymous = anonymous;
  if (!isThere) prepare(client, server, statement, Step.parse, null);
  server.outbox.addAll(renameBindHead(memory, bind, statement.serverNameBytes));
  pipeline.push(Step.bind, isThere ? anonymous : client, null);
  pushRest(client, server, unit.isDescribed);
  pool!.database.counters.bytesReceived += bind.tailStart - at;
  client.forward(memory, bind.tailStart, unit.end);
  passUnit(framer, unit, engine.settings.maxPacketSize);
  return true;
}

function pushRest(client: Client, { pipeline }: Server, isDescribed: boolean): void {
  if (isDescribed) pipeline.push(Step.describe, client, null);
  pipeline.push(Step.execute, client, null);
  pipeline.push(Step.sync, client, null);
}

/** The last unit of a client that went to a kept statement; for as long as its Bind is not answered, the owner of that. */
export class AnonymousUnit implements FailStop {
  readonly #client: Client;
  readonly #server: Server;
  readonly #statement: PreparedStatement;
  /** Which unnamed statement its Parse has made for the client. */
  readonly #unnamed: number;
  /** All of it, as it came; null once its Bind is answered. */
  #bytes: Uint8Array | null;
  readonly #pieces = new AnswerPieces();
  #isRefused = false;

  constructor(client: Client, server: Server, statement: PreparedStatement, bytes: Uint8Array | null) {
    this.#client = client;
    this.#server = server;
    this.#statement = statement;
    this.#unnamed = client.unnamed;
    this.#bytes = bytes;
  }

  /** Nothing of the client's may be sent behind it. */
  get isUndecided(): boolean {
    return this.#bytes !== null;
  }

  answer(memory: Uint8Array, start: number, end: number): void {
    const client = this.#client;
    if (client.isClosed) return;
    for (let at = start; at < end;) {
      const next = this.#pieces.behind(memory, at, end);
      if (this.#pieces.type === Backend.BindComplete) this.#decide();
      if (!this.#isRefused || this.#pieces.isUnasked) client.answer(memory, at, next);
      at = next;
    }
  }

  /** It goes on as any unit of the client's: what is refused from now on is refused to the client. */
  #decide(): void {
    if (this.#bytes === null) return;
    this.#bytes = null;
    this.#client.answer(PARSE_COMPLETE, 0, PARSE_COMPLETE.length);
  }

  refused(memory: Uint8Array, at: number, size: number): void {
    const client = this.#client;
    const server = this.#server;
    if (client.isClosed || client.server !== server || this.#bytes === null) return;
    const { code, plainSeverity, severity } = readErrorFields(memory, at, size);
    if (
      (plainSeverity ?? severity) === "FATAL" ||
      plainSeverity === "PANIC" ||
      code?.startsWith(INTERVENTION) === true
    ) {
      this.#decide();
      return;
    }
    this.#isRefused = true;
    server.statements.delete(this.#statement);
    // The ReadyForQuery that comes is not for the client.
    server.pipeline.replaceOwner(client, this);
    server.pipeline.linked = client;
  }

  /** The Sync of the refused unit: it is sent again. */
  ended(): void {
    const client = this.#client;
    const server = this.#server;
    const bytes = this.#bytes;
    if (client.isClosed || client.server !== server || bytes === null) return;
    const { unit } = client.engine.parts;
    this.#bytes = null;
    inspectStatementUnit(bytes, 0, bytes.length, unit);
    const { pipeline } = server;
    pipeline.push(Step.close | SWALLOW, client, null);
    server.send(close(TargetKind.Statement, this.#statement.serverName));
    server.unnamed = this.#unnamed;
    pipeline.push(Step.parse | UNNAMED, client, null);
    pipeline.push(Step.bind, client, null);
    pushRest(client, server, unit.isDescribed);
    server.send(bytes);
  }

  /** The client's own unnamed statement is wanted without a Parse: `server` gets it, if it is the one of this unit. */
  parseOn(server: Server): boolean {
    const client = this.#client;
    if (client.unnamed !== this.#unnamed) return false;
    server.unnamed = this.#unnamed;
    server.pipeline.push(Step.parse | UNNAMED | SWALLOW, client, null);
    server.send(parseWithTail(UNNAMED_NAME, this.#statement.body));
    return true;
  }

  /** It is to go on in another process, which knows nothing of second tries: the client has the answers from now on. */
  settle(): void {
    if (this.#bytes === null || this.#isRefused || this.#client.isClosed) return;
    this.#decide();
    this.#server.pipeline.replaceOwner(this, this.#client);
  }
}
