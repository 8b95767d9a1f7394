/**
 * The extended protocol on the console: prepared statements and portals of one client.
 *
 * Drivers send Parse, Bind, Describe, Execute and Sync for everything; PgBouncer's console refuses them. Commands take no
 * parameters, so a Bind that brings some is refused. What Describe answers is known from the command without running it.
 * Each method takes a whole message and returns what it is answered with, or the error; a malformed one throws
 * `ProtocolError`. Who skips to the Sync after an error is the caller. Errors are PostgreSQL's, with its SQLSTATEs.
 *
 * Protocol: "Extended Query" in PostgreSQL's documentation. Statements live as long as the client, portals until Sync.
 */
import { ConsoleLevel } from "../pooler/console-level.ts";
import {
  BIND_COMPLETE,
  CLOSE_COMPLETE,
  NO_DATA,
  PARSE_COMPLETE,
  PORTAL_SUSPENDED,
  commandComplete,
  parameterDescription,
} from "../protocol/backend-messages.ts";
import type { ErrorToSend } from "../protocol/error-messages.ts";
import { noticeResponse } from "../protocol/error-messages.ts";
import { HEADER_BYTES } from "../protocol/framer.ts";
import { readExecute, readParse, readTarget } from "../protocol/frontend-readers.ts";
import { TargetKind } from "../protocol/message-type.ts";
import { MessageReader } from "../protocol/reader.ts";
import type { ConsoleStatement } from "./command-table.ts";
import { findStatement } from "./command-table.ts";
import type { Answer } from "./console-call.ts";
import { Format, describeRows, encodeRow } from "./result-table.ts";

/** Of one client: named statements, and portals between two Syncs. */
export const STATEMENTS_MAX = 1000;
export const PORTALS_MAX = 100;

interface Portal {
  readonly statement: ConsoleStatement;
  /** One for each column. */
  readonly formats: readonly number[];
  /** Null until it has been run. */
  answer: Extract<Answer, { kind: "done" }> | null;
  /** Rows that were sent already. */
  sent: number;
  completed: boolean;
}

/** What Execute asks for: the portal to run, or to go on with. */
export interface Execution {
  readonly portal: Portal;
  /** 0: all. */
  readonly rowsMax: number;
}

export class ExtendedQuery {
  readonly #level: ConsoleLevel;
  readonly #statements = new Map<string, ConsoleStatement>();
  readonly #portals = new Map<string, Portal>();

  /** `level`: what the client may do; a Parse of what it may not is refused. */
  constructor(level: ConsoleLevel) {
    this.#level = level;
  }

