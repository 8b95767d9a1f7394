/**
 * What one turn of the event loop has in common: the time it happens at, and the sockets it has written for.
 *
 * Gathering: everything that one turn produces for a socket leaves in one write when the turn ends, after the callbacks
 * of all sockets that were ready together. The clock is read once a turn, not once a message.
 */
import type { Clock, World } from "./world.ts";

export interface Flushable {
  flush(): void;
}

/** Decides when all that came in a turn has been dealt with, and may still write in the same turn. */
export interface Settling {
  settle(): void;
}

export class Turn {
  readonly #world: World;
  readonly #clock: Clock;
  #now = 0;
  #fresh = false;
  #settling: Settling[] = [];
  #pending: Flushable[] = [];
  #flushing: Flushable[] = [];
  readonly #end: () => void;

  constructor(world: World) {
    this.#world = world;
    this.#clock = world.clock;
    this.#end = () => this.#finish();
  }

  /** Monotonic milliseconds at which this turn asked first. */
  get now(): number {
    if (!this.#fresh) {
      this.#now = this.#clock.now();
      this.#open();
    }
    return this.#now;
  }

  /** Calls `flush` of `target` once when the turn ends. The caller adds a target once until it was flushed. */
  atEnd(target: Flushable): void {
    if (!this.#fresh) {
      this.#now = this.#clock.now();
      this.#open();
    }
    this.#pending.push(target);
  }

  /** Calls `settle` of `target` once when the turn ends, before anything is written. The caller adds a target once until then. */
  beforeEnd(target: Settling): void {
    if (!this.#fresh) {
      this.#now = this.#clock.now();
      this.#open();
    }
    this.#settling.push(target);
  }

  /** All of `memory` has left and nobody refers to it: see `Transport.reuse`. */
  reuse(memory: Uint8Array): void {
    this.#world.transport.reuse?.(memory);
  }

  #open(): void {
    this.#fresh = true;
    this.#world.afterTurn(this.#end);
  }

  #finish(): void {
    let failure: unknown = null;
    // What one of them causes may make others, and them again: all belongs to this turn.
    for (let i = 0; i < this.#settling.length; i++) {
      try {
        (this.#settling[i] as Settling).settle();
      } catch (error) {
        failure ??= error;
      }
    }
    this.#settling.length = 0;
    const targets = this.#pending;
    this.#pending = this.#flushing;
    this.#flushing = targets;
    // What flushing causes (an error callback, a drain) belongs to the next turn.
    this.#fresh = false;
    for (let i = 0; i < targets.length; i++) {
      try {
        (targets[i] as Flushable).flush();
      } catch (error) {
        // It costs its own connection only: the others are written first, then the world is told.
        failure ??= error;
      }
    }
    targets.length = 0;
    if (failure !== null) throw failure;
  }
}

/** Memory that writes are gathered in. One for all outboxes of a pooler: it is in use only within `flush`. */
export class Scratch {
  bytes: Uint8Array;
  readonly sizeBytes: number;

  constructor(sizeBytes: number) {
    this.sizeBytes = sizeBytes;
    this.bytes = freshMemory(sizeBytes);
  }

  /** The transport kept the memory: take new one for the next write. */
  giveAway(): void {
    this.bytes = freshMemory(this.sizeBytes);
  }
}

/** A Buffer, because Node would wrap anything else in one at each write. */
function freshMemory(sizeBytes: number): Uint8Array {
  return Buffer.allocUnsafeSlow(sizeBytes);
}
