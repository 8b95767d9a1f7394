/**
 * Reload, by SIGHUP and by RELOAD: what changes at once, what waits until a server is free, what is silently kept, and
 * that a file with mistakes changes nothing and has all of them in the log.
 */
import { appendFileSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer } from "../support/bouncer.ts";
import { waitFor } from "../support/wait-for.ts";
import { errorFields, query, WireClient } from "../support/wire-client.ts";
import { Backends } from "./backends.ts";
import { reloadBySignal } from "./login-reload.ts";

let cluster: EmbeddedPostgres;
let bouncer: Bouncer;
let backends: Backends;
let target: string;
let databases: Record<string, string>;
const settings = { pool_mode: "transaction", default_pool_size: 2, query_wait_timeout: 10 };

beforeAll(async () => {
  cluster = await EmbeddedPostgres.start({ databases: ["second"], roles: [{ name: "ann" }, { name: "bob" }] });
  target = `host=${cluster.host} port=${cluster.port}`;
  databases = {
    main: `${target} dbname=postgres`,
    gone: `${target} dbname=postgres`,
    moves: `${target} dbname=postgres`,
  };
  bouncer = await Bouncer.start({ databases, userlist: { postgres: "", ann: "", bob: "" }, settings });
  backends = await Backends.watch(cluster);
});

beforeEach(async () => {
  await reloadBySignal(bouncer, { databases, users: {}, settings });
  await backends.terminate(await backends.pids());
});

afterAll(async () => {
  await backends?.end();
  await bouncer?.stop();
  await cluster?.stop();
});

/** How many servers eight clients get that begin a transaction each, all at once. */
async function serversFor(database: string, user = "postgres"): Promise<number> {
  const clients = await Promise.all(Array.from({ length: 8 }, () => bouncer.connect({ database, user })));
  const pids = await Promise.all(
    clients.map(async (client) => (await client.query("select pg_backend_pid() as pid, pg_sleep(0.1)")).rows[0].pid),
  );
  await Promise.all(clients.map((client) => client.end()));
  return new Set(pids).size;
}

async function config(key: string): Promise<unknown> {
  return (await bouncer.admin("SHOW CONFIG")).find((row) => row["key"] === key)?.["value"];
}

describe("sizes", () => {
  test("global, database's and user's pool sizes count at once, up and down", async () => {
    expect(await serversFor("main")).toBe(2);
    await reloadBySignal(bouncer, { settings: { ...settings, default_pool_size: 4 } });
    expect(await serversFor("main")).toBe(4);
    await reloadBySignal(bouncer, { databases: { ...databases, main: `${target} dbname=postgres pool_size=3` } });
    // The fourth one goes by itself.
    await backends.waitForCount(3);
    expect(bouncer.logContains(/closing because: too many servers in the pool/)).toBe(true);
    expect(await serversFor("main")).toBe(3);
    await reloadBySignal(bouncer, { users: { postgres: "pool_size=1" } });
    await backends.waitForCount(1);
    expect(await serversFor("main")).toBe(1);
  });

  test("who waits already is given a server by a size that grows", async () => {
    const clients = await Promise.all(Array.from({ length: 3 }, () => bouncer.connect({ database: "main" })));
    await Promise.all(clients.slice(0, 2).map((client) => client.query("begin")));
    const waiting = clients[2]!.query("select 1 as one");
    await reloadBySignal(bouncer, { settings: { ...settings, default_pool_size: 3 } });
    expect((await waiting).rows).toEqual([{ one: 1 }]);
    await Promise.all(clients.map((client) => client.end()));
  });

  test("SET does the same, and the next reload undoes it", async () => {
    await bouncer.admin("SET default_pool_size = 5");
    expect(await config("default_pool_size")).toBe("5");
    expect(await serversFor("main")).toBe(5);
    await bouncer.admin("RELOAD");
    expect(await config("default_pool_size")).toBe("2");
  });

  test("a pool mode that changes counts for clients that are there", async () => {
    const client = await WireClient.login(bouncer, { user: "postgres", database: "main" });
    await reloadBySignal(bouncer, { settings: { ...settings, pool_mode: "statement" } });
    client.send(query("begin"));
    expect(errorFields((await client.rest()).at(-1)!.body)).toMatchObject({
      M: "transaction blocks not allowed in statement pooling mode",
    });
  });
});

