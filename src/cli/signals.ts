/** Signals of the process, caught from the first moment and delivered once somebody listens. */

export const CaughtSignals = ["SIGHUP", "SIGINT", "SIGTERM", "SIGQUIT", "SIGUSR1", "SIGUSR2"] as const;
export type CaughtSignal = (typeof CaughtSignals)[number];

export class Signals {
  #early: CaughtSignal[] = [];
  #receiver: ((signal: CaughtSignal) => void) | null = null;

  constructor() {
    for (const signal of CaughtSignals) process.on(signal, () => this.#caught(signal));
    // A write to a socket or pipe that nobody reads is an error of that write.
    process.on("SIGPIPE", () => {});
  }

  #caught(signal: CaughtSignal): void {
    if (this.#receiver === null) this.#early.push(signal);
    else this.#receiver(signal);
  }

  /** From now on; those that came before are delivered at once. */
  deliverTo(receiver: (signal: CaughtSignal) => void): void {
    this.#receiver = receiver;
    const early = this.#early;
    this.#early = [];
    for (const signal of early) receiver(signal);
  }
}
