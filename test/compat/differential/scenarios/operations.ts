/** Limits, time limits, cancel requests and the commands that stop and start things, with clients that feel them. */
import { parse, query, sync } from "../../../support/wire-client.ts";
import { type Scenario, type ScenarioGroup, spyPassword, type Stage } from "../stage.ts";

const admin = { user: "console", database: "pgbouncer" };
const app = { user: "app", database: "p" };

/** `a` holds the only server of its pool, `b` waits for one. */
async function holdAndWait(stage: Stage, parameters = app): Promise<void> {
  await stage.login("a", parameters);
  await stage.query("a", "begin");
  await stage.login("b", parameters);
  stage.tell("b", query("select 'b'"));
  await stage.untilWaiting(parameters.database, 1);
}

const cancels: readonly Scenario[] = [
  {
    name: "of a running query",
    play: async (stage) => {
      await stage.login("a", app);
      stage.tell("a", query("select pg_sleep(10)"));
      await stage.until("SHOW POOLS", (rows) => rows.some((row) => row.startsWith("p|app|1|")));
      await new Promise((resolve) => setTimeout(resolve, 100));
      await stage.cancel("a");
      await stage.hear("a", "what became of it");
      await stage.query("a", "select 1");
    },
  },
  {
    name: "of an idle client",
    play: async (stage) => {
      await stage.login("a", app);
      await stage.cancel("a");
      await stage.query("a", "select 1");
    },
  },
  {
    name: "of a client in a transaction",
    play: async (stage) => {
      await stage.login("a", app);
      await stage.query("a", "begin");
      await stage.cancel("a");
      await stage.query("a", "select 1");
      await stage.query("a", "commit");
    },
  },
  {
    name: "with a wrong key",
    play: async (stage) => {
      await stage.login("a", app);
      stage.tell("a", query("select pg_sleep(0.5)"));
      await stage.cancel("a", (key) => (key[7]! ^= 1));
      await stage.hear("a", "the answer");
    },
  },
  {
    name: "of a client that waits",
    play: async (stage) => {
      await holdAndWait(stage);
      await stage.cancel("b");
      await stage.query("a", "commit");
      await stage.hear("b", "what became of it");
      await stage.query("b", "select 1");
    },
  },
  {
    name: "of a client that is gone",
    play: async (stage) => {
      await stage.login("a", app);
      stage.tell("a", query("select pg_sleep(0.5)"));
      await stage.login("b", { user: "app", database: "q" });
      await stage.cancel("b");
      await stage.hear("a", "the answer");
    },
  },
];

const commands: readonly Scenario[] = [
  {
    name: "PAUSE and RESUME",
    play: async (stage) => {
      await stage.login("admin", admin);
      await stage.login("a", app);
      await stage.query("a", "begin");
      stage.tell("admin", query("PAUSE"));
      await stage.until("SHOW STATE", (rows) => rows.includes("paused|yes"));
      await stage.login("b", app);
      stage.tell("b", query("select 'b'"));
      await stage.untilWaiting("p", 1);
      await stage.query("a", "commit");
      await stage.hear("admin", "PAUSE is done");
      await stage.query("admin", "SHOW SERVERS");
      await stage.query("admin", "RESUME");
      await stage.hear("b", "the answer");
    },
  },
  {
    name: "PAUSE of one database",
    play: async (stage) => {
      await stage.login("admin", admin);
      await stage.login("a", app);
      await stage.query("admin", "PAUSE p");
      stage.tell("a", query("select 'a'"));
      await stage.untilWaiting("p", 1);
      await stage.login("other", { user: "app", database: "q" });
      await stage.query("other", "select 'other'");
      await stage.query("admin", "PAUSE p");
      await stage.query("admin", "RESUME p");
      await stage.hear("a", "the answer");
      await stage.query("admin", "RESUME p");
    },
  },
  {
    name: "a cancel request ends PAUSE",
    play: async (stage) => {
      await stage.login("admin", admin);
      await stage.login("a", app);
      await stage.query("a", "begin");
      stage.tell("admin", query("PAUSE"));
      await stage.until("SHOW STATE", (rows) => rows.includes("paused|yes"));
      await stage.cancel("admin");
      await stage.query("a", "commit");
      await stage.hear("admin", "what became of it");
      await stage.query("admin", "SHOW STATE");
    },
  },
  {
    name: "DISABLE and ENABLE",
    play: async (stage) => {
      await stage.login("admin", admin);
      await stage.login("a", app);
      await stage.query("admin", "DISABLE p");
      await stage.query("a", "select 'still here'");
      await stage.login("b", app);
      await stage.query("admin", "SHOW DATABASES");
      await stage.query("admin", "ENABLE p");
      await stage.login("c", app);
    },
  },
  {
    name: "RECONNECT and WAIT_CLOSE",
    play: async (stage) => {
      await stage.login("admin", admin);
      await stage.login("a", app);
      await stage.query("a", "begin");
      await stage.query("admin", "RECONNECT p");
      await stage.query("admin", "SHOW SERVERS");
      stage.tell("admin", query("WAIT_CLOSE p"));
      await stage.query("a", "commit");
      await stage.hear("admin", "WAIT_CLOSE is done");
      await stage.query("a", "select 'again'");
    },
  },
  {
    name: "KILL",
    play: async (stage) => {
      await stage.login("admin", admin);
      await stage.login("a", app);
      await stage.query("a", "begin");
      await stage.login("b", app);
      await stage.query("admin", "KILL p");
      await stage.untilEnd("a", "what it is told");
      await stage.untilEnd("b", "what it is told");
      await stage.query("admin", "SHOW POOLS");
      await stage.query("admin", "RESUME p");
      await stage.login("c", app);
      await stage.query("c", "select 'again'");
    },
  },
  {
    name: "KILL_CLIENT",
    play: async (stage) => {
      await stage.login("admin", admin);
      await stage.login("a", app);
      await stage.query("a", "begin");
      let id = "";
      await stage.until("SHOW CLIENTS", (rows) => {
        id =
          rows
            .find((row) => row.startsWith("C|app|p|"))
            ?.split("|")
            .at(-1) ?? "";
        return id !== "";
      });
      await stage.ask("admin", "KILL_CLIENT of a", [query(`KILL_CLIENT ${id}`)]);
      await stage.untilEnd("a", "what it is told");
    },
  },
  {
    name: "SUSPEND and RESUME",
    play: async (stage) => {
      await stage.login("admin", admin);
      await stage.login("a", app);
      await stage.query("a", "select 1");
      await stage.query("admin", "SUSPEND");
      stage.tell("a", query("select 'held'"));
      await stage.query("admin", "SHOW STATE");
      await stage.query("admin", "SUSPEND");
      await stage.query("admin", "PAUSE");
      await stage.query("admin", "RESUME");
      await stage.hear("a", "the answer");
    },
  },
];

