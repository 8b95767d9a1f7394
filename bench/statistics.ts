/**
 * Medians, percentiles and paired ratios. Pure.
 *
 * Why paired: on a machine that is not quiet, two programs measured in the same round share its weather; the median of
 * the ratios of one round says more than the ratio of two medians.
 */

/** The middle value, the mean of the two middle ones for an even count; null of nothing. */
export function median(values: readonly number[]): number | null {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] as number;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] as number) + upper) / 2;
}

/** The smallest value that `fraction` (0–1) of all values do not exceed (nearest rank); null of nothing. */
export function percentile(values: readonly number[], fraction: number): number | null {
  if (values.length === 0) return null;
  const sorted = Float64Array.from(values).sort();
  const rank = Math.max(1, Math.ceil(fraction * sorted.length));
  return sorted[Math.min(rank, sorted.length) - 1] as number;
}

/**
 * Median of `ours[i] / theirs[i]` over the rounds that both finished (null stands for one that failed, and a zero
 * divides nothing); null when there is no such round.
 */
export function pairedRatio(ours: readonly (number | null)[], theirs: readonly (number | null)[]): number | null {
  const ratios: number[] = [];
  for (let round = 0; round < Math.min(ours.length, theirs.length); round++) {
    const our = ours[round] ?? null;
    const their = theirs[round] ?? null;
    if (our !== null && their !== null && their > 0) ratios.push(our / their);
  }
  return median(ratios);
}

/** The same of `ours[i] - theirs[i]`. */
export function pairedDifference(ours: readonly (number | null)[], theirs: readonly (number | null)[]): number | null {
  const differences: number[] = [];
  for (let round = 0; round < Math.min(ours.length, theirs.length); round++) {
    const our = ours[round] ?? null;
    const their = theirs[round] ?? null;
    if (our !== null && their !== null) differences.push(our - their);
  }
  return median(differences);
}

/** The median of what is there. */
export function medianOf(values: readonly (number | null)[]): number | null {
  return median(values.filter((value) => value !== null));
}
