/** Settings about the process and its log. */
import type { SettingRow } from "./setting-row.ts";

export const PROCESS_SETTINGS = [
  {
    name: "logfile",
    type: "string",
    default: "",
    doc: "File that log lines are appended to, besides stderr. Opened anew at each reload. Empty = none.",
  },
  {
    name: "verbose",
    type: "int",
    default: null,
    doc: "How much is logged: 0, 1 (debug), 2 (every detail), 3 (accepted sockets too). As -v on the command line.",
  },
  { name: "log_connections", type: "bool", default: "1", doc: "Log logins of clients and new server connections." },
  { name: "log_disconnections", type: "bool", default: "1", doc: "Log why connections are closed." },
  { name: "log_pooler_errors", type: "bool", default: "1", doc: "Log each error that is sent to a client." },
  { name: "log_stats", type: "bool", default: "1", doc: "Log a line of figures every stats_period." },
  {
    name: "syslog",
    type: "bool",
    default: "0",
    doc: "Log to syslog too, but for debugging: to /dev/log, or where PGCARPOOL_SYSLOG_SOCKET of the environment says.",
  },
  { name: "syslog_ident", type: "string", default: "pgbouncer", doc: "The name in syslog." },
  {
    name: "syslog_facility",
    type: "string",
    default: "daemon",
    doc: "auth, authpriv, daemon, user, or local0 to local7; anything else means daemon.",
  },
  {
    name: "pidfile",
    type: "string",
    default: "",
    reloadable: false,
    doc: "File that holds the process id while it runs. Needed with -d.",
  },
  {
    name: "user",
    type: "string",
    default: null,
    reloadable: false,
    doc: "The system user to become at start.",
  },
  {
    name: "job_name",
    type: "string",
    default: "pgbouncer",
    reloadable: false,
    doc: "Accepted, without effect: the name of a Windows service.",
  },
  {
    name: "conffile",
    type: "string",
    default: null,
    doc: "The file the next reload reads; at first the one of the command line.",
  },
] as const satisfies readonly SettingRow[];
