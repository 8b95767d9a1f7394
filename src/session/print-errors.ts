/**
 * The reference page of the errors, `docs/errors.md`, printed from their table with a line on when each is sent. A test
 * compares the file with what this prints; `scripts/print-docs.ts` writes it.
 */
import { PoolerErrors, type PoolerErrorRow } from "./pooler-error.ts";

/** When it is sent. Each error has its line: a new one does not compile without. */
const MEANINGS: Readonly<Record<keyof typeof PoolerErrors, string>> = {
  badHeader: "A message whose length cannot be, or that is too long to be held; its first bytes in hexadecimal.",
  unknownPacket: "A message of a type that clients do not send.",
  brokenParse: "A Parse whose parts do not fit its length.",
  brokenBind: "A Bind whose parts do not fit its length, or whose names are longer than 64 KiB.",
  brokenDescribe: "A Describe whose parts do not fit its length, or that is longer than 64 KiB.",
  brokenClose: "A Close whose parts do not fit its length, or that is longer than 64 KiB.",
  resentStartup: "A second startup packet.",
  passwordBeforeStartup: "A password before the startup packet.",
  earlyData:
    "Bytes behind a request for encryption that were not encrypted: somebody in between may have put them there.",
  sslRequired: "A connection without TLS where client_tls_sslmode demands it.",
  startup: "A first packet that cannot be understood; the text says what is wrong with it.",
  noUser: "A startup packet without a user.",
  unsupportedParameter: "A startup parameter that is neither tracked nor ignored.",
  unsupportedOption: "A setting in the startup parameter `options` that is neither tracked nor ignored.",
  unsupportedOptions: "Something else than settings in the startup parameter `options`.",
  tooManyClients: "max_client_conn is reached.",
  tooManyDatabaseClients: "max_db_client_connections is reached.",
  tooManyUserClients: "max_user_client_connections is reached.",
  noSuchDatabase: "The database is not in the configuration, and there is no entry `*`.",
  databaseDisabled: "The console's DISABLE was said of the database.",
  authDatabaseDisabled: "The console's DISABLE was said of the database on which auth_query runs.",
  noSuchUser: "auth_query knows no such user.",
  configError: "The configuration does not allow what is asked for; the log says more.",
  usernameTooLong: "A user name of 128 bytes or more.",
  authentication: "The login failed; the text says by which method.",
  certificate: "The client's certificate does not name the user.",
  notAllowed: "A user of the console who is in neither admin_users nor stats_users.",
  shuttingDown: "A login while the pooler waits for its clients or servers to leave.",
  serverShuttingDown: "A query that needs a server while the pooler waits for its servers to be free.",
  databaseRemoved: "The database is no longer in the configuration after a reload.",
  suspendTimeout: "SUSPEND has waited longer than suspend_timeout for this client.",
  killed: "The console's KILL or KILL_CLIENT.",
  queryWaitTimeout: "No server was free for query_wait_timeout.",
  queryTimeoutWaiting: "query_timeout has passed while the query waited for a server.",
  clientIdleTimeout: "The client has sent nothing for client_idle_timeout.",
  clientLoginTimeout: "The login has taken longer than client_login_timeout.",
  clientLoginTimeoutServerDown: "The login has waited longer than client_login_timeout for PostgreSQL's first answer.",
  loginFailing: "PostgreSQL refused the last login; it is tried again after server_login_retry.",
  replicationLogin: "PostgreSQL refused the login of a replication connection; the DETAIL says why.",
  serverLost: "The server that the client held was closed; the text is the reason in the log.",
  invalidServerParameter: "PostgreSQL refused a setting that the client brought along.",
  statementInUse: "A Parse under a name that the client has in use.",
  statementMissing: "A Bind or Describe of a name that the client has not prepared.",
  tooManyStatements: "One client has 100,000 names of prepared statements.",
  parseTooLong: "A Parse under a name that is longer than 16 MiB.",
  simpleQueryDisallowed: "A simple query where disable_pqexec is set.",
};

const INTRODUCTION = `# Errors

<!-- Printed from the table in src/session/pooler-error.ts by scripts/print-docs.ts. Change it there. -->

What the pooler itself tells a client. Everything else comes from PostgreSQL and is passed on as it is.

Texts and codes are PgBouncer's. All of these have severity FATAL: the connection is closed behind them. \`…\` stands for
what is filled in.
`;

/** The page as Markdown. */
export function printErrorReference(): string {
  const names = Object.keys(PoolerErrors) as (keyof typeof PoolerErrors)[];
  const lines = names.map((name) => line(PoolerErrors[name], MEANINGS[name]));
  return [INTRODUCTION, "| Text | SQLSTATE | When | Hint |", "| --- | --- | --- | --- |", ...lines, ""].join("\n");
}

function line({ text, sqlstate, hint = "" }: PoolerErrorRow, meaning: string): string {
  const cells = [`\`${text.replace("%", "…")}\``, sqlstate, meaning, hint];
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
}
