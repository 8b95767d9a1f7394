/**
 * The simulator's only source of chance: a small seeded generator (sfc32).
 *
 * One seed decides everything that happens in a run. Each actor draws from a generator of its own (`fork`), so that a
 * change in what one of them draws does not change the luck of all others.
 */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #d = 1;

  constructor(seed: number) {
    this.#a = seed | 0;
    this.#b = Math.floor(seed / 0x1_0000_0000) | 0;
    this.#c = 0x9e3779b9 | 0;
    // Nearby seeds give unrelated streams only after some rounds.
    for (let i = 0; i < 12; i++) this.uint32();
  }

  /** A generator that goes its own way from here. */
  fork(): Random {
    return new Random(this.uint32() * 0x20_0000 + (this.uint32() >>> 11));
  }

  uint32(): number {
    const sum = (this.#a + this.#b + this.#d) | 0;
    this.#d = (this.#d + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum;
    this.#c |= 0;
    return sum >>> 0;
  }

  /** In [0, 1). */
  fraction(): number {
    return this.uint32() / 0x1_0000_0000;
  }

  /** A whole number in [0, count). */
  below(count: number): number {
    return Math.floor(this.fraction() * count);
  }

  /** A whole number in [low, high]. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  chance(probability: number): boolean {
    return this.fraction() < probability;
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)] as T;
  }

  /** Picks a key with the probability of its weight. */
  weighted<K extends string>(weights: Readonly<Partial<Record<K, number>>>): K {
    const names = Object.keys(weights) as K[];
    let total = 0;
    for (const name of names) total += weights[name] ?? 0;
    let left = this.fraction() * total;
    for (const name of names) {
      left -= weights[name] ?? 0;
      if (left < 0) return name;
    }
    return names[names.length - 1] as K;
  }

  /** Small numbers often, large ones seldom: in [low, high], spread evenly over the orders of magnitude. */
  skewed(low: number, high: number): number {
    const from = Math.log(low + 1);
    const to = Math.log(high + 1);
    return Math.min(
      high,
      Math.max(low, Math.floor(Math.exp(from + this.fraction() * (to - from)) - 1 + this.fraction())),
    );
  }

  bytes(length: number): Uint8Array {
    const out = new Uint8Array(length);
    for (let i = 0; i < length; i++) out[i] = this.uint32() & 0xff;
    return out;
  }
}
