/**
 * What pgcarpool does differently from PgBouncer 1.25.2 on purpose, each with its reason. An entry that no longer describes
 * anything seen fails the comparison, like a difference that is not listed.
 *
 * `what` is matched against `STEP:`, then a line for each line that differs: `- PgBouncer's`, `+ ours`.
 */
import type { ExpectedDifference } from "./compare.ts";

const everywhere = /^/;
/** One line, of any step, that contains `text`. */
const line = (text: string): RegExp => new RegExp(`^[^\\n]*:\\n[-+] .*(?:${text}).*$`);
const inLog = (text: string): RegExp => new RegExp(`^log[^\\n]*:\\n[-+] ${text}$`);

const versions: readonly ExpectedDifference[] = [
  { scenario: everywhere, what: inLog("LOG process up: PgBouncer 1\\.25\\.2.*"), reason: "Names its own parts." },
  {
    scenario: /^console: (?:every|texts|a read|packets)/,
    what: /\n[-+] D PgBouncer 1\.25\.2(?: \(pgcarpool .*\))?: version=/,
    reason: "SHOW VERSION begins as PgBouncer's and goes on with what it really is.",
  },
  {
    scenario: "command line: help and version",
    what: /^--?[vV]\w*:\n[-+] stdout (?:PgBouncer|libevent|adns|tls|systemd)/,
    reason: "As SHOW VERSION; libraries are named in PgBouncer's lines.",
  },
  {
    scenario: "command line: help and version",
    what: /^--?h\w*:\n[-+] stdout (?:EXECUTABLE|pgcarpool|$| {2}(?:EXECUTABLE|pgcarpool)|Report bugs|PgBouncer home)/,
    reason: "Its own name, and no address of another project.",
  },
  {
    scenario: "command line: refused configurations and command lines",
    what: /\n- stderr (.*)EXECUTABLE(.*)\n\+ stderr \1pgcarpool\2$/,
    reason: "Messages name the program without its path.",
  },
];

const errors: readonly ExpectedDifference[] = [
  {
    scenario: everywhere,
    what: /\n- E FATAL 08P01 (.*)\n\+ E FATAL (?:08|53|57)(?!P01)\w{3} \1$/,
    reason: "A better SQLSTATE, within the classes that drivers treat alike.",
  },
  {
    scenario: everywhere,
    what: /\n- E FATAL 08P01 (.*)\n\+ E FATAL 57P01 \1$/,
    reason: "A better SQLSTATE: PostgreSQL's own for connections that an administrator ends.",
  },
  {
    scenario: everywhere,
    what: /:\n\+ E {2}[HD]="/,
    reason: "A HINT or DETAIL says what to do.",
  },
];

const shows: readonly ExpectedDifference[] = [
  {
    scenario: everywhere,
    what: /\n\+ [TD] .*client_login_count/,
    reason: "A count of logins, which PgBouncer's development branch has.",
  },
  {
    scenario: everywhere,
    what: /SHOW CONFIG:\n\+ D (?:login_notify_message|pool_idle_timeout): /,
    reason: "Settings that PgBouncer's development branch has.",
  },
  {
    scenario: everywhere,
    what: /SHOW CONFIG:\n\+ D (?:anonymous_statements|deferred_begin|disconnected_query_timeout|sharing\w*): /,
    reason:
      "Settings of its own: statements kept for unnamed Parses; BEGIN without a server; how long a statement may run on when its client is gone.",
  },
  {
    scenario: /^console/,
    what: /SHOW MEM:\n\+ D (?:heap|external|rss): /,
    reason: "The memory of the runtime, in rows of its own.",
  },
  {
    scenario: /^console/,
    what: /SHOW ACTIVE_SOCKETS:\n- D C\/(?:console|looker)\/pgbouncer: /,
    reason: "A command that is being carried out is not in a buffer any more.",
  },
  {
    scenario: /^console/,
    what: /SHOW USERS[^\n]*:\n- D (.+): (pool_size|reserve_pool_size)= +\d+\n\+ D \1: \2=$/,
    reason: "PgBouncer prints the sizes of the row before where a user has none (mended in its development branch).",
  },
];

