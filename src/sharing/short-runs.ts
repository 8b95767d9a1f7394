/**
 * Keeps count of how a statement has run lately: whether it is short, and how long it takes on average.
 *
 * A guess from experience, not a proof: the constants differ from run to run. What counts is the average, in which late runs weigh more:
 * on a busy machine any statement is slow now and then, because somebody else had the processor, and a single run says nothing. A
 * statement that has become slow is found out after one or two runs, and needs a good many short ones to be taken for short again.
 */

/** What is short. */
export interface ShortLimits {
  /** Runs that must have been seen. */
  readonly runsMin: number;
  /** On average. */
  readonly durationMaxMs: number;
  /** Of the whole answer, on average. */
  readonly bytesMax: number;
}

/** How much of an average a run makes. */
const WEIGHT = 1 / 8;

export class ShortRuns {
  /** Average of its runs in milliseconds; 0 before the first. */
  meanMs = 0;
  /** All that were reported. */
  count = 0;
  #meanBytes = 0;

  /** A run of `durationMs`, with an answer of `answerBytes`. */
  add(durationMs: number, answerBytes: number): void {
    const weight = this.count === 0 ? 1 : WEIGHT;
    this.meanMs += (durationMs - this.meanMs) * weight;
    this.#meanBytes += (answerBytes - this.#meanBytes) * weight;
    this.count++;
  }

  /** Whether the next run may be expected to be a short one. */
  isShort(limits: ShortLimits): boolean {
    return this.count >= limits.runsMin && this.meanMs <= limits.durationMaxMs && this.#meanBytes <= limits.bytesMax;
  }
}
