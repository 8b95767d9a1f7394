/**
 * A query of our own on a server: check query, reset query, connect query, SET of tracked parameters. An entry like any
 * other; its answers are read by nobody but for the errors.
 */
import type { EntryOwner } from "../pipeline/pipeline.ts";
import type { ErrorFields } from "../protocol/error-fields.ts";

export class Task implements EntryOwner {
  readonly text: string;
  /** The first error, null when there was none. */
  error: ErrorFields | null = null;
  readonly #done: (error: ErrorFields | null, status: number) => void;

  /** `done` is called once, when the server is ready again. Not when it dies before. */
  constructor(text: string, done: (error: ErrorFields | null, status: number) => void) {
    this.text = text;
    this.#done = done;
  }

  answer(): void {}

  ended(status: number): void {
    this.#done(this.error, status);
  }
}
