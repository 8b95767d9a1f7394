/**
 * Cuts a byte stream into PostgreSQL messages without looking into them.
 *
 * Responsible for: walking the headers (type byte, 4-byte length) over received chunks. Not for: what a message means,
 * which one to hold and which to stream; the caller decides that at each header, as PgBouncer's `sbuf` callbacks do.
 *
 *     chunk     D.......D.....C....Z.....D...            the last message is cut
 *               ^at     ^at+size           ^available < size
 *
 * The caller's loop:
 *
 *     framer.push(chunk);
 *     while (framer.next()) {
 *       if (framer.continues) … bytes [at, at+available) belong to a message that was streamed before
 *       else if (framer.whole) … message [at, at+size) lies in `buf`
 *       else if (small enough) { framer.hold(); break; }   // comes again, whole, with a later chunk
 *       else … stream what there is; the rest comes with `continues`
 *       framer.advance();
 *     }
 *
 * A caller that cannot go on (a client that waits for a server) leaves the loop without `advance`; the bytes stay, and
 * `next` offers the same message again. Copies nothing but what a chunk's end has cut in two. Keeps no memory when
 * everything has been advanced over.
 *
 * Invariants: `at <= end`; `available <= size`; bytes are offered in order, each exactly once.
 */

/** Type byte plus length. */
export const HEADER_BYTES = 5;

const NO_BYTES = new Uint8Array(0);

export class Framer {
  /** The memory that `at` points into. */
  buf: Uint8Array = NO_BYTES;
  /** Where the offered message or piece begins. */
  at = 0;
  /** Where the received bytes end in `buf`. */
  end = 0;
  /** The offered message's type byte. */
  type = 0;
  /** The offered message's length with its type byte; for a piece, what of the message is still to come, this piece included. */
  size = 0;
  /** How many bytes of it are there now. */
  available = 0;
  /** The bytes go on with a message whose beginning was advanced over before. */
  continues = false;
  /** The length field is less than 4 or more than the caller's `maxBytes`: the stream is beyond repair. */
  broken = false;

  /** Bytes of a streamed message that have not been offered yet. */
  #streaming = 0;
  #streamType = 0;
  /** How many bytes must be there before it is worth looking again. */
  #wanted = HEADER_BYTES;

  /** Bytes that were received and not advanced over. */
  get pending(): number {
    return this.end - this.at;
  }

  /** True between messages: nothing received that was not advanced over, nothing of a streamed message outstanding. */
  get atBoundary(): boolean {
    return this.end === this.at && this.#streaming === 0;
  }

  /** Adds received bytes. Their memory belongs to the framer, and to those whom it is offered to, from now on. */
  push(chunk: Uint8Array): void {
    const kept = this.end - this.at;
    if (kept === 0) {
      this.buf = chunk;
      this.at = 0;
      this.end = chunk.length;
      return;
    }
    const total = kept + chunk.length;
    if (this.at === 0 && this.#wanted > this.end && total <= this.buf.length) {
      // The buffer was made for a held message and has room: append.
      this.buf.set(chunk, this.end);
      this.end = total;
      return;
    }
    // The room of a held message is made at once, so that a message arriving in crumbs is copied once and not each time.
    // `#wanted` is bounded: the caller names the most it holds.
    const joined = new Uint8Array(Math.max(total, this.#wanted));
    joined.set(this.buf.subarray(this.at, this.end), 0);
    joined.set(chunk, kept);
    this.buf = joined;
    this.at = 0;
    this.end = total;
  }

  /**
   * Offers the next message or piece. False when more bytes are needed, or the stream is `broken`.
   * `maxBytes`: the longest message, with its type byte, that is not a broken header.
   */
  next(maxBytes: number): boolean {
    const there = this.end - this.at;
    if (this.#streaming > 0) {
      if (there === 0) {
        this.#forget();
        return false;
      }
      this.type = this.#streamType;
      this.size = this.#streaming;
      this.available = there < this.#streaming ? there : this.#streaming;
      this.continues = true;
      return true;
    }
    if (there < this.#wanted) {
      if (there === 0) this.#forget();
      return false;
    }
    const buf = this.buf;
    const at = this.at;
    this.type = buf[at] as number;
    const length =
      ((buf[at + 1] as number) * 0x1000000) +
      (((buf[at + 2] as number) << 16) | ((buf[at + 3] as number) << 8) | (buf[at + 4] as number));
    const size = length + 1;
    if (length < 4 || size > maxBytes) {
      this.broken = true;
      return false;
    }
    this.size = size;
    this.available = there < size ? there : size;
    this.continues = false;
    this.#wanted = HEADER_BYTES;
    return true;
  }

  /** The offered message is complete in `buf`. False for a piece of a streamed one. */
  get whole(): boolean {
    return this.available === this.size && !this.continues;
  }

  /** The offered bytes are the last of their message. */
  get last(): boolean {
    return this.available === this.size;
  }

  /** Goes behind the offered bytes. What is missing of the message will be offered as pieces. */
  advance(): void {
    this.at += this.available;
    this.#streaming = this.size - this.available;
    this.#streamType = this.type;
  }

  /** Offers the message again when all `size` bytes of it are there. The caller has compared `size` with its bound. */
  hold(): void {
    this.#wanted = this.size;
  }

  /** An idle connection owns no buffer. */
  #forget(): void {
    this.buf = NO_BYTES;
    this.at = 0;
    this.end = 0;
  }
}
