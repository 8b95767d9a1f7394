/**
 * One entry of `[databases]`: where a database is, and what holds for its pools in place of the global settings.
 *
 * Entries are plain, frozen data; who runs the pools keeps them and gets new ones at a reload. Null always means: not
 * given here, the user's or the global setting counts (`precedence.ts`). Counterpart: parse_database in loader.c.
 */
import type { ConfigPlace } from "./config-problem.ts";
import { invalidValue } from "./config-problem.ts";
import type { EntryKeyRow, EntryDialect, Findings } from "./entry-keys.ts";
import { notNegative, positive, readEntry, secondsToMs, yesOrNo } from "./entry-keys.ts";
import { hidePasswords } from "./connection-string.ts";
import { Secret } from "./secret.ts";
import { LoadBalanceHosts } from "./setting-words.ts";
import type { PoolMode } from "./setting-words.ts";

/** The name of the console; no entry may have it. */
export const CONSOLE_DATABASE = "pgbouncer";

/** The entry that is the pattern for databases that have none of their own. */
export const AUTO_DATABASE = "*";

/** Longest name of a database, in bytes of UTF-8. */
export const DATABASE_NAME_BYTES_MAX = 63;

const PORT_DEFAULT = 5432;

export interface DatabaseEntry {
  /** As clients name it; `*` for the pattern. */
  readonly name: string;
  /** As the server names it. */
  readonly dbname: string;
  /** False where `dbname` is only the entry's name. */
  readonly dbnameGiven: boolean;
  /** As written; null = PostgreSQL's Unix socket in unix_socket_dir. */
  readonly host: string | null;
  /** The members of `host`, in order; empty when it is null. */
  readonly hosts: readonly string[];
  readonly port: number;
  readonly loadBalanceHosts: LoadBalanceHosts;
  /** The forced user: all server logins are his, and all clients share one pool. Null = the client's own. */
  readonly user: string | null;
  readonly password: Secret | null;
  readonly authUser: string | null;
  readonly authQuery: string | null;
  readonly authDbname: string | null;
  readonly poolMode: PoolMode | null;
  /** 0 = unlimited. */
  readonly poolSize: number | null;
  readonly minPoolSize: number | null;
  readonly reservePoolSize: number | null;
  readonly maxDbConnections: number | null;
  readonly maxDbClientConnections: number | null;
  readonly serverLifetimeMs: number | null;
  /** 0 = wait for ever. */
  readonly queryWaitTimeoutMs: number | null;
  readonly sharing: boolean | null;
  readonly anonymousStatements: boolean | null;
  readonly connectQuery: string | null;
  /** For the server's startup packet, in this order: client_encoding, datestyle, timezone, application_name. */
  readonly startupParameters: readonly (readonly [name: string, value: string])[];
  /** Made from `*` for a name that has no entry. */
  readonly auto: boolean;
}

const STARTUP_PARAMETERS = ["client_encoding", "datestyle", "timezone", "application_name"];

/** The keys of an entry, for the reader and the reference page. */
export const DATABASE_KEYS: readonly EntryKeyRow[] = [
  { key: "dbname", type: "text", default: "the entry's name", doc: "Name of the database on the server." },
  {
    key: "host",
    type: "hosts",
    default: "Unix socket in unix_socket_dir",
    doc: "Name or address of the server, or the directory of its Unix socket; several separated by commas.",
  },
  { key: "port", type: "port", default: "5432", doc: "Port of the server." },
  {
    key: "user",
    type: "text",
    default: "the client's user",
    doc: "The user of all server connections; every client of the entry shares one pool then.",
  },
  { key: "password", type: "secret", default: "the user's in auth_file", doc: "The password of `user`." },
  { key: "auth_user", type: "text", default: "auth_user", doc: "The user that runs auth_query." },
  { key: "auth_query", type: "text", default: "auth_query", doc: "The query that finds users' secrets." },
  { key: "auth_dbname", type: "text", default: "auth_dbname", doc: "The database on which auth_query runs." },
  { key: "pool_mode", type: "poolMode", default: "the user's, else pool_mode", doc: "Pool mode of this database." },
  { key: "pool_size", type: "number", default: "default_pool_size", doc: "Size of its pools. 0 = unlimited." },
  { key: "min_pool_size", type: "number", default: "min_pool_size", doc: "Server connections kept open." },
  {
    key: "reserve_pool_size",
    alias: "reserve_pool",
    type: "number",
    default: "reserve_pool_size",
    doc: "Extra server connections of a pool.",
  },
  { key: "max_db_connections", type: "number", default: "max_db_connections", doc: "Server connections, all users." },
  {
    key: "max_db_client_connections",
    type: "number",
    default: "max_db_client_connections",
    doc: "Client connections.",
  },
  {
    key: "server_lifetime",
    type: "number",
    default: "server_lifetime",
    doc: "Whole seconds. 0 = the global setting.",
  },
  {
    key: "query_wait_timeout",
    type: "number",
    default: "query_wait_timeout",
    doc: "Whole seconds. 0 = wait for ever.",
  },
  { key: "sharing", type: "number", default: "sharing", doc: "0 = its pools share nothing." },
  {
    key: "anonymous_statements",
    type: "number",
    default: "anonymous_statements",
    doc: "1 = its pools keep plans of texts without a name, 0 = they do not.",
  },
  {
    key: "load_balance_hosts",
    type: "loadBalanceHosts",
    default: "round-robin",
    doc: "round-robin: each connection goes to the next host of the list. disable: to the same until it fails.",
  },
  { key: "connect_query", type: "text", default: "none", doc: "Query that is run on each new server connection." },
  { key: "client_encoding", type: "text", default: "none", doc: "Asked of the server at login." },
  { key: "datestyle", type: "text", default: "none", doc: "Asked of the server at login." },
  { key: "timezone", type: "text", default: "none", doc: "Asked of the server at login." },
  { key: "application_name", type: "text", default: "none", doc: "Told to the server at login." },
];

