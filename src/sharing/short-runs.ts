/**
 * Keeps count of how a statement has run lately: whether it is short, and how long it takes on average.
 *
 * A guess from experience, not a proof: the constants differ from run to run. One bad run makes a statement not short until it
 * has run well several times again, and twice as often with each bad run that follows soon after another. Times and limits
 * are handed in; limits that change count from the next run.
 */

/** What is a good run, and how many of them it takes. */
export interface ShortLimits {
  /** Good runs in a row until a statement that has not offended counts as short. */
  readonly runsMin: number;
  readonly durationMaxMs: number;
  /** Of the whole answer. */
  readonly answerBytesMax: number;
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
  /** In a row, up to now. */
  #goodCount = 0;
  #offenceCount = 0;
  #offendedMs = 0;

  /** A run of `durationMs` that ended at `nowMs`, with an answer of `answerBytes`. */
  add(durationMs: number, answerBytes: number, nowMs: number, limits: ShortLimits): void {
    this.meanMs = this.count === 0 ? durationMs : this.meanMs + (durationMs - this.meanMs) * MEAN_WEIGHT;
    this.count++;
    if (this.#offenceCount > 0 && nowMs - this.#offendedMs >= FORGIVEN_AFTER_MS) {
      this.#offenceCount--;
      this.#offendedMs = nowMs;
    }
    if (durationMs <= limits.durationMaxMs && answerBytes <= limits.answerBytesMax) {
      this.#goodCount++;
      return;
    }
    this.#goodCount = 0;
    this.#offendedMs = nowMs;
    if (this.#offenceCount < OFFENCES_MAX) this.#offenceCount++;
  }

  /** Whether the next run may be expected to be a good one. */
  isShort(limits: ShortLimits): boolean {
    return this.#goodCount >= limits.runsMin * 2 ** this.#offenceCount;
  }
}
