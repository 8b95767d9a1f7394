/**
 * What is to be written to one socket, gathered over a turn, and how much of it has not left this process.
 *
 * Slices are kept as (memory, start, end) without copying. At the end of the turn a single slice is written as it is;
 * several small ones are copied together into one write; long ones are written as they are, in order.
 *
 * Back-pressure: above `OUTBOX_HIGH_BYTES` held by the transport the owner stops the source that feeds this outbox, and
 * continues it in `onDrain`. What is gathered is written early when it exceeds the same figure. So an outbox holds at most
 * twice that and what one read of the source brings (64 KiB on Node, up to 512 KiB on Bun).
 *
 * A chunk that was received and goes on whole is given back to the transport when it has been copied or the kernel has it
 * (`Turn.reuse`): at once, or when what the transport held is gone. It is in no other outbox, and the framer that it came through
 * keeps no memory that was advanced over.
 *
 * An empty outbox keeps no array.
 */
import type { Connection } from "./transport.ts";
import type { Flushable, Scratch, Turn } from "./turn.ts";

/** The source of an outbox is stopped above this. */
export const OUTBOX_HIGH_BYTES = 64 * 1024;

/** Slices at least this long are written from where they lie. */
const LONG_SLICE_BYTES = 16 * 1024;

/** What the transport holds of less than this is not worth remembering, to give it back. */
const LENT_BYTES_MIN = 4 * 1024;

/** Below this a loop copies faster than `Buffer.copy`, which needs no view of what it copies. */
const SHORT_COPY_BYTES = 48;

export class Outbox implements Flushable {
  readonly #turn: Turn;
  readonly #scratch: Scratch;
  #connection: Connection | null;
  #gathered = 0;
  #held = 0;
  #scheduled = false;
  /** Of what is gathered, somebody else keeps some: its memory is not given back. */
  #isKept = false;
  /** Under TLS the transport always keeps the memory for a while: gather in memory of its own. */
  keepsMemory = false;
  // The first slice of a turn, which is usually the only one, and the others.
  #memory: Uint8Array | null = null;
  #start = 0;
  #end = 0;
  #more: (Uint8Array | number)[] | null = null;
  /** Whole chunks that the transport still refers to. */
  #lent: Uint8Array[] | null = null;

  constructor(turn: Turn, scratch: Scratch, connection: Connection | null) {
    this.#turn = turn;
    this.#scratch = scratch;
    this.#connection = connection;
  }

  /** Bytes not yet in the kernel. */
  get backlog(): number {
    return this.#gathered + this.#held;
  }

  /** The source must stop; `drained` will be called. What is only gathered does not count: it may all go at once. */
  get full(): boolean {
    return this.#held > OUTBOX_HIGH_BYTES;
  }

  /** Adds the bytes [start, end) of `memory`, which must not change until they are written. */
  add(memory: Uint8Array, start: number, end: number): void {
    if (this.#connection === null || start === end) return;
    this.#gathered += end - start;
    if (this.#memory === null) {
      this.#memory = memory;
      this.#start = start;
      this.#end = end;
      if (!this.#scheduled) {
        this.#scheduled = true;
        this.#turn.atEnd(this);
      }
    } else if (this.#more === null) {
      if (this.#memory === memory && this.#end === start) this.#end = end;
      else this.#more = [memory, start, end];
    } else {
      this.#more.push(memory, start, end);
    }
    // A source that brings much in one turn must learn in this turn that it has to stop.
    if (this.#gathered > OUTBOX_HIGH_BYTES) this.flush();
  }

  addAll(bytes: Uint8Array): void {
    this.add(bytes, 0, bytes.length);
  }

  /** As `add`, of bytes that the caller may want once more. */
  addKept(memory: Uint8Array, start: number, end: number): void {
    this.#isKept = true;
    this.add(memory, start, end);
  }

  /** Writes what the turn has gathered. Called at the end of the turn, or at once before closing. */
  flush(): void {
    this.#scheduled = false;
    const memory = this.#memory;
    if (memory === null) return;
    const connection = this.#connection;
    const more = this.#more;
    this.#memory = null;
    this.#more = null;
    this.#gathered = 0;
    if (connection === null) return;
    if (more === null) this.#writeSlice(connection, memory, this.#start, this.#end);
    else this.#writeAll(connection, memory, more);
    this.#isKept = false;
  }

  /** What the transport held is gone. */
  drained(): void {
    this.#held = 0;
    if (this.#lent !== null) this.#takeBack(this.#lent);
  }

  /** Drops everything; nothing is written any more. */
  close(): void {
    this.#connection = null;
    this.#memory = null;
    this.#more = null;
    this.#gathered = 0;
    this.#held = 0;
    // Never given back: a connection that is being closed may refer to them for a while.
    this.#lent = null;
  }

  #writeAll(connection: Connection, first: Uint8Array, more: readonly (Uint8Array | number)[]): void {
    let memory = first;
    let start = this.#start;
    let end = this.#end;
    let used = 0;
    for (let i = 0; ; i += 3) {
      const length = end - start;
      if (used > 0 && used + length > this.#scratch.sizeBytes) {
        this.#writeScratch(connection, used);
        used = 0;
      }
      if (length >= LONG_SLICE_BYTES) {
        if (used > 0) {
          this.#writeScratch(connection, used);
          used = 0;
        }
        this.#writeSlice(connection, memory, start, end);
      } else {
        copy(this.#scratch.bytes, used, memory, start, end);
        used += length;
        if (length === memory.length && !this.#isKept) this.#turn.reuse(memory);
      }
      if (i >= more.length) break;
      memory = more[i] as Uint8Array;
      start = more[i + 1] as number;
      end = more[i + 2] as number;
    }
    if (used > 0) this.#writeScratch(connection, used);
  }

  #writeSlice(connection: Connection, memory: Uint8Array, start: number, end: number): void {
    const whole = start === 0 && end === memory.length;
    this.#held = connection.write(memory, start, end);
    // A chunk that went on as a whole belonged to this outbox alone.
    if (!whole || this.#isKept) return;
    if (this.#held === 0) this.#turn.reuse(memory);
    else if (memory.length >= LENT_BYTES_MIN) (this.#lent ??= []).push(memory);
  }

  #takeBack(lent: readonly Uint8Array[]): void {
    this.#lent = null;
    for (const memory of lent) this.#turn.reuse(memory);
  }

  #writeScratch(connection: Connection, used: number): void {
    const { bytes } = this.#scratch;
    // The transport would keep the whole scratch memory alive for a few bytes of it.
    if (this.keepsMemory || this.#held > 0) {
      this.#held = connection.write(Buffer.from(bytes.subarray(0, used)));
      return;
    }
    this.#held = connection.write(bytes, 0, used);
    if (this.#held > 0) this.#scratch.giveAway();
  }
}

function copy(target: Uint8Array, at: number, memory: Uint8Array, start: number, end: number): void {
  if (end - start <= SHORT_COPY_BYTES) {
    for (let from = start, to = at; from < end; from++, to++) target[to] = memory[from] as number;
  } else {
    Buffer.prototype.copy.call(memory, target, at, start, end);
  }
}
