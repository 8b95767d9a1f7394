/**
 * Pool modes: when a client's server goes back, what each mode allows, and which mode counts when user, database and
 * global settings each say one. Forced users and `*`.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer } from "../support/bouncer.ts";
import { columns, errorFields, parse, query, sync, terminate, types, WireClient } from "../support/wire-client.ts";
import { Backends } from "./backends.ts";

let cluster: EmbeddedPostgres;
let bouncer: Bouncer;
let backends: Backends;

beforeAll(async () => {
  cluster = await EmbeddedPostgres.start({
    databases: ["inventory"],
    roles: [{ name: "ann" }, { name: "bob" }, { name: "by_session" }, { name: "by_statement" }, { name: "robot" }],
  });
  const target = `host=${cluster.host} port=${cluster.port}`;
  bouncer = await Bouncer.start({
    databases: {
      plain: `${target} dbname=postgres`,
      own: `${target} dbname=postgres pool_mode=session pool_size=2`,
      brief: `${target} dbname=postgres pool_mode=statement pool_size=1`,
      forced: `${target} dbname=postgres user=robot pool_size=1`,
      moody: `${target} dbname=postgres user=by_session pool_mode=statement`,
      "*": `${target} pool_mode=statement`,
    },
    users: { by_session: "pool_mode=session", by_statement: "pool_mode=statement" },
    userlist: { postgres: "", ann: "", bob: "", by_session: "", by_statement: "", robot: "" },
    settings: { pool_mode: "transaction", default_pool_size: 4 },
  });
  backends = await Backends.watch(cluster);
});

afterAll(async () => {
  await backends?.end();
  await bouncer?.stop();
  await cluster?.stop();
});

const pidOf = async (client: { query(text: string): Promise<{ rows: { pid: number }[] }> }): Promise<number> =>
  (await client.query("select pg_backend_pid() as pid")).rows[0]!.pid;

describe("session mode", () => {
  test("a client keeps its server, its settings and its temporary tables until it leaves", async () => {
    const client = await bouncer.connect({ database: "own", user: "ann" });
    const pid = await pidOf(client);
    await client.query("create temp table mine (id int)");
    await client.query("set work_mem = '5MB'");
    for (let round = 0; round < 5; round += 1) {
      expect(await pidOf(client)).toBe(pid);
      expect((await client.query("show work_mem")).rows).toEqual([{ work_mem: "5MB" }]);
    }
    await client.query("select * from mine");
    await client.end();
  });

  test("who comes when all servers are held waits for somebody to leave, not for a transaction to end", async () => {
    const first = await bouncer.connect({ database: "own", user: "bob" });
    const second = await bouncer.connect({ database: "own", user: "bob" });
    const pids = [await pidOf(first), await pidOf(second)];
    expect(new Set(pids).size).toBe(2);
    const third = await bouncer.connect({ database: "own", user: "bob" });
    let served = false;
    const waiting = pidOf(third).then((pid) => {
      served = true;
      return pid;
    });
    for (let round = 0; round < 20; round += 1) await first.query("begin; select 1; commit");
    expect(served).toBe(false);
    await second.end();
    expect(await waiting).toBe(pids[1]);
    await Promise.all([first.end(), third.end()]);
  });
});

describe("statement mode", () => {
  test("each statement may have another server, and one server is enough for many clients", async () => {
    const clients = await Promise.all(
      Array.from({ length: 10 }, () => bouncer.connect({ database: "brief", user: "ann" })),
    );
    const pids = await Promise.all(clients.flatMap((client) => Array.from({ length: 5 }, () => pidOf(client))));
    expect(new Set(pids).size).toBe(1);
    await Promise.all(clients.map((client) => client.end()));
  });

  test.each([
    ["a simple query", [query("begin")]],
    [
      "an extended query",
      [
        parse("", "begin"),
        Buffer.from("B\0\0\0\x0c\0\0\0\0\0\0\0\0", "latin1"),
        Buffer.from("E\0\0\0\x09\0\0\0\0\0", "latin1"),
        sync(),
      ],
    ],
  ])("BEGIN by %s is refused before the client could think it had worked", async (_, messages) => {
    const client = await WireClient.login(bouncer, { user: "ann", database: "brief" });
    client.send(...messages);
    const answer = await client.rest();
    // ReadyForQuery would tell the client that its transaction has begun.
    expect(types(answer)).not.toContain("Z");
    expect(errorFields(answer.at(-1)!.body)).toMatchObject({
      S: "FATAL",
      C: "08P01",
      M: "transaction blocks not allowed in statement pooling mode",
    });
    const next = await bouncer.connect({ database: "brief", user: "ann" });
    expect((await next.query("select now() = statement_timestamp() as fresh")).rows).toEqual([{ fresh: true }]);
    await next.end();
  });

  test("several statements in one text are one transaction of PostgreSQL's own, which is allowed", async () => {
    const client = await bouncer.connect({ database: "brief", user: "ann" });
    const text = "create temp table brief (id int); insert into brief values (1); drop table brief";
    const results = (await client.query(text)) as unknown as { command: string }[];
    expect(results.map(({ command }) => command)).toEqual(["CREATE", "INSERT", "DROP"]);
    await client.end();
  });
});

/**
 * The mode a pool is in, by what it does: in session mode statement names reach PostgreSQL as they are, and only in
 * statement mode a transaction is refused.
 */
