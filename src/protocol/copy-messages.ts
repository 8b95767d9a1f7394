/**
 * Builds the messages of COPY. The road itself streams what clients and servers send; these are for ending a COPY
 * whose client is gone, and for scripted servers and clients.
 */

import type { ToClient, ToServer } from "./direction.ts";
import { Backend, Frontend } from "./message-type.ts";
import { MessageWriter } from "./writer.ts";

/** Both ways the same bytes. */
export const COPY_DONE = new MessageWriter(5).message(Frontend.CopyDone).end().finish() as ToServer & ToClient;

/** Both ways the same bytes. */
export function copyData(data: Uint8Array): ToServer & ToClient {
  const writer = new MessageWriter(5 + data.length).message(Frontend.CopyData);
  return writer.bytes(data).end().finish() as ToServer & ToClient;
}

/** Ends a COPY FROM STDIN with an error of the given text. */
export function copyFail(reason: string): ToServer {
  return new MessageWriter().message(Frontend.CopyFail).cstring(reason).end().finish() as ToServer;
}

/** Text format with `columns` columns. */
export function copyInResponse(columns: number): ToClient {
  return copyResponse(Backend.CopyInResponse, columns);
}

/** Text format with `columns` columns. */
export function copyOutResponse(columns: number): ToClient {
  return copyResponse(Backend.CopyOutResponse, columns);
}

/** What START_REPLICATION answers: no columns. */
export function copyBothResponse(): ToClient {
  return copyResponse(Backend.CopyBothResponse, 0);
}

function copyResponse(type: Backend, columns: number): ToClient {
  const writer = new MessageWriter().message(type).byte(0).int16(columns);
  for (let i = 0; i < columns; i++) writer.int16(0);
  return writer.end().finish() as ToClient;
}
