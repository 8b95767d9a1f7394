/**
 * What happened in a run: a running hash over every event (two runs of one seed must agree), the violations found, and,
 * when asked for, the lines to read afterwards.
 */
export class Chronicle {
  /** Broken laws, each one sentence. The first is what matters; later ones are often its consequences. */
  readonly violations: string[] = [];
  readonly lines: string[] | null;
  #hash = 0x811c9dc5;
  readonly #now: () => number;

  constructor(now: () => number, tracing: boolean) {
    this.#now = now;
    this.lines = tracing ? [] : null;
  }

  /** Equal hashes mean the same events in the same order. */
  get hash(): string {
    return (this.#hash >>> 0).toString(16).padStart(8, "0");
  }

  /** Folds an event into the hash. `a` and `b` are whatever tells it from others. */
  note(kind: number, a: number, b: number): void {
    let hash = Math.imul(this.#hash ^ kind, 0x01000193);
    hash = Math.imul(hash ^ a, 0x01000193);
    hash = Math.imul(hash ^ b, 0x01000193);
    this.#hash = Math.imul(hash ^ Math.floor(this.#now() * 1000), 0x01000193);
  }

  /** A line for the reader of a failure; the text is only made when somebody wants it. */
  say(text: () => string): void {
    if (this.lines !== null) this.lines.push(`${this.#now().toFixed(3).padStart(12)} ${text()}`);
  }

  violate(sentence: string): void {
    this.violations.push(`at ${this.#now().toFixed(3)} ms: ${sentence}`);
    this.say(() => `VIOLATION ${sentence}`);
  }
}
