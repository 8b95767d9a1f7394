/**
 * Keeps count of how a statement has run lately: whether it is short, and how long it takes on average.
 *
 * A guess from experience, not a proof: the constants differ from run to run. One bad run makes a statement not short until it
 * has run well several times again, and twice as often with each bad run that follows soon after another. Times are handed in.
 *
 * Runs are measured against the limits that were last asked about: who changes them sees it after the next runs.
 */

/** What is a good run, and how many of them it takes. */
export interface ShortLimits {
  /** Good runs in a row until a statement that has not offended counts as short. */
  readonly runsMin: number;
  readonly durationMaxMs: number;
  /** Of the whole answer. */
  readonly bytesMax: number;
}

/** Each doubles the good runs that are asked for. */
const OFFENCES_MAX = 6;
/** A bad run is forgiven after so long. */
const FORGIVEN_AFTER_MS = 60_000;
/** How much of the mean a run makes. */
const MEAN_WEIGHT = 1 / 8;

export class ShortRuns {
  /** Moving average of all runs in milliseconds; 0 before the first. */
  meanMs = 0;
  /** All that were reported. */
  count = 0;
  #limits: ShortLimits | null = null;
  /** Until somebody asks for the first time, the longest and the largest run speak for all. */
  #longestMs = 0;
  #largestBytes = 0;
  /** In a row, up to now. */
  #goodCount = 0;
  #offenceCount = 0;
  #offendedMs = 0;

  /** A run of `durationMs` that ended at `nowMs`, with an answer of `answerBytes`. */
  add(durationMs: number, answerBytes: number, nowMs: number): void {
    this.meanMs = this.count === 0 ? durationMs : this.meanMs + (durationMs - this.meanMs) * MEAN_WEIGHT;
    this.count++;
    if (this.#offenceCount > 0 && nowMs - this.#offendedMs >= FORGIVEN_AFTER_MS) {
      this.#offenceCount--;
      this.#offendedMs = nowMs;
    }
    if (this.#isGood(durationMs, answerBytes)) {
      this.#goodCount++;
      return;
    }
    this.#goodCount = 0;
    this.#offendedMs = nowMs;
    if (this.#offenceCount < OFFENCES_MAX) this.#offenceCount++;
  }

  /** Whether the next run may be expected to be a good one. */
  isShort(limits: ShortLimits): boolean {
    if (this.#limits === null && !isWithin(this.#longestMs, this.#largestBytes, limits)) this.#goodCount = 0;
    this.#limits = limits;
    return this.#goodCount >= limits.runsMin * 2 ** this.#offenceCount;
  }

  #isGood(durationMs: number, answerBytes: number): boolean {
    if (this.#limits !== null) return isWithin(durationMs, answerBytes, this.#limits);
    this.#longestMs = Math.max(this.#longestMs, durationMs);
    this.#largestBytes = Math.max(this.#largestBytes, answerBytes);
    return true;
  }
}

function isWithin(durationMs: number, answerBytes: number, limits: ShortLimits): boolean {
  return durationMs <= limits.durationMaxMs && answerBytes <= limits.bytesMax;
}
