/**
 * What is known of one statement, whatever its constants: its verdict and how it has run on this pool.
 *
 * Records live in a `StatementBook` and are safe to keep: one that the book has forgotten still answers, but what is learned
 * by it is lost to whoever looks the text up again; `isCurrent` says so.
 */
import { decodeText } from "../protocol/byte-text.ts";
import type { CatalogueFacts } from "./catalogue-facts.ts";
import type { Refusal } from "./refusal.ts";
import { type ShortLimits, ShortRuns } from "./short-runs.ts";
import { judgeStatement } from "./statement-verdict.ts";

export class StatementRecord {
  /** Of the fingerprint. */
  readonly hash: number;
  /** Whether the book still has it. The book writes this. */
  isCurrent = true;
  /** Whether it was looked up again, or ran, since the book last looked for something to forget. */
  wasUsed = false;
  readonly #fingerprint: Uint8Array;
  readonly #runs = new ShortRuns();
  #judgedBy: CatalogueFacts | null = null;
  #refusal: Refusal | null = null;

  /** `fingerprint` is the record's own. */
  constructor(fingerprint: Uint8Array, hash: number) {
    this.#fingerprint = fingerprint;
    this.hash = hash;
  }

  /** Null if the statement may share by what the catalogue says, else why it may not. Judged once for each object of facts. */
  refusal(facts: CatalogueFacts): Refusal | null {
    if (facts !== this.#judgedBy) {
      this.#judgedBy = facts;
      this.#refusal = judgeStatement(this.#fingerprint, facts);
    }
    return this.#refusal;
  }

  /** Moving average of its runs in milliseconds; 0 before the first. */
  get meanMs(): number {
    return this.#runs.meanMs;
  }

  /** How many of its runs were reported. */
  get runCount(): number {
    return this.#runs.count;
  }

  /** The statement for people, with `0` and `''` for its constants. */
  get text(): string {
    return decodeText(this.#fingerprint, 0, this.#fingerprint.length);
  }

  get sizeBytes(): number {
    return this.#fingerprint.length;
  }

  /** Notes a run that took `durationMs` from being the server's next to its end, and the bytes of its answer. */
  ran(durationMs: number, answerBytes: number): void {
    this.wasUsed = true;
    this.#runs.add(durationMs, answerBytes);
  }

  /** Whether it ran often enough, and lately quickly and with a small answer on average. */
  isShort(limits: ShortLimits): boolean {
    return this.#runs.isShort(limits);
  }

  /** Whether `bytes[0, length)` is this record's fingerprint, byte for byte. */
  matches(bytes: Uint8Array, length: number): boolean {
    const own = this.#fingerprint;
    if (own.length !== length) return false;
    for (let i = 0; i < length; i++) {
      if (own[i] !== bytes[i]) return false;
    }
    return true;
  }
}
