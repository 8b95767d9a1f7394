/**
 * auth_query: who asks, where, with which text; every answer PostgreSQL can give; and what it costs while it runs. PostgreSQL
 * stores passwords as SCRAM verifiers and MD5 hashes and asks the pooler's servers for them.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer } from "../support/bouncer.ts";
import { waitFor } from "../support/wait-for.ts";
import { columns, query, startupMessage, types, WireClient } from "../support/wire-client.ts";
import { Backends } from "./backends.ts";
import { logIn } from "./login-dialogue.ts";
import { reloadBySignal } from "./login-reload.ts";

const password = "correct horse";

/** Texts of auth_query that stand for one kind of answer each; in a connection string they need no quotes of their own. */
const functions = `
create function same(name text, out rolname text, out secret text) language sql
  as $$ select rolname::text, rolpassword from pg_authid where rolname = name $$;
create function ann_for_all(name text, out text, out text) language sql
  as $$ select 'ann', rolpassword from pg_authid where rolname = 'ann' $$;
create function two_rows(name text) returns table (a text, b text) language sql
  as $$ values ('bob', 'x'), ('ann', (select rolpassword from pg_authid where rolname = 'ann')) $$;
create function two_rows_null_last(name text) returns table (a text, b text) language sql
  as $$ values ('ann', (select rolpassword from pg_authid where rolname = 'ann')), ('ann', null) $$;
create function one_column(name text, out text) language sql as $$ select 'ann' $$;
create function three_columns(name text, out text, out text, out text) language sql as $$ values ('ann', 'a', 'b') $$;
create function null_name(name text, out text, out text) language sql as $$ values (null, 'a') $$;
create function null_secret(name text, out text, out text) language sql as $$ values (name, null) $$;
create function empty_secret(name text, out text, out text) language sql as $$ values (name, '') $$;
create function fails(name text, out text, out text) language sql as $$ select name, (1 / length(''))::text $$;
create function slow(name text, out text, out text) language sql
  as $$ select 'ann', rolpassword from pg_authid, pg_sleep(1) where rolname = 'ann' $$;
create table touched (name text);
`;

let cluster: EmbeddedPostgres;
let bouncer: Bouncer;
let backends: Backends;
let databases: Record<string, string>;

beforeAll(async () => {
  cluster = await EmbeddedPostgres.start({
    databases: ["elsewhere"],
    hba: "host all postgres,reader 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 md5",
    roles: [
      { name: "lookup", password: "look", attributes: "superuser" },
      { name: "reader", attributes: "superuser" },
      { name: "ann", password },
      { name: "bob", password, encryption: "md5" },
      { name: "bare" },
      { name: "old", password, attributes: "valid until '2020-01-01'" },
      { name: "young", password, attributes: "valid until '2120-01-01'" },
      { name: "changing", password },
      { name: "limited", password },
      { name: "moved", password },
    ],
  });
  await cluster.query(functions);
  await cluster.query("create role nologin password 'correct horse'");
  const target = `host=${cluster.host} port=${cluster.port}`;
  const asks = (text: string): string => `${target} dbname=postgres auth_user=lookup auth_query='${text}' pool_size=3`;
  databases = {
    "*": target,
    shop: `${target} dbname=postgres`,
    by_reader: `${target} dbname=postgres auth_user=reader`,
    own_text: asks("select * from ann_for_all($1)"),
    two_rows: asks("select * from two_rows($1)"),
    two_rows_null_last: asks("select * from two_rows_null_last($1)"),
    one_column: asks("select one_column($1)"),
    three_columns: asks("select * from three_columns($1)"),
    null_name: asks("select * from null_name($1)"),
    null_secret: asks("select * from null_secret($1)"),
    empty_secret: asks("select * from empty_secret($1)"),
    no_rows_at_all: asks("insert into touched values ($1)"),
    broken: asks("select * from fails($1)"),
    no_sql: asks("selekt $1"),
    too_many_parameters: asks("select $1::text, $2::text"),
    slow: `${asks("select * from slow($1)")} pool_size=1`,
    via_elsewhere: `${target} dbname=postgres auth_user=lookup auth_dbname=elsewhere`,
    via_auto: `${target} dbname=postgres auth_user=lookup auth_dbname=template1`,
    via_disabled: `${target} dbname=postgres auth_user=lookup auth_dbname=disabled`,
    via_console: `${target} dbname=postgres auth_user=lookup auth_dbname=pgbouncer`,
    disabled: `${target} dbname=postgres`,
    small: `${target} dbname=elsewhere pool_size=1`,
    via_small: `${target} dbname=postgres auth_user=lookup auth_dbname=small`,
    down: `host=127.0.0.1 port=1 dbname=postgres auth_user=lookup`,
    forced: `${target} dbname=postgres user=postgres`,
  };
  bouncer = await Bouncer.start({
    databases,
    userlist: { lookup: "look" },
    users: { limited: "max_user_client_connections=1" },
    settings: settings(),
  });
  backends = await Backends.watch(cluster);
});

