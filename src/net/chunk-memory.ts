/**
 * Memory that reads are copied into, used again when it has been written somewhere else.
 *
 * A COPY of a gigabyte would otherwise allocate a gigabyte outside the heap, and the collector would run for each 64 MB of
 * it: more than half of the user time of such a COPY on Node. Reads of less than a page, which is what queries and their answers
 * are, come from Node's own pool and are left to the collector.
 *
 * Chunks have the sizes of powers of two, because PostgreSQL sends 8 KiB at a time: where it is not ahead of us, that is what a read
 * brings, and where it is, up to 64 KiB.
 *
 * Whoever gives memory back says that nobody refers to it any more. Memory that is not given back is collected.
 */

/** Reads from here on are copied into chunks. */
const REUSED_BYTES_MIN = 4 * 1024;
/** Chunks of 4, 8, 16, 32 and 64 KiB; one read brings no more. */
const SIZES = 5;
/** Free chunks of one size that are kept: 2 MiB in all. */
const FREE_MAX = 16;

class Chunk extends ArrayBuffer {
  /** How much of it is given out; 0 while it is free. */
  lentBytes = 0;
}

export class ChunkMemory {
  /** By size. */
  readonly #free: readonly Chunk[][] = Array.from({ length: SIZES }, () => []);

  /** Memory of exactly `bytes`, at most 64 KiB; what is in it does not matter. */
  take(bytes: number): Buffer {
    if (bytes < REUSED_BYTES_MIN) return Buffer.allocUnsafe(bytes);
    const size = sizeOf(bytes);
    const chunk = (this.#free[size] as Chunk[]).pop() ?? new Chunk(REUSED_BYTES_MIN << size);
    chunk.lentBytes = bytes;
    return Buffer.from(chunk, 0, bytes);
  }

  /** Nobody refers to `memory`, which `take` returned, any more. Anything else, a part of it too, is ignored, and a second time. */
  giveBack(memory: Uint8Array): void {
    const chunk = memory.buffer;
    if (!(chunk instanceof Chunk) || chunk.lentBytes !== memory.length) return;
    chunk.lentBytes = 0;
    const free = this.#free[sizeOf(memory.length)] as Chunk[];
    if (free.length < FREE_MAX) free.push(chunk);
  }
}

/** The smallest that holds so many. */
function sizeOf(bytes: number): number {
  return 32 - Math.clz32((bytes - 1) >> 12);
}
