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
 *       else if (small enough) { framer.hold(); continue; } // comes again, whole, with a later chunk
 *       else … stream what there is; the rest comes with `continues`
 *       framer.advance();
 *     }
 *
 * A caller that cannot go on (a client that waits for a server) leaves the loop without `advance`; the bytes stay, and
 * `next` offers the same message again. When `next` has returned false, `buf` and `at` are others than before: who
 * collects a run of messages as one slice keeps the `buf` that it lies in, and sends it off before the next `push`.
 *
 * Memory: what a chunk's end has cut in two is copied into room of its own, so that three bytes of a header do not keep
 * a chunk of 64 KiB alive; with everything advanced over nothing is kept at all.
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
  /** `buf` was made here for a cut message: nobody else has a view of it yet, and it can be appended to. */
  #own = false;

  /** Bytes that were received and not advanced over. */
  get pending(): number {
    return this.end - this.at;
  }

  /** True between messages: nothing received that was not advanced over, nothing of a streamed message outstanding. */
  get atBoundary(): boolean {
    return this.end === this.at && this.#streaming === 0;
  }

  /**
   * How many bytes more it takes to get on with what has begun: to the end of a message, or of a header. 0 at a boundary, and
   * when a whole message waits.
   */
  get missing(): number {
    const there = this.end - this.at;
    if (this.#streaming > 0) return Math.max(0, this.#streaming - there);
    if (there === 0) return 0;
    if (there < HEADER_BYTES) return HEADER_BYTES - there;
    const length = new DataView(this.buf.buffer, this.buf.byteOffset + this.at, HEADER_BYTES).getUint32(1);
    return Math.max(0, length + 1 - there);
  }

  /** Adds received bytes. Their memory belongs to the framer, and to those whom it is offered to, from now on. */
  push(chunk: Uint8Array): void {
    const kept = this.end - this.at;
    if (kept === 0) {
      this.buf = chunk;
      this.at = 0;
      this.end = chunk.length;
      this.#own = false;
      return;
    }
    // Only behind bytes that were never offered as a piece (`at` is 0): appending changes nothing that others see.
    if (!this.#own || this.at !== 0 || kept + chunk.length > this.buf.length) this.#makeRoom(kept + chunk.length);
    this.buf.set(chunk, this.end);
    this.end += chunk.length;
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
      else if (!this.#own || this.at !== 0) this.#makeRoom(this.#wanted);
      return false;
    }
    const buf = this.buf;
    const at = this.at;
    this.type = buf[at] as number;
    const length =
      (buf[at + 1] as number) * 0x1000000 +
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

  /** Goes behind the next `bytes`, which are there, and are whole messages of which nothing was advanced over. */
  drop(bytes: number): void {
    this.at += bytes;
    this.#wanted = HEADER_BYTES;
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
    this.#wanted = HEADER_BYTES;
  }

  /**
   * Goes behind the offered message, which is whole, and behind all whole ones of the same type that follow it. Returns
   * where they end. `maxBytes`: as for `next`. For rows and COPY data, which come by the million and are not looked at.
   */
  advanceRun(maxBytes: number): number {
    const { buf, end, type } = this;
    let at = this.at + this.size;
    while (end - at >= HEADER_BYTES && buf[at] === type) {
      // A length beyond 31 bits turns negative, and is left to `next` like any other that is out of range.
      const length =
        ((buf[at + 1] as number) << 24) |
        ((buf[at + 2] as number) << 16) |
        ((buf[at + 3] as number) << 8) |
        (buf[at + 4] as number);
      if (length < 4 || length >= end - at || length >= maxBytes) break;
      at += length + 1;
    }
    this.at = at;
    this.#streaming = 0;
    this.#wanted = HEADER_BYTES;
    return at;
  }

  /**
   * Offers the message again when all `size` bytes of it are there: `next` returns false until then. Room for them is
   * made at once, so the caller has compared `size` with its bound.
   */
  hold(): void {
    this.#wanted = this.size;
  }

  /** Offers the message again when `bytes` of it, or all of it, are there: to look at its beginning and stream the rest. */
  holdFor(bytes: number): void {
    this.#wanted = bytes < this.size ? bytes : this.size;
  }

  /** Ends the holding: `next` offers what there is of the message, to be streamed. */
  unhold(): void {
    this.#wanted = HEADER_BYTES;
  }

  /**
   * Moves what is pending to the beginning of memory of its own, with room for `bytes` at least. A held message's room
   * is made as a whole, so that one arriving in crumbs is copied once and not with each of them.
   */
  #makeRoom(bytes: number): void {
    const room = new Uint8Array(bytes > this.#wanted ? bytes : this.#wanted);
    room.set(this.buf.subarray(this.at, this.end), 0);
    this.end -= this.at;
    this.at = 0;
    this.buf = room;
    this.#own = true;
  }

  /** An idle connection owns no buffer. */
  #forget(): void {
    this.buf = NO_BYTES;
    this.at = 0;
    this.end = 0;
    this.#own = false;
  }
}