async function modeOf(database: string, user: string): Promise<string> {
  const client = await WireClient.login(bouncer, { user, database });
  client.send(parse("my_name", "select 1"), sync());
  await client.until("Z");
  client.send(query("select name from pg_prepared_statements where statement = 'select 1'"));
  const row = (await client.until("Z")).find(({ type }) => type === "D");
  client.send(query("begin"));
  const [answer] = await client.until("C", "E");
  client.send(query("rollback"), terminate());
  const refused = [answer!, ...(await client.rest())].some(({ type }) => type === "E");
  if (refused) return "statement";
  return row !== undefined && columns(row.body)[0] === "my_name" ? "session" : "transaction";
}

describe("which mode counts", () => {
  test.each([
    ["plain", "ann", "transaction", "the global one, when nobody says another"],
    ["own", "ann", "session", "the database's before the global one"],
    ["brief", "ann", "statement", "the database's before the global one"],
    ["plain", "by_session", "session", "the user's before the global one"],
    ["brief", "by_session", "session", "the user's before the database's"],
    ["own", "by_statement", "statement", "the user's before the database's"],
    ["moody", "ann", "session", "the pool's user is the forced one"],
    ["moody", "by_statement", "session", "who logs in to a forced user's database does not matter"],
    ["inventory", "ann", "statement", "a database made from `*` has the mode of `*`"],
  ])("%s for %s: %s (%s)", async (database, user, mode) => {
    expect(await modeOf(database, user)).toBe(mode);
  });
});

test("a forced user's database has one pool for all who log in, and servers know that user alone", async () => {
  const clients = await Promise.all(
    ["ann", "bob", "postgres", "ann"].map((user) => bouncer.connect({ database: "forced", user })),
  );
  const seen = await Promise.all(
    clients.map(async (client) => (await client.query("select session_user as user, pg_backend_pid() as pid")).rows[0]),
  );
  expect(new Set(seen.map(({ user }) => user))).toEqual(new Set(["robot"]));
  expect(new Set(seen.map(({ pid }) => pid)).size).toBe(1);
  expect(await backends.count({ user: "robot" })).toBe(1);
  await Promise.all(clients.map((client) => client.end()));
});

test("without a forced user each (database, user) pair has servers of its own", async () => {
  const clients = await Promise.all(["ann", "bob"].map((user) => bouncer.connect({ database: "plain", user })));
  const users = await Promise.all(
    clients.map(async (client) => (await client.query("select session_user as user")).rows[0].user),
  );
  expect(users).toEqual(["ann", "bob"]);
  await Promise.all(clients.map((client) => client.end()));
});

test("`*`: any name is a database of that name", async () => {
  const client = await bouncer.connect({ database: "inventory", user: "ann" });
  expect((await client.query("select current_database() as name")).rows).toEqual([{ name: "inventory" }]);
  expect(bouncer.logCount(/registered new auto-database: inventory/)).toBe(1);
  await client.end();
});
