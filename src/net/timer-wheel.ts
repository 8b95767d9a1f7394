/**
 * A hierarchical timer wheel: thousands of deadlines for the price of a few. It knows no clock: `advance` is told the time.
 *
 * Time is cut into ticks. Level 0 has a slot for each of the next 32 ticks, level 1 a slot for each of the next 32
 * groups of 32 ticks, and so on; when a group begins its timers move down a level. Setting and cancelling are O(1), the
 * next tick with work is found from one bit mask per level.
 *
 *     level 0   |t+1|t+2| … |t+31|                 one tick each
 *     level 1       |   32 ticks   |   32 ticks   | …
 *     level 5             2^25 ticks each; 2^30 ticks in all, 99 days of 8 ms
 *
 * Invariants: a timer runs once, never before its tick; ticks run in order; a
 * timer that a running timer cancels does not run; one that it sets runs in a later tick.
 */
import type { Timer } from "./world.ts";

const SLOTS = 32;
const LEVELS = 6;
/** Ticks that one slot of each level spans. */
const SPAN: readonly number[] = Array.from({ length: LEVELS }, (_, level) => SLOTS ** level);
const HORIZON_TICKS = SLOTS ** LEVELS - 1;

class Entry implements Timer {
  readonly task: () => void;
  readonly tick: number;
  readonly wheel: TimerWheel | null;
  next: Entry = this;
  previous: Entry = this;
  /** Level × 32 + slot, −1 when it waits no more. */
  place = -1;

  constructor(wheel: TimerWheel | null, tick: number, task: () => void) {
    this.wheel = wheel;
    this.tick = tick;
    this.task = task;
  }

  cancel(): void {
    if (this.place >= 0) this.wheel?.remove(this);
  }
}

function nothing(): void {
  // The task of a list head, which never runs.
}

export class TimerWheel {
  readonly #heads: readonly Entry[] = Array.from({ length: SLOTS * LEVELS }, () => new Entry(null, 0, nothing));
  /** One bit per slot that holds a timer, one word per level. */
  readonly #masks = new Int32Array(LEVELS);
  #now = 0;
  #size = 0;

  /** Timers that wait. */
  get size(): number {
    return this.#size;
  }

  /** Sets a timer that runs when `advance` reaches `tick`; a tick that is over already counts as the next one. */
  set(tick: number, task: () => void): Timer {
    const entry = new Entry(this, Math.min(Math.max(tick, this.#now + 1), this.#now + HORIZON_TICKS), task);
    this.#insert(entry);
    this.#size++;
    return entry;
  }

  /** Called by the timer's own `cancel`. */
  remove(entry: Entry): void {
    this.#unlink(entry);
    this.#size--;
  }

  /** The next tick at which a timer runs or moves down a level; Infinity when none waits. */
  next(): number {
    let earliest = Infinity;
    for (let level = 0; level < LEVELS; level++) {
      const mask = this.#masks[level] as number;
      if (mask === 0) continue;
      const span = SPAN[level] as number;
      const group = Math.floor(this.#now / span);
      // Rotated so that the slot after the current one is bit 0: the current slot itself is a whole turn away.
      const shift = (group + 1) % SLOTS;
      const rotated = shift === 0 ? mask : (mask >>> shift) | (mask << (SLOTS - shift));
      const distance = 1 + (31 - Math.clz32(rotated & -rotated));
      earliest = Math.min(earliest, (group + distance) * span);
    }
    return earliest;
  }

  /** Runs all timers up to and including `tick`. What they throw is thrown after the last of them, the first of several. */
  advance(tick: number): void {
    const failures: unknown[] = [];
    for (let at = this.next(); at <= tick; at = this.next()) {
      this.#now = at;
      for (let level = LEVELS - 1; level > 0; level--) {
        const span = SPAN[level] as number;
        if (at % span === 0) this.#moveDown(level * SLOTS + (Math.floor(at / span) % SLOTS));
      }
      this.#run(this.#heads[at % SLOTS] as Entry, failures);
    }
    if (tick > this.#now) this.#now = tick;
    if (failures.length > 0) throw failures[0];
  }

  #moveDown(place: number): void {
    const head = this.#heads[place] as Entry;
    while (head.next !== head) {
      const entry = head.next;
      this.#unlink(entry);
      this.#insert(entry);
    }
  }

  #run(head: Entry, failures: unknown[]): void {
    while (head.next !== head) {
      const entry = head.next;
      this.remove(entry);
      try {
        entry.task();
      } catch (error) {
        failures.push(error);
      }
    }
  }

  #insert(entry: Entry): void {
    const delta = entry.tick - this.#now;
    let level = 0;
    while (delta >= (SPAN[level] as number) * SLOTS) level++;
    const slot = Math.floor(entry.tick / (SPAN[level] as number)) % SLOTS;
    const place = level * SLOTS + slot;
    const head = this.#heads[place] as Entry;
    entry.place = place;
    entry.previous = head.previous;
    entry.next = head;
    head.previous.next = entry;
    head.previous = entry;
    this.#masks[level] = (this.#masks[level] as number) | (1 << slot);
  }

  #unlink(entry: Entry): void {
    const { place } = entry;
    entry.previous.next = entry.next;
    entry.next.previous = entry.previous;
    entry.next = entry;
    entry.previous = entry;
    entry.place = -1;
    const head = this.#heads[place] as Entry;
    if (head.next === head) {
      const level = Math.floor(place / SLOTS);
      this.#masks[level] = (this.#masks[level] as number) & ~(1 << (place % SLOTS));
    }
  }
}
