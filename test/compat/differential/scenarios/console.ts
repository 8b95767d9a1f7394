/** The console: every SHOW, every command with good and bad arguments, who may do what, packets it does not take. */
import { bind, describePortal, execute, flush, message, parse, query, sync } from "../../../support/wire-client.ts";
import { type Place, type Scenario, type ScenarioGroup, spyPassword, type Stage } from "../stage.ts";

const shows =
  "CLIENTS SERVERS SOCKETS ACTIVE_SOCKETS POOLS PEER_POOLS DATABASES PEERS USERS LISTS STATS STATS_TOTALS STATS_AVERAGES TOTALS CONFIG MEM STATE VERSION DNS_HOSTS DNS_ZONES FDS HELP".split(
    " ",
  );
/** Words of one command each, that must be understood or refused in the same way. */
const texts = [
  "show pools",
  "ShOw VeRsIoN;",
  "  show   state  ;  ",
  "show state;;",
  "show state; show state",
  "-- comment",
  "show state -- comment",
  "/* c */ show state",
  'show "state"',
  'SHOW "STATE"',
  '"show" state',
  '"SHOW" "version"',
  "select version",
  "SELECT pools;",
  "select 1",
  "select 1;",
  "select version()",
  "select * from pools",
  "show",
  "show ;",
  "show nothing",
  "show pools extra",
  "show 'pools'",
  "show pools.x",
  "",
  ";",
  "   ",
  "help",
  "?",
  "begin",
  "BEGIN;",
  "commit",
  "rollback",
  "reset all",
  "discard all",
  "deallocate all",
  "listen x",
  "copy x from stdin",
  "set",
  "set x",
  "set x =",
  "set x = y",
  "set no_such_setting = 1",
  "set max_client_conn = 200",
  "SET max_client_conn=201",
  "set max_client_conn to 202",
  "set max_client_conn to '203'",
  'set "max_client_conn" = "204"',
  "set MAX_CLIENT_CONN = 205",
  "set max_client_conn = abc",
  "set max_client_conn = -1",
  "set max_client_conn = 0x64",
  "set max_client_conn = 010",
  "set max_client_conn = 1.5",
  "set max_client_conn = ''",
  "set max_client_conn = 100",
  "set max_client_conn = 100;",
  "set max_client_conn = 100 extra",
  "set server_lifetime = 1.5",
  "set server_lifetime = 1,5",
  "set server_lifetime = -1",
  "set server_lifetime = 1h",
  "set server_lifetime = 3600",
  "set pool_mode = Session",
  "set pool_mode = nonsense",
  "set pool_mode = transaction",
  "set server_round_robin = on",
  "set server_round_robin = 2",
  "set server_round_robin = 1",
  "set server_round_robin = 0",
  "set listen_port = 1234",
  "set listen_addr = '1.2.3.4'",
  "set unix_socket_dir = 'x'",
  "set track_extra_parameters = 'search_path'",
  "set job_name = 'x'",
  "set stats_period = 60",
  "set auth_type = nonsense",
  "set auth_type = trust",
  "set auth_dbname = 'pgbouncer'",
  "set server_tls_sslmode = nonsense",
  "set client_tls_sslmode = require",
  "set client_tls_sslmode = disable",
  "set server_tls_protocols = 'nonsense'",
  "set server_tls_protocols = 'secure'",
  "set server_check_query = 'select ''x'''",
  "set server_check_query = '<empty>'",
  "set server_reset_query = 'DISCARD ALL'",
  "set ignore_startup_parameters = 'a, b'",
  "set ignore_startup_parameters = ''",
  "set query_wait_notify = 5",
  "set query_wait_notify = x",
  "set syslog_facility = nonsense",
  "set syslog_facility = daemon",
  "set max_packet_size = 2147483647",
  "set unix_socket_mode = 0700",
  "set verbose = 0",
  "set log_stats = 1",
  "set pkt_buf = 8192",
  "set abc.def = 1",
  'set x = "unterminated',
  "set x = 'unterminated",
  `set server_check_query = '${"x".repeat(255)}'`,
  `set server_check_query = '${"x".repeat(256)}'`,
  "set server_check_query = '<empty>'",
  `set ${"k".repeat(63)} = 1`,
  `set ${"k".repeat(64)} = 1`,
  `show ${"a".repeat(63)}`,
  `show ${"a".repeat(64)}`,
  `${"c".repeat(15)} x`,
  `${"c".repeat(16)} x`,
  `pause ${"d".repeat(64)}`,
  "SHOW client_encoding",
  "show default_transaction_isolation",
  "show standard_conforming_strings",
  "show datestyle",
  "show DateStyle",
  "show timezone",
  "show server_version",
  "show search_path",
  "set client_encoding = 'utf8'",
  "set client_encoding to utf8",
  "set datestyle = iso",
  "set datestyle to 'ISO, MDY'",
  "set timezone = 'UTC'",
  "SET TimeZone TO 'UTC'",
  "set standard_conforming_strings = on",
  "set default_transaction_isolation = 'read committed'",
  "set extra_float_digits = 3",
  "set application_name = 'x'",
  "reload x",
  "resume",
  "resume nosuch",
  "resume pgbouncer",
  "resume p",
  "pause nosuch",
  "resume nosuch",
  "pause pgbouncer",
  "pause p extra",
  "pause p;q",
  'pause "p"',
  "pause p",
  "resume p",
  "pause 'p'",
  "disable",
  "disable nosuch",
  "disable pgbouncer",
  "disable p",
  "disable p",
  "enable",
  "enable nosuch",
  "enable pgbouncer",
  "enable p",
  "enable p",
  "kill nosuch",
  "resume nosuch",
  "kill pgbouncer",
  "kill p",
  "resume p",
  "kill_client",
  "kill_client x",
  "kill_client 0",
  "kill_client -1",
  "kill_client 99999",
  "kill_client 99999999999999999999",
  "kill_client 1x",
  "kill_client 0x1",
  "reconnect nosuch",
  "reconnect pgbouncer",
  "reconnect",
  "reconnect p",
  "wait_close",
  "wait_close nosuch",
  "wait_close pgbouncer",
  "wait_close p",
  "pause",
  "pause",
  "pause p",
  "suspend",
  "kill p",
  "kill",
  "show state",
  "resume",
  "resume",
  "suspend x",
  "suspend",
  "suspend",
  "pause",
  "show state",
  "resume",
  "shutdown x",
  "shutdown wait_for_nothing",
  "reload",
  "kill",
  "resume",
  "resume p",
  "resume q",
  "resume nosuch",
];