  parse(memory: Uint8Array, at: number, size: number): Uint8Array | ErrorToSend {
    const { name, text } = readParse(memory, at, size);
    if (name === "") this.#statements.delete("");
    else if (this.#statements.has(name)) return error("42P05", `prepared statement "${name}" already exists`);
    else if (this.#statements.size >= STATEMENTS_MAX) return error("53400", "too many prepared statements");
    const found = findStatement(text);
    if (!found.ok) return error("08P01", found.message);
    const { command } = found.statement;
    if (command.level === ConsoleLevel.admin && this.#level !== ConsoleLevel.admin) {
      return error("08P01", ADMIN_NEEDED);
    }
    this.#statements.set(name, found.statement);
    return PARSE_COMPLETE;
  }

  bind(memory: Uint8Array, at: number, size: number): Uint8Array | ErrorToSend {
    const message = readBindFormats(memory, at, size);
    const statement = this.#statements.get(message.statement);
    if (statement === undefined) return noStatement(message.statement);
    if (message.parameterCount > 0) {
      const what = message.statement === "" ? "" : ` "${message.statement}"`;
      return error(
        "08P01",
        `bind message supplies ${message.parameterCount} parameters, but prepared statement${what} requires 0`,
      );
    }
    const { columns } = statement.command;
    const { formats } = message;
    if (formats.length > 1 && formats.length !== columns.length) {
      return error(
        "08P01",
        `bind message has ${formats.length} result formats but query has ${columns.length} columns`,
      );
    }
    const unknown = formats.find((format) => format !== Format.text && format !== Format.binary);
    if (unknown !== undefined) return error("22023", `unsupported format code: ${unknown}`);
    if (message.portal === "") this.#portals.delete("");
    else if (this.#portals.has(message.portal)) return error("42P03", `cursor "${message.portal}" already exists`);
    else if (this.#portals.size >= PORTALS_MAX) return error("53400", "too many portals");
    this.#portals.set(message.portal, {
      statement,
      formats: formats.length === 1 ? columns.map(() => formats[0] ?? Format.text) : formats,
      answer: null,
      sent: 0,
      completed: false,
    });
    return BIND_COMPLETE;
  }

  describe(memory: Uint8Array, at: number, size: number): Uint8Array | ErrorToSend {
    const { kind, name } = readTarget(memory, at, size);
    if (kind === TargetKind.Statement) {
      const statement = this.#statements.get(name);
      if (statement === undefined) return noStatement(name);
      return Buffer.concat([parameterDescription([]), describe(statement, [])]);
    }
    const portal = this.#portals.get(name);
    return portal === undefined ? noPortal(name) : describe(portal.statement, portal.formats);
  }

  /** What is not there is closed too. */
  close(memory: Uint8Array, at: number, size: number): Uint8Array {
    const { kind, name } = readTarget(memory, at, size);
    if (kind === TargetKind.Statement) this.#statements.delete(name);
    else this.#portals.delete(name);
    return CLOSE_COMPLETE;
  }

  execute(memory: Uint8Array, at: number, size: number): Execution | ErrorToSend {
    const { portal: name, rowsMax } = readExecute(memory, at, size);
    const portal = this.#portals.get(name);
    if (portal === undefined) return noPortal(name);
    if (portal.completed && portal.statement.command.columns.length === 0) {
      return error("55000", `portal "${name}" cannot be run`);
    }
    return { portal, rowsMax };
  }

  /** Sync ends the portals. */
  sync(): void {
    this.#portals.clear();
  }

  /** A Query ends the unnamed statement. */
  forgetUnnamed(): void {
    this.#statements.delete("");
    this.#portals.clear();
  }
}

export const ADMIN_NEEDED = "admin access needed";

/** The next rows of a portal that has been run, and its end when those were the last. */
export function nextRows({ portal, rowsMax }: Execution): Uint8Array {
  const { answer, statement, formats } = portal;
  if (answer === null) throw new Error("a portal is run before its rows are sent");
  const end = rowsMax === 0 ? answer.rows.length : Math.min(answer.rows.length, portal.sent + rowsMax);
  const parts: Uint8Array[] = [];
  if (portal.sent === 0 && !portal.completed) parts.push(...answer.notices.map((notice) => noticeResponse(notice)));
  for (const row of answer.rows.slice(portal.sent, end)) {
    parts.push(encodeRow(statement.command.columns, formats, row));
  }
  portal.sent = end;
  portal.completed = end === answer.rows.length;
  parts.push(portal.completed ? commandComplete(answer.tag) : PORTAL_SUSPENDED);
  return Buffer.concat(parts);
}

function describe({ command }: ConsoleStatement, formats: readonly number[]): Uint8Array {
  return command.columns.length === 0 ? NO_DATA : describeRows(command.columns, formats);
}

interface BindFormats {
  readonly portal: string;
  readonly statement: string;
  readonly parameterCount: number;
  /** Of the result; none or one stand for all columns. */
  readonly formats: readonly number[];
}

function readBindFormats(memory: Uint8Array, at: number, size: number): BindFormats {
  const reader = new MessageReader(memory, at + HEADER_BYTES, at + size);
  const portal = reader.cstring();
  const statement = reader.cstring();
  reader.bytes(reader.uint16() * 2);
  const parameterCount = reader.uint16();
  for (let i = 0; i < parameterCount; i++) {
    const length = reader.int32();
    if (length !== -1) reader.bytes(length);
  }
  const formats = Array.from({ length: reader.uint16() }, () => reader.int16());
  reader.expectEnd();
  return { portal, statement, parameterCount, formats };
}

function noStatement(name: string): ErrorToSend {
  return error(
    "26000",
    name === "" ? "unnamed prepared statement does not exist" : `prepared statement "${name}" does not exist`,
  );
}

function noPortal(name: string): ErrorToSend {
  return error("34000", `portal "${name}" does not exist`);
}

function error(code: string, message: string): ErrorToSend {
  return { severity: "ERROR", code, message };
}
