/**
 * Reads of a connection that only brings, and much: a large answer, or the data of a COPY.
 *
 * A pooler that keeps up with PostgreSQL is woken for each of its 8 KiB, and wakes the client for each of them: three system
 * calls and two changes of process where one would do for half a megabyte. A slower one is cheaper, and the whole chain
 * is faster for it. So such a connection rests for a moment after each read that has emptied it, and what comes meanwhile waits in the
 * kernel. Measured: `docs/internals/performance.md`.
 *
 *     reads   ▮▮▮▮▮▮▮▮▮▮▮▮▮▮▮▮ ▮▮▮▮     ▮▮▮▮     ▮▮▮▮
 *             └ BULK, a window ┘   └ rests ┘   └ rests ┘
 *
 * Whoever asks and is answered never rests: a write to the connection begins the count anew, and so does a short read.
 * The kernel's buffers may be too small to keep the sender busy meanwhile (`tcp_socket_buffer`; they do not grow as usual): each
 * window is compared with one without rests, and some in a row that took clearly longer end the resting for a good while.
 */

/** A shorter read is no part of a bulk: PostgreSQL sends such ones 8 KiB at a time. */
export const BULK_READ_BYTES_MIN = 4 * 1024;

/** After so many bytes without a write to the same connection it is a bulk. */
export const BULK_BYTES = 256 * 1024;

/** What is timed together. */
const WINDOW_BYTES = 4 * 1024 * 1024;

/** A window with rests may take so many times as long as one without. */
const SLOWDOWN_MAX = 1.5;

/** So many in a row that took longer are no chance: a window is ten milliseconds, and processors are shared. */
const SLOW_WINDOWS_MAX = 3;

/** So many windows go without rests then, and twice as many each time. */
const FREE_WINDOWS = 16;

/** As short as timers are; up to twice as long in fact. */
const REST_MS = 1;

/** One bulk, from its beginning to its end. Decides when its connection rests. */
export class BulkPace {
  #fromMs: number;
  #bytes = 0;
  #isResting = false;
  /** Windows without rests that are still to come; the last of them is what those with rests are compared with. */
  #freeWindows = 1;
  #freeWindowsNext = FREE_WINDOWS;
  #freelyMs = 0;
  #slowWindows = 0;

  /** The pace of a bulk of `bulkBytes`, the last `bytes` of which were just read: `before`, or a new one where it has just become a bulk. */
  static of(before: BulkPace | null, bulkBytes: number, bytes: number, nowMs: number): BulkPace {
    return before === null || bulkBytes - bytes <= BULK_BYTES ? new BulkPace(nowMs) : before;
  }

  /** `nowMs`: monotonic milliseconds. */
  constructor(nowMs: number) {
    this.#fromMs = nowMs;
  }

  /** `bytes` were read; `isAll`: there were no more. True when the connection is to rest now. */
  received(bytes: number, isAll: boolean, nowMs: number): boolean {
    this.#bytes += bytes;
    if (this.#bytes >= WINDOW_BYTES) this.#endWindow(nowMs);
    return this.#isResting && isAll;
  }

  #endWindow(nowMs: number): void {
    const tookMs = nowMs - this.#fromMs;
    this.#fromMs = nowMs;
    this.#bytes = 0;
    if (!this.#isResting) {
      this.#freelyMs = tookMs;
      this.#freeWindows--;
      this.#isResting = this.#freeWindows === 0;
    } else if (tookMs <= this.#freelyMs * SLOWDOWN_MAX) {
      this.#slowWindows = 0;
    } else if (++this.#slowWindows === SLOW_WINDOWS_MAX) {
      this.#slowWindows = 0;
      this.#isResting = false;
      this.#freeWindows = this.#freeWindowsNext;
      this.#freeWindowsNext *= 2;
    }
  }
}

/** A connection that is not read from for a moment. */
export interface Resting {
  /** It may be read from again. Throws nothing. */
  rested(): void;
}

/** The connections of one transport that rest. One timer for all: who comes last rests for less. */
export class Rests {
  readonly #later: (task: () => void, delayMs: number) => unknown;
  #resting: Resting[] = [];

  /** `later` calls `task` once, `delayMs` or more from now. */
  constructor(later: (task: () => void, delayMs: number) => unknown = setTimeout) {
    this.#later = later;
  }

  begin(connection: Resting): void {
    if (this.#resting.push(connection) === 1) this.#later(this.#end, REST_MS);
  }

  readonly #end = (): void => {
    const rested = this.#resting;
    this.#resting = [];
    for (const connection of rested) connection.rested();
  };
}
