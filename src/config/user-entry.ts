/**
 * One entry of `[users]`: what holds for one user in place of the settings of the database and the global ones.
 *
 * It holds no secret; those come from auth_file or auth_query. Null always means: not given, inherit. Counterpart:
 * parse_user in loader.c.
 */
import type { ConfigPlace } from "./config-problem.ts";
import { problemAt } from "./config-problem.ts";
import type { EntryDialect, EntryKeyRow, Findings } from "./entry-keys.ts";
import { notNegative, positive, readEntry, secondsToMs, yesOrNo } from "./entry-keys.ts";
import type { PoolMode } from "./setting-words.ts";

/** Longest name of a user, in bytes of UTF-8. */
export const USER_NAME_BYTES_MAX = 127;

export interface UserEntry {
  readonly name: string;
  readonly poolMode: PoolMode | null;
  /** 0 = unlimited. */
  readonly poolSize: number | null;
  readonly reservePoolSize: number | null;
  readonly maxUserConnections: number | null;
  readonly maxUserClientConnections: number | null;
  readonly queryTimeoutMs: number | null;
  readonly idleTransactionTimeoutMs: number | null;
  readonly transactionTimeoutMs: number | null;
  readonly clientIdleTimeoutMs: number | null;
  /** 0 = wait for ever. */
  readonly queryWaitTimeoutMs: number | null;
  readonly sharing: boolean | null;
  readonly anonymousStatements: boolean | null;
}

/** The keys of an entry, for the reader and the reference page. */
export const USER_KEYS: readonly EntryKeyRow[] = [
  { key: "pool_mode", type: "poolMode", default: "the database's, else pool_mode", doc: "Pool mode of this user." },
  { key: "pool_size", type: "number", default: "the database's", doc: "Size of this user's pools. 0 = unlimited." },
  {
    key: "reserve_pool_size",
    type: "number",
    default: "the database's",
    doc: "Extra server connections of this user's pools.",
  },
  {
    key: "max_user_connections",
    type: "number",
    default: "max_user_connections",
    doc: "Server connections, all databases.",
  },
  {
    key: "max_user_client_connections",
    type: "number",
    default: "max_user_client_connections",
    doc: "Client connections, all databases.",
  },
  { key: "query_timeout", type: "number", default: "query_timeout", doc: "Whole seconds. 0 = the global setting." },
  {
    key: "idle_transaction_timeout",
    type: "number",
    default: "idle_transaction_timeout",
    doc: "Whole seconds. 0 = the global setting.",
  },
  {
    key: "transaction_timeout",
    type: "number",
    default: "transaction_timeout",
    doc: "Whole seconds. 0 = the global setting.",
  },
  {
    key: "client_idle_timeout",
    type: "number",
    default: "client_idle_timeout",
    doc: "Whole seconds. 0 = the global setting.",
  },
  {
    key: "query_wait_timeout",
    type: "number",
    default: "the database's",
    doc: "Whole seconds. 0 = wait for ever.",
  },
  { key: "sharing", type: "number", default: "the database's", doc: "0 = this user's pools share nothing." },
  {
    key: "anonymous_statements",
    type: "number",
    default: "the database's",
    doc: "1 = this user's pools keep plans of texts without a name, 0 = they do not.",
  },
];

const DIALECT: EntryDialect = {
  rows: USER_KEYS,
  syntaxError: "syntax error in user settings",
  unknownKey: "unrecognized user parameter",
};

/** Reads a line of `[users]`. Null when it is refused; then `findings.problems` says why. */
export function readUserEntry(name: string, value: string, place: ConfigPlace, findings: Findings): UserEntry | null {
  if (Buffer.byteLength(name) > USER_NAME_BYTES_MAX) {
    findings.problems.push(problemAt(place, `username too long: ${name}`));
    return null;
  }
  const values = readEntry(DIALECT, name, value, place, findings);
  if (values === null) return null;
  return Object.freeze({
    name,
    poolMode: values.poolMode(),
    poolSize: notNegative(values.number("pool_size")),
    reservePoolSize: notNegative(values.number("reserve_pool_size")),
    maxUserConnections: positive(values.number("max_user_connections")),
    maxUserClientConnections: positive(values.number("max_user_client_connections")),
    queryTimeoutMs: secondsToMs(positive(values.number("query_timeout"))),
    idleTransactionTimeoutMs: secondsToMs(positive(values.number("idle_transaction_timeout"))),
    transactionTimeoutMs: secondsToMs(positive(values.number("transaction_timeout"))),
    clientIdleTimeoutMs: secondsToMs(positive(values.number("client_idle_timeout"))),
    queryWaitTimeoutMs: secondsToMs(notNegative(values.number("query_wait_timeout"))),
    sharing: yesOrNo(values.number("sharing")),
    anonymousStatements: yesOrNo(values.number("anonymous_statements")),
  });
}
