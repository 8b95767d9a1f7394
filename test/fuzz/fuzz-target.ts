/**
 * What the fuzzer feeds: one way in, good examples of what comes that way, and what must hold whatever comes.
 *
 * `run` rejects or throws when a law is broken. It must be deterministic: an input that fails once fails again, so that it
 * can be made smaller and kept (test/corpus).
 */
export interface FuzzTarget {
  /** Names its folder in test/corpus too. */
  readonly name: string;
  /** Good inputs, to be mutated; they must hold themselves. */
  readonly seeds: readonly Uint8Array[];
  /** Pieces that mean something here, put in anywhere. */
  readonly words: readonly Uint8Array[];
  /** Of random inputs in one run of the test suite. */
  readonly runs: number;
  run(input: Uint8Array): void | Promise<void>;
}

/** No input is longer: more would not find more, and be slow. */
export const INPUT_BYTES_MAX = 200_000;

export const bytesOf = (text: string): Uint8Array => Buffer.from(text, "utf8");
export const latin1 = (text: string): Uint8Array => Buffer.from(text, "latin1");
