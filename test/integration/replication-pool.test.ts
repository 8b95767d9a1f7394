/**
 * Replication connections as members of their pool: what they count in and wait for, and what operators and a missing
 * PostgreSQL do to them.
 */
import { type AddressInfo, createServer, type Server } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer } from "../support/bouncer.ts";
import { waitFor } from "../support/wait-for.ts";
import { errorFields, query, startupMessage, types, WireClient } from "../support/wire-client.ts";

let cluster: EmbeddedPostgres;
let bouncer: Bouncer;
/** Accepts connections, and says nothing. */
let silent: Server;
const open: WireClient[] = [];

beforeAll(async () => {
  cluster = await EmbeddedPostgres.start({ settings: { max_wal_senders: 10 } });
  silent = createServer((socket) => socket.on("error", () => undefined));
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  const { port } = silent.address() as AddressInfo;
  const server = `host=${cluster.host} port=${cluster.port} dbname=postgres`;
  bouncer = await Bouncer.start({
    databases: {
      two: `${server} pool_size=2`,
      limited: `${server} max_db_connections=1`,
      reconnected: server,
      killed: server,
      paused: server,
      silent: `host=127.0.0.1 port=${port}`,
    },
    userlist: { postgres: "" },
    settings: { pool_mode: "statement", server_login_retry: 1 },
  });
});

afterEach(async () => {
  for (const client of open.splice(0)) client.destroy();
  await waitFor("servers to close", async () => (await walsenders()) === 0);
});

afterAll(async () => {
  await bouncer?.stop();
  await cluster?.stop();
  silent?.close();
});

async function walsenders(): Promise<number> {
  const { rows } = await cluster.query(
    "select count(*)::int as n from pg_stat_activity where backend_type = 'walsender'",
  );
  return (rows[0] as { n: number }).n;
}

async function login(database: string, replication = "database"): Promise<WireClient> {
  const client = await WireClient.login(bouncer, { user: "postgres", database, replication });
  open.push(client);
  return client;
}

/** A client whose login is under way. */
async function arriving(database: string): Promise<WireClient> {
  const client = await WireClient.open(bouncer);
  open.push(client);
  client.send(startupMessage({ user: "postgres", database, replication: "database" }));
  return client;
}

async function answers(client: WireClient): Promise<string> {
  client.send(query("IDENTIFY_SYSTEM"));
  return types(await client.until("Z"));
}

async function pool(database: string): Promise<Readonly<Record<string, string | number | null>>> {
  const row = (await bouncer.admin("SHOW POOLS")).find((pool) => pool["database"] === database);
  if (row === undefined) throw new Error(`no pool of ${database}`);
  return row;
}

const identified = "TDCZ";

describe("sizes", () => {
  test("a full pool lets replication clients wait, in their order, and serves the next when one has left", async () => {
    const first = await login("two");
    await login("two", "yes");
    const third = await arriving("two");
    const fourth = await arriving("two");
    await waitFor("both to wait", async () => (await pool("two"))["cl_waiting"] === 2);
    expect(await pool("two")).toMatchObject({ cl_active: 2, sv_active: 2, sv_login: 0 });
    expect(await walsenders()).toBe(2);
    first.end();
    expect(types(await third.until("Z"))).toMatch(/^RS+KZ$/);
    expect(await answers(third)).toBe(identified);
    expect(await pool("two")).toMatchObject({ cl_waiting: 1, sv_active: 2 });
    expect(bouncer.log()).toMatch(/S-0x\w+: two\/postgres@\S+ closing because: replication client was closed/);
    third.end();
    expect(types(await fourth.until("Z"))).toMatch(/^RS+KZ$/);
  });

  test("a free server of the pool makes room for it, and others share what is left", async () => {
    const clients = [await bouncer.connect({ database: "two" }), await bouncer.connect({ database: "two" })];
    await Promise.all(clients.map((client) => client.query("select pg_sleep(0.2)")));
    // They had to wait, so that the catalogue is read behind them.
    await waitFor("both to be free", async () => (await pool("two"))["sv_idle"] === 2);
    const log = await bouncer.logDuring(() => login("two"));
    expect(log).toMatch(/closing because: evicted/);
    await Promise.all(clients.map((client) => client.query("select 1")));
    expect(await pool("two")).toMatchObject({ sv_active: 1, sv_idle: 1 });
    for (const client of clients) await client.end();
  });

  test("limits of databases hold, and a free server makes room there too", async () => {
    const client = await bouncer.connect({ database: "limited" });
    await client.query("select 1");
    const own = await login("limited");
    expect(await answers(own)).toBe(identified);
    const late = client.query("select 1 as one");
    await waitFor("the other to wait", async () => (await pool("limited"))["cl_waiting"] === 1);
    own.end();
    expect((await late).rows).toEqual([{ one: 1 }]);
    await client.end();
  });
});

