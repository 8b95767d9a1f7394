/**
 * Builds what a client sends to a server: for the pooler's own queries, its logins, and scripted clients.
 * COPY is in `copy-messages.ts`, the first packets of a connection in `startup-messages.ts`.
 */

import { encodeText } from "./byte-text.ts";
import type { ToServer } from "./direction.ts";
import { Frontend, type TargetKind } from "./message-type.ts";
import { MessageWriter } from "./writer.ts";

function bare(type: Frontend): ToServer {
  return new MessageWriter(5).message(type).end().finish() as ToServer;
}

// Messages that are always the same bytes. Shared by all: never write into them.
export const SYNC = bare(Frontend.Sync);
export const FLUSH = bare(Frontend.Flush);
export const TERMINATE = bare(Frontend.Terminate);

export function query(text: string): ToServer {
  return new MessageWriter(6 + text.length).message(Frontend.Query).cstring(text).end().finish() as ToServer;
}

/** `typeOids`: of the parameters whose type is said; 0 leaves one to the server. */
export function parse(name: string, text: string, typeOids: readonly number[] = []): ToServer {
  const writer = new MessageWriter().message(Frontend.Parse).cstring(name).cstring(text).int16(typeOids.length);
  for (const oid of typeOids) writer.int32(oid);
  return writer.end().finish() as ToServer;
}

/** Parameters in text format, null is NULL; results in text format. */
export function bind(portal: string, statement: string, parameters: readonly (string | null)[] = []): ToServer {
  const writer = new MessageWriter().message(Frontend.Bind).cstring(portal).cstring(statement);
  // No format codes: all parameters are text. The same for the results at the end.
  writer.int16(0).int16(parameters.length);
  for (const parameter of parameters) writer.value(parameter);
  return writer.int16(0).end().finish() as ToServer;
}

export function describe(kind: TargetKind, name: string): ToServer {
  return new MessageWriter().message(Frontend.Describe).byte(kind).cstring(name).end().finish() as ToServer;
}

export function close(kind: TargetKind, name: string): ToServer {
  return new MessageWriter().message(Frontend.Close).byte(kind).cstring(name).end().finish() as ToServer;
}

/** `rowsMax`: 0 is no limit. */
export function execute(portal: string, rowsMax: number = 0): ToServer {
  return new MessageWriter().message(Frontend.Execute).cstring(portal).int32(rowsMax).end().finish() as ToServer;
}

/** A password, or its md5 hash. */
export function passwordMessage(password: string): ToServer {
  return new MessageWriter().message(Frontend.Password).cstring(password).end().finish() as ToServer;
}

/** `response`: the mechanism's first message; null when it has none. */
export function saslInitialResponse(mechanism: string, response: string | Uint8Array | null): ToServer {
  const writer = new MessageWriter().message(Frontend.Password).cstring(mechanism).value(response);
  return writer.end().finish() as ToServer;
}

export function saslResponse(response: string | Uint8Array): ToServer {
  const bytes = typeof response === "string" ? encodeText(response) : response;
  return new MessageWriter().message(Frontend.Password).bytes(bytes).end().finish() as ToServer;
}
