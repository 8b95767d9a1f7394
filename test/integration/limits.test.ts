/**
 * Limits of server connections: the size of a pool and who says it, minimum and reserve, the caps of a database and of a
 * user with eviction between pools, and the order of those who wait. Counted by PostgreSQL itself.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer } from "../support/bouncer.ts";
import { columns, query, WireClient } from "../support/wire-client.ts";
import { Backends } from "./backends.ts";
import { reloadBySignal } from "./login-reload.ts";

const users = ["ann", "bob", "cid", "dot", "eve", "sized", "spare", "capped", "filler"];

let cluster: EmbeddedPostgres;
let bouncer: Bouncer;
let backends: Backends;
let target: string;
let databases: Record<string, string>;

beforeAll(async () => {
  cluster = await EmbeddedPostgres.start({
    databases: ["second", "third"],
    roles: users.map((name) => ({ name })),
  });
  target = `host=${cluster.host} port=${cluster.port}`;
  databases = {
    postgres: `${target} dbname=postgres`,
    second: `${target} dbname=second`,
    third: `${target} dbname=third`,
    five: `${target} dbname=postgres pool_size=5`,
    forced: `${target} dbname=postgres user=eve pool_size=4`,
    one: `${target} dbname=postgres pool_size=1`,
    reserve: `${target} dbname=postgres pool_size=2 reserve_pool_size=3`,
    reserve_old: `${target} dbname=postgres pool_size=2 reserve_pool=1`,
    capped_db: `${target} dbname=postgres max_db_connections=4`,
    minimal: `${target} dbname=postgres min_pool_size=3`,
    minimal_capped: `${target} dbname=postgres min_pool_size=4 max_db_connections=2`,
  };
  bouncer = await Bouncer.start({
    databases,
    users: {
      sized: "pool_size=2",
      spare: "pool_size=2 reserve_pool_size=1",
      capped: "max_user_connections=3",
      filler: "max_user_connections=2",
    },
    userlist: Object.fromEntries(["postgres", ...users].map((name) => [name, ""])),
    settings: { pool_mode: "transaction", default_pool_size: 3, reserve_pool_timeout: 0.3, log_stats: 0 },
  });
  backends = await Backends.watch(cluster);
});

afterAll(async () => {
  await backends?.end();
  await bouncer?.stop();
  await cluster?.stop();
});

/** How many servers `count` clients get that ask all at once, each keeping its server for a moment. */
async function serversFor(count: number, database: string, user: string, holdSeconds = 0.05): Promise<number> {
  const clients = await Promise.all(Array.from({ length: count }, () => bouncer.connect({ database, user })));
  const pids = await Promise.all(
    clients.map(async (client) => {
      const { rows } = await client.query(`select pg_backend_pid() as pid, pg_sleep(${holdSeconds})`);
      return rows[0].pid as number;
    }),
  );
  await Promise.all(clients.map((client) => client.end()));
  return new Set(pids).size;
}

async function closeServers(): Promise<void> {
  await backends.terminate(await backends.pids());
}

describe("the size of a pool", () => {
  test.each([
    ["postgres", "ann", 3, "the global size"],
    ["five", "ann", 5, "the database's size"],
    ["five", "sized", 2, "the user's size, before the database's"],
    ["forced", "sized", 4, "a forced user: the size of who logs in does not count"],
  ])("%s for %s: %i servers (%s)", async (database, user, size) => {
    expect(await serversFor(3 * size, database, user)).toBe(size);
  });

  test("0 is no limit", async () => {
    await reloadBySignal(bouncer, { databases: { ...databases, five: `${target} dbname=postgres pool_size=0` } });
    expect(await serversFor(12, "five", "bob", 0.5)).toBe(12);
    await reloadBySignal(bouncer, { databases });
    await closeServers();
  });
});

test("who waits is served in the order of asking", async () => {
  const holder = await bouncer.connect({ database: "one", user: "ann" });
  await holder.query("begin");
  const waiters: WireClient[] = [];
  const order: number[] = [];
  const served: Promise<unknown>[] = [];
  for (let number = 0; number < 12; number += 1) {
    // This login takes two trips behind the last one's query, so that the order of asking is certain.
    const client = await WireClient.login(bouncer, { user: "ann", database: "one" });
    waiters.push(client);
    client.send(query(`select ${number}, clock_timestamp()`));
    served.push(client.until("Z").then((answer) => order.push(Number(columns(answer[1]!.body)[0]))));
  }
  expect(order).toEqual([]);
  await holder.query("commit");
  await Promise.all(served);
  expect(order).toEqual(Array.from({ length: 12 }, (_, number) => number));
  for (const client of waiters) client.end();
  await holder.end();
});

