/**
 * Builds ErrorResponse and NoticeResponse. `error-fields.ts` reads them.
 */

import type { ToClient } from "./direction.ts";
import { Backend } from "./message-type.ts";
import { MessageWriter } from "./writer.ts";

export interface ErrorToSend {
  readonly severity: "ERROR" | "FATAL" | "PANIC" | "WARNING" | "NOTICE" | "DEBUG" | "INFO" | "LOG";
  /** SQLSTATE, five characters. */
  readonly code: string;
  readonly message: string;
  readonly detail?: string;
  readonly hint?: string;
  /** Also send field `V`, the severity that is never translated. PgBouncer does not. */
  readonly withPlainSeverity?: boolean;
}

/** A text with a zero byte is sent up to it: an error must get out, whatever its text was made from. */
export function errorResponse(error: ErrorToSend): ToClient {
  return build(Backend.ErrorResponse, error);
}

/** As `errorResponse`; its severity is one of the lower ones. */
export function noticeResponse(notice: ErrorToSend): ToClient {
  return build(Backend.NoticeResponse, notice);
}

function build(type: Backend, error: ErrorToSend): ToClient {
  const writer = new MessageWriter().message(type);
  field(writer, "S", error.severity);
  if (error.withPlainSeverity === true) field(writer, "V", error.severity);
  field(writer, "C", error.code);
  field(writer, "M", error.message);
  if (error.detail !== undefined) field(writer, "D", error.detail);
  if (error.hint !== undefined) field(writer, "H", error.hint);
  return writer.byte(0).end().finish() as ToClient;
}

function field(writer: MessageWriter, letter: string, text: string): void {
  const nul = text.indexOf("\0");
  writer.byte(letter.charCodeAt(0)).cstring(nul < 0 ? text : text.slice(0, nul));
}
