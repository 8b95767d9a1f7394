/**
 * Reads the fields of one message, and never a byte outside it.
 *
 * For roads where latency no longer matters (login, console, answers to our own queries): it makes strings and throws
 * `ProtocolError`. What the hot road must know of a message is in `statement-messages.ts` and `command-tag.ts`.
 *
 * Invariant: `start <= at <= end`, whatever the bytes say.
 */

import { decodeText } from "./byte-text.ts";
import { findNul } from "./find-nul.ts";
import { ProtocolError, ProtocolErrorCode } from "./protocol-error.ts";

export class MessageReader {
  readonly #buf: Uint8Array;
  readonly #end: number;
  #at: number;

  /** Over `buf[start, end)`. Throws when that is not inside `buf`. */
  constructor(buf: Uint8Array, start: number, end: number) {
    if (start < 0 || end < start || end > buf.length) throw new ProtocolError(ProtocolErrorCode.Truncated);
    this.#buf = buf;
    this.#at = start;
    this.#end = end;
  }

  /** How many bytes have not been read. */
  get remaining(): number {
    return this.#end - this.#at;
  }

  /** Where the next field begins in `buf`. */
  get at(): number {
    return this.#at;
  }

  byte(): number {
    return this.#buf[this.#take(1)] as number;
  }

  int16(): number {
    return (this.uint16() << 16) >> 16;
  }

  uint16(): number {
    const at = this.#take(2);
    return ((this.#buf[at] as number) << 8) | (this.#buf[at + 1] as number);
  }

  int32(): number {
    const at = this.#take(4);
    const buf = this.#buf;
    return (
      ((buf[at] as number) << 24) |
      ((buf[at + 1] as number) << 16) |
      ((buf[at + 2] as number) << 8) |
      (buf[at + 3] as number)
    );
  }

  uint32(): number {
    return this.int32() >>> 0;
  }

  /** A text up to its terminating zero byte, which is read too. */
  cstring(): string {
    const nul = findNul(this.#buf, this.#at, this.#end);
    if (nul < 0) throw new ProtocolError(ProtocolErrorCode.Unterminated);
    const text = decodeText(this.#buf, this.#at, nul);
    this.#at = nul + 1;
    return text;
  }

  /** `count` bytes as a view into the message: copy what must outlive it. */
  bytes(count: number): Uint8Array {
    const at = this.#take(count);
    return this.#buf.subarray(at, at + count);
  }

  /** `count` bytes as text. */
  text(count: number): string {
    const at = this.#take(count);
    return decodeText(this.#buf, at, at + count);
  }

  /** Everything that is left, as a view. */
  rest(): Uint8Array {
    return this.bytes(this.remaining);
  }

  /** Throws when something is left. */
  expectEnd(): void {
    if (this.#at !== this.#end) throw new ProtocolError(ProtocolErrorCode.TrailingBytes);
  }

  #take(count: number): number {
    const at = this.#at;
    // Written so that a hostile count can neither overflow nor be negative.
    if (!(count >= 0 && count <= this.#end - at)) throw new ProtocolError(ProtocolErrorCode.Truncated);
    this.#at = at + count;
    return at;
  }
}
