/** A database as clients name it: its entry in the configuration, its pools, and what is counted for it. */
import type { DatabaseEntry } from "../config/database-entry.ts";
import { maxDbConnections } from "../config/precedence.ts";
import type { Settings } from "../config/settings.ts";
import { TrafficCounters } from "../metrics/traffic-counters.ts";
import { Budget } from "../pool/budget.ts";
import { CatalogueWatch } from "./catalogue-watch.ts";
import type { Credentials } from "./credentials.ts";
import type { ServerPool } from "./server-pool.ts";

export class Database {
  readonly name: string;
  /** Replaced by a reload. */
  entry: DatabaseEntry;
  /** By the user that servers log in as. */
  readonly pools = new Map<string, ServerPool>();
  /** By user: what auth_query, PAM or LDAP found out for this database. */
  readonly credentials = new Map<string, Credentials>();
  readonly counters = new TrafficCounters();
  /** What its catalogue says against sharing. */
  readonly catalogue = new CatalogueWatch();
  /** Server connections of all its pools: `max_db_connections`. */
  readonly connections: Budget;
  /** Client connections that logged in, or try to, to this database. */
  clientCount = 0;
  /** By PAUSE db or KILL db. */
  paused = false;
  /** By DISABLE db. */
  disabled = false;
  /** When an auto-database last had a client or server, monotonic ms. */
  usedAt = 0;

  constructor(entry: DatabaseEntry, settings: Settings) {
    this.name = entry.name;
    this.entry = entry;
    this.connections = new Budget(`database ${entry.name}`, () => maxDbConnections(settings, this.entry));
  }
}