const consoleCommands: readonly ExpectedDifference[] = [
  {
    scenario: "console: texts of an administrator",
    what: line("cannot (?:disable|enable) admin db: pgbouncer"),
    reason: "ENABLE says enable (so does PgBouncer's development branch).",
  },
  {
    scenario: "console: texts of an administrator",
    what: line("client not found|invalid client pointer supplied"),
    reason: "A number with something behind it is no id: it could be another client's.",
  },
  {
    scenario: "console: texts of an administrator",
    what: inLog('ERROR invalid value ".*" for parameter \\S+'),
    reason: "A SET that fails says why in the log.",
  },
  {
    scenario: "console: texts of an administrator",
    what: inLog("ERROR (?:TLS setup failed: )?(?:To allow TLS connections|invalid server_tls_protocols).*"),
    reason: "The reason stands in the line that says what failed.",
  },
  {
    scenario: "console: texts of an administrator",
    what: inLog("LOG (?:C \\S+ )?registered new auto-database: nosuch"),
    reason: "The line has no client's name: it is about the pooler.",
  },
  {
    scenario: /^console: (?:a read-only user|texts of an administrator)$/,
    what: /(?:show databases[^\n]*:\n\+ D nosuch: |SHOW LISTS:\n- D databases: items=6\n\+ D databases: items=7$)/i,
    reason: "An auto-database is listed until autodb_idle_timeout; PgBouncer hides it while nobody uses it.",
  },
  {
    scenario: /^console: packets$/,
    what: /^(?:Sync|Flush and Sync|log)(?:: \w[\w ]*)?:\n(?:[-+] .*(?:\n|$))+$/,
    reason: "The console answers the extended protocol, and what comes before a startup in the log shifts.",
  },
  {
    scenario: "console: packets",
    what: /^a query with a zero byte inside: /,
    reason: "Bytes behind the end of the text are refused, as PostgreSQL does.",
  },
  {
    scenario: "console: packets",
    what: /^a query of 5000 bytes: /,
    reason: "A command may be as long as it likes; PgBouncer takes what fits in its buffer.",
  },
  {
    scenario: "console: the extended protocol",
    what: /^(?:admin: Parse|log:)/,
    reason: "The console answers the extended protocol, so that drivers and exporters work.",
  },
];

const loginDifferences: readonly ExpectedDifference[] = [
  {
    scenario: /^(?:auth_type|startup)/,
    what: inLog(
      "(?:ERROR|LOG) C .* (?:password authentication failed|SCRAM authentication failed: user has MD5 secret)",
    ),
    reason: "A wrong password is no error of the pooler's: level LOG.",
  },
  {
    scenario: /^auth_type=scram-sha-256: hashed/,
    what: /:\n\+ R sasl-continue i=4096$/,
    reason: "A user whose secret is of the wrong kind is mocked to the end, like one that does not exist.",
  },
  {
    scenario: "auth_type=scram-sha-256: app with a wrong password",
    what: /^(?:empty logs in|log).*:\n(?:- (?:R|S|K|Z|LOG) .*\n?)*(?:\+ (?:E FATAL 08P01 SASL|\(end\)|LOG|WARNING).*\n?)*$/,
    reason: "An empty secret never lets anybody in; PgBouncer takes the empty password for it under SCRAM.",
  },
  {
    scenario: /^auth_type=.*: auth_query$/,
    what: inLog("ERROR (?:C \\S+ )?S: error in auth_query: .*"),
    reason: "The line names the client that is concerned.",
  },
  {
    scenario: /^auth_type=.*: auth_query$/,
    what: inLog(
      "LOG S .* (?:closing because: (?:error response from auth_query|client disconnect before).*|new connection .*)",
    ),
    reason: "A server that answered auth_query with an error is kept: nothing is wrong with it.",
  },
  {
    scenario: "auth_type=plain: packets out of turn",
    what: line(
      "unknown pkt|invalid password packet size|bad packet|\\(no answer\\)|\\(end\\)|client close request|password authentication failed",
    ),
    reason:
      "What is no password is refused at once and with a message; PgBouncer waits for more, or closes without one.",
  },
  {
    scenario: "auth_type=any: everybody",
    what: inLog("LOG C pgbouncer/\\S+ (?:login attempt|closing because: client close request).*"),
    reason: "On the console too a client keeps the name it came with.",
  },
  {
    scenario: "auth_type=hba: rules",
    what: inLog('ERROR C .* system user "root" is not "plain"'),
    reason: "The log says why `peer` refused.",
  },
];

const startup: readonly ExpectedDifference[] = [
  {
    scenario: /^startup: (?:nothing that is the protocol|a TLS handshake)$/,
    what: line("\\(no answer\\)|\\(end\\)|closing because: bad packet \\(age\\)"),
    reason: "What cannot become a startup packet is closed at once, not after client_login_timeout.",
  },
  {
    scenario: /^startup: a database of (?:64|300) bytes$/,
    what: line("d{63}"),
    reason: "The prefix of log lines names what was asked for; PgBouncer cuts it at 63 bytes.",
  },
  {
    scenario: "startup: USER in capitals",
    what: line("unsupported startup parameter: USER|no username supplied"),
    reason: "The missing user is noticed before the unknown parameter.",
  },
  {
    scenario: "startup: a second startup packet",
    what: inLog("ERROR C \\S+ unknown pkt from client: \\d+/POINTER"),
    reason: "It has no type; PgBouncer shows the version in its place.",
  },
  {
    scenario: /^(?:startup|cancel requests)/,
    what: /\n- (LOG C .* closing because: failed cancel request) \(age\)\n\+ \1: no such client \(age\)$/,
    reason: "Says why.",
  },
];

