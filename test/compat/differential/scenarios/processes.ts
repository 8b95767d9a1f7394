/** The process: shutdowns by command and signal, reloads of good and bad files, configurations that are refused. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { query } from "../../../support/wire-client.ts";
import { type Place, type Scenario, type ScenarioGroup, spyPassword, type Stage } from "../stage.ts";

const admin = { user: "console", database: "pgbouncer" };
const app = { user: "app", database: "p" };

const options: ScenarioGroup["options"] = ({ server }) => ({
  databases: { p: `${server} dbname=postgres pool_size=1` },
  userlist: { app: "", other: "", spy: spyPassword },
  settings: { pool_mode: "transaction", stats_users: "spy" },
});

/** Who is there when the end comes: idle, holding the only server, waiting for it, on the console. */
async function company(stage: Stage): Promise<void> {
  await stage.login("admin", admin, { unix: true });
  await stage.login("idle", app);
  await stage.login("holds", app);
  await stage.query("holds", "begin");
  await stage.login("waits", app);
  stage.tell("waits", query("select 'waits'"));
  await stage.untilWaiting("p", 1);
}

async function late(stage: Stage): Promise<void> {
  await stage.login("late", app, { unix: true }).catch((error: unknown) => stage.note("late", [String(error)]));
  await stage
    .login("late on the console", admin, { unix: true })
    .catch((error: unknown) => stage.note("late on the console", [String(error)]));
}

const ends: readonly Scenario[] = [
  {
    name: "SHUTDOWN",
    play: async (stage) => {
      await company(stage);
      await stage.ask("admin", "SHUTDOWN", [query("SHUTDOWN")]);
      await stage.untilEnd("holds", "what it is told");
      await stage.untilEnd("waits", "what it is told");
      await stage.end();
    },
  },
  {
    name: "SHUTDOWN WAIT_FOR_SERVERS",
    play: async (stage) => {
      await company(stage);
      await stage.query("admin", "SHUTDOWN WAIT_FOR_SERVERS");
      await stage.hear("waits", "what it is told");
      await stage.query("idle", "select 1");
      await stage.query("admin", "RESUME");
      await stage.query("admin", "SHOW STATE");
      await late(stage);
      await stage.query("holds", "commit");
      await stage.end();
    },
  },
  {
    name: "SHUTDOWN WAIT_FOR_CLIENTS",
    play: async (stage) => {
      await company(stage);
      await stage.query("admin", "SHUTDOWN WAIT_FOR_CLIENTS");
      await late(stage);
      await stage.query("holds", "commit");
      await stage.hear("waits", "it goes on");
      await stage.query("idle", "select 1");
      stage.dismiss();
      await stage.end();
    },
  },
  ...(["SIGTERM", "SIGINT", "SIGQUIT"] as const).map((signal) => ({
    name: signal,
    play: async (stage: Stage) => {
      await company(stage);
      stage.bouncer.signal(signal);
      if (signal !== "SIGTERM") await stage.hear("waits", "what it is told");
      if (signal !== "SIGQUIT") await stage.bouncer.waitForLog(/got SIG/);
      if (signal !== "SIGQUIT") stage.bouncer.signal(signal);
      await stage.untilEnd("holds", "what it is told");
      await stage.end();
    },
  })),
  {
    name: "signals that pause",
    play: async (stage) => {
      await stage.login("admin", admin);
      for (const signal of ["SIGUSR1", "SIGUSR1", "SIGUSR2", "SIGUSR2"] as const) {
        const seen = stage.bouncer.log().length;
        stage.bouncer.signal(signal);
        await stage.until("SHOW VERSION", () => stage.bouncer.log().length > seen);
        await stage.query("admin", "SHOW STATE");
      }
      stage.bouncer.signal("SIGHUP");
      await stage.bouncer.waitForLog(/got SIGHUP/);
      await stage.query("admin", "SHOW STATE");
      stage.bouncer.signal("SIGQUIT");
      await stage.end();
    },
  },
];

/** Changes of the file, and what is looked at after each. */
function reloads({
  server,
}: Place): readonly (readonly [title: string, changes: Parameters<Stage["bouncer"]["rewrite"]>[0]])[] {
  const databases = { p: `${server} dbname=postgres pool_size=1` };
  const settings = { pool_mode: "transaction", stats_users: "spy" };
  return [
    ["nothing changed", {}],
    ["sizes", { settings: { ...settings, default_pool_size: 7, max_client_conn: 50 } }],
    ["an unknown setting", { settings: { ...settings, nonsense: 1, default_pool_size: 8 } }],
    ["a bad value", { settings: { ...settings, default_pool_size: "x", max_client_conn: 51 } }],
    ["a database with another place", { databases: { p: `${server} dbname=template1 pool_size=1` }, settings }],
    ["a database more", { databases: { ...databases, more: `${server} dbname=postgres` }, settings }],
    ["a database with an unknown key", { databases: { p: `${server} dbname=postgres nonsense=1` } }],
    ["a database without a value", { databases: { p: `${server} dbname=` } }],
    ["a reserved name", { databases: { ...databases, pgbouncer: "dbname=x" } }],
    ["a bad pool mode", { databases: { p: `${server} pool_mode=nonsense` } }],
    ["a bad user", { databases, users: { app: "nonsense=1" } }],
    ["a user", { databases, users: { app: "pool_mode=session" } }],
    ["a setting fixed at start", { databases, users: {}, settings: { ...settings, listen_port: 1, pkt_buf: 1 } }],
    ["no databases", { databases: {}, settings }],
    ["all as it was", { databases, users: {}, settings }],
  ];
}