const limits: readonly Scenario[] = [
  {
    name: "max_db_client_connections",
    play: async (stage) => {
      await stage.login("a", { user: "app", database: "few" });
      await stage.login("b", { user: "app", database: "few" });
      stage.leave("a");
      await stage.until("SHOW CLIENTS", (rows) => rows.length === 1);
      await stage.login("c", { user: "app", database: "few" });
    },
  },
  {
    name: "max_user_client_connections",
    play: async (stage) => {
      await stage.login("a", { user: "limited", database: "p" });
      await stage.login("b", { user: "limited", database: "p" });
      await stage.login("c", { user: "limited", database: "q" });
      await stage.login("d", { user: "app", database: "p" });
    },
  },
  {
    name: "max_client_conn",
    play: async (stage) => {
      for (const name of ["a", "b", "c", "d", "e"]) await stage.login(name, app);
      await stage.login("admin", admin);
      await stage.query("admin", "SHOW LISTS");
      await stage.query("admin", "SHOW DATABASES");
    },
  },
  {
    name: "query_wait_timeout",
    play: async (stage) => {
      await holdAndWait(stage);
      await stage.untilEnd("b", "what it is told");
      await stage.query("a", "commit");
    },
  },
  {
    name: "max_db_connections",
    play: async (stage) => {
      await stage.login("a", { user: "app", database: "one" });
      await stage.query("a", "select 1");
      await stage.login("b", { user: "other", database: "one" });
      await stage.query("b", "select 'after the other has been evicted'");
      await stage.query("b", "begin");
      stage.tell("a", query("select 'waits'"));
      await stage.untilWaiting("one", 1);
      await stage.query("b", "commit");
      await stage.hear("a", "the answer");
    },
  },
  {
    name: "the reserve",
    play: async (stage) => {
      await holdAndWait(stage, { user: "app", database: "spare" });
      await stage.hear("b", "the answer, from the reserve");
      await stage.query("a", "commit");
    },
  },
];

/** Each user has one time limit of a second. */
const times: readonly Scenario[] = [
  {
    name: "query_timeout",
    play: async (stage) => {
      await stage.login("a", { user: "app", database: "p" });
      await stage.ask("a", "a slow query", [query("select pg_sleep(5)")]);
    },
  },
  {
    name: "idle_transaction_timeout",
    play: async (stage) => {
      await stage.login("a", { user: "other", database: "p" });
      await stage.query("a", "begin");
      await stage.untilEnd("a", "what it is told");
    },
  },
  {
    name: "transaction_timeout",
    play: async (stage) => {
      await stage.login("a", { user: "plain", database: "p" });
      await stage.query("a", "begin");
      await stage.untilEnd("a", "what it is told");
    },
  },
  {
    name: "client_idle_timeout",
    play: async (stage) => {
      await stage.login("a", { user: "hashed", database: "p" });
      await stage.query("a", "select 1");
      await stage.untilEnd("a", "what it is told");
    },
  },
  {
    name: "client_login_timeout",
    play: async (stage) => {
      await stage.open("silent");
      await stage.untilEnd("silent", "what it is told");
    },
  },
  {
    name: "query_wait_notify",
    play: async (stage) => {
      await stage.login("a", { user: "looker", database: "q" });
      await stage.query("a", "begin");
      await stage.login("b", { user: "looker", database: "q" });
      await stage.ask("b", "the notice", [query("select 'b'")], "N");
      await stage.query("a", "commit");
      await stage.hear("b", "the answer");
    },
  },
  {
    name: "server_lifetime, and an idle client beside one with client_idle_timeout",
    play: async (stage) => {
      await stage.login("a", { user: "app", database: "young" });
      await stage.query("a", "select 1");
      await stage.untilServers("young", 0);
      await stage.query("a", "select 2");
    },
  },
];

