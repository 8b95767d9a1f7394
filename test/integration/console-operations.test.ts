/** PAUSE, RESUME, SUSPEND, KILL, RECONNECT and their like, with clients at work. */
import type { Client } from "pg";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer, type BouncerOptions, type ConsoleRow } from "../support/bouncer.ts";
import { waitFor } from "../support/wait-for.ts";
import { WireClient, errorFields, int32, query } from "../support/wire-client.ts";

let cluster: EmbeddedPostgres;
let bouncer: Bouncer;

const sections = (): BouncerOptions => {
  const place = `host=${cluster.host} port=${cluster.port}`;
  return {
    databases: { shop: `${place} dbname=postgres`, other: `${place} dbname=postgres` },
    settings: { pool_mode: "transaction", default_pool_size: 2 },
  };
};

beforeAll(async () => {
  cluster = await EmbeddedPostgres.start();
  bouncer = await Bouncer.start({ ...sections(), userlist: { postgres: "" } });
});

afterAll(async () => {
  await bouncer?.stop();
  await cluster?.stop();
});

// What one test has paused, changed and connected is nothing to the next.
afterEach(async () => {
  await bouncer.reload(sections());
  await bouncer.admin("RESUME").catch(() => undefined);
  await bouncer.admin("KILL");
  for (const database of ["shop", "other"]) {
    await bouncer.admin(`RESUME ${database}`).catch(() => undefined);
    await bouncer.admin(`ENABLE ${database}`);
  }
});

const rowOf = async (command: string, database: string): Promise<ConsoleRow | undefined> =>
  (await bouncer.admin(command)).find((row) => row["database"] === database || row["name"] === database);

/** Whether it has settled by the time that everything received so far has been dealt with. */
async function isOpen(
  promise: Promise<unknown>,
  look: () => Promise<unknown> = () => bouncer.admin("SHOW VERSION"),
): Promise<boolean> {
  let settled = false;
  const note = (): void => {
    settled = true;
  };
  promise.then(note, note);
  await look();
  return !settled;
}

const openConsole = (): Promise<WireClient> =>
  WireClient.login({ port: bouncer.port }, { user: "console", database: "pgbouncer" });

/** Ctrl-C: returns when the pooler has dealt with it. */
async function cancel(client: WireClient): Promise<void> {
  const canceller = await WireClient.open({ port: bouncer.port });
  canceller.send(int32(16), int32(80877102), int32(client.key!.pid), client.key!.secret);
  expect(await canceller.rest()).toEqual([]);
}

/** Until it is paused, wholly or the database of that name. */
const untilPaused = (): Promise<unknown> =>
  waitFor("the pause", async () => {
    const whole = (await bouncer.admin("SHOW STATE")).some(({ key, value }) => key === "paused" && value === "yes");
    return whole || (await rowOf("SHOW DATABASES", "shop"))?.["paused"] === 1;
  });

const backend = async (client: Client): Promise<number> =>
  ((await client.query("select pg_backend_pid() as pid")).rows[0] as { pid: number }).pid;