describe("reserve_pool_size", () => {
  test.each([
    ["reserve", "bob", 2, 5, "of the database"],
    ["reserve_old", "bob", 2, 3, "of the database by its old name"],
    ["postgres", "spare", 2, 3, "of the user"],
  ])("%s for %s: %i servers, %i when somebody has waited (%s)", async (database, user, size, withReserve) => {
    await closeServers();
    const before = bouncer.logCount(/taking connection from reserve_pool/);
    const clients = await Promise.all(
      Array.from({ length: withReserve + 2 }, () => bouncer.connect({ database, user })),
    );
    let open: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => (open = resolve));
    const done = clients.map(async (client) => {
      await client.query("begin");
      await gate;
      await client.query("commit");
    });
    const held = { user, state: "idle in transaction" };
    await backends.waitForCount(size, held);
    expect(await backends.count({ user })).toBe(size);
    await backends.waitForCount(withReserve, held);
    open();
    await Promise.all(done);
    expect(bouncer.logCount(/WARNING .*taking connection from reserve_pool/) - before).toBe(withReserve - size);
    await Promise.all(clients.map((client) => client.end()));
  });
});

describe("max_db_connections and max_user_connections", () => {
  test("ten clients of five users share the four servers of a database, idle ones of others are evicted", async () => {
    await closeServers();
    const names = ["ann", "bob", "cid", "dot", "eve"];
    const before = bouncer.logCount(/closing because: evicted/);
    const work = Promise.all(
      [...names, ...names].map(async (user) => {
        const client = await bouncer.connect({ database: "capped_db", user });
        for (let round = 0; round < 4; round += 1) {
          const { rows } = await client.query("select session_user as user, pg_sleep(0.02)");
          expect(rows[0].user).toBe(user);
        }
        await client.end();
      }),
    );
    expect(await backends.mostDuring(work, { database: "postgres" })).toBeLessThanOrEqual(4);
    expect(bouncer.logCount(/closing because: evicted/)).toBeGreaterThan(before);
  });

  test("one user's connections to three databases stay within its limit", async () => {
    await closeServers();
    const work = Promise.all(
      ["postgres", "second", "third", "postgres", "second", "third"].map(async (database) => {
        const client = await bouncer.connect({ database, user: "capped" });
        for (let round = 0; round < 4; round += 1) {
          const { rows } = await client.query("select current_database() as name, pg_sleep(0.02)");
          expect(rows[0].name).toBe(database);
        }
        await client.end();
      }),
    );
    const most = await backends.mostDuring(work, { user: "capped" });
    expect(most).toBeLessThanOrEqual(3);
    expect(most).toBeGreaterThan(1);
  });

  test("nobody who is in a transaction is evicted: who finds no room waits for it", async () => {
    await closeServers();
    const holders = await Promise.all(
      ["ann", "ann", "bob", "bob"].map((user) => bouncer.connect({ database: "capped_db", user })),
    );
    await Promise.all(holders.map((holder) => holder.query("begin")));
    const late = await bouncer.connect({ database: "capped_db", user: "cid" }).catch((error: Error) => error);
    if (late instanceof Error) throw late;
    let served = false;
    const waiting = late.query("select 1").then(() => (served = true));
    for (let round = 0; round < 10; round += 1) await Promise.all(holders.map((holder) => holder.query("select 1")));
    expect(served).toBe(false);
    await holders[2]!.query("commit");
    await waiting;
    await Promise.all(holders.map((holder) => holder.query("rollback")));
    await Promise.all([...holders, late].map((client) => client.end()));
  });
});

describe("min_pool_size", () => {
  test("without a forced user servers are kept for who is there, and only then", async () => {
    await closeServers();
    expect(await backends.count({ user: "dot" })).toBe(0);
    const client = await bouncer.connect({ database: "minimal", user: "dot" });
    await backends.waitForCount(3, { user: "dot" });
    await client.end();
  });

  test("a database with a forced user has its servers without any client", async () => {
    await closeServers();
    await reloadBySignal(bouncer, {
      databases: { ...databases, ready: `${target} dbname=second user=eve min_pool_size=3 pool_size=5` },
    });
    await backends.waitForCount(3, { database: "second", user: "eve" });
    await backends.terminate(await backends.pids({ database: "second", user: "eve" }));
    await backends.waitForCount(3, { database: "second", user: "eve" });
    await reloadBySignal(bouncer, { databases });
    await backends.waitForCount(0, { database: "second", user: "eve" });
    expect(bouncer.logContains(/ready\/eve@.* closing because: database removed/)).toBe(true);
  });

  test.each([
    ["minimal_capped", "dot", "max_db_connections"],
    ["minimal", "filler", "max_user_connections"],
  ])("filling %s for %s stops at %s and evicts nobody", async (database, user) => {
    await closeServers();
    const before = bouncer.logCount(/closing because: evicted/);
    const opened = bouncer.logCount(/new connection to server/);
    const client = await bouncer.connect({ database, user });
    await backends.waitForCount(2, { user });
    // Three passes of the maintenance would each have opened one more.
    await new Promise((resolve) => setTimeout(resolve, 1200));
    expect(await backends.count({ user })).toBe(2);
    expect(bouncer.logCount(/new connection to server/) - opened).toBe(2);
    expect(bouncer.logCount(/closing because: evicted/)).toBe(before);
    await client.end();
  });
});
