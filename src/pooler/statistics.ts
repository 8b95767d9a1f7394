/**
 * Totals and averages of SHOW STATS, and the periodic line in the log.
 *
 * Averages are taken over the last full `stats_period` and the time since, so that they are never about a moment only:
 *
 *     older ──── period ──── newer ─── now        average = (now − older) / time
 *
 * Counterpart: PgBouncer's `stats.c`.
 */
import { TRAFFIC_COUNTERS, TrafficCounters } from "../metrics/traffic-counters.ts";
import type { TrafficCounter } from "../metrics/traffic-counters.ts";
import type { Engine } from "../session/engine.ts";
import type { Residents } from "./residents.ts";

interface Snapshot {
  /** Monotonic ms. */
  readonly at: number;
  readonly counters: ReadonlyMap<string, TrafficCounters>;
}

/** The counter that a time is divided by. */
const PER: Partial<Record<TrafficCounter, TrafficCounter>> = {
  xactTimeUs: "xactCount",
  queryTimeUs: "queryCount",
  waitTimeUs: "serverAssignmentCount",
};

export class Statistics {
  readonly #engine: Engine;
  readonly #residents: Residents;
  #older: Snapshot;
  #newer: Snapshot;

  constructor(engine: Engine, residents: Residents) {
    this.#engine = engine;
    this.#residents = residents;
    this.#newer = this.#snapshot();
    this.#older = this.#newer;
  }

  /** Totals by database that has a pool, the console's too, in the order of SHOW STATS. */
  totals(): Map<string, TrafficCounters> {
    const totals = new Map<string, TrafficCounters>();
    for (const database of this.#residents.databases.values()) {
      if (database.pools.size > 0) totals.set(database.name, database.counters);
    }
    totals.set("pgbouncer", this.#residents.consoleCounters);
    return new Map([...totals].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** What the averages of SHOW STATS are for `name`, as whole numbers. */
  averages(name: string, totals: TrafficCounters): TrafficCounters {
    return averagesBetween(this.#older.counters.get(name), totals, this.#engine.turn.now - this.#older.at);
  }

  /** All databases together. */
  sum(): TrafficCounters {
    return sumOf(this.totals().values());
  }

  sumAverages(): TrafficCounters {
    return averagesBetween(sumOf(this.#older.counters.values()), this.sum(), this.#engine.turn.now - this.#older.at);
  }

  /** A `stats_period` is over: a new one begins. Returns what the last one came to, which is logged too. */
  endPeriod(): string {
    const { log, settings, turn } = this.#engine;
    const average = averagesBetween(sumOf(this.#newer.counters.values()), this.sum(), turn.now - this.#newer.at);
    const text =
      `stats: ${average.xactCount} xacts/s, ${average.queryCount} queries/s, ` +
      `${average.clientParseCount} client parses/s, ${average.serverParseCount} server parses/s, ` +
      `${average.bindCount} binds/s, ${average.clientLoginCount} client logins/s, ` +
      `in ${average.bytesReceived} B/s, out ${average.bytesSent} B/s, ` +
      `xact ${average.xactTimeUs} us, query ${average.queryTimeUs} us, wait ${average.waitTimeUs} us`;
    if (settings.logStats) log.log(text);
    this.#older = this.#newer;
    this.#newer = this.#snapshot();
    return text;
  }

  #snapshot(): Snapshot {
    const counters = new Map([...this.totals()].map(([name, totals]) => [name, totals.copy()]));
    return { at: this.#engine.turn.now, counters };
  }
}

function sumOf(all: Iterable<TrafficCounters>): TrafficCounters {
  const sum = new TrafficCounters();
  for (const counters of all) sum.add(counters);
  return sum;
}

function averagesBetween(
  older: TrafficCounters | undefined,
  newer: TrafficCounters,
  elapsedMs: number,
): TrafficCounters {
  const change = newer.copy();
  // A database that was killed since begins to count anew.
  if (older !== undefined)
    for (const name of TRAFFIC_COUNTERS) if (change[name] >= older[name]) change[name] -= older[name];
  const average = new TrafficCounters();
  for (const name of TRAFFIC_COUNTERS) {
    const per = PER[name];
    const divisor = per === undefined ? elapsedMs / 1000 : change[per];
    average[name] = divisor > 0 ? Math.floor(change[name] / divisor) : 0;
  }
  return average;
}
