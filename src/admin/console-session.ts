/**
 * The console for one client: messages in, commands run, answers out, in the simple and in the extended protocol.
 *
 * Responsible for: who may do what, one command at a time, errors (sent, logged, and skipped up to the Sync where the
 * protocol wants that), counting the console's own traffic, Ctrl-C, and what happens when the client leaves. What
 * commands do is theirs. Counterpart: `admin_handle_client`, `admin_handle_cancel` and `admin_pause_done` in admin.c.
 */
import { hideBindPassword } from "../config/setting-value.ts";
import { LocalTime } from "../log/local-time.ts";
import { ConsoleLevel } from "../pooler/console-level.ts";
import { PoolerState } from "../pooler/operations.ts";
import type { Pooler } from "../pooler/pooler.ts";
import { READY_IDLE, commandComplete } from "../protocol/backend-messages.ts";
import type { ErrorToSend } from "../protocol/error-messages.ts";
import { errorResponse, noticeResponse } from "../protocol/error-messages.ts";
import { readQuery } from "../protocol/frontend-readers.ts";
import { Frontend } from "../protocol/message-type.ts";
import { ProtocolError } from "../protocol/protocol-error.ts";
import type { Client } from "../session/client.ts";
import type { Console } from "../session/console.ts";
import { PoolerErrors } from "../session/pooler-error.ts";
import type { ConsoleStatement } from "./command-table.ts";
import { findStatement } from "./command-table.ts";
import type { Answer } from "./console-call.ts";
import { ConsoleCall } from "./console-call.ts";
import { ADMIN_NEEDED, ExtendedQuery, nextRows } from "./extended-query.ts";
import { consoleClients } from "./residents-in-order.ts";
import { describeRows, encodeRow } from "./result-table.ts";
import { PGBOUNCER_VERSION } from "./version.ts";

/** The welcome of PgBouncer's console. */
const PARAMETERS: readonly (readonly [name: string, value: string])[] = [
  ["server_version", `${PGBOUNCER_VERSION}/bouncer`],
  ["client_encoding", "UTF8"],
  ["server_encoding", "UTF8"],
  ["DateStyle", "ISO"],
  ["TimeZone", "GMT"],
  ["standard_conforming_strings", "on"],
  ["is_superuser", "on"],
];

/** PgBouncer's buffer for a text of an error. */
const ERROR_LENGTH_MAX = 1023;

export class ConsoleSession implements Console {
  readonly parameters = PARAMETERS;
  readonly #pooler: Pooler;
  readonly #level: ConsoleLevel;
  readonly #extended: ExtendedQuery;
  /** Made with the first command that prints times. */
  #localTime: LocalTime | null = null;
  /** The command that has not been answered yet. */
  #call: ConsoleCall | null = null;
  /** An error in the extended protocol: everything up to the next Sync is passed over. */
  #skipping = false;

  constructor(pooler: Pooler, level: ConsoleLevel) {
    this.#pooler = pooler;
    this.#level = level;
    this.#extended = new ExtendedQuery(level);
  }

