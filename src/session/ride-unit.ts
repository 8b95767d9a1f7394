/**
 * A unit that may ride on a server with others': reading it where it stands in its client's framer, and sending it.
 *
 *     Query                                        one statement
 *     [Parse ""] Bind Describe* Execute Sync       one Execute without a row limit, of the unnamed portal;
 *                                                  Bind names what the unit parses, or a named statement
 *
 * Whole and short, or it does not ride. It is not advanced over: what is sent can be sent again, to another server. Not for: what the
 * text says (`sharing/`), and whether the server is in the right state (`pool-sharing.ts`). Protocol chapter: "Message Flow".
 */
import { Step, UNNAMED } from "../pipeline/step.ts";
import type { Framer } from "../protocol/framer.ts";
import { HEADER_BYTES } from "../protocol/framer.ts";
import { Frontend, TargetKind } from "../protocol/message-type.ts";
import {
  BindParts,
  ParseParts,
  TargetParts,
  inspectBind,
  inspectParse,
  inspectTarget,
} from "../protocol/statement-messages.ts";
import type { PreparedStatement } from "../state/prepared-statement.ts";
import type { Client } from "./client.ts";
import type { Ride } from "./ride.ts";
import type { Server } from "./server.ts";

/** A longer unit goes the streaming way. */
export const RIDE_BYTES_MAX = 16 * 1024;

/** Behind the portal's name in an Execute: the row limit. */
const LIMIT_BYTES = 4;

/** Why a unit cannot ride, by its shape. */
export const Shape = {
  /** It can. */
  fits: "fits",
  notWhole: "not whole",
  tooLong: "too long",
  /** COPY data, a FunctionCall, Close, Flush, several statements, a part of the rows … */
  other: "other messages",
  /** The unnamed statement of an earlier unit; a name that nobody knows. */
  statement: "statement of another unit",
} as const;
export type Shape = (typeof Shape)[keyof typeof Shape];

/** What was read of a unit; written by `readUnit`, one for a pooler. */
export class RideUnit {
  /** All of its messages. */
  bytes = 0;
  /** Its SQL text, without the zero byte; of the statement that Bind names it is in `statement`. */
  textStart = 0;
  textEnd = 0;
  statement: PreparedStatement | null = null;
  readonly parse = new ParseParts();
  readonly bind = new BindParts();
  readonly target = new TargetParts();
}

/** Reads the unit that `framer` has before it into `unit`. `client`: whose it is. */
export function readUnit(client: Client, framer: Framer, unit: RideUnit): Shape {
  const memory = framer.buf;
  const { at, end } = framer;
  unit.statement = null;
  unit.bytes = 0;
  if (framer.continues) return Shape.notWhole;
  if (memory[at] === Frontend.Query) {
    const size = sizeAt(memory, at, end);
    if (size > RIDE_BYTES_MAX) return Shape.tooLong;
    if (size === 0 || at + size > end) return Shape.notWhole;
    if (size <= HEADER_BYTES || memory[at + size - 1] !== 0) return Shape.other;
    unit.bytes = size;
    unit.textStart = at + HEADER_BYTES;
    unit.textEnd = at + size - 1;
    return Shape.fits;
  }
  return readExtended(client, memory, at, end, unit);
}

function readExtended(client: Client, memory: Uint8Array, from: number, end: number, unit: RideUnit): Shape {
  let at = from;
  let parsed = false;
  let bound = false;
  let executed = false;
  for (;;) {
    const size = sizeAt(memory, at, end);
    if (size > 0 && at + size - from > RIDE_BYTES_MAX) return Shape.tooLong;
    if (size === 0 || at + size > end) return Shape.notWhole;
    switch (memory[at]) {
      case Frontend.Parse: {
        const parts = inspectParse(memory, at, size, unit.parse);
        if (parsed || bound || parts === null || parts.nameEnd !== parts.nameStart) return Shape.other;
        parsed = true;
        unit.textStart = parts.queryStart;
        unit.textEnd = parts.queryEnd;
        break;
      }
      case Frontend.Bind: {
        const parts = inspectBind(memory, at, size, size, unit.bind);
        if (bound || parts?.complete !== true || parts.portalEnd !== parts.portalStart) return Shape.other;
        bound = true;
        if (parts.statementEnd !== parts.statementStart) {
          if (parsed || !client.pool!.hasStatements || client.statementCount === 0) return Shape.statement;
          unit.statement = client.statements.find(memory, parts.statementStart, parts.statementEnd);
        }
        if (!parsed && unit.statement === null) return Shape.statement;
        break;
      }
      case Frontend.Describe: {
        const parts = inspectTarget(memory, at, size, unit.target);
        if (parts === null || executed || parts.nameEnd - parts.nameStart > 0) return Shape.other;
        if (parts.kind === TargetKind.Portal ? !bound : !parsed) return Shape.other;
        break;
      }
      case Frontend.Execute:
        if (!bound || executed || !isWholeExecute(memory, at, size)) return Shape.other;
        executed = true;
        break;
      case Frontend.Sync:
        if (!executed || size !== HEADER_BYTES) return Shape.other;
        unit.bytes = at + size - from;
        return Shape.fits;
      default:
        return Shape.other;
    }
    at += size;
  }
}

/** Of the unnamed portal, and all rows of it. */
function isWholeExecute(memory: Uint8Array, at: number, size: number): boolean {
  if (size !== HEADER_BYTES + 1 + LIMIT_BYTES) return false;
  for (let i = at + HEADER_BYTES; i < at + size; i++) if (memory[i] !== 0) return false;
  return true;
}

/** The length of the message at `at`, with its type byte; 0 when that cannot be seen, or is nonsense. */
function sizeAt(memory: Uint8Array, at: number, end: number): number {
  if (end - at < HEADER_BYTES) return 0;
  const length =
    ((memory[at + 1] as number) << 24) |
    ((memory[at + 2] as number) << 16) |
    ((memory[at + 3] as number) << 8) |
    (memory[at + 4] as number);
  // One beyond 31 bits is negative here, and too long anywhere.
  if (length < 0) return RIDE_BYTES_MAX + 1;
  return length < HEADER_BYTES - 1 ? 0 : length + 1;
}

/** Sends the unit of `ride`, which `readUnit` has read and which has not moved since, to `server`. */
export function sendUnit(ride: Ride, server: Server): void {
  const { client, statement } = ride;
  const { pipeline, outbox } = server;
  const { framer, engine } = client;
  const memory = framer.buf;
  const from = framer.at;
  const end = from + ride.unitBytes;
  const { counters } = server.pool.database;
  counters.bytesReceived += ride.unitBytes;
  if (memory[from] === Frontend.Query) {
    pipeline.push(Step.query, ride, null);
  } else if (memory[from] === Frontend.Parse) {
    server.unnamed = client.unnamed = engine.statements.nextUnnamed();
    pipeline.push(Step.unit | UNNAMED, ride, null);
  } else {
    pipeline.push(Step.unit, ride, null);
    if (statement !== null) {
      // Its Bind comes first, and has another name for the server.
      const { bind } = engine.rideUnit;
      inspectBind(memory, from, sizeAt(memory, from, end), end - from, bind);
      server.statements.use(statement);
      counters.bindCount += 1;
      outbox.addAll(statement.bindHead(bind.end - bind.tailStart));
      outbox.addKept(memory, bind.tailStart, end);
      return;
    }
  }
  outbox.addKept(memory, from, end);
}
