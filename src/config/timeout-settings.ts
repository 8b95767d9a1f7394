/** Settings that are times: how long something may last, wait, or stay idle. Written in seconds, milliseconds inside. */
import type { SettingRow } from "./setting-row.ts";

export const TIMEOUT_SETTINGS = [
  {
    name: "query_timeout",
    type: "seconds",
    default: "0",
    user: "query_timeout",
    doc: "Longest query; its server and its client are closed. 0 = no limit.",
  },
  {
    name: "query_wait_timeout",
    type: "seconds",
    default: "120",
    database: "query_wait_timeout",
    user: "query_wait_timeout",
    doc: "Longest wait for a server; then the client is closed. 0 = wait for ever.",
  },
  {
    name: "query_wait_notify",
    type: "wholeSeconds",
    default: "5",
    doc: "A client that has waited this long for a server is told so by a notice. 0 = never.",
  },
  {
    name: "disconnected_query_timeout",
    // Behind all rows that PgBouncer has.
    sortAs: "~disconnected_query_timeout",
    type: "seconds",
    default: "60",
    doc: "How long a statement outside a transaction may go on when its client has disconnected; then it is cancelled. 0 = no limit. PgBouncer has no such setting.",
  },
  {
    name: "deferred_begin",
    // Behind all rows that PgBouncer has.
    sortAs: "~deferred_begin",
    type: "milliseconds",
    default: "0",
    doc: "In transaction mode, a plain BEGIN is answered at once and takes a server with the first statement behind it, or after so many milliseconds; an empty transaction takes none. 0 = off. PgBouncer has no such setting.",
  },
  {
    name: "idle_transaction_timeout",
    type: "seconds",
    default: "0",
    user: "idle_transaction_timeout",
    doc: "Longest silence of a client inside a transaction. 0 = no limit.",
  },
  {
    name: "transaction_timeout",
    type: "seconds",
    default: "0",
    user: "transaction_timeout",
    doc: "Longest transaction. 0 = no limit.",
  },
  {
    name: "client_idle_timeout",
    type: "seconds",
    default: "0",
    user: "client_idle_timeout",
    doc: "Longest silence of a client that holds no server. 0 = no limit.",
  },
  {
    name: "client_login_timeout",
    type: "seconds",
    default: "60",
    doc: "Time a client has from connecting to having logged in. 0 = no limit.",
  },
  {
    name: "cancel_wait_timeout",
    type: "seconds",
    default: "10",
    doc: "A cancel request that could not be passed on for this long is dropped. 0 = never.",
  },
  {
    name: "server_connect_timeout",
    type: "seconds",
    default: "15",
    doc: "Time to connect and log in to a server.",
  },
  {
    name: "server_login_retry",
    type: "seconds",
    default: "15",
    doc: "Pause after a failed connection or login to a server.",
  },
  {
    name: "server_idle_timeout",
    type: "seconds",
    default: "600",
    doc: "A server unused for longer is closed, down to min_pool_size. 0 = never.",
  },
  {
    name: "server_lifetime",
    type: "seconds",
    default: "3600",
    database: "server_lifetime",
    doc: "A server older than this is closed when it is not in use. 0 = used once, then closed.",
  },
  {
    name: "reserve_pool_timeout",
    type: "seconds",
    default: "5",
    doc: "How long a client waits before the reserve pool is used. 0 = the reserve is never used.",
  },
  {
    name: "autodb_idle_timeout",
    type: "seconds",
    default: "3600",
    doc: "A database made from the `*` entry is removed after this long without clients and servers. 0 = never.",
  },
  {
    name: "pool_idle_timeout",
    type: "seconds",
    default: "0",
    sortAs: "pool_mode.",
    doc: "A pool is removed after this long without clients and servers, unless a forced user and min_pool_size keep it filled. 0 = never.",
  },
  {
    name: "suspend_timeout",
    type: "seconds",
    default: "10",
    doc: "Connections that SUSPEND could not flush in this time are dropped. 0 = never.",
  },
  {
    name: "dns_max_ttl",
    type: "seconds",
    default: "15",
    doc: "How long the addresses of a host name are kept.",
  },
  {
    name: "dns_nxdomain_ttl",
    type: "seconds",
    default: "15",
    doc: "How long a failed lookup of a host name is kept.",
  },
  {
    name: "dns_zone_check_period",
    type: "seconds",
    default: "0",
    doc: "How often the serial numbers of DNS zones are looked at for changes. 0 = never.",
  },
  {
    name: "stats_period",
    type: "wholeSeconds",
    default: "60",
    doc: "How often averages are taken and the stats line is logged. Read at start.",
  },
] as const satisfies readonly SettingRow[];