  receive(client: Client, type: number, memory: Uint8Array, at: number, size: number): void {
    const counters = this.#pooler.residents.consoleCounters;
    client.clock.begin(counters, this.#pooler.engine.turn.now);
    counters.bytesReceived += size;
    try {
      this.#take(client, type, memory, at, size);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#refusePacket(client, type === Frontend.Query ? "incomplete query" : "bad packet");
    }
  }

  cancel(client: Client): void {
    const { engine, operations } = this.#pooler;
    const call = this.#call;
    if (call === null) engine.log.warning(`${client.toString()} admin cancel request for non-waiting client?`);
    if (operations.shutdownMode !== null) return;
    if (this.#level === ConsoleLevel.admin && operations.state !== PoolerState.active) operations.resume();
    if (call === null || call.hasEnded) return;
    call.cancelled();
  }

  left(client: Client): void {
    this.#call?.abandon();
    this.#call = null;
    const { engine, operations } = this.#pooler;
    if (operations.state !== PoolerState.suspended || operations.shutdownMode !== null) return;
    if (consoleClients(this.#pooler).some((other) => other !== client)) return;
    engine.log.log("admin disappeared when suspended, doing RESUME");
    operations.resume();
  }

  // ── Messages ────────────────────────────────────────────────────────────────────────────────────────────────────

  #take(client: Client, type: number, memory: Uint8Array, at: number, size: number): void {
    if (this.#skipping && type !== Frontend.Sync) {
      client.consoleAnswered();
      return;
    }
    const extended = this.#extended;
    switch (type) {
      case Frontend.Query:
        this.#query(client, readQuery(memory, at, size));
        return;
      case Frontend.Parse:
        this.#reply(client, extended.parse(memory, at, size));
        return;
      case Frontend.Bind:
        this.#reply(client, extended.bind(memory, at, size));
        return;
      case Frontend.Describe:
        this.#reply(client, extended.describe(memory, at, size));
        return;
      case Frontend.Close:
        this.#reply(client, extended.close(memory, at, size));
        return;
      case Frontend.Execute:
        this.#execute(client, memory, at, size);
        return;
      case Frontend.Flush:
        // Whatever there is leaves at the end of the turn.
        client.consoleAnswered();
        return;
      case Frontend.Sync:
        this.#skipping = false;
        extended.sync();
        this.#sendReady(client, []);
        return;
      case Frontend.CopyData:
      case Frontend.CopyDone:
      case Frontend.CopyFail:
      case Frontend.FunctionCall:
        this.#report(client, `unsupported packet type for admin console: ${type}`);
        this.#send(client, READY_IDLE);
        this.#refusePacket(client, "bad packet");
        return;
      default:
        this.#refusePacket(client, PoolerErrors.unknownPacket.text);
    }
  }

  #refusePacket(client: Client, message: string): void {
    client.fail({ severity: "FATAL", code: "08P01", message });
  }

  #query(client: Client, text: string): void {
    this.#pooler.engine.log.debug(`got admin query: ${hideBindPassword(text)}`);
    this.#extended.forgetUnnamed();
    const found = findStatement(text);
    if (!found.ok) {
      this.#answerQuery(client, null, {
        kind: "failed",
        error: { severity: "ERROR", code: "08P01", message: found.message },
      });
      return;
    }
    this.#run(client, found.statement, true, (answer) => this.#answerQuery(client, found.statement, answer));
  }

  #answerQuery(client: Client, statement: ConsoleStatement | null, answer: Answer): void {
    if (answer.kind === "failed") {
      this.#sendReady(client, [this.#errorOf(client, answer.error)]);
      return;
    }
    const parts: Uint8Array[] = answer.notices.map((notice) => noticeResponse(notice));
    const columns = statement?.command.columns ?? [];
    if (columns.length > 0 && !answer.rowsAreSent) parts.push(describeRows(columns, []));
    for (const row of answer.rows) parts.push(encodeRow(columns, [], row));
    parts.push(commandComplete(answer.tag));
    this.#sendReady(client, parts);
  }

  #execute(client: Client, memory: Uint8Array, at: number, size: number): void {
    const execution = this.#extended.execute(memory, at, size);
    if ("severity" in execution) {
      this.#reply(client, execution);
      return;
    }
    const { portal } = execution;
    if (portal.answer !== null) {
      this.#reply(client, nextRows(execution));
      return;
    }
    this.#run(client, portal.statement, false, (answer) => {
      if (answer.kind === "failed") {
        this.#reply(client, answer.error);
        return;
      }
      portal.answer = answer;
      this.#reply(client, nextRows(execution));
    });
  }

  // ── Commands ────────────────────────────────────────────────────────────────────────────────────────────────────

  /** `finish` is called once, now or later; not when the client leaves before. */
  #run(client: Client, statement: ConsoleStatement, isSimple: boolean, finish: (answer: Answer) => void): void {
    this.#localTime ??= new LocalTime();
    const input = { ...statement, isSimple, pooler: this.#pooler, client, localTime: this.#localTime };
    const call = new ConsoleCall(input, (answer) => {
      if (this.#call === call) this.#call = null;
      finish(answer);
    });
    this.#call = call;
    const { command } = statement;
    if (command.level === ConsoleLevel.admin && this.#level !== ConsoleLevel.admin) call.fail(ADMIN_NEEDED);
    else command.run(call);
  }

  // ── Answers ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** To one message of the extended protocol. */
  #reply(client: Client, reply: Uint8Array | ErrorToSend): void {
    if (reply instanceof Uint8Array) {
      this.#send(client, reply);
    } else {
      this.#skipping = true;
      this.#send(client, this.#errorOf(client, reply));
    }
    client.consoleAnswered();
  }

  /** The end of a unit. */
  #sendReady(client: Client, parts: readonly Uint8Array[]): void {
    this.#send(client, Buffer.concat([...parts, READY_IDLE]));
    client.clock.end(this.#pooler.residents.consoleCounters, this.#pooler.engine.turn.now, true);
    client.consoleAnswered();
  }

  #send(client: Client, bytes: Uint8Array): void {
    if (client.isClosed) return;
    this.#pooler.residents.consoleCounters.bytesSent += bytes.length;
    client.send(bytes);
  }

  #report(client: Client, message: string): void {
    this.#send(client, this.#errorOf(client, { severity: "ERROR", code: "08P01", message }));
  }

  /** The message of an error, which is logged. */
  #errorOf(client: Client, error: ErrorToSend): Uint8Array {
    const { log, settings } = this.#pooler.engine;
    const message = error.message.slice(0, ERROR_LENGTH_MAX);
    // It may quote a command that nobody understands; its author may read it whole, others not.
    const logged = hideBindPassword(message);
    log.error(logged);
    if (settings.logPoolerErrors) log.warning(`${client.toString()} pooler error: ${logged}`);
    return errorResponse({ ...error, message });
  }
}
