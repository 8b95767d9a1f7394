/**
 * Rows that bring descriptors along, sent behind the transport's back: it cannot. What the kernel does not take is tried again, and
 * a client that does not read is nobody's problem but its own.
 *
 * Invariant: nothing else is written to the client between `send` and its end.
 */
import type { DescriptorPassing } from "../net/descriptor-passing.ts";
import { Passing } from "../net/descriptor-passing.ts";
import type { Clock, Timer } from "../net/world.ts";
import type { Client } from "../session/client.ts";

/** The kernel's buffer is emptied by the other process; with the timer's grain it is looked at fifty times a second. */
const AGAIN_MS = 5;

interface Row {
  readonly bytes: Uint8Array;
  /** Null for a message without one; -1 when the connection is gone, and the row with it. */
  readonly descriptor: (() => number) | null;
}

export class DescriptorRows {
  readonly #passing: DescriptorPassing;
  readonly #client: Client;
  readonly #clock: Clock;
  readonly #rows: Row[] = [];
  #next = 0;
  /** How much of the next one is sent. */
  #sent = 0;
  #timer: Timer | null = null;

  constructor(passing: DescriptorPassing, client: Client, clock: Clock) {
    this.#passing = passing;
    this.#client = client;
    this.#clock = clock;
  }

  add(bytes: Uint8Array, descriptor: (() => number) | null): void {
    this.#rows.push({ bytes, descriptor });
  }

  /** `done` is called once, now or later, unless `stop` comes before: false when the client cannot be sent to. */
  send(done: (sent: boolean) => void): void {
    const { outbox } = this.#client;
    outbox.flush();
    const result = outbox.backlog > 0 ? Passing.later : this.#sendRows();
    if (result === Passing.later) this.#timer = this.#clock.after(AGAIN_MS, () => this.send(done));
    else done(result === null);
  }

  stop(): void {
    this.#timer?.cancel();
  }

  /** Null when all are sent. */
  #sendRows(): Passing | null {
    const { fd } = this.#client.connection;
    for (; this.#next < this.#rows.length; this.#next += 1) {
      const { bytes, descriptor } = this.#rows[this.#next] as Row;
      const passed = descriptor === null ? null : descriptor();
      if (passed === -1 && this.#sent === 0) continue;
      while (this.#sent < bytes.length) {
        const taken = this.#passing.send(fd, bytes.subarray(this.#sent), this.#sent === 0 ? passed : null);
        if (typeof taken === "string") return taken;
        this.#sent += taken;
      }
      this.#sent = 0;
    }
    return null;
  }
}
