/**
 * The table of errors that the pooler itself sends to clients.
 *
 * Texts are PgBouncer's, to the letter: drivers, scripts and tests match on them (`docs/errors.md` is printed from this
 * table). `%` stands for what the caller fills in. Severity is FATAL, and the connection is closed, unless a row says
 * otherwise. SQLSTATE 08P01 is PgBouncer's for nearly all; a better one is used within the classes that drivers treat
 * alike (08, 53, 57, 58).
 */
import type { ErrorToSend } from "../protocol/error-messages.ts";

export interface PoolerErrorRow {
  readonly text: string;
  readonly sqlstate: string;
  readonly hint?: string;
}

function row(text: string, hint?: string, sqlstate = "08P01"): PoolerErrorRow {
  return hint === undefined ? { text, sqlstate } : { text, sqlstate, hint };
}

export const PoolerErrors = {
  badHeader: row("bad packet header: '%'"),
  unknownPacket: row("unknown pkt"),
  brokenParse: row("broken Parse packet"),
  brokenBind: row("broken Bind packet"),
  brokenDescribe: row("broken Describe packet"),
  brokenClose: row("broken Close packet"),
  resentStartup: row("client re-sent startup pkt"),
  passwordBeforeStartup: row("client password pkt before startup packet"),
  earlyData: row("received unencrypted data after %"),
  sslRequired: row("SSL required", "Connect with sslmode=require, or change client_tls_sslmode."),
  startup: row("%"),
  noUser: row("no username supplied"),
  unsupportedParameter: row(
    "unsupported startup parameter: %",
    "Add it to ignore_startup_parameters to have it ignored.",
  ),
  unsupportedOption: row(
    "unsupported startup parameter in options: %",
    "Add it to ignore_startup_parameters to have it ignored.",
  ),
  unsupportedOptions: row("unsupported options startup parameter: only '-c config=val' and '--config=val' are allowed"),
  tooManyClients: row("no more connections allowed (max_client_conn)", undefined, "53300"),
  tooManyDatabaseClients: row("client connections exceeded (max_db_client_connections)", undefined, "53300"),
  tooManyUserClients: row("client connections exceeded (max_user_client_connections)", undefined, "53300"),
  noSuchDatabase: row("no such database: %"),
  databaseDisabled: row('database "%" is disabled', undefined, "57P03"),
  authDatabaseDisabled: row('authentication database "%" is disabled', undefined, "57P03"),
  noSuchUser: row("no such user"),
  configError: row("bouncer config error"),
  usernameTooLong: row("username too long"),
  authentication: row("%"),
  certificate: row("certificate authentication failed"),
  notAllowed: row("not allowed"),
  shuttingDown: row("pooler is shutting down", undefined, "57P03"),
  serverShuttingDown: row("server shutting down", undefined, "57P01"),
  databaseRemoved: row("database removed", undefined, "57P04"),
  suspendTimeout: row("suspend_timeout", undefined, "57P01"),
  killed: row("admin forced disconnect", undefined, "57P01"),
  queryWaitTimeout: row("query_wait_timeout", undefined, "53300"),
  queryTimeoutWaiting: row("query_timeout", undefined, "57014"),
  clientIdleTimeout: row("client_idle_timeout", undefined, "57P05"),
  clientLoginTimeout: row("client_login_timeout"),
  clientLoginTimeoutServerDown: row("client_login_timeout (server down)", undefined, "57P03"),
  loginFailing: row("server login has been failing, cached error: % (server_login_retry)", undefined, "08006"),
  replicationLogin: row("login failed"),
  serverLost: row("%"),
  invalidServerParameter: row("invalid server parameter"),
  statementInUse: row("prepared statement name is already in use"),
  statementMissing: row("prepared statement did not exist"),
  tooManyStatements: row("too many prepared statements"),
  parseTooLong: row("prepared statement text is too long", "Send it as an unnamed statement or in session mode."),
  simpleQueryDisallowed: row("PQexec disallowed"),
} as const satisfies Record<string, PoolerErrorRow>;

/** What a server was closed for says more than that it is lost. */
const LOST_SQLSTATES: Readonly<Record<string, string>> = {
  "server conn crashed?": "08006",
  "query timeout": "57014",
  "transaction timeout": "57014",
  "idle transaction timeout": "57P05",
  "database configuration changed": "57P01",
  "database removed": "57P04",
  "pause mode": "57P01",
  "server shutting down": "57P01",
  suspend_timeout: "57P01",
};

/** For the client that holds a server which is closed for `reason`. */
export function serverLostError(reason: string): ErrorToSend {
  const error = poolerError(PoolerErrors.serverLost, reason);
  return { ...error, code: LOST_SQLSTATES[reason] ?? error.code };
}

/** PgBouncer cuts what it passes on. */
const REASON_BYTES_MAX = 127;

/** The error of `of`, with `fill` in the place of `%`. */
export function poolerError(of: PoolerErrorRow, fill = ""): ErrorToSend {
  const message = of.text
    .replace("%", () => fill)
    .slice(0, of.text === "%" ? undefined : REASON_BYTES_MAX + of.text.length);
  const error = { severity: "FATAL" as const, code: of.sqlstate, message };
  return of.hint === undefined ? error : { ...error, hint: of.hint };
}
