/** Counts what happens in a soak: operations by family, lost connections by reason. Prints them in lines. */

export class Tally {
  readonly #operations = new Map<string, number>();
  readonly #losses = new Map<string, number>();
  readonly #faults = new Map<string, number>();
  /** Counts at the last line. */
  #reported = new Map<string, number>();
  #reportedAtMs = performance.now();

  operation(family: string): void {
    add(this.#operations, family);
  }

  /** A connection was lost: by SQLSTATE, and why that is in order. */
  loss(reason: string): void {
    add(this.#losses, reason);
  }

  fault(kind: string): void {
    add(this.#faults, kind);
  }

  get operations(): number {
    return sum(this.#operations);
  }

  /** Operations a second since the last line, by family, and lost connections so far. */
  line(): string {
    const nowMs = performance.now();
    const seconds = (nowMs - this.#reportedAtMs) / 1000;
    const rate = (count: number): string => String(Math.round(count / seconds));
    const families = [...this.#operations].map(
      ([family, count]) => `${family} ${rate(count - (this.#reported.get(family) ?? 0))}`,
    );
    const all = rate(sum(this.#operations) - sum(this.#reported));
    this.#reported = new Map(this.#operations);
    this.#reportedAtMs = nowMs;
    return `${all}/s (${families.join(", ")}); lost: ${printed(this.#losses)}`;
  }

  summary(): string[] {
    return [
      `operations: ${sum(this.#operations)} (${printed(this.#operations)})`,
      `faults:     ${printed(this.#faults)}`,
      `lost:       ${printed(this.#losses)}`,
    ];
  }
}

function add(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

function sum(counts: ReadonlyMap<string, number>): number {
  return [...counts.values()].reduce((total, count) => total + count, 0);
}

function printed(counts: ReadonlyMap<string, number>): string {
  if (counts.size === 0) return "none";
  return [...counts]
    .sort(([, one], [, other]) => other - one)
    .map(([key, count]) => `${key} ${count}`)
    .join(", ");
}
