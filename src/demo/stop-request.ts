/** The wish that the demo should end: made once, by a signal, the clock, a closed output or a dead pooler; the first counts. */
import { setTimeout as sleep } from "node:timers/promises";

export type StopCause =
  | { readonly kind: "time" }
  | { readonly kind: "signal"; readonly signal: NodeJS.Signals }
  /** Nobody reads what we write. */
  | { readonly kind: "output" }
  | { readonly kind: "pooler" };

/** Thrown out of a start that was stopped. */
export class Stopped extends Error {
  constructor() {
    super("the demo was stopped");
    this.name = "Stopped";
  }
}

export class StopRequest {
  readonly #controller = new AbortController();
  #cause: StopCause | null = null;

  get cause(): StopCause | null {
    return this.#cause;
  }

  make(cause: StopCause): void {
    this.#cause ??= cause;
    this.#controller.abort();
  }

  /** Waits; returns early when the wish is made. */
  async sleep(ms: number): Promise<void> {
    if (this.#cause !== null || ms <= 0) return;
    await sleep(ms, undefined, { signal: this.#controller.signal }).catch(() => undefined);
  }

  /** The outcome of `work`. Rejects with `Stopped` when the wish is made first; `work` then goes on by itself. */
  async orStop<T>(work: Promise<T>): Promise<T> {
    work.catch(() => undefined);
    const { signal } = this.#controller;
    const stopped = new Promise<never>((_, reject) => {
      const stop = (): void => reject(new Stopped());
      if (signal.aborted) stop();
      else signal.addEventListener("abort", stop, { once: true });
    });
    return Promise.race([work, stopped]);
  }

  /** Throws `Stopped` when the wish was made. */
  check(): void {
    if (this.#cause !== null) throw new Stopped();
  }
}