/** Packets that the console has no use for, on a connection of their own each. */
const packets: readonly (readonly [title: string, packets: readonly Uint8Array[]])[] = [
  ["a function call", [message("F", Buffer.alloc(10))]],
  ["CopyDone", [message("c")]],
  ["CopyData", [message("d", Buffer.from("x"))]],
  ["Sync", [sync()]],
  ["Flush and Sync", [flush(), sync()]],
  ["a query without its zero byte", [message("Q", Buffer.from("show state"))]],
  ["a query with a zero byte inside", [message("Q", Buffer.from("show state\0 x\0"))]],
  ["an empty packet Q", [message("Q")]],
  ["an unknown type", [message("y", Buffer.from("x"))]],
  ["a password", [message("p", "x")]],
  ["two queries in one packet", [query("show state"), query("show version")]],
  ["a query of 5000 bytes", [query(`show ${"x".repeat(5000)}`)]],
];

const administrator = { user: "console", database: "pgbouncer" };
const reader = { user: "looker", database: "pgbouncer" };

function options({ server }: Place): ReturnType<ScenarioGroup["options"]> {
  return {
    databases: {
      p: `${server} dbname=postgres`,
      q: `${server} dbname=postgres user=app pool_size=3 min_pool_size=1 reserve_pool=2 pool_mode=session`,
      hosts: `host=127.0.0.1,127.0.0.2 port=5 dbname=x load_balance_hosts=disable max_db_connections=7`,
      unix: "dbname=x server_lifetime=99 max_db_client_connections=8",
      "'two words'": "dbname=x",
      "*": "host=127.0.0.1 port=4",
    },
    users: {
      app: "pool_mode=transaction max_user_connections=9 pool_size=2",
      other: "max_user_client_connections=5 reserve_pool_size=1 query_timeout=60",
    },
    peers: { 2: "host=127.0.0.1 port=7", 3: "host=/tmp pool_size=3" },
    userlist: { app: "secret", looker: "", spy: spyPassword, "with space": "x", stranger: "" },
    settings: { pool_mode: "transaction", stats_users: "looker, spy", peer_id: 1, default_pool_size: 2 },
  };
}