describe("PAUSE and RESUME", () => {
  test.each([
    ["all", "PAUSE", "RESUME"],
    ["one database", "PAUSE shop", "RESUME shop"],
  ])("%s: transactions end, nobody begins one, and everything goes on", async (_what, pause, resume) => {
    const busy = await bouncer.connect({ database: "shop" });
    const next = await bouncer.connect({ database: "shop" });
    await busy.query("begin");
    const paused = bouncer.admin(pause);
    await untilPaused();
    const waiting = next.query("select 'served' as word");
    await waitFor("the wait", async () => (await rowOf("SHOW POOLS", "shop"))?.["cl_waiting"] === 1);
    expect(await isOpen(paused)).toBe(true);
    // The transaction is not disturbed.
    expect((await busy.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
    await busy.query("commit");
    await paused;
    expect(await rowOf("SHOW POOLS", "shop")).toMatchObject({ sv_active: 0, sv_idle: 0, cl_waiting: 1 });
    expect(await isOpen(waiting)).toBe(true);
    await bouncer.admin(resume);
    expect((await waiting).rows).toEqual([{ word: "served" }]);
    await Promise.all([busy.end(), next.end()]);
  });

  test("PAUSE db leaves the others alone, and idle servers of the database are closed", async () => {
    const clients = [await bouncer.connect({ database: "shop" }), await bouncer.connect({ database: "other" })];
    for (const client of clients) await client.query("select 1");
    const log = await bouncer.logDuring(() => bouncer.admin("PAUSE shop"));
    expect(log.match(/closing because: pause mode/g)).toHaveLength(1);
    expect(await rowOf("SHOW POOLS", "shop")).toMatchObject({ sv_idle: 0 });
    expect(await rowOf("SHOW POOLS", "other")).toMatchObject({ sv_idle: 1 });
    expect(await rowOf("SHOW DATABASES", "shop")).toMatchObject({ paused: 1 });
    await clients[1]!.query("select 1");
    await Promise.all(clients.map((client) => client.end()));
  });

  test("a RESUME ends another console's PAUSE that still waits", async () => {
    const busy = await bouncer.connect({ database: "shop" });
    await busy.query("begin");
    const paused = bouncer.admin("PAUSE");
    const refusal = paused.catch((error: Error) => error);
    await untilPaused();
    await bouncer.admin("RESUME");
    expect(await refusal).toMatchObject({ severity: "ERROR", code: "57014" });
    await busy.query("commit");
    await busy.end();
  });

  test("a cancel request ends the waiting of PAUSE db, and leaves the pause", async () => {
    const busy = await bouncer.connect({ database: "shop" });
    await busy.query("begin");
    const console = await openConsole();
    console.send(query("PAUSE shop"));
    await untilPaused();
    await cancel(console);
    const [error] = await console.until("Z");
    expect(errorFields(error!.body)).toMatchObject({ S: "ERROR", C: "57014" });
    expect(await rowOf("SHOW DATABASES", "shop")).toMatchObject({ paused: 1 });
    // The end of the transaction answers nothing a second time.
    await busy.query("commit");
    await waitFor("the pause", async () => (await rowOf("SHOW POOLS", "shop"))?.["sv_active"] === 0);
    console.send(query("SHOW VERSION"));
    expect((await console.until("Z")).map(({ type }) => type).join("")).toBe("TDCZ");
    console.end();
    await busy.end();
  });

  test("a cancel request ends a PAUSE that waits, and resumes", async () => {
    const busy = await bouncer.connect({ database: "shop" });
    await busy.query("begin");
    const console = await openConsole();
    console.send(query("PAUSE"));
    await untilPaused();
    await cancel(console);
    const [error] = await console.until("Z");
    expect(errorFields(error!.body)).toMatchObject({ S: "ERROR", C: "57014" });
    expect((await bouncer.admin("SHOW STATE"))[0]).toEqual({ key: "active", value: "yes" });
    console.end();
    await busy.query("commit");
    await busy.end();
  });

  test("a console that leaves while its PAUSE waits leaves the pause", async () => {
    const busy = await bouncer.connect({ database: "shop" });
    await busy.query("begin");
    const console = await openConsole();
    console.send(query("PAUSE"));
    await untilPaused();
    console.destroy();
    const consoles = async () =>
      (await bouncer.admin("SHOW CLIENTS")).filter(({ database }) => database === "pgbouncer");
    await waitFor("its end", async () => (await consoles()).length === 1);
    expect((await bouncer.admin("SHOW STATE"))[1]).toEqual({ key: "paused", value: "yes" });
    await busy.query("commit");
    await bouncer.admin("RESUME");
    await busy.query("select 1");
    await busy.end();
  });
});

describe("SUSPEND", () => {
  test("what was asked is answered, what comes then waits for RESUME, new clients too", async () => {
    const client = await bouncer.connect({ database: "shop" });
    await client.query("select 1");
    const console = await bouncer.connect({ database: "pgbouncer", user: "console" });
    await console.query("SUSPEND");
    const waiting = client.query("select 'later' as word");
    // Nobody is accepted: who comes waits in the kernel's queue.
    const late = bouncer.connect({ database: "shop" });
    const look = (): Promise<unknown> => console.query("SHOW VERSION");
    expect(await isOpen(waiting, look)).toBe(true);
    expect(await isOpen(late, look)).toBe(true);
    await console.query("RESUME");
    expect((await waiting).rows).toEqual([{ word: "later" }]);
    expect((await (await late).query("select 'later' as word")).rows).toEqual([{ word: "later" }]);
    await Promise.all([client.end(), (await late).end(), console.end()]);
  });

  test("the Unix socket has its file all the time", async () => {
    const console = await bouncer.connect({ database: "pgbouncer", user: "console" });
    const came = [0, 0, 0, 0];
    const rounds = { over: false };
    const comers = came.map(async (_, number) => {
      while (!rounds.over) {
        // In the kernel's queue until RESUME, at times.
        const at = { port: bouncer.port, socketFolder: bouncer.folder };
        const client = await WireClient.login(at, { user: "console", database: "pgbouncer" });
        client.destroy();
        came[number]! += 1;
      }
    });
    try {
      for (let round = 0; round < 40 || Math.min(...came) <= 10; round += 1) {
        await console.query("SUSPEND");
        await console.query("RESUME");
      }
    } finally {
      rounds.over = true;
      await Promise.allSettled(comers);
      await console.end();
    }
    // None of them was refused.
    await Promise.all(comers);
  });

  test("ends when its console leaves", async () => {
    const client = await bouncer.connect({ database: "shop" });
    await client.query("select 1");
    await bouncer.admin("SUSPEND");
    await bouncer.waitForLog(/admin disappeared when suspended, doing RESUME/);
    expect((await client.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
    await client.end();
  });
});

describe("KILL", () => {
  test.each([
    ["KILL shop", 1],
    ["KILL", 0],
  ])("%s drops clients and servers, and leaves the database paused", async (command, othersLeft) => {
    const shop = await bouncer.connect({ database: "shop" });
    const other = await bouncer.connect({ database: "other" });
    await shop.query("begin");
    await other.query("select 1");
    const running = shop.query("select pg_sleep(30)");
    const refusal = running.catch((error: Error) => error);
    await bouncer.admin(command);
    expect(await refusal).toMatchObject({ code: "57P04", message: "database removed" });
    const left = (await bouncer.admin("SHOW CLIENTS")).filter(({ database }) => database !== "pgbouncer");
    expect(left).toHaveLength(othersLeft);
    expect(await rowOf("SHOW POOLS", "shop")).toBeUndefined();
    expect(await rowOf("SHOW STATS", "shop")).toBeUndefined();
    expect(await rowOf("SHOW DATABASES", "shop")).toMatchObject({ paused: 1, current_client_connections: 0 });
    await waitFor(
      "the servers to be gone",
      async () => (await rowOf("SHOW DATABASES", "shop"))?.["current_connections"] === 0,
    );

    await bouncer.admin("RESUME shop");
    const again = await bouncer.connect({ database: "shop" });
    expect((await again.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
    expect(await rowOf("SHOW STATS_TOTALS", "shop")).toMatchObject({ xact_count: "1", client_login_count: "1" });
    await again.end();
  });

  test("plain RESUME does not open a killed database", async () => {
    const client = await bouncer.connect({ database: "shop" });
    await bouncer.admin("KILL shop");
    await expect(bouncer.admin("RESUME")).rejects.toMatchObject({ message: "pooler is not paused/suspended" });
    expect(await rowOf("SHOW DATABASES", "shop")).toMatchObject({ paused: 1 });
    await client.end().catch(() => undefined);
  });

  test("a pool that fills itself comes back with RESUME", async () => {
    const { databases = {} } = sections();
    await bouncer.reload({
      ...sections(),
      databases: {
        ...databases,
        filled: `host=${cluster.host} port=${cluster.port} dbname=postgres user=postgres min_pool_size=1`,
      },
    });
    const idle = async (): Promise<boolean> => (await rowOf("SHOW POOLS", "filled"))?.["sv_idle"] === 1;
    await waitFor("the pool to be filled", idle);
    await bouncer.admin("KILL filled");
    expect(await rowOf("SHOW POOLS", "filled")).toBeUndefined();
    await bouncer.admin("RESUME filled");
    await waitFor("the pool to be filled again", idle);
  });

  test("KILL_CLIENT drops one client, in a transaction too", async () => {
    const victim = await bouncer.connect({ database: "shop", application_name: "victim" });
    const witness = await bouncer.connect({ database: "shop" });
    await victim.query("begin");
    const row = (await bouncer.admin("SHOW CLIENTS")).find(({ application_name }) => application_name === "victim");
    const ended = new Promise<Error>((resolve) => victim.once("error", resolve));
    await bouncer.admin(`KILL_CLIENT ${row?.["id"]}`);
    expect(await ended).toMatchObject({ severity: "FATAL", message: "admin forced disconnect" });
    expect((await witness.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
    await expect(bouncer.admin(`KILL_CLIENT ${row?.["id"]}`)).rejects.toMatchObject({ message: "client not found" });
    await witness.end();
  });
});

test("DISABLE refuses new clients after they have authenticated, ENABLE lets them in", async () => {
  const before = await bouncer.connect({ database: "shop" });
  await bouncer.admin("DISABLE shop");
  expect(await rowOf("SHOW DATABASES", "shop")).toMatchObject({ disabled: 1 });
  await expect(bouncer.connect({ database: "shop" })).rejects.toMatchObject({
    severity: "FATAL",
    message: 'database "shop" is disabled',
  });
  expect((await before.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
  await bouncer.admin("ENABLE shop");
  await (await bouncer.connect({ database: "shop" })).end();
  await before.end();
});

describe("RECONNECT and WAIT_CLOSE", () => {
  test("idle servers are replaced", async () => {
    const client = await bouncer.connect({ database: "shop" });
    const first = await backend(client);
    await bouncer.admin("RECONNECT shop");
    expect(await backend(client)).not.toBe(first);
    await client.end();
  });

  test("a server in a transaction serves it to the end; WAIT_CLOSE answers then", async () => {
    const client = await bouncer.connect({ database: "shop" });
    await client.query("begin");
    const first = await backend(client);
    await bouncer.admin("RECONNECT");
    expect((await bouncer.admin("SHOW SERVERS")).find((row) => row["remote_pid"] === first)).toMatchObject({
      close_needed: 1,
    });
    const closed = bouncer.admin("WAIT_CLOSE");
    await bouncer.admin("WAIT_CLOSE other");
    expect(await isOpen(closed)).toBe(true);
    expect(await backend(client)).toBe(first);
    await client.query("commit");
    await closed;
    expect(await backend(client)).not.toBe(first);
    await client.end();
  });
});

describe("RELOAD and SET", () => {
  test("RELOAD adds and removes databases and takes settings over", async () => {
    const place = `host=${cluster.host} port=${cluster.port} dbname=postgres`;
    const client = await bouncer.connect({ database: "other" });
    const ended = new Promise<Error>((resolve) => client.once("error", resolve));
    await bouncer.reload({ databases: { shop: place, added: place }, settings: { pool_mode: "session" } });
    expect(await ended).toMatchObject({ message: "database removed" });
    const names = (await bouncer.admin("SHOW DATABASES")).map(({ name }) => name);
    expect(names).toEqual(["added", "pgbouncer", "shop"]);
    const added = await bouncer.connect({ database: "added" });
    await added.query("select 1");
    expect(await rowOf("SHOW POOLS", "added")).toMatchObject({ pool_mode: "session" });
    await added.end();
  });

  test("RELOAD of a broken file reports every error and keeps everything", async () => {
    bouncer.rewrite({ settings: { pool_mode: "never", server_lifetime: "long" } });
    await expect(bouncer.admin("RELOAD")).rejects.toMatchObject({
      severity: "ERROR",
      code: "F0000",
      message: "RELOAD failed, see logs for additional details",
    });
    expect(bouncer.log()).toMatch(
      /invalid value "never" for parameter pool_mode in configuration \(\S+pooler\.ini:\d+\)/,
    );
    expect(bouncer.log()).toMatch(/invalid value "long" for parameter server_lifetime in configuration \(\S+:\d+\)/);
    const client = await bouncer.connect({ database: "shop" });
    await client.query("select 1");
    expect(await rowOf("SHOW POOLS", "shop")).toMatchObject({ pool_mode: "transaction" });
    await client.end();
  });

  test("SET counts at once and until the next RELOAD", async () => {
    await bouncer.admin("SET max_client_conn = 1");
    const config = async () =>
      (await bouncer.admin("SHOW CONFIG")).find(({ key }) => key === "max_client_conn")?.["value"];
    expect(await config()).toBe("1");
    const holder = await bouncer.connect({ database: "shop" });
    await expect(bouncer.connect({ database: "shop" })).rejects.toMatchObject({
      message: "no more connections allowed (max_client_conn)",
    });
    await bouncer.admin("RELOAD");
    expect(await config()).toBe("100");
    await (await bouncer.connect({ database: "shop" })).end();
    await holder.end();
  });
});
