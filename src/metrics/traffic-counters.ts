/**
 * What SHOW STATS counts for one database: plain fields that the hot path adds to. Times are microseconds.
 *
 * Counterpart: PgBouncer's `PgStats`.
 */
export class TrafficCounters {
  serverAssignmentCount = 0;
  xactCount = 0;
  queryCount = 0;
  /** Bytes of client messages forwarded. */
  bytesReceived = 0;
  /** Bytes that came from servers. */
  bytesSent = 0;
  xactTimeUs = 0;
  queryTimeUs = 0;
  waitTimeUs = 0;
  clientParseCount = 0;
  serverParseCount = 0;
  bindCount = 0;
  clientLoginCount = 0;

  /** Adds all of `other`. */
  add(other: TrafficCounters): void {
    for (const name of TRAFFIC_COUNTERS) this[name] += other[name];
  }

  copy(): TrafficCounters {
    const copy = new TrafficCounters();
    copy.add(this);
    return copy;
  }
}

export type TrafficCounter = Exclude<keyof TrafficCounters, "add" | "copy">;

/** In the order of SHOW STATS. */
export const TRAFFIC_COUNTERS: readonly TrafficCounter[] = [
  "serverAssignmentCount",
  "xactCount",
  "queryCount",
  "bytesReceived",
  "bytesSent",
  "xactTimeUs",
  "queryTimeUs",
  "waitTimeUs",
  "clientParseCount",
  "serverParseCount",
  "bindCount",
  "clientLoginCount",
];