afterAll(async () => {
  await backends?.end();
  await bouncer?.stop();
  await cluster?.stop();
});

function settings(more: Record<string, string | number> = {}): Record<string, string | number> {
  return {
    auth_type: "md5",
    auth_user: "lookup",
    pool_mode: "transaction",
    server_tls_sslmode: "disable",
    server_login_retry: 0.3,
    stats_period: 3600,
    ...more,
  };
}

interface Attempt {
  readonly dialogue: string;
  readonly error: string | null;
  /** `current_user` of a query, null after a failure. */
  readonly me: string | null;
}

async function attempt(user: string, database: string, secret: string = password): Promise<Attempt> {
  const { dialogue, error, client } = await logIn(bouncer, { user, password: secret, database });
  let me: string | null = null;
  if (error === null) {
    client.send(query("select current_user"));
    const answer = await client.until("Z", "E");
    me = types(answer) === "TDCZ" ? columns(answer[1]!.body)[0]! : types(answer);
  }
  client.end();
  return { dialogue, error: error?.["M"] ?? null, me };
}

const refused = (dialogue: string, error: string): Attempt => ({ dialogue, error, me: null });
const scram = (me: string): Attempt => ({ dialogue: "R10 R11 R12 R0 … Z", error: null, me });
const wrong = refused("R10 R11 E", "SASL authentication failed");
const configError = refused("E", "bouncer config error");