describe("databases", () => {
  test("one that is not listed any more is dropped, with its clients; the others do not notice", async () => {
    const idle = await WireClient.login(bouncer, { user: "postgres", database: "gone" });
    const busy = await WireClient.login(bouncer, { user: "postgres", database: "gone" });
    busy.send(query("begin"));
    await busy.until("Z");
    const other = await bouncer.connect({ database: "main" });
    await other.query("begin");
    await reloadBySignal(bouncer, { databases: { main: databases["main"]!, moves: databases["moves"]! } });
    for (const client of [idle, busy]) {
      expect(errorFields((await client.rest()).at(-1)!.body)).toMatchObject({ S: "FATAL", M: "database removed" });
    }
    await backends.waitForCount(1);
    expect((await other.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
    await other.query("commit");
    await other.end();
    await expect(bouncer.connect({ database: "gone" })).rejects.toThrow("no such database: gone");
    await reloadBySignal(bouncer, { databases });
    expect(await serversFor("gone")).toBe(2);
  });

  test("one that leads elsewhere now: servers that are free go at once, a transaction ends where it began", async () => {
    const [client, other] = [
      await bouncer.connect({ database: "moves" }),
      await bouncer.connect({ database: "moves" }),
    ];
    const name = async (of: typeof client): Promise<string> =>
      (await of.query("select current_database() as name")).rows[0].name;
    await client.query("begin");
    expect([await name(client), await name(other)]).toEqual(["postgres", "postgres"]);
    await reloadBySignal(bouncer, { databases: { ...databases, moves: `${target} dbname=second` } });
    expect([await name(client), await name(other)]).toEqual(["postgres", "second"]);
    await client.query("commit");
    expect(await name(client)).toBe("second");
    await backends.waitForCount(0, { database: "postgres" });
    expect(
      bouncer.logContains(/closing because: (database configuration changed|close_needed|obsolete connection)/),
    ).toBe(true);
    await Promise.all([client.end(), other.end()]);
  });

  test("one that is new is there at once", async () => {
    await reloadBySignal(bouncer, { databases: { ...databases, fresh: `${target} dbname=second` } });
    const client = await bouncer.connect({ database: "fresh" });
    expect((await client.query("select current_database() as name")).rows).toEqual([{ name: "second" }]);
    await client.end();
  });

  test("a forced user that is new counts for who logs in from now on", async () => {
    const lent = `${target} dbname=postgres`;
    await reloadBySignal(bouncer, { databases: { ...databases, lent } });
    const early = await bouncer.connect({ database: "lent", user: "bob" });
    await reloadBySignal(bouncer, { databases: { ...databases, lent: `${lent} user=ann` } });
    const client = await bouncer.connect({ database: "lent", user: "bob" });
    expect((await client.query("select session_user as name")).rows).toEqual([{ name: "ann" }]);
    expect((await early.query("select session_user as name")).rows).toEqual([{ name: "bob" }]);
    await Promise.all([client.end(), early.end()]);
    await reloadBySignal(bouncer, { databases: { ...databases, lent } });
    await bouncer.waitForLog(/losing forced user not supported, keeping old setting/);
    const later = await bouncer.connect({ database: "lent", user: "bob" });
    expect((await later.query("select session_user as name")).rows).toEqual([{ name: "ann" }]);
    await later.end();
  });
});

describe("in session mode", () => {
  test("a client keeps its server until it leaves, also when the database leads elsewhere now", async () => {
    const session = `${target} dbname=postgres pool_mode=session`;
    await reloadBySignal(bouncer, { databases: { ...databases, session } });
    const client = await bouncer.connect({ database: "session" });
    await client.query("select 1");
    await reloadBySignal(bouncer, { databases: { ...databases, session: session.replace("postgres", "second") } });
    expect((await client.query("select current_database() as name")).rows).toEqual([{ name: "postgres" }]);
    await client.end();
    const next = await bouncer.connect({ database: "session" });
    expect((await next.query("select current_database() as name")).rows).toEqual([{ name: "second" }]);
    await next.end();
  });

  test("server_fast_close: it is closed as soon as it is in no transaction", async () => {
    const session = `${target} dbname=postgres pool_mode=session`;
    await reloadBySignal(bouncer, {
      databases: { ...databases, session },
      settings: { ...settings, server_fast_close: 1 },
    });
    const client = await WireClient.login(bouncer, { user: "postgres", database: "session" });
    client.send(query("begin"));
    await client.until("Z");
    await bouncer.admin("RECONNECT session");
    client.send(query("select pg_sleep(0.5)"));
    await client.until("Z");
    client.send(query("commit"));
    await client.until("Z");
    expect(errorFields((await client.rest()).at(-1)!.body)).toMatchObject({
      S: "FATAL",
      M: "database configuration changed",
    });
  });
});

describe("a reload that changes nothing", () => {
  test("leaves servers, clients and transactions alone, fourteen times in a row under load", async () => {
    const clients = await Promise.all(Array.from({ length: 4 }, () => bouncer.connect({ database: "main" })));
    await Promise.all(clients.map((client) => client.query("select pg_sleep(0.05)")));
    const pids = await backends.pids();
    const load = { over: false };
    const working = clients.map(async (client) => {
      for (; !load.over;) await client.query("begin; select 1; commit");
    });
    for (let round = 0; round < 14; round += 1) await reloadBySignal(bouncer, {});
    load.over = true;
    await Promise.all(working);
    expect(await backends.pids()).toEqual(pids);
    await Promise.all(clients.map((client) => client.end()));
  });
});

describe("settings fixed at the start", () => {
  test("keep their value without a word, by reload and by SET", async () => {
    const { port } = bouncer;
    const log = await bouncer.logDuring(async () => {
      await reloadBySignal(bouncer, {
        settings: {
          ...settings,
          listen_port: port + 1,
          listen_addr: "127.0.0.99",
          pkt_buf: 8192,
          default_pool_size: 3,
        },
      });
      await bouncer.admin("SET pkt_buf = 1024");
    });
    expect(log).not.toMatch(/WARNING|ERROR|listening on/);
    expect(await config("listen_port")).toBe(String(port));
    expect(await config("pkt_buf")).toBe("4096");
    // What stood beside them counts.
    expect(await config("default_pool_size")).toBe("3");
  });
});

describe("a file with mistakes", () => {
  const mistakes = [
    "[databases]",
    "broken = host=127.0.0.1 no_such_key=1",
    "[pgbouncer]",
    "default_pool_size = many",
    "no_such_setting = 1",
    "pool_mode = sometimes",
  ];

  test("changes nothing, and all its mistakes are in the log with file and line", async () => {
    const client = await bouncer.connect({ database: "main" });
    await client.query("begin");
    bouncer.rewrite({ databases: { main: databases["main"]! }, settings: { ...settings, default_pool_size: 7 } });
    appendFileSync(bouncer.iniPath, `${mistakes.join("\n")}\n`);
    const log = await bouncer.logDuring(async () => {
      await expect(bouncer.admin("RELOAD")).rejects.toMatchObject({
        code: "F0000",
        message: "RELOAD failed, see logs for additional details",
      });
    });
    expect(log).toMatch(/ERROR .*unrecognized connection parameter: no_such_key/);
    expect(log).toMatch(
      /ERROR .*invalid value "many" for parameter default_pool_size in configuration \(.*pooler\.ini:\d+\)/,
    );
    expect(log).toMatch(/ERROR .*unknown parameter: pgbouncer\/no_such_setting/);
    expect(log).toMatch(/ERROR .*invalid value "sometimes" for parameter pool_mode/);
    expect(log).toMatch(/config file loading failed/);
    // Neither the setting in front of the first mistake nor the removal of databases.
    expect(await config("default_pool_size")).toBe("2");
    await client.query("commit");
    expect(await serversFor("gone")).toBe(2);
    await client.end();
  });

  test.each([
    ["one that is not there", (path: string) => writeFileSync(path, "%include /no/such/file.ini\n")],
    ["an empty one", (path: string) => writeFileSync(path, "")],
    ["one that is no ini file", (path: string) => writeFileSync(path, "\0\xff\xfe garbage ][\n".repeat(100))],
  ])("%s: by SIGHUP too, and the pooler goes on", async (_, spoil) => {
    const client = await bouncer.connect({ database: "main" });
    spoil(bouncer.iniPath);
    const failures = (): number => bouncer.logCount(/config file loading failed/);
    const before = failures();
    bouncer.signal("SIGHUP");
    await waitFor("the refusal", () => failures() > before);
    expect((await client.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
    expect(await config("default_pool_size")).toBe("2");
    await client.end();
  });
});

test("140 databases with forced users come and go by reload", async () => {
  const many = (count: number): Record<string, string> =>
    Object.fromEntries(
      Array.from({ length: count }, (_, number) => [`db${number}`, `${target} dbname=postgres user=ann pool_size=1`]),
    );
  for (let step = 1; step <= 7; step += 1) {
    await reloadBySignal(bouncer, { databases: { ...databases, ...many(step * 20) } });
    const client = await bouncer.connect({ database: `db${step * 20 - 1}`, user: "bob" });
    expect((await client.query("select session_user as name")).rows).toEqual([{ name: "ann" }]);
    await client.end();
  }
  await reloadBySignal(bouncer, { databases });
  await backends.waitForCount(0);
});
