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
  tooManyClients: row("no more connections allowed (max_client_conn)"),
  tooManyDatabaseClients: row("client connections exceeded (max_db_client_connections)"),
  tooManyUserClients: row("client connections exceeded (max_user_client_connections)"),
  noSuchDatabase: row("no such database: %"),
  databaseDisabled: row('database "%" is disabled'),
  authDatabaseDisabled: row('authentication database "%" is disabled'),
  noSuchUser: row("no such user"),
  configError: row("bouncer config error"),
  usernameTooLong: row("username too long"),
  authentication: row("%"),
  certificate: row("certificate authentication failed"),
  notAllowed: row("not allowed"),
  shuttingDown: row("pooler is shutting down"),
  serverShuttingDown: row("server shutting down"),
  databaseRemoved: row("database removed"),
  suspendTimeout: row("suspend_timeout"),
  killed: row("admin forced disconnect"),
  queryWaitTimeout: row("query_wait_timeout"),
  queryTimeoutWaiting: row("query_timeout"),
  clientIdleTimeout: row("client_idle_timeout"),
  clientLoginTimeout: row("client_login_timeout"),
  clientLoginTimeoutServerDown: row("client_login_timeout (server down)"),
  loginFailing: row("server login has been failing, cached error: % (server_login_retry)"),
  replicationLogin: row("login failed"),
  serverLost: row("%"),
  invalidServerParameter: row("invalid server parameter"),
  statementInUse: row("prepared statement name is already in use"),
  statementMissing: row("prepared statement did not exist"),
  tooManyStatements: row("too many prepared statements"),
  parseTooLong: row("prepared statement text is too long", "Send it as an unnamed statement or in session mode."),
  simpleQueryDisallowed: row("PQexec disallowed"),
} as const satisfies Record<string, PoolerErrorRow>;

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
