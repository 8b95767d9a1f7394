/**
 * Writes messages one after the other into memory that grows.
 *
 * For cold roads: login, console, errors, injected messages. A message's length is patched when it ends.
 *
 *     new MessageWriter().message(Backend.ParameterStatus).cstring("TimeZone").cstring("UTC").end().finish()
 */

import { encodeText } from "./byte-text.ts";
import { ProtocolError, ProtocolErrorCode } from "./protocol-error.ts";

const FIRST_BYTES = 128;
const NONE = -1;

export class MessageWriter {
  #buf: Uint8Array;
  #at = 0;
  /** Where the length field of the open message is; a length counts itself, but not the type byte before it. */
  #lengthAt = NONE;

  constructor(firstBytes: number = FIRST_BYTES) {
    this.#buf = new Uint8Array(firstBytes);
  }

  /** How many bytes have been written. */
  get size(): number {
    return this.#at;
  }

  /** Begins a message. */
  message(type: number): this {
    if (this.#lengthAt !== NONE) throw new ProtocolError(ProtocolErrorCode.Misuse);
    return this.byte(type).packet();
  }

  /** Begins a packet without a type byte, as the first one of a connection is. */
  packet(): this {
    if (this.#lengthAt !== NONE) throw new ProtocolError(ProtocolErrorCode.Misuse);
    this.#lengthAt = this.#at;
    this.#grow(4);
    this.#at += 4;
    return this;
  }

  /** Ends the message or packet. */
  end(): this {
    const lengthAt = this.#lengthAt;
    if (lengthAt === NONE) throw new ProtocolError(ProtocolErrorCode.Misuse);
    this.#lengthAt = NONE;
    const length = this.#at - lengthAt;
    if (length > 0x7fffffff) throw new ProtocolError(ProtocolErrorCode.OutOfRange);
    this.#put32(lengthAt, length);
    return this;
  }

  byte(value: number): this {
    if (!(value >= 0 && value <= 0xff)) throw new ProtocolError(ProtocolErrorCode.OutOfRange);
    this.#grow(1);
    this.#buf[this.#at++] = value;
    return this;
  }

  /** -32768 … 65535: the protocol's counts of columns and parameters are read as unsigned. */
  int16(value: number): this {
    if (!(value >= -0x8000 && value <= 0xffff)) throw new ProtocolError(ProtocolErrorCode.OutOfRange);
    this.#grow(2);
    this.#buf[this.#at++] = (value >> 8) & 0xff;
    this.#buf[this.#at++] = value & 0xff;
    return this;
  }

  /** -2147483648 … 4294967295: OIDs and the keys of clients are unsigned. */
  int32(value: number): this {
    if (!(value >= -0x80000000 && value <= 0xffffffff)) throw new ProtocolError(ProtocolErrorCode.OutOfRange);
    this.#grow(4);
    this.#put32(this.#at, value);
    this.#at += 4;
    return this;
  }

  /** Bytes as they are; outside of a message: a message that was built before. */
  bytes(value: Uint8Array): this {
    this.#grow(value.length);
    this.#buf.set(value, this.#at);
    this.#at += value.length;
    return this;
  }

  /** A text with its terminating zero byte. Throws when the text holds one. */
  cstring(text: string): this {
    if (text.includes("\0")) throw new ProtocolError(ProtocolErrorCode.TextHasNul);
    return this.bytes(encodeText(text)).byte(0);
  }

  /** A value behind its 32-bit length; null is length -1. */
  value(value: string | Uint8Array | null): this {
    if (value === null) return this.int32(-1);
    const bytes = typeof value === "string" ? encodeText(value) : value;
    return this.int32(bytes.length).bytes(bytes);
  }

  /** What was written, in memory of exactly its size. The writer can be filled again afterwards, from the beginning. */
  finish(): Uint8Array {
    if (this.#lengthAt !== NONE) throw new ProtocolError(ProtocolErrorCode.Misuse);
    const written = this.#buf.slice(0, this.#at);
    this.#at = 0;
    return written;
  }

  #put32(at: number, value: number): void {
    this.#buf[at] = (value >>> 24) & 0xff;
    this.#buf[at + 1] = (value >>> 16) & 0xff;
    this.#buf[at + 2] = (value >>> 8) & 0xff;
    this.#buf[at + 3] = value & 0xff;
  }

  #grow(count: number): void {
    const needed = this.#at + count;
    if (needed <= this.#buf.length) return;
    const larger = new Uint8Array(Math.max(needed, this.#buf.length * 2));
    larger.set(this.#buf.subarray(0, this.#at), 0);
    this.#buf = larger;
  }
}