const servers: readonly ExpectedDifference[] = [
  {
    scenario: "servers that refuse: noname",
    what: inLog(
      "(?:WARNING DNS lookup failed: .*|LOG S noname/app@\\S+ closing because: server DNS lookup failed \\(age\\))",
    ),
    reason: "The resolver's error has a name, and the server the one that was looked for.",
  },
];

const queries: readonly ExpectedDifference[] = [
  {
    scenario: "transaction mode: named statements",
    what: /SHOW STATS_TOTALS:\n- D p: (server_assignment|xact|query)_count=\d+\n\+ D p: \1_count=\d+$/,
    reason:
      "Units that name prepared statements wait for earlier ones of the same write, and are counted by themselves.",
  },
  {
    scenario: "transaction mode: a name whose Parse failed",
    what: /^(?:app: the same name|log):/,
    reason: "A statement whose Parse failed does not exist; PgBouncer remembers its name and closes the client.",
  },
  {
    scenario: /^(?:transaction|session) mode: (?:COPY|CopyDone without COPY|a name)/,
    what: inLog(
      "LOG S .* (?:closing because: client disconnected with query in progress|new connection to server) ?.*",
    ),
    reason: "A server that has answered everything is kept when its client leaves; the next scenario finds it.",
  },
  {
    scenario: /^transaction mode: .* without its end$/,
    what: line(
      "failed to parse (?:packet|prepared statement packet type '.')|broken (?:Parse|Bind|Describe|Close) packet",
    ),
    reason: "The error names the message that is malformed.",
  },
  {
    scenario: "statement mode: transaction blocks",
    what: /:\n(?:\+ [TDC] .*(?:\n|$))+$/,
    reason: "What PostgreSQL has answered is passed on before the client is told that blocks are not allowed.",
  },
  {
    scenario: /^disable_pqexec/,
    what: inLog('(?:ERROR C .* client used "Query" packet type|LOG S .*)'),
    reason: "The error's own line says it; the server that was taken for the query is closed.",
  },
];

const operations: readonly ExpectedDifference[] = [
  {
    scenario: /^cancel requests: of a (?:running query|client in a transaction)$/,
    what: inLog("LOG S .* (?:new connection to server .*|closing because: successfully sent cancel request \\(age\\))"),
    reason: "The connection of a cancel request is none of the pool's servers and is not logged as one.",
  },
  {
    scenario: "cancel requests: of a client that waits",
    what: line(
      '57014 canceling statement|cancel request for (?:idle|waiting) client|E {2}V=|T \\?column\\?|D "b"|C SELECT 1',
    ),
    reason: "A client that waits for a server can cancel, and nothing is sent.",
  },
  {
    scenario: "commands: a cancel request ends PAUSE",
    what: line("canceling statement due to user request|\\(no answer\\)|Z I"),
    reason: "PAUSE that was cancelled is answered; PgBouncer leaves its client without an answer.",
  },
  {
    scenario: /^commands: (?:KILL|KILL_CLIENT|SUSPEND and RESUME)$/,
    what: inLog(
      "LOG S .* (?:closing because: (?:client disconnect while .*|database removed \\(age\\))|new connection .*)",
    ),
    reason: "A server outlives its client: its transaction is rolled back. KILL names its own reason.",
  },
  {
    scenario: /^a client vanishes/,
    what: inLog("LOG S .* (?:closing because: client disconnect.*|new connection to server .*)"),
    reason: "A client that vanishes does not cost its server; with half a message on its way the reason is another.",
  },
  {
    scenario: /^time limits: server_lifetime/,
    what: /^(?:a: select 2|log):\n/,
    reason: "client_idle_timeout of one user ends nobody else; PgBouncer closes idle clients of all users then.",
  },
];

const processes: readonly ExpectedDifference[] = [
  {
    scenario: /^end by/,
    what: line("(?:FATAL 57P01|closing because:|pooler error:) server shutting down"),
    reason: "Who holds a server is told why it ends; PgBouncer only closes.",
  },
  {
    scenario: /^(?:command line|reload)/,
    what: /^[^\n]*:\n(?:- .*\n)*(?:\+ (?:stderr )?ERROR .*(?:configuration \(|\.ini(?::\d+)?\)).*\n?)+$/,
    reason:
      "One line for each error, always with file and line (PgBouncer's is that of the next key), and for all errors.",
  },
  {
    scenario: "reload: good and bad files",
    what: inLog("ERROR RELOAD failed, see logs for additional details"),
    reason: "What a command answers is logged, as for other commands.",
  },
  {
    scenario: /^command line/,
    what: line("stderr (?:FATAL TLS setup failed|ERROR To allow TLS connections from clients)"),
    reason: "The reason stands in the line that says what failed.",
  },
  {
    scenario: /^command line/,
    what: line("Cannot open logfile: "),
    reason: "The line has no time and level: there is no log.",
  },
];

export const expectedDifferences: readonly ExpectedDifference[] = [
  ...versions,
  ...errors,
  ...shows,
  ...consoleCommands,
  ...loginDifferences,
  ...startup,
  ...servers,
  ...queries,
  ...operations,
  ...processes,
];