describe("operation", () => {
  test("RECONNECT ends it soon, with a word: its client may stay for weeks", async () => {
    const client = await login("reconnected");
    await bouncer.admin("RECONNECT reconnected");
    const [last] = await client.rest();
    expect(errorFields(last!.body)).toMatchObject({ S: "FATAL", M: "database configuration changed" });
    expect(await answers(await login("reconnected"))).toBe(identified);
  });

  test("PAUSE waits for it, as in session mode; who comes meanwhile is served after RESUME", async () => {
    const client = await login("paused");
    let isPaused = false;
    const paused = bouncer.admin("PAUSE paused").then(() => (isPaused = true));
    const late = await arriving("paused");
    await waitFor("the other to wait", async () => (await pool("paused"))["cl_waiting"] === 1);
    expect(await answers(client)).toBe(identified);
    expect(isPaused).toBe(false);
    client.end();
    await paused;
    expect(await pool("paused")).toMatchObject({ sv_active: 0, sv_login: 0, cl_waiting: 1 });
    await bouncer.admin("RESUME paused");
    expect(types(await late.until("Z"))).toMatch(/^RS+KZ$/);
  });

  test("KILL ends it, and who waits for a server of his own", async () => {
    const client = await login("killed");
    await bouncer.admin("PAUSE silent");
    const waiting = await arriving("silent");
    await waitFor("the other to wait", async () => (await pool("silent"))["cl_waiting"] === 1);
    await bouncer.admin("KILL killed");
    await bouncer.admin("KILL silent");
    for (const one of [client, waiting]) {
      expect(errorFields((await one.rest()).at(-1)!.body)["M"]).toBe("database removed");
    }
    await bouncer.admin("RESUME killed");
    await bouncer.admin("RESUME silent");
  });

  test("a client that leaves during the login of its server takes it along, and that is no failed login", async () => {
    const client = await arriving("silent");
    await waitFor("the login to begin", async () => (await pool("silent"))["sv_login"] === 1);
    expect(await bouncer.admin("SHOW SERVERS")).toContainEqual(
      expect.objectContaining({ database: "silent", replication: "logical", state: "new" }),
    );
    client.destroy();
    await bouncer.waitForLog(/S-0x\w+: silent\/postgres@\S+ closing because: replication client disconnected/);
    const next = await arriving("silent");
    // Without a pause of server_login_retry: within the same second.
    await waitFor("another login to begin", async () => (await pool("silent"))["sv_login"] === 1, 900);
    next.destroy();
  });

  test("one that KILL finds in the middle of its login is told", async () => {
    const client = await arriving("silent");
    await waitFor("the login to begin", async () => (await pool("silent"))["sv_login"] === 1);
    await bouncer.admin("KILL silent");
    expect(types(await client.rest())).toBe("E");
    await bouncer.admin("RESUME silent");
  });
});

test("while PostgreSQL is away it waits, and is let in when PostgreSQL is back", async () => {
  await cluster.shutDown();
  const client = await arriving("two");
  await bouncer.waitForLog(/two\/postgres@\S+ closing because: connect failed/);
  expect(await pool("two")).toMatchObject({ cl_waiting: 1 });
  await cluster.startAgain();
  expect(types(await client.until("Z"))).toMatch(/^RS+KZ$/);
  expect(await answers(client)).toBe(identified);
});

describe("SHUTDOWN", () => {
  test("WAIT_FOR_SERVERS refuses who waits, and goes when the last stream has ended", async () => {
    const client = await login("two");
    await login("two", "yes");
    const waiting = await arriving("two");
    await waitFor("one to wait", async () => (await pool("two"))["cl_waiting"] === 1);
    await bouncer.admin("SHUTDOWN WAIT_FOR_SERVERS");
    expect(errorFields((await waiting.rest()).at(-1)!.body)["M"]).toBe("server shutting down");
    expect(await answers(client)).toBe(identified);
    for (const one of open.splice(0)) one.end();
    expect((await bouncer.exited).status).toBe(0);
  });
});
