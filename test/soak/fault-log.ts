/**
 * Which faults were injected, when, and what they may cost.
 *
 * A client of the soak may lose its connection for two reasons only: it left by itself, or a fault that is written here
 * was going on while it waited, named that client or has not cost as many connections yet as it may. Everything else is a
 * failure. So a fault that costs more than it must is found too: a backend that is terminated may cost one client, and
 * RELOAD, RECONNECT and PAUSE may cost none, which is why they are not written here.
 */
import type { LostConnection } from "./lost-connection.ts";

export interface Fault {
  readonly kind: string;
  readonly fromMs: number;
  /** Until then it excuses; Infinity while it goes on. */
  untilMs: number;
  /** How many connections it may still cost. */
  costsMax: number;
  /** The one client it may cost, by the port at its end; null: any. */
  readonly clientPort: number | null;
}

/** What a client may be told when its server or its pooler's patience is gone: operator's work, or a lost connection. */
const excusableSqlstate = /^(?:57P0[1-5]|08...|closed)$/;

export class FaultLog {
  readonly #faults: Fault[] = [];

  /** A fault begins now. `costsMax`: how many connections it may cost at most. */
  begin(kind: string, costsMax: number, clientPort: number | null = null): Fault {
    const fault = { kind, fromMs: performance.now(), untilMs: Number.POSITIVE_INFINITY, costsMax, clientPort };
    this.#faults.push(fault);
    return fault;
  }

  /** It is over, and its effects are seen within `effectsMs`. */
  end(fault: Fault, effectsMs: number): void {
    fault.untilMs = performance.now() + effectsMs;
  }

  /**
   * The kind of the fault that explains why a connection was lost, null when none does. Counts it against that fault.
   * `sinceMs`: since when the connection had been waiting for something.
   */
  excuse(lost: LostConnection, sinceMs: number, localPort: number): string | null {
    if (!excusableSqlstate.test(lost.sqlstate)) return null;
    const going = this.#faults.filter(({ untilMs, costsMax }) => untilMs >= sinceMs && costsMax > 0);
    const fault =
      going.find(({ clientPort }) => clientPort === localPort) ?? going.find(({ clientPort }) => clientPort === null);
    if (fault === undefined) return null;
    fault.costsMax -= 1;
    return fault.kind;
  }
}
