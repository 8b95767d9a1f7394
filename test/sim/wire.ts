/**
 * The simulator's own words of the PostgreSQL protocol: building messages and cutting a stream into them.
 *
 * Written apart from `src/protocol` on purpose: a mistake there must not be made here as well and go unseen.
 */
import { Buffer } from "node:buffer";

export interface Message {
  readonly type: string;
  readonly body: Buffer;
}

/** Parts of a message: a text with its NUL, a number of 32 bits, or ready bytes. */
export type Part = string | number | Uint8Array;

const EMPTY = Buffer.alloc(0);

export function int16(value: number): Buffer {
  const out = Buffer.allocUnsafe(2);
  out.writeInt16BE(value);
  return out;
}

/** A message with its type byte; an empty type is for the packets of a connection's beginning. */
export function message(type: string, ...parts: readonly Part[]): Buffer {
  let size = 4;
  for (const part of parts) {
    size += typeof part === "string" ? Buffer.byteLength(part) + 1 : typeof part === "number" ? 4 : part.length;
  }
  const out = Buffer.allocUnsafe(size + type.length);
  let at = type === "" ? 0 : out.write(type, 0, "latin1");
  at = out.writeInt32BE(size, at);
  for (const part of parts) {
    if (typeof part === "string") {
      at += out.write(part, at);
      out[at++] = 0;
    } else if (typeof part === "number") at = out.writeInt32BE(part, at);
    else {
      out.set(part, at);
      at += part.length;
    }
  }
  return out;
}

/** Fields of an ErrorResponse or NoticeResponse, by their letter. */
export function fieldsOf(body: Buffer): Map<string, string> {
  const fields = new Map<string, string>();
  let at = 0;
  while (at < body.length && body[at] !== 0) {
    const end = body.indexOf(0, at + 1);
    if (end < 0) break;
    fields.set(String.fromCharCode(body[at] as number), body.toString("utf8", at + 1, end));
    at = end + 1;
  }
  return fields;
}

export function errorMessage(type: "E" | "N", severity: string, code: string, text: string): Buffer {
  const fields = `S${severity}\0V${severity}\0C${code}\0M${text}\0\0`;
  return message(type, Buffer.from(fields));
}

export function dataRow(value: Buffer): Buffer {
  return message("D", int16(1), value.length, value);
}

export function startupMessage(parameters: ReadonlyMap<string, string>): Buffer {
  const parts: Part[] = [196_608];
  for (const [name, value] of parameters) parts.push(name, value);
  parts.push(Buffer.of(0));
  return message("", ...parts);
}

export function cancelRequest(key: Buffer): Buffer {
  return message("", 80_877_102, key);
}

export function bindMessage(portal: string, statement: string, parameter: string): Buffer {
  const value = Buffer.from(parameter);
  return message("B", portal, statement, int16(0), int16(1), value.length, value, int16(0));
}

/** Reads NUL-ended texts and numbers out of a message; complains instead of reading past its end. */
export class BodyReader {
  readonly #body: Buffer;
  #at = 0;

  constructor(body: Buffer) {
    this.#body = body;
  }

  text(): string {
    const end = this.#body.indexOf(0, this.#at);
    if (end < 0) throw new MalformedError("no terminator");
    const value = this.#body.toString("utf8", this.#at, end);
    this.#at = end + 1;
    return value;
  }

  int16(): number {
    return this.#take(2).readInt16BE();
  }

  int32(): number {
    return this.#take(4).readInt32BE();
  }

  byte(): number {
    return this.#take(1)[0] as number;
  }

  bytes(length: number): Buffer {
    return this.#take(length);
  }

  get remaining(): number {
    return this.#body.length - this.#at;
  }

  #take(length: number): Buffer {
    if (length < 0 || this.#at + length > this.#body.length) throw new MalformedError("message too short");
    const part = this.#body.subarray(this.#at, this.#at + length);
    this.#at += length;
    return part;
  }
}

export class MalformedError extends Error {}

/** Cuts a stream into messages. `typed` is false for the first packet of a connection. */
export class MessageReader {
  #chunks: Uint8Array[] = [];
  #length = 0;

  push(bytes: Uint8Array): void {
    this.#chunks.push(bytes);
    this.#length += bytes.length;
  }

  /** What has arrived of a message that is not complete. */
  get rest(): Buffer {
    return this.#joined();
  }

  get length(): number {
    return this.#length;
  }

  next(typed: boolean): Message | null {
    const head = typed ? 5 : 4;
    if (this.#length < head) return null;
    let buffer = this.#chunks[0] as Buffer;
    if (buffer.length < head) buffer = this.#joined();
    const view = Buffer.from(buffer.buffer, buffer.byteOffset, buffer.length);
    const size = view.readInt32BE(head - 4) + (typed ? 1 : 0);
    if (size < head) throw new MalformedError(`length ${size}`);
    if (this.#length < size) return null;
    const whole = view.length >= size ? view : this.#joined();
    const rest = whole.subarray(size);
    if (whole !== view) this.#chunks = rest.length > 0 ? [rest] : [];
    else if (rest.length > 0) this.#chunks[0] = rest;
    else this.#chunks.shift();
    this.#length -= size;
    return { type: typed ? String.fromCharCode(whole[0] as number) : "", body: whole.subarray(head, size) };
  }

  #joined(): Buffer {
    if (this.#length === 0) return EMPTY;
    const first = this.#chunks[0] as Uint8Array;
    if (this.#chunks.length === 1) return Buffer.from(first.buffer, first.byteOffset, first.length);
    const joined = Buffer.concat(this.#chunks);
    this.#chunks = [joined];
    return joined;
  }
}
