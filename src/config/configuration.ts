/** What a configuration file says, as plain data. Made by `load.ts`, combined with the running one by `reload.ts`. */
import type { DatabaseEntry } from "./database-entry.ts";
import type { PeerEntry } from "./peer-entry.ts";
import type { SettingName } from "./settings-table.ts";
import type { Settings } from "./settings.ts";
import type { UserEntry } from "./user-entry.ts";

export interface Configuration {
  readonly settings: Settings;
  /** The settings that the file names; the others are at their default. */
  readonly named: ReadonlySet<SettingName>;
  /** By name; without `*`. */
  readonly databases: ReadonlyMap<string, DatabaseEntry>;
  /** The entry `*`: the pattern for names without an entry. */
  readonly autoDatabase: DatabaseEntry | null;
  /** By name. */
  readonly users: ReadonlyMap<string, UserEntry>;
  /** By id. */
  readonly peers: ReadonlyMap<number, PeerEntry>;
}
