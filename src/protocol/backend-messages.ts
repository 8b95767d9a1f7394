/**
 * Builds what a server sends to a client besides rows and errors: login, completions, state.
 * Rows are in `row-messages.ts`, errors and notices in `error-messages.ts`, COPY in `copy-messages.ts`.
 */

import type { ToClient } from "./direction.ts";
import { AuthenticationCode, Backend, TransactionStatus } from "./message-type.ts";
import { ProtocolError, ProtocolErrorCode } from "./protocol-error.ts";
import { MessageWriter } from "./writer.ts";

function bare(type: Backend): ToClient {
  return new MessageWriter(5).message(type).end().finish() as ToClient;
}

// Messages that are always the same bytes. Shared by all: never write into them.
export const PARSE_COMPLETE = bare(Backend.ParseComplete);
export const BIND_COMPLETE = bare(Backend.BindComplete);
export const CLOSE_COMPLETE = bare(Backend.CloseComplete);
export const EMPTY_QUERY_RESPONSE = bare(Backend.EmptyQueryResponse);
export const NO_DATA = bare(Backend.NoData);
export const PORTAL_SUSPENDED = bare(Backend.PortalSuspended);

export const READY_IDLE = buildReady(TransactionStatus.Idle);
export const READY_IN_TRANSACTION = buildReady(TransactionStatus.InTransaction);
export const READY_FAILED = buildReady(TransactionStatus.Failed);

export const AUTHENTICATION_OK = authenticationRequest(AuthenticationCode.Ok);

function buildReady(status: TransactionStatus): ToClient {
  return new MessageWriter(6).message(Backend.ReadyForQuery).byte(status).end().finish() as ToClient;
}

/** One of the three prebuilt messages. */
export function readyForQuery(status: TransactionStatus): ToClient {
  if (status === TransactionStatus.Idle) return READY_IDLE;
  return status === TransactionStatus.InTransaction ? READY_IN_TRANSACTION : READY_FAILED;
}

/** `payload`: what follows the code: the salt of md5, SASL data. */
export function authenticationRequest(code: AuthenticationCode, payload?: Uint8Array): ToClient {
  const writer = new MessageWriter().message(Backend.Authentication).int32(code);
  if (payload !== undefined) writer.bytes(payload);
  return writer.end().finish() as ToClient;
}

/** AuthenticationSASL: the mechanisms in order of preference. */
export function authenticationSasl(mechanisms: readonly string[]): ToClient {
  const writer = new MessageWriter().message(Backend.Authentication).int32(AuthenticationCode.Sasl);
  for (const mechanism of mechanisms) writer.cstring(mechanism);
  return writer.byte(0).end().finish() as ToClient;
}

export function parameterStatus(name: string, value: string): ToClient {
  return new MessageWriter().message(Backend.ParameterStatus).cstring(name).cstring(value).end().finish() as ToClient;
}

/** `secret`: exactly 4 bytes for a client of protocol 3.0, up to 256 for 3.2. */
export function backendKeyData(processId: number, secret: Uint8Array): ToClient {
  if (secret.length < 4 || secret.length > 256) throw new ProtocolError(ProtocolErrorCode.OutOfRange);
  const writer = new MessageWriter().message(Backend.BackendKeyData).int32(processId);
  return writer.bytes(secret).end().finish() as ToClient;
}

/**
 * `version`: the newest one spoken, major version included (0x30000), as PostgreSQL sends it.
 * `unknownOptions`: the `_pq_.` parameters that were not understood.
 */
export function negotiateProtocolVersion(version: number, unknownOptions: readonly string[]): ToClient {
  const writer = new MessageWriter().message(Backend.NegotiateProtocolVersion);
  writer.int32(version).int32(unknownOptions.length);
  for (const name of unknownOptions) writer.cstring(name);
  return writer.end().finish() as ToClient;
}

/** `tag`: as PostgreSQL spells it: `SELECT 1`, `INSERT 0 1`, `DISCARD ALL`. */
export function commandComplete(tag: string): ToClient {
  return new MessageWriter().message(Backend.CommandComplete).cstring(tag).end().finish() as ToClient;
}

export function parameterDescription(typeOids: readonly number[]): ToClient {
  const writer = new MessageWriter().message(Backend.ParameterDescription).int16(typeOids.length);
  for (const oid of typeOids) writer.int32(oid);
  return writer.end().finish() as ToClient;
}

export function notificationResponse(processId: number, channel: string, payload: string): ToClient {
  const writer = new MessageWriter().message(Backend.NotificationResponse).int32(processId);
  return writer.cstring(channel).cstring(payload).end().finish() as ToClient;
}
