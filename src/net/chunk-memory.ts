/**
 * Memory that large reads are copied into, used again when it has been written somewhere else.
 *
 * A COPY of a gigabyte would otherwise allocate a gigabyte outside the heap, and the collector would run for each 64 MB of
 * it: more than half of the user time of such a COPY on Node. Small reads, which is what queries and answers are, get
 * memory of their own size and are left to the collector.
 *
 * Whoever gives memory back says that nobody refers to it any more. Memory that is not given back is collected.
 */

/** As much as one read brings. */
const CHUNK_BYTES = 64 * 1024;
/** Reads from here on are copied into chunks: at most half of a chunk is wasted. */
const REUSED_BYTES_MIN = CHUNK_BYTES / 2;
/** Free chunks that are kept. */
const FREE_MAX = 16;

export class ChunkMemory {
  readonly #free: ArrayBufferLike[] = [];
  /** Given out, and not given back yet. */
  readonly #lent = new WeakSet<ArrayBufferLike>();

  /** Memory of exactly `bytes`, at most 64 KiB; what is in it does not matter. */
  take(bytes: number): Buffer {
    if (bytes < REUSED_BYTES_MIN) return Buffer.allocUnsafe(bytes);
    const chunk = this.#free.pop() ?? Buffer.allocUnsafeSlow(CHUNK_BYTES).buffer;
    this.#lent.add(chunk);
    return Buffer.from(chunk, 0, bytes);
  }

  /** Nobody refers to `memory`, a piece that `take` returned, any more. Anything else is ignored, and a second time. */
  giveBack(memory: Uint8Array): void {
    if (memory.length < REUSED_BYTES_MIN || !this.#lent.delete(memory.buffer)) return;
    if (this.#free.length < FREE_MAX) this.#free.push(memory.buffer);
  }
}
