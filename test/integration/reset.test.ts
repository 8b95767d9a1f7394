/**
 * What happens to a server between two clients and while it is free: reset, check and connect queries, the order of
 * reuse, and when it is too old or too quiet. Also: what an operator's pg_terminate_backend does to free servers.
 */
import type { Client } from "pg";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer } from "../support/bouncer.ts";
import { waitFor } from "../support/wait-for.ts";
import { Backends } from "./backends.ts";
import { reloadBySignal } from "./login-reload.ts";

const defaults = { pool_mode: "transaction", default_pool_size: 3 };

let cluster: EmbeddedPostgres;
let bouncer: Bouncer;
let backends: Backends;

beforeAll(async () => {
  cluster = await EmbeddedPostgres.start({ settings: { log_statement: "all" } });
  const target = `host=${cluster.host} port=${cluster.port} dbname=postgres`;
  bouncer = await Bouncer.start({
    databases: {
      main: target,
      session: `${target} pool_mode=session pool_size=1`,
      short: `${target} server_lifetime=1`,
      kept: `${target} min_pool_size=2`,
      greeted: `${target} connect_query='set work_mem = ''7MB''; select pg_advisory_lock_shared(4711)'`,
      misgreeted: `${target} connect_query='select no_such_column'`,
    },
    userlist: { postgres: "" },
    settings: defaults,
  });
  backends = await Backends.watch(cluster);
});

afterAll(async () => {
  await backends?.end();
  await bouncer?.stop();
  await cluster?.stop();
});

/** Other settings, and no servers left from before. */
async function set(settings: Readonly<Record<string, string | number>>): Promise<void> {
  await reloadBySignal(bouncer, { settings: { ...defaults, ...settings } });
  await backends.terminate(await backends.pids());
  await waitFor("the pooler to have noticed", () => {
    const closed = bouncer.logCount(/S-0x.* closing because/);
    return closed === bouncer.logCount(/new connection to server/);
  });
}

async function pidOf(client: Client): Promise<number> {
  return (await client.query("select pg_backend_pid() as pid")).rows[0].pid;
}

/** How often PostgreSQL was asked exactly this. */
function asked(text: string): number {
  return cluster
    .log()
    .split("\n")
    .filter((line) => line.endsWith(`statement: ${text}`)).length;
}

describe("server_reset_query", () => {
  test("session mode: the next client finds nothing of the one before", async () => {
    await set({});
    const before = asked("DISCARD ALL");
    const first = await bouncer.connect({ database: "session" });
    const pid = await pidOf(first);
    await first.query("set work_mem = '5MB'");
    await first.query("create temp table leftover (id int)");
    await first.query("select pg_advisory_lock(1)");
    await first.query("listen news");
    await first.query("prepare plan as select 1");
    await first.end();
    const second = await bouncer.connect({ database: "session" });
    expect(await pidOf(second)).toBe(pid);
    const { rows } = await second.query(`select current_setting('work_mem') as work_mem,
      to_regclass('leftover') as table, (select count(*)::int from pg_locks where locktype = 'advisory') as locks,
      (select count(*)::int from pg_prepared_statements) as plans,
      (select count(*)::int from pg_listening_channels()) as channels`);
    expect(rows).toEqual([{ work_mem: "4MB", table: null, locks: 0, plans: 0, channels: 0 }]);
    await second.end();
    expect(asked("DISCARD ALL")).toBeGreaterThan(before);
  });

  test("transaction mode: not asked, unless server_reset_query_always says so", async () => {
    await set({});
    const before = asked("DISCARD ALL");
    const client = await bouncer.connect({ database: "main" });
    await client.query("select 1");
    await client.query("select 1");
    expect(asked("DISCARD ALL")).toBe(before);
    await set({ server_reset_query_always: 1 });
    await client.query("select 1");
    await client.query("begin");
    await client.query("select 1");
    await client.query("commit");
    await client.end();
    await waitFor("the resets", () => asked("DISCARD ALL") === before + 2);
  });

  test("another text, and none", async () => {
    await set({ server_reset_query: "select 'reset by us'" });
    const first = await bouncer.connect({ database: "session" });
    await first.query("set work_mem = '5MB'");
    await first.end();
    const second = await bouncer.connect({ database: "session" });
    expect((await second.query("show work_mem")).rows).toEqual([{ work_mem: "5MB" }]);
    expect(asked("select 'reset by us'")).toBe(1);
    await reloadBySignal(bouncer, { settings: { ...defaults, server_reset_query: "" } });
    await second.end();
    const third = await bouncer.connect({ database: "session" });
    expect((await third.query("show work_mem")).rows).toEqual([{ work_mem: "5MB" }]);
    await third.end();
    expect(asked("select 'reset by us'")).toBe(1);
  });

  test("one that fails closes the server, and no client hears of it", async () => {
    await set({ server_reset_query: "select no_such_thing" });
    const pids: number[] = [];
    for (let round = 0; round < 3; round += 1) {
      const client = await bouncer.connect({ database: "session" });
      pids.push(await pidOf(client));
      await client.end();
    }
    expect(new Set(pids).size).toBe(3);
    await waitFor("the last server's end", () => bouncer.logCount(/closing because: reset query failed/) === 3);
  });

  test("a client that leaves in a transaction has it rolled back, and its server is reset", async () => {
    await set({});
    const client = await bouncer.connect({ database: "session" });
    const pid = await pidOf(client);
    await client.query("set work_mem = '77MB'");
    await client.query("begin");
    await client.end();
    const next = await bouncer.connect({ database: "session" });
    expect(await pidOf(next)).toBe(pid);
    expect((await next.query("show work_mem")).rows).not.toEqual([{ work_mem: "77MB" }]);
    await next.end();
  });
});

