/**
 * Memory that Bun has read into, freed as soon as nobody refers to it.
 *
 * Bun makes memory of its own for each read, of up to 512 KiB. Freed at once, it is what the next read gets; left to the collector,
 * some hundred of them would be made first, and the system be asked for their pages again and again.
 *
 * Only what was handed out here is freed: an outbox gives back all that it has written whole, and some of that is kept by
 * others, as the Parse of a prepared statement is.
 */

/** Freeing less at once is not worth remembering it. */
const FREED_BYTES_MIN = 16 * 1024;

/** An `ArrayBuffer` of ECMAScript 2024, which Bun has and Node 20 has not. */
interface FreeableBuffer extends ArrayBuffer {
  /** Frees what it has; a view of it has length 0 from now on. */
  transfer(bytes: 0): unknown;
}

export class BunReadMemory {
  /** Handed out, and not given back. */
  readonly #lent = new WeakSet<ArrayBufferLike>();

  /** `chunk` is about to be given to its callee. */
  handedOut(chunk: Uint8Array): void {
    if (chunk.length >= FREED_BYTES_MIN && chunk.length === chunk.buffer.byteLength) this.#lent.add(chunk.buffer);
  }

  /** Nobody refers to `memory`, a chunk that was handed out, any more. Anything else, a part of one too, is ignored. */
  giveBack(memory: Uint8Array): void {
    const { buffer } = memory;
    if (memory.length < FREED_BYTES_MIN || memory.length !== buffer.byteLength) return;
    if (this.#lent.delete(buffer)) (buffer as FreeableBuffer).transfer(0);
  }
}
