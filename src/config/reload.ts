/**
 * What a reload changes: the running configuration and a newly loaded one in, the difference out. A pure function; who
 * runs the pools acts on it.
 *
 * Rules of PgBouncer kept here: settings fixed at start keep their running value silently; settings without a default
 * keep it unless the file names them; a SET is undone by the next reload; a forced user cannot be taken back; the entry
 * `*` cannot either. Not kept: a reload that fails changes nothing at all, as `load.ts` yields no configuration then;
 * and a user who is no longer in `[users]` inherits again, where PgBouncer keeps the old limits until a restart.
 */
import type { Configuration } from "./configuration.ts";
import type { DatabaseEntry } from "./database-entry.ts";
import type { PeerEntry } from "./peer-entry.ts";
import { sameSecret } from "./secret.ts";
import { changedSettings, copySetting, isReloadable, Settings } from "./settings.ts";
import type { SettingName } from "./settings-table.ts";
import { SETTINGS_TABLE } from "./settings-table.ts";
import type { UserEntry } from "./user-entry.ts";

export interface DatabaseChange {
  readonly before: DatabaseEntry;
  readonly after: DatabaseEntry;
  /** Its servers must be closed once they are free, and its cached welcome forgotten. */
  readonly reconnect: boolean;
}

export interface EntriesDiff<E> {
  readonly added: readonly E[];
  readonly removed: readonly E[];
  readonly changed: readonly { readonly before: E; readonly after: E }[];
}

export interface ReloadDiff {
  /** What holds from now on. Its settings are an object of their own: take them over with `copySettings`. */
  readonly configuration: Configuration;
  /** The settings whose value changes, in SHOW CONFIG's order. */
  readonly settings: readonly SettingName[];
  /** The entries of the file; databases made from `*` are not among them. */
  readonly databases: {
    readonly added: readonly DatabaseEntry[];
    readonly removed: readonly DatabaseEntry[];
    readonly changed: readonly DatabaseChange[];
  };
  /** The entry `*` is new or other than before: databases made from it are made anew, and their servers closed. */
  readonly autoDatabaseChanged: boolean;
  readonly users: EntriesDiff<UserEntry>;
  readonly peers: EntriesDiff<PeerEntry>;
  /** How clients are offered TLS changes. The files' contents are not looked at. */
  readonly clientTlsChanged: boolean;
  /** How servers are asked for TLS changes: the servers of all pools must be closed once they are free. */
  readonly serverTlsChanged: boolean;
  /** For the log. */
  readonly warnings: readonly string[];
}

/** Compares; changes neither of the two. */
export function applyReload(running: Configuration, loaded: Configuration): ReloadDiff {
  const warnings: string[] = [];
  const settings = mergeSettings(running.settings, loaded);
  const changedNames = changedSettings(running.settings, settings);
  const databases = new Map(
    [...loaded.databases].map(([name, entry]) => [name, keepForcedUser(running.databases.get(name), entry, warnings)]),
  );
  const autoDatabase = loaded.autoDatabase ?? running.autoDatabase;
  const databasesDiff = diffEntries(running.databases, databases, sameDatabase);
  return {
    configuration: { ...loaded, settings, databases, autoDatabase },
    settings: changedNames,
    databases: {
      ...databasesDiff,
      changed: databasesDiff.changed.map(({ before, after }) => ({
        before,
        after,
        reconnect: mustReconnect(before, after),
      })),
    },
    autoDatabaseChanged:
      autoDatabase !== null && (running.autoDatabase === null || !sameDatabase(running.autoDatabase, autoDatabase)),
    users: diffEntries(running.users, loaded.users, sameFields),
    peers: diffEntries(running.peers, loaded.peers, sameFields),
    clientTlsChanged: changedNames.some((name) => name.startsWith("client_tls")),
    serverTlsChanged: changedNames.some((name) => name.startsWith("server_tls_")),
    warnings,
  };
}

/** Whether the servers of a database must go because of this change (pgbouncer's tag_database_dirty). */
export function mustReconnect(before: DatabaseEntry, after: DatabaseEntry): boolean {
  return (
    before.dbname !== after.dbname ||
    before.host !== after.host ||
    before.port !== after.port ||
    before.user !== after.user ||
    before.connectQuery !== after.connectQuery ||
    before.authDbname !== after.authDbname ||
    before.authQuery !== after.authQuery ||
    before.loadBalanceHosts !== after.loadBalanceHosts
  );
}

function mergeSettings(running: Settings, loaded: Configuration): Settings {
  const merged = new Settings();
  for (const row of SETTINGS_TABLE) {
    const keep = !isReloadable(row) || (row.default === null && !loaded.named.has(row.name));
    copySetting(merged, keep ? running : loaded.settings, row.name);
  }
  return merged;
}

function keepForcedUser(before: DatabaseEntry | undefined, after: DatabaseEntry, warnings: string[]): DatabaseEntry {
  if (before === undefined || before.user === null || after.user !== null) return after;
  warnings.push(`losing forced user not supported, keeping old setting (database ${after.name})`);
  return Object.freeze({ ...after, user: before.user, password: before.password });
}

function diffEntries<K, E>(
  before: ReadonlyMap<K, E>,
  after: ReadonlyMap<K, E>,
  same: (a: E, b: E) => boolean,
): EntriesDiff<E> {
  const added: E[] = [];
  const removed: E[] = [];
  const changed: { before: E; after: E }[] = [];
  for (const [key, entry] of before) if (!after.has(key)) removed.push(entry);
  for (const [key, entry] of after) {
    const old = before.get(key);
    if (old === undefined) added.push(entry);
    else if (!same(old, entry)) changed.push({ before: old, after: entry });
  }
  return { added, removed, changed };
}

function sameDatabase(a: DatabaseEntry, b: DatabaseEntry): boolean {
  const plain = ({ password: _password, ...rest }: DatabaseEntry): object => rest;
  return sameSecret(a.password, b.password) && sameFields(plain(a), plain(b));
}

/** Entries are plain data, built with their fields in one order. */
function sameFields(a: object, b: object): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