const departures: readonly Scenario[] = [
  {
    name: "in a transaction",
    play: async (stage) => {
      await stage.login("a", app);
      await stage.query("a", "begin");
      await stage.query("a", "insert into numbers values (900)");
      stage.vanish("a");
      await stage.until("SHOW CLIENTS", (rows) => rows.length === 1);
      await stage.login("b", app);
      await stage.query("b", "select count(*) from numbers where n = 900");
    },
  },
  {
    name: "with Terminate in a transaction",
    play: async (stage) => {
      await stage.login("a", app);
      await stage.query("a", "begin");
      stage.leave("a");
      await stage.until("SHOW CLIENTS", (rows) => rows.length === 1);
    },
  },
  {
    name: "with a query running",
    play: async (stage) => {
      await stage.login("a", app);
      stage.tell("a", query("select pg_sleep(0.4)"));
      await stage.until("SHOW POOLS", (rows) => rows.some((row) => row.startsWith("p|app|1|")));
      stage.vanish("a");
      await stage.until("SHOW CLIENTS", (rows) => rows.length === 1);
      await stage.login("b", app);
      await stage.query("b", "select 'after it'");
    },
  },
  {
    name: "while it waits",
    play: async (stage) => {
      await holdAndWait(stage);
      stage.vanish("b");
      await stage.query("a", "commit");
    },
  },
  {
    name: "with half a message",
    play: async (stage) => {
      await stage.login("a", app);
      stage.tell("a", parse("", "select 1"), sync(), query("select 2").subarray(0, 8));
      await stage.hear("a", "the answer to the whole one");
      stage.vanish("a");
      await stage.until("SHOW CLIENTS", (rows) => rows.length === 1);
    },
  },
  {
    name: "the server goes",
    play: async (stage) => {
      await stage.login("a", app);
      await stage.query("a", "begin");
      await stage.ask("a", "its backend is ended", [query("select pg_terminate_backend(pg_backend_pid())")]);
      await stage.login("b", app);
      await stage.query("b", "select 'another'");
    },
  },
];

const users = { app: "", other: "", plain: "", hashed: "", looker: "", limited: "", spy: spyPassword };

export const operationGroups: readonly ScenarioGroup[] = [
  {
    name: "cancel requests",
    options: ({ server }) => ({
      databases: { p: `${server} dbname=postgres pool_size=1`, q: `${server} dbname=postgres` },
      userlist: users,
      settings: { pool_mode: "transaction", stats_users: "spy" },
    }),
    scenarios: cancels,
  },
  {
    name: "commands",
    options: ({ server }) => ({
      databases: { p: `${server} dbname=postgres`, q: `${server} dbname=postgres` },
      userlist: users,
      settings: { pool_mode: "transaction", stats_users: "spy" },
    }),
    scenarios: commands,
  },
  {
    name: "limits",
    options: ({ server }) => ({
      databases: {
        p: `${server} dbname=postgres pool_size=1`,
        q: `${server} dbname=postgres`,
        few: `${server} dbname=postgres max_db_client_connections=1`,
        one: `${server} dbname=postgres max_db_connections=1`,
        spare: `${server} dbname=postgres pool_size=1 reserve_pool_size=1`,
      },
      users: { limited: "max_user_client_connections=1" },
      userlist: users,
      settings: {
        pool_mode: "transaction",
        stats_users: "spy",
        max_client_conn: 4,
        query_wait_timeout: 2,
        reserve_pool_timeout: 1,
      },
    }),
    scenarios: limits,
  },
  {
    name: "time limits",
    options: ({ server }) => ({
      databases: {
        p: `${server} dbname=postgres`,
        q: `${server} dbname=postgres pool_size=1`,
        young: `${server} dbname=postgres server_lifetime=1`,
      },
      users: {
        app: "query_timeout=1",
        other: "idle_transaction_timeout=1",
        plain: "transaction_timeout=1",
        hashed: "client_idle_timeout=1",
      },
      userlist: users,
      settings: {
        pool_mode: "transaction",
        stats_users: "spy",
        client_login_timeout: 1,
        query_wait_notify: 1,
      },
    }),
    scenarios: times,
  },
  {
    name: "a client vanishes",
    options: ({ server }) => ({
      databases: { p: `${server} dbname=postgres pool_size=1` },
      userlist: users,
      settings: { pool_mode: "transaction", stats_users: "spy" },
    }),
    scenarios: departures,
  },
];