describe("with the secrets that PostgreSQL stores", () => {
  test("a SCRAM verifier; servers are logged in to without knowing the password", async () => {
    expect(await attempt("ann", "shop")).toEqual(scram("ann"));
    expect(await attempt("ann", "shop", "wrong")).toEqual(wrong);
    const users = await bouncer.admin("SHOW USERS");
    expect(users.map(({ name }) => name)).toContain("ann");
  });

  test("an MD5 hash, from which servers are answered too", async () => {
    expect(await attempt("bob", "shop")).toEqual({ dialogue: "R5 R0 … Z", error: null, me: "bob" });
    expect(await attempt("bob", "shop", "wrong")).toEqual(refused("R5 E", "password authentication failed"));
  });

  test("nobody of that name: told so, with a line in the log", async () => {
    const log = await bouncer.logDuring(async () => {
      expect(await attempt("stranger", "shop")).toEqual(refused("E", "no such user"));
    });
    expect(log).toMatch(/LOG C-0x\w+: shop\/stranger@127\.0\.0\.1:\d+ login failed: db=shop\n/);
    expect(log).toMatch(/closing because: no such user \(age=/);
    const users = await bouncer.admin("SHOW USERS");
    expect(users.map(({ name }) => name)).not.toContain("stranger");
  });

  test("who may not log in is nobody", async () => {
    expect(await attempt("nologin", "shop")).toEqual(refused("E", "no such user"));
  });

  test.each(["bare", "old"])("%s has no password, or one that is over: none is right", async (user) => {
    for (const authType of ["md5", "plain", "scram-sha-256"]) {
      await reloadBySignal(bouncer, { settings: settings({ auth_type: authType }) });
      // "md5" is what PgBouncer puts in the place of such a secret.
      for (const secret of [password, "", "md5", "NULL"]) {
        expect((await attempt(user, "shop", secret)).error).toMatch(/authentication failed|empty password/);
      }
    }
    await reloadBySignal(bouncer, { settings: settings() });
  });

  test("one whose password is not over comes in", async () => {
    expect(await attempt("young", "shop")).toEqual(scram("young"));
  });

  test("under trust whoever has no password comes in, and strangers do not", async () => {
    await reloadBySignal(bouncer, { settings: settings({ auth_type: "trust" }) });
    expect((await attempt("bare", "forced")).me).toBe("postgres");
    expect((await attempt("stranger", "forced")).error).toBe("no such user");
    await reloadBySignal(bouncer, { settings: settings() });
  });

  test("is asked at every login: a password changed in PostgreSQL counts at once", async () => {
    expect(await attempt("changing", "shop")).toEqual(scram("changing"));
    await cluster.query("alter role changing password 'changed'");
    expect(await attempt("changing", "shop")).toEqual(wrong);
    expect((await attempt("changing", "shop", "changed")).dialogue).toBe("R10 R11 R12 R0 … Z");
    await cluster.query("alter role changing nologin");
    expect(await attempt("changing", "shop", "changed")).toEqual(refused("E", "no such user"));
  });

  test("who comes to stand in auth_file is not asked for any more, and its line counts for servers too", async () => {
    expect(await attempt("moved", "shop")).toEqual(scram("moved"));
    await cluster.query("alter role moved password 'moved on'");
    await reloadBySignal(bouncer, { userlist: { lookup: "look", moved: "moved on" } });
    await bouncer.admin("RECONNECT");
    expect(await attempt("moved", "shop")).toEqual(refused("R5 E", "password authentication failed"));
    expect(await attempt("moved", "shop", "moved on")).toEqual({ dialogue: "R5 R0 … Z", error: null, me: "moved" });
  });
});

describe("answers of auth_query", () => {
  test("the name that it returns is who logs in", async () => {
    const { client, error } = await logIn(bouncer, { user: "whoever", password, database: "own_text" });
    expect(error).toBeNull();
    const rows = await bouncer.admin("SHOW CLIENTS");
    expect(rows.find(({ database }) => database === "own_text")).toMatchObject({ user: "ann" });
    client.end();
    expect(await attempt("whoever", "own_text")).toEqual(scram("ann"));
  });

  test("the last of several rows counts", async () => {
    expect(await attempt("ann", "two_rows")).toEqual(scram("ann"));
    expect((await attempt("ann", "two_rows_null_last")).error).toMatch(/authentication failed/);
  });

  test("an empty secret is none", async () => {
    for (const database of ["empty_secret", "null_secret"]) {
      for (const secret of ["", "md5", password]) {
        expect((await attempt("ann", database, secret)).error).toMatch(/authentication failed|empty password/);
      }
    }
  });

  test.each([
    ["one_column", "expected 2 columns from auth_query, not 1"],
    ["three_columns", "expected 2 columns from auth_query, not 3"],
    ["null_name", "auth_query response contained null user name"],
    ["broken", "S: error in auth_query: ERROR: division by zero"],
    ["no_sql", 'S: error in auth_query: ERROR: syntax error at or near "selekt"'],
    ["too_many_parameters", "S: error in auth_query: ERROR: bind message supplies 1 parameters"],
  ])("%s: the client is told nothing, the log everything", async (database, line) => {
    const log = await bouncer.logDuring(async () => {
      for (let round = 0; round < 4; round += 1) expect(await attempt("ann", database)).toEqual(configError);
    });
    expect(log.split(line).length).toBe(5);
    expect(log).toMatch(/pooler error: bouncer config error\n/);
    expect((await attempt("ann", "own_text")).me).toBe("ann");
  });

  test("a statement that returns nothing", async () => {
    expect(await attempt("ann", "no_rows_at_all")).toEqual(configError);
  });
});

describe("where it runs", () => {
  test("auth_user of the entry before the global one", async () => {
    expect((await attempt("ann", "by_reader")).me).toBe("ann");
    expect(await backends.count({ user: "reader", database: "postgres" })).toBe(1);
  });

  test("auth_dbname of the entry, the global one, the client's own", async () => {
    expect(await backends.count({ user: "lookup", database: "elsewhere" })).toBe(0);
    expect((await attempt("ann", "via_elsewhere")).me).toBe("ann");
    expect(await backends.count({ user: "lookup", database: "elsewhere" })).toBe(1);
    await reloadBySignal(bouncer, { settings: settings({ auth_dbname: "elsewhere" }) });
    await bouncer.admin("RECONNECT");
    await waitFor("the servers' end", async () => (await backends.count({ user: "lookup" })) === 0);
    expect((await attempt("ann", "shop")).me).toBe("ann");
    expect((await attempt("ann", "via_auto")).me).toBe("ann");
    expect(await backends.count({ user: "lookup", database: "elsewhere" })).toBe(1);
    expect(await backends.count({ user: "lookup", database: "postgres" })).toBe(0);
    expect(await backends.count({ user: "lookup", database: "template1" })).toBe(1);
    // The setting has no default that a reload could go back to.
    bouncer.rewrite({ settings: settings() });
    await bouncer.restart();
  });

  test("a database that only `*` stands for: both as the client's and as auth_dbname", async () => {
    const log = await bouncer.logDuring(async () => {
      expect((await attempt("ann", "elsewhere")).me).toBe("ann");
      expect((await attempt("ann", "via_auto")).me).toBe("ann");
    });
    expect(log).toContain("registered new auto-database: elsewhere");
    expect(log).toContain("registered new auto-database: template1");
  });

  test("never the console's", async () => {
    const log = await bouncer.logDuring(async () => {
      expect(await attempt("ann", "via_console")).toEqual(configError);
    });
    expect(log).toMatch(/ERROR C-.* cannot use the reserved "pgbouncer" database as an auth_dbname\n/);
  });

  test.each([
    ["pam", "PAM"],
    ["ldap", "LDAP"],
  ])("not beside auth_type=%s", async (authType, name) => {
    await reloadBySignal(bouncer, { settings: settings({ auth_type: authType }) });
    const log = await bouncer.logDuring(async () => {
      expect(await attempt("ann", "by_reader")).toEqual(configError);
    });
    expect(log).toMatch(new RegExp(`ERROR C-.* ${name} can't be used together with database authentication\n`));
    await reloadBySignal(bouncer, { settings: settings() });
  });

  test("not in one that is disabled", async () => {
    await bouncer.admin("DISABLE disabled");
    const told = 'authentication database "disabled" is disabled';
    expect(await attempt("ann", "via_disabled")).toEqual(refused("E", told));
    await bouncer.admin("ENABLE disabled");
    expect((await attempt("ann", "via_disabled")).me).toBe("ann");
  });

  test("a client of a database that does not exist has nothing asked for it", async () => {
    const without: Record<string, string> = { ...databases, via_none: `${databases["shop"]} auth_dbname=none` };
    delete without["*"];
    bouncer.rewrite({ databases: without });
    await bouncer.restart();
    const log = await bouncer.logDuring(async () => {
      expect(await attempt("ann", "no_such")).toEqual(refused("R5 E", "password authentication failed"));
      expect(await attempt("ann", "via_none")).toEqual(configError);
    });
    expect(log).toMatch(/no such user: ann\n/);
    expect(log).toMatch(/ERROR C-.* authentication database "none" is not configured\.\n/);
    await reloadBySignal(bouncer, { databases });
  });
});

describe("while it runs", () => {
  test("a pool that is full is waited for", async () => {
    const holder = await holdSmallPool();
    const waiting = attempt("ann", "via_small");
    expect(await Promise.race([waiting, pause(300)])).toBeNull();
    const pools = await bouncer.admin("SHOW POOLS");
    const small = pools.find(({ database, user }) => database === "small" && user === "lookup");
    expect(small).toMatchObject({ cl_active: 1, cl_waiting: 1, sv_active: 1, maxwait: 0 });
    expect(Number(small?.["maxwait_us"])).toBeGreaterThan(100_000);
    holder.send(query("commit"));
    await holder.until("Z");
    expect((await waiting).me).toBe("ann");
    holder.end();
  });

  test("no longer than query_wait_timeout", async () => {
    await reloadBySignal(bouncer, { settings: settings({ query_wait_timeout: 0.4 }) });
    const holder = await holdSmallPool();
    expect(await attempt("ann", "via_small")).toEqual(refused("E", "query_wait_timeout"));
    holder.send(query("commit"));
    await holder.until("Z");
    expect((await attempt("ann", "via_small")).me).toBe("ann");
    holder.end();
    await reloadBySignal(bouncer, { settings: settings() });
  });

  test("a client that leaves while it waits, or while it runs, costs nobody anything", async () => {
    const holder = await holdSmallPool();
    const first = await WireClient.open(bouncer);
    first.send(startupMessage({ user: "ann", database: "via_small" }));
    await waitFor("the second client", async () => (await bouncer.admin("SHOW LISTS")).some(isTwoLogins));
    first.destroy();
    holder.send(query("commit"));
    await holder.until("Z");
    holder.end();
    expect((await attempt("ann", "via_small")).me).toBe("ann");

    const second = await WireClient.open(bouncer);
    second.send(startupMessage({ user: "ann", database: "slow" }));
    await waitFor("the query", async () =>
      (await backends.list({ user: "lookup" })).some(
        ({ query: text, state }) => state === "active" && text.includes("slow("),
      ),
    );
    second.destroy();
    // The one server of that pool comes back, and is the same.
    const before = (await backends.list({ user: "lookup" })).map(({ pid }) => pid);
    expect((await attempt("ann", "slow")).me).toBe("ann");
    const after = (await backends.list({ user: "lookup" })).map(({ pid }) => pid);
    expect(after).toEqual(before);
  });

  test("PostgreSQL is down: the first client waits, those behind it are told at once", async () => {
    await reloadBySignal(bouncer, { settings: settings({ query_wait_timeout: 0.4, server_login_retry: 60 }) });
    expect(await attempt("ann", "down")).toEqual(refused("E", "query_wait_timeout"));
    const told = "server login has been failing, cached error: connect failed (server_login_retry)";
    expect(await attempt("ann", "down")).toEqual(refused("E", told));
    await reloadBySignal(bouncer, { settings: settings() });
    expect((await attempt("ann", "shop")).me).toBe("ann");
  });

  test("the backend is killed under it", async () => {
    const opening = attempt("ann", "slow");
    const running = await waitFor("the query", async () =>
      (await backends.list({ user: "lookup" })).find(
        ({ query: text, state }) => state === "active" && text.includes("slow("),
      ),
    );
    await cluster.query("select pg_terminate_backend($1)", [running.pid]);
    expect(await opening).toEqual(configError);
    expect((await attempt("ann", "slow")).me).toBe("ann");
  });

  test("in session mode its server is free right after", async () => {
    await reloadBySignal(bouncer, { settings: settings({ pool_mode: "session" }) });
    const { client } = await logIn(bouncer, { user: "ann", password, database: "via_small" });
    const other = await logIn(bouncer, { user: "young", password, database: "via_small" });
    expect(other.error).toBeNull();
    const pools = await bouncer.admin("SHOW POOLS");
    expect(pools.find(({ database, user }) => database === "small" && user === "lookup")).toMatchObject({
      sv_active: 0,
      cl_active: 0,
      cl_waiting: 0,
    });
    client.end();
    other.client.end();
    await reloadBySignal(bouncer, { settings: settings() });
  });

  test("the limits of the user hold", async () => {
    const { client } = await logIn(bouncer, { user: "limited", password, database: "shop" });
    const told = "client connections exceeded (max_user_client_connections)";
    expect((await attempt("limited", "shop")).error).toBe(told);
    client.end();
    await waitFor("its end", async () => (await attempt("limited", "shop")).me === "limited");
    await reloadBySignal(bouncer, { users: { ann: "max_user_client_connections=1" } });
    const ann = await logIn(bouncer, { user: "ann", password, database: "shop" });
    // Who is called otherwise at first becomes ann, and one ann is there.
    expect((await attempt("whoever", "own_text")).error).toBe(told);
    ann.client.end();
    await waitFor("its end", async () => {
      const a = await attempt("whoever", "own_text");
      console.log(a);
      return a.me === "ann";
    });
  });
});

/** A client of the pool that auth_query of `via_small` runs on takes its only server. */
async function holdSmallPool(): Promise<WireClient> {
  const { client, error } = await logIn(bouncer, { user: "lookup", password: "look", database: "small" });
  expect(error).toBeNull();
  client.send(query("begin"));
  expect(types(await client.until("Z"))).toBe("CZ");
  return client;
}

const isTwoLogins = ({ list, items }: { list?: unknown; items?: unknown }): boolean =>
  list === "login_clients" && Number(items) >= 1;

function pause(ms: number): Promise<null> {
  return new Promise((resolve) => setTimeout(() => resolve(null), ms));
}