const DIALECT: EntryDialect = {
  rows: DATABASE_KEYS,
  syntaxError: "syntax error in connection string",
  unknownKey: "unrecognized connection parameter",
};

/** Reads a line of `[databases]`. Null when it is refused; then `findings.problems` says why. */
export function readDatabaseEntry(
  name: string,
  value: string,
  place: ConfigPlace,
  findings: Findings,
): DatabaseEntry | null {
  const wrongName = refuseName(name);
  if (wrongName !== null) {
    findings.problems.push(invalidValue(place, name, hidePasswords(value), wrongName));
    return null;
  }
  const values = readEntry(DIALECT, name, value, place, findings);
  if (values === null) return null;
  const host = values.text("host");
  const password = values.text("password");
  const dbname = values.text("dbname");
  return Object.freeze({
    name,
    dbname: dbname ?? name,
    dbnameGiven: dbname !== null,
    host,
    hosts: host === null ? [] : host.split(",").map((member) => member.trim()),
    port: values.number("port") ?? PORT_DEFAULT,
    loadBalanceHosts: values.loadBalanceHosts() ?? LoadBalanceHosts.roundRobin,
    user: values.text("user"),
    password: password === null ? null : new Secret(password),
    authUser: values.text("auth_user"),
    authQuery: values.text("auth_query"),
    authDbname: values.text("auth_dbname"),
    poolMode: values.poolMode(),
    poolSize: notNegative(values.number("pool_size")),
    minPoolSize: notNegative(values.number("min_pool_size")),
    reservePoolSize: notNegative(values.number("reserve_pool_size")),
    maxDbConnections: positive(values.number("max_db_connections")),
    maxDbClientConnections: positive(values.number("max_db_client_connections")),
    serverLifetimeMs: secondsToMs(positive(values.number("server_lifetime"))),
    queryWaitTimeoutMs: secondsToMs(notNegative(values.number("query_wait_timeout"))),
    sharing: yesOrNo(values.number("sharing")),
    anonymousStatements: yesOrNo(values.number("anonymous_statements")),
    connectQuery: values.text("connect_query"),
    startupParameters: STARTUP_PARAMETERS.flatMap((key): [string, string][] => {
      const text = values.text(key);
      return text === null ? [] : [[key, text]];
    }),
    auto: false,
  });
}

/** The entry that `*` makes for a name without one; null when no entry can have that name. */
export function autoDatabaseEntry(pattern: DatabaseEntry, name: string): DatabaseEntry | null {
  if (name === "" || refuseName(name) !== null) return null;
  return Object.freeze({ ...pattern, name, dbname: pattern.dbnameGiven ? pattern.dbname : name, auto: true });
}

/** Why an entry may not have this name, in PgBouncer's words; null when it may. */
function refuseName(name: string): string | null {
  if (name === CONSOLE_DATABASE) return `database name "${name}" is reserved`;
  if (Buffer.byteLength(name) > DATABASE_NAME_BYTES_MAX) return `too long db name: ${name}`;
  return null;
}
