/**
 * The other end of a server connection in memory: answers every message with the same bytes, whatever it asks for, as
 * short as PostgreSQL would. It makes one answer of what one write brought, and keeps answers that it has made, so that it
 * costs next to nothing beside the engine that is measured.
 */

import { CATALOGUE_QUERY } from "../../src/sharing/catalogue-query.ts";

const TEXT = new TextEncoder();

function message(type: string, ...parts: (Uint8Array | string)[]): Uint8Array {
  const bodies = parts.map((part) => (typeof part === "string" ? TEXT.encode(part) : part));
  const length = bodies.reduce((sum, body) => sum + body.length, 0);
  const bytes = Buffer.alloc(5 + length);
  bytes[0] = type.charCodeAt(0);
  bytes.writeUInt32BE(4 + length, 1);
  let at = 5;
  for (const body of bodies) {
    bytes.set(body, at);
    at += body.length;
  }
  return bytes;
}

const READY = message("Z", "I");
const ROW_DESCRIPTION = message(
  "T",
  new Uint8Array([0, 1]),
  "abalance\0",
  new Uint8Array([0, 0, 0, 0, 0, 0, 0, 0, 0, 23, 0, 4, 255, 255, 255, 255, 0, 0]),
);
const ROW = message("D", new Uint8Array([0, 1, 0, 0, 0, 4]), "1234");
const COMPLETE = message("C", "SELECT 1\0");
const WELCOME = Buffer.concat([
  message("R", new Uint8Array([0, 0, 0, 0])),
  ...Object.entries({
    server_version: "18.0",
    server_encoding: "UTF8",
    client_encoding: "UTF8",
    application_name: "",
    DateStyle: "ISO, MDY",
    TimeZone: "Etc/UTC",
    integer_datetimes: "on",
    standard_conforming_strings: "on",
    is_superuser: "off",
    session_authorization: "bench",
    IntervalStyle: "postgres",
    in_hot_standby: "off",
    default_transaction_read_only: "off",
    search_path: '"$user", public',
    scram_iterations: "4096",
  }).map(([name, value]) => message("S", `${name}\0${value}\0`)),
  message("K", new Uint8Array([0, 0, 0, 7, 1, 2, 3, 4])),
  READY,
]);

/** By the type of the message that is answered. */
const ANSWERS: Readonly<Record<string, Uint8Array>> = {
  Q: Buffer.concat([ROW_DESCRIPTION, ROW, COMPLETE, READY]),
  P: message("1"),
  B: message("2"),
  D: ROW_DESCRIPTION,
  E: Buffer.concat([ROW, COMPLETE]),
  C: message("3"),
  S: READY,
};
/** A catalogue in which nothing hides anything. */
const CATALOGUE = Buffer.concat([
  message("D", new Uint8Array([0, 2, 0, 0, 0, 1]), "e", new Uint8Array([0, 0, 0, 0])),
  COMPLETE,
  READY,
]);
/** What ends a client's unit, in the answers above. */
export const READY_BYTES: number = READY.length;
const STARTUP_HEAD_BYTES = 8;
const TERMINATE = 0x58;
const QUERY = 0x51;
/** Type, length, and the zero byte behind the text. */
const QUERY_FRAME_BYTES = 6;

/** No other text that comes here is as long. */
function isCatalogueQuery(bytes: Uint8Array, at: number, size: number): boolean {
  return bytes[at] === QUERY && size === QUERY_FRAME_BYTES + CATALOGUE_QUERY.length;
}

export class CannedPostgres {
  readonly #send: (bytes: Uint8Array) => void;
  #started = false;
  /** Of a message that a write has cut. */
  #rest: Uint8Array | null = null;

  constructor(send: (bytes: Uint8Array) => void) {
    this.#send = send;
  }

  /** Throws when the bytes are no messages: then the engine has written nonsense. */
  receive(chunk: Uint8Array): void {
    // The engine writes from memory that it uses again: what is kept must be a copy.
    const bytes = this.#rest === null ? chunk : Buffer.concat([this.#rest, chunk]);
    this.#rest = null;
    if (!this.#started) {
      if (bytes.length < STARTUP_HEAD_BYTES) throw new Error("a startup packet came in pieces");
      this.#started = true;
      this.#send(WELCOME);
      return;
    }
    const answers: Uint8Array[] = [];
    let at = 0;
    while (at + 5 <= bytes.length) {
      const size =
        (((bytes[at + 1] as number) << 24) |
          ((bytes[at + 2] as number) << 16) |
          ((bytes[at + 3] as number) << 8) |
          (bytes[at + 4] as number)) +
        1;
      if (at + size > bytes.length) break;
      const type = bytes[at] as number;
      const answer = isCatalogueQuery(bytes, at, size) ? CATALOGUE : ANSWERS[String.fromCharCode(type)];
      if (answer !== undefined) answers.push(answer);
      else if (type !== TERMINATE) throw new Error(`message ${type} came to the server`);
      at += size;
    }
    if (at < bytes.length) this.#rest = Uint8Array.prototype.slice.call(bytes, at);
    if (answers.length > 0) this.#send(answers.length === 1 ? (answers[0] as Uint8Array) : Buffer.concat(answers));
  }
}
