/**
 * The real clock: monotonic time, wall time, and timers on one wheel behind one native timer.
 *
 * The native timer sleeps until the wheel has work, so that an idle process stays asleep; it is unref'd, so that a
 * pending timer does not keep the process alive. A tick is 8 ms: with the native timer's own delay a task runs at most
 * 20 ms late on a machine that is not overloaded, and never early.
 */
import { TimerWheel } from "./timer-wheel.ts";
import type { Clock, Timer } from "./world.ts";

const TICK_MS = 8;
/** The longest time setTimeout takes, rounded down. */
const SLEEP_MAX_MS = 2 ** 31 - 1;

export function createClock(): Clock {
  return new RealClock();
}

class RealClock implements Clock {
  readonly #wheel = new TimerWheel();
  readonly #wake = (): void => this.#woken();
  #native: ReturnType<typeof setTimeout> | null = null;
  /** The tick the native timer sleeps for; Infinity when it is not set. */
  #sleepsFor = Infinity;

  now(): number {
    return performance.now();
  }

  wallTime(): number {
    return Date.now();
  }

  after(delayMs: number, task: () => void): Timer {
    const now = performance.now();
    // An empty wheel stands still: it is brought up to date before it is used again.
    if (this.#wheel.size === 0) this.#wheel.advance(Math.floor(now / TICK_MS));
    const tick = Math.ceil((now + delayMs) / TICK_MS);
    const timer = this.#wheel.set(tick, task);
    if (tick < this.#sleepsFor) this.#sleep(now);
    return timer;
  }

  #woken(): void {
    this.#native = null;
    this.#sleepsFor = Infinity;
    try {
      this.#wheel.advance(Math.floor(performance.now() / TICK_MS));
    } finally {
      this.#sleep(performance.now());
    }
  }

  #sleep(now: number): void {
    const next = this.#wheel.next();
    if (next >= this.#sleepsFor) return;
    if (this.#native !== null) clearTimeout(this.#native);
    this.#sleepsFor = next;
    // Rounded up: a native timer of a fraction of a millisecond too few would wake for nothing.
    const sleepMs = Math.max(1, Math.ceil(next * TICK_MS - now));
    this.#native = setTimeout(this.#wake, Math.min(sleepMs, SLEEP_MAX_MS));
    this.#native.unref();
  }
}