describe("server_check_query", () => {
  test("asked before reuse, after server_check_delay, and not of a server just used", async () => {
    await set({ server_check_query: "select 'are you there'", server_check_delay: 0.4 });
    const client = await bouncer.connect({ database: "main" });
    const pid = await pidOf(client);
    for (let round = 0; round < 5; round += 1) await client.query("select 1");
    expect(asked("select 'are you there'")).toBe(0);
    await sleep(900);
    expect(await pidOf(client)).toBe(pid);
    expect(asked("select 'are you there'")).toBe(1);
    await client.end();
  });

  test("server_check_delay=0: before each use", async () => {
    await set({ server_check_query: "select 'always'", server_check_delay: 0 });
    const client = await bouncer.connect({ database: "main" });
    for (let round = 0; round < 4; round += 1) await client.query("select 1");
    await client.end();
    expect(asked("select 'always'")).toBe(3);
  });

  test("one that fails closes the server, and the client gets another without noticing", async () => {
    await set({ server_check_query: "select no_such_check", server_check_delay: 0 });
    const client = await bouncer.connect({ database: "main" });
    const pids = new Set<number>();
    for (let round = 0; round < 3; round += 1) pids.add(await pidOf(client));
    expect(pids.size).toBe(3);
    expect(bouncer.logCount(/closing because: test query failed/)).toBeGreaterThan(0);
    await client.end();
  });
});

test("free servers that PostgreSQL closes are replaced, and no client sees an error", async () => {
  await set({});
  const clients = await Promise.all(Array.from({ length: 6 }, () => bouncer.connect({ database: "main" })));
  for (let round = 0; round < 5; round += 1) {
    const pids = await Promise.all(clients.map(pidOf));
    expect(new Set(pids).size).toBeLessThanOrEqual(3);
    await backends.terminate(await backends.pids());
    // PostgreSQL has said goodbye; the pooler reads it in its next turn, before or after the clients' next queries.
    await sleep(20);
  }
  await Promise.all(clients.map((client) => client.end()));
});

describe("connect_query", () => {
  test("runs once in each server, before any client", async () => {
    await set({});
    const client = await bouncer.connect({ database: "greeted" });
    for (let round = 0; round < 3; round += 1) {
      const { rows } = await client.query(`select current_setting('work_mem') as work_mem,
        (select count(*)::int from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()) as locks`);
      expect(rows).toEqual([{ work_mem: "7MB", locks: 1 }]);
    }
    await client.end();
  });

  test("one that fails is a line in the log and nothing else", async () => {
    const client = await bouncer.connect({ database: "misgreeted" });
    expect((await client.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
    expect(bouncer.logContains(/ERROR S: error while executing exec_on_query: ERROR: .*no_such_column/)).toBe(true);
    await client.end();
  });
});

describe("server_round_robin", () => {
  async function pidsOfSixQueries(): Promise<number[]> {
    const clients = await Promise.all(Array.from({ length: 3 }, () => bouncer.connect({ database: "main" })));
    await Promise.all(clients.map((client) => client.query("select pg_sleep(0.1)")));
    const pids: number[] = [];
    for (let round = 0; round < 6; round += 1) pids.push(await pidOf(clients[0]!));
    await Promise.all(clients.map((client) => client.end()));
    return pids;
  }

  test("off: the server used last is used again", async () => {
    await set({});
    expect(new Set(await pidsOfSixQueries()).size).toBe(1);
  });

  test("on: each in its turn", async () => {
    await set({ server_round_robin: 1 });
    const pids = await pidsOfSixQueries();
    expect(new Set(pids).size).toBe(3);
    expect(pids.slice(3)).toEqual(pids.slice(0, 3));
  });
});

describe("age and idleness", () => {
  test("server_lifetime of the database: closed when free, whatever it does", async () => {
    await set({});
    const client = await bouncer.connect({ database: "short" });
    const pid = await pidOf(client);
    await client.query("begin");
    await sleep(1100);
    expect(await pidOf(client)).toBe(pid);
    await client.query("commit");
    expect(await pidOf(client)).not.toBe(pid);
    expect(bouncer.logContains(/short\/postgres@.* closing because: server lifetime over/)).toBe(true);
    await client.end();
    await backends.waitForCount(0, {}, 4000);
  });

  test("server_lifetime=0: each server serves once", async () => {
    await set({ server_lifetime: 0 });
    const client = await bouncer.connect({ database: "main" });
    const pids = new Set<number>();
    for (let round = 0; round < 4; round += 1) pids.add(await pidOf(client));
    expect(pids.size).toBe(4);
    await client.end();
  });

  test("server_idle_timeout spares min_pool_size and nothing else", async () => {
    await set({ server_idle_timeout: 0.4 });
    const clients = await Promise.all(Array.from({ length: 3 }, () => bouncer.connect({ database: "kept" })));
    await Promise.all(clients.map((client) => client.query("select pg_sleep(0.2)")));
    const before = bouncer.logCount(/closing because: server idle timeout/);
    await backends.waitForCount(2, {}, 4000);
    await sleep(700);
    expect(await backends.count()).toBe(2);
    expect(bouncer.logCount(/closing because: server idle timeout/)).toBe(before + 1);
    const main = await bouncer.connect({ database: "main" });
    await main.query("select 1");
    await waitFor("main's server to go", () => bouncer.logContains(/main\/postgres@.* closing because: server idle/));
    await Promise.all([...clients, main].map((client) => client.end()));
  });
});