const reloading: readonly Scenario[] = [
  {
    name: "good and bad files",
    play: async (stage) => {
      await stage.login("admin", admin);
      await stage.login("a", app);
      for (const [title, changes] of reloads(stage.place)) {
        stage.bouncer.rewrite(changes);
        await stage.ask("admin", `RELOAD with ${title}`, [query("RELOAD")]);
        // What leads elsewhere now is closed at the next tick, or when it is picked.
        await stage.until("SHOW SERVERS", (rows) => rows.every((row) => row.split("|")[13] === "0"));
        await stage.ask("admin", `SHOW DATABASES after ${title}`, [query("SHOW DATABASES")]);
        await stage.ask("a", `a query after ${title}`, [query("select current_database()")]);
        await stage.log(`log of ${title}`);
        // Dropped with its database.
        await stage.login("a", app);
      }
      await stage.query("admin", "SHOW CONFIG");
    },
  },
];

/** Starts that are refused, and the command line: their exit status and what they say. */
function refusals(place: Place): readonly (readonly [title: string, args: readonly string[], ini: string | null])[] {
  const base = `listen_addr = 127.0.0.1\nlisten_port = ${place.cluster.port}\nunix_socket_dir =\nauth_type = trust\n`;
  const p = `[databases]\np = ${place.server}\n`;
  return [
    ["no file", [], null],
    ["two files", ["a.ini", "b.ini"], null],
    ["a file that is not there", [join(place.folder, "not-there.ini")], null],
    ["an unknown option", ["-x"], null],
    ["an unknown long option", ["--nonsense"], null],
    ["an option without its value", ["-u"], null],
    ["a value for an option that takes none", ["--quiet=1"], null],
    ["a user that is not there", ["-u", "no-such-user", "INI"], `${p}[pgbouncer]\n${base}`],
    ["a daemon without a pidfile", ["-d", "INI"], `${p}[pgbouncer]\n${base}`],
    ["an empty file", ["INI"], ""],
    ["no main section", ["INI"], p],
    ["an unknown section", ["INI"], `[nonsense]\nx = 1\n[pgbouncer]\n${base}`],
    ["a key before a section", ["INI"], `x = 1\n[pgbouncer]\n${base}`],
    ["an unknown setting", ["INI"], `[pgbouncer]\n${base}nonsense = 1\n`],
    ["a bad value", ["INI"], `[pgbouncer]\n${base}pool_mode = nonsense\n`],
    ["a line without =", ["INI"], `[pgbouncer]\n${base}nonsense\n`],
    ["a section without its end", ["INI"], `[pgbouncer\n${base}`],
    ["an include that is not there", ["INI"], `[pgbouncer]\n${base}%include not-there.ini\n`],
    ["an unknown directive", ["INI"], `[pgbouncer]\n${base}%nonsense x\n`],
    ["a database with an unknown key", ["INI"], `[databases]\np = nonsense=1\n[pgbouncer]\n${base}`],
    ["a database with a bad port", ["INI"], `[databases]\np = host=x port=x\n[pgbouncer]\n${base}`],
    ["a database without an end of quotes", ["INI"], `[databases]\np = host='x\n[pgbouncer]\n${base}`],
    ["a database name of 64 bytes", ["INI"], `[databases]\n${"d".repeat(64)} = host=x\n[pgbouncer]\n${base}`],
    ["the reserved database", ["INI"], `[databases]\npgbouncer = host=x\n[pgbouncer]\n${base}`],
    ["a user with an unknown key", ["INI"], `[users]\na = nonsense=1\n[pgbouncer]\n${base}`],
    ["a peer without a host", ["INI"], `[peers]\n1 = port=5\n[pgbouncer]\n${base}`],
    ["a peer of a bad id", ["INI"], `[peers]\nx = host=a\n[pgbouncer]\n${base}`],
    ["the reserved auth_dbname", ["INI"], `[pgbouncer]\n${base}auth_dbname = pgbouncer\n`],
    ["TLS without files", ["INI"], `[pgbouncer]\n${base}client_tls_sslmode = require\n`],
    ["a port that is taken", ["INI"], `${p}[pgbouncer]\n${base}`],
    ["nowhere to listen", ["INI"], `[pgbouncer]\nunix_socket_dir =\nauth_type = trust\n`],
    ["a log file that cannot be written", ["INI"], `[pgbouncer]\n${base}logfile = /nonexistent/log\n`],
  ];
}

const starts: readonly Scenario[] = [
  {
    name: "refused configurations and command lines",
    play: async (stage) => {
      for (const [title, args, text] of refusals(stage.place)) {
        const path = join(stage.place.folder, "refused.ini");
        if (text !== null) writeFileSync(path, text, { mode: 0o644 });
        await stage.run(
          title,
          args.map((word) => (word === "INI" ? path : word)),
        );
      }
    },
  },
  {
    name: "help and version",
    play: async (stage) => {
      for (const word of ["-h", "--help", "-V", "--version"]) await stage.run(word, [word]);
    },
  },
];

export const processGroups: readonly ScenarioGroup[] = [
  ...ends.map((scenario) => ({ name: `end by ${scenario.name}`, options, scenarios: [scenario], ends: true })),
  { name: "reload", options, scenarios: reloading },
  { name: "command line", options, scenarios: starts },
];
