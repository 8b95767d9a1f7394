/**
 * When a client's running query and transaction began, and what they add to the figures of SHOW STATS.
 *
 * A query begins with a client's first message while none runs and ends at a ReadyForQuery with nothing outstanding (a
 * pipeline is one query); a transaction ends where that says idle. Counterpart: query_start and xact_start of PgSocket.
 */
import type { TrafficCounters } from "../metrics/traffic-counters.ts";

export class UnitClock {
  /** Monotonic ms; 0 when none runs. */
  queryStart = 0;
  xactStart = 0;

  /** A message came. */
  begin(counters: TrafficCounters, now: number): void {
    if (this.queryStart === 0) {
      this.queryStart = now;
      counters.queryCount += 1;
    }
    if (this.xactStart === 0) {
      this.xactStart = now;
      counters.xactCount += 1;
    }
  }

  /** Another process has begun a transaction, and a query if `isBusy`; when is not known. Both are in its figures. */
  takeUp(now: number, isBusy: boolean): void {
    this.xactStart = now;
    this.queryStart = isBusy ? now : 0;
  }

  /** Everything has been answered. */
  end(counters: TrafficCounters, now: number, transactionEnded: boolean): void {
    if (this.queryStart !== 0) counters.queryTimeUs += Math.round((now - this.queryStart) * 1000);
    this.queryStart = 0;
    if (!transactionEnded) return;
    if (this.xactStart !== 0) counters.xactTimeUs += Math.round((now - this.xactStart) * 1000);
    this.xactStart = 0;
  }
}
