/**
 * What becomes of a unit that is cancelled before anything of it was sent: its client waits for a server, or for our SETs.
 * And of one that was refused with the BEGIN before it.
 *
 *     Query, FunctionCall      57014, ReadyForQuery
 *     Parse, Bind … Sync       57014 at once; skipped, a Query too, up to the Sync; ReadyForQuery there
 *
 * As PostgreSQL would answer if the cancel had hit the statement before its first row. What the client sends behind that is
 * dealt with as ever. Not for: whether there is such a unit (`Client.cancelWaiting`). Protocol chapter: "Message Flow".
 */
import type { Framer } from "../protocol/framer.ts";
import { READY_FAILED, READY_IDLE } from "../protocol/backend-messages.ts";
import { errorResponse } from "../protocol/error-messages.ts";
import { Frontend, TransactionStatus } from "../protocol/message-type.ts";
import type { Client } from "./client.ts";
import { isIdle, mayNameStatement } from "./client-message.ts";
import { isReadable, noteSkippedParse } from "./statement-relay.ts";

/** How much of a client's input is skipped. */
export const Skip = {
  nothing: "nothing",
  /** The next message, which is a unit. */
  message: "message",
  /** Everything up to the next Sync. */
  toSync: "to sync",
} as const;
export type Skip = (typeof Skip)[keyof typeof Skip];

const CANCELLED = errorResponse({
  severity: "ERROR",
  withPlainSeverity: true,
  code: "57014",
  message: "canceling statement due to user request",
});

/** A unit that begins so runs something that can be cancelled. A Sync alone does not, nor does what is left of a COPY. */
export function isCancellable(type: number): boolean {
  return type !== Frontend.Sync && !isIdle(type);
}

/** Tells `client` that its unit, whose first message is of `type`, was cancelled. Returns what is to be skipped. */
export function refuseUnit(client: Client, type: number): Skip {
  client.send(CANCELLED);
  return type === Frontend.Query || type === Frontend.FunctionCall ? Skip.message : Skip.toSync;
}

/** The caller skips a message of `type`, which need not be whole. Returns what is to be skipped behind it. */
export function skipMessage(client: Client, skip: Skip, type: number): Skip {
  if (skip === Skip.toSync && type !== Frontend.Sync) return skip;
  client.send(skipped(client));
  return Skip.nothing;
}

/** What ends a unit that was skipped: a transaction that was open has failed with it. */
export function skipped(client: Client): Uint8Array {
  const hasFailed = client.begin?.isFailed === true || client.server?.status === TransactionStatus.Failed;
  return hasFailed ? READY_FAILED : READY_IDLE;
}

/**
 * The name of a Parse that is skipped is lost, as if PostgreSQL had skipped it. False when the message must be offered again
 * with more of it, or the client has been closed.
 */
export function noteNames(client: Client, framer: Framer, memory: Uint8Array): boolean {
  const { type, at, available } = framer;
  if (type !== Frontend.Parse || !mayNameStatement(type, memory, at, available)) return true;
  if (!isReadable(client, framer, memory)) return false;
  noteSkippedParse(client, framer, memory);
  return true;
}