async function eachShow(stage: Stage, who: string): Promise<void> {
  for (const what of shows) await stage.query(who, `SHOW ${what}`);
}

const scenarios: readonly Scenario[] = [
  {
    name: "every SHOW before anybody came",
    play: async (stage) => {
      await stage.untilServers("q", 1);
      await stage.login("admin", administrator);
      await eachShow(stage, "admin");
    },
  },
  {
    name: "every SHOW with clients and servers",
    play: async (stage) => {
      await stage.login("admin", administrator);
      await stage.login("idle", { user: "app", database: "p", application_name: "an idle one" });
      await stage.login("first", { user: "app", database: "p" });
      await stage.query("first", "begin");
      await stage.login("second", { user: "app", database: "p" }, { unix: true });
      await stage.query("second", "begin");
      await stage.login("waits", { user: "app", database: "p" });
      stage.tell("waits", query("select 1"));
      await stage.untilWaiting("p", 1);
      await stage.login("other", { user: "looker", database: "q" });
      await stage.query("other", "select 1");
      await stage.ask("other", "a prepared statement", [parse("s", "select 1"), bind("", "s"), execute(""), sync()]);
      await stage.untilServers("q", 1);
      await eachShow(stage, "admin");
      await stage.query("first", "commit");
      await stage.hear("waits", "the answer");
      await stage.query("second", "commit");
      // Because somebody has waited, the catalogue is read, and one of the servers is active for that moment.
      await stage.until("SHOW SERVERS", (rows) => rows.every((row) => !row.includes("active")));
      for (const what of ["POOLS", "STATS", "STATS_TOTALS", "LISTS", "USERS"])
        await stage.query("admin", `SHOW ${what}`);
    },
  },
  {
    name: "texts of an administrator",
    play: async (stage) => {
      await stage.login("admin", administrator);
      for (const text of texts) await stage.query("admin", text);
      await stage.untilServers("q", 1);
      await stage.query("admin", "SHOW DATABASES");
    },
  },
  {
    name: "a read-only user",
    play: async (stage) => {
      await stage.login("reader", reader);
      await eachShow(stage, "reader");
      for (const command of ["SET", "RELOAD", "SHUTDOWN", "PAUSE", "RESUME", "SUSPEND", "RECONNECT"]) {
        await stage.query("reader", command);
        await stage.query("reader", `${command} p`);
      }
      for (const command of [
        "DISABLE p",
        "ENABLE p",
        "KILL",
        "KILL p",
        "KILL_CLIENT 1",
        "WAIT_CLOSE",
        "WAIT_CLOSE p",
      ]) {
        await stage.query("reader", command);
      }
      await stage.query("reader", "SET max_client_conn = 5");
      await stage.query("reader", "SET timezone = 'UTC'");
      await stage.query("reader", "SHOW timezone");
      await stage.query("reader", "NONSENSE");
    },
  },
  {
    name: "who is let in",
    play: async (stage) => {
      await stage.login("stranger", { user: "stranger", database: "pgbouncer" });
      await stage.login("unknown", { user: "nobody knows", database: "pgbouncer" });
      await stage.login("by default", { user: "pgbouncer" });
      await stage.login("replication", { ...administrator, replication: "true" });
      await stage.login("parameters", {
        ...administrator,
        application_name: "x",
        DateStyle: "German",
        TimeZone: "CET",
      });
      await stage.login("unix", administrator, { unix: true });
      await stage.query("unix", "show state");
    },
  },
  {
    name: "packets",
    play: async (stage) => {
      for (const [title, bytes] of packets) {
        await stage.login(title, administrator);
        await stage.ask(title, "answer", bytes, "Z");
        await stage.ask(title, "and then", [query("show state")], "Z");
      }
    },
  },
  {
    name: "the extended protocol",
    play: async (stage) => {
      await stage.login("admin", administrator);
      const unit = [parse("", "show state"), bind("", ""), describePortal(""), execute(""), sync()];
      await stage.ask("admin", "Parse, Bind, Describe, Execute, Sync", unit);
    },
  },
];

export const consoleGroups: readonly ScenarioGroup[] = [{ name: "console", options, scenarios }];
