/**
 * Time limits of queries, transactions, waiting and idling: the error the client gets, that it comes in time and not
 * early, and whom it spares. Times of `[users]` and `[databases]` are whole seconds, global ones may be fractions.
 *
 * Each limit is tried by a user for whom all others are long, so that the tests can run at once on one pooler.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer } from "../support/bouncer.ts";
import { errorFields, query, types, WireClient } from "../support/wire-client.ts";
import { reloadBySignal } from "./login-reload.ts";

/** The maintenance looks three times a second; on top of that what a busy machine may take. */
const lateMs = 3000;
const limits = {
  query_timeout: 0.5,
  idle_transaction_timeout: 0.5,
  transaction_timeout: 0.7,
  client_idle_timeout: 0.5,
  query_wait_timeout: 0.5,
};
type Limit = keyof typeof limits;

/** A user without limits, but for `own`: "" stands for the global one, a number for one of the user's own. */
function limitedBy(own: Partial<Record<Limit, number | "">>): string {
  return Object.keys(limits)
    .map((name) => ({ name, value: own[name as Limit] ?? 60 }))
    .filter(({ value }) => value !== "")
    .map(({ name, value }) => `${name}=${value}`)
    .join(" ");
}

const users = {
  patient: limitedBy({}),
  asker: limitedBy({ query_timeout: "" }),
  asker_own: limitedBy({ query_timeout: 1 }),
  sitter: limitedBy({ idle_transaction_timeout: "" }),
  sitter_own: limitedBy({ idle_transaction_timeout: 1 }),
  doer: limitedBy({ transaction_timeout: "" }),
  doer_own: limitedBy({ transaction_timeout: 1 }),
  absent: limitedBy({ client_idle_timeout: "" }),
  absent_own: limitedBy({ client_idle_timeout: 1 }),
  waiter: limitedBy({ query_wait_timeout: "" }),
  waiter_own: limitedBy({ query_wait_timeout: 1 }),
};
const settings = { pool_mode: "transaction", default_pool_size: 10, query_wait_notify: 1, ...limits };

let cluster: EmbeddedPostgres;
let bouncer: Bouncer;
const open: Client[] = [];

beforeAll(async () => {
  cluster = await EmbeddedPostgres.start({ roles: Object.keys(users).map((name) => ({ name })) });
  await cluster.query("create table ran (by text); grant all on ran to public");
  const target = `host=${cluster.host} port=${cluster.port} dbname=postgres`;
  bouncer = await Bouncer.start({
    databases: {
      main: target,
      session: `${target} pool_mode=session`,
      one: `${target} pool_size=1`,
      one_by_name: `${target} pool_size=1 query_wait_timeout=1`,
      one_of_many: `${target} pool_size=1 query_wait_timeout=30`,
    },
    users,
    userlist: Object.fromEntries(["postgres", ...Object.keys(users)].map((name) => [name, ""])),
    settings,
  });
});

afterAll(async () => {
  await Promise.all(open.map((client) => client.end().catch(() => undefined)));
  await bouncer?.stop();
  await cluster?.stop();
});

async function connect(database: string, user: string): Promise<Client> {
  const client = await bouncer.connect({ database, user });
  open.push(client);
  return client;
}

interface End {
  readonly message: string;
  readonly afterMs: number;
}

/** How a client ends that does nothing from now on. */
async function endOf(client: Client): Promise<End> {
  const since = performance.now();
  let message = "";
  await new Promise<void>((resolve) => {
    client.on("error", (error) => (message ||= error.message));
    client.on("end", resolve);
  });
  return { message, afterMs: performance.now() - since };
}

/** How `work` fails, and that it does so by an error that ends the connection. */
async function refusalOf(work: () => Promise<unknown>): Promise<End> {
  const since = performance.now();
  const error = await work().then(
    () => null,
    (cause: Error & { code?: string; severity?: string }) => cause,
  );
  // 57014: a query; 57P05: a session that was idle; 53300: no server; 57P03: no PostgreSQL.
  expect(error).toMatchObject({ code: expect.stringMatching(/^(57014|57P05|53300|57P03|08P01)$/), severity: "FATAL" });
  return { message: error!.message, afterMs: performance.now() - since };
}

/** An end with this text, in time and not early. */
function timely(text: string, limitMs: number): { message: string; afterMs: unknown } {
  const inTime = (afterMs: number): boolean => afterMs > limitMs - 50 && afterMs < limitMs + lateMs;
  return { message: text, afterMs: expect.toSatisfy(inTime, `about ${limitMs} ms`) };
}

describe.concurrent("query_wait_notify: a notice", () => {
  test("once in each wait, then the answer", async () => {
    const holder = await connect("one", "patient");
    const waiter = await WireClient.login(bouncer, { user: "patient", database: "one" });
    for (let round = 0; round < 2; round += 1) {
      await holder.query("begin");
      const since = performance.now();
      waiter.send(query("select 1"));
      const [told] = await waiter.until("N");
      expect(performance.now() - since).toBeGreaterThan(950);
      expect(errorFields(told!.body)).toMatchObject({
        S: "NOTICE",
        C: "00000",
        M: "No server connection available in postgres backend, client being queued",
      });
      await sleep(500);
      await holder.query("commit");
      expect(types(await waiter.until("Z"))).toBe("TDCZ");
    }
    waiter.end();
  });
});

describe.concurrent("query_timeout", () => {
  test.each([
    ["the global one", "asker", 500],
    ["the user's own", "asker_own", 1000],
  ])("%s: client and server are closed", async (_, user, limitMs) => {
    const client = await connect("main", user);
    expect(await refusalOf(() => client.query("select pg_sleep(6)"))).toEqual(timely("query timeout", limitMs));
    expect(bouncer.logContains(new RegExp(`S-0x\\w+: main/${user}@.* closing because: query timeout`))).toBe(true);
  });

  test("runs from the beginning of a query: neither short ones nor an idle transaction are touched", async () => {
    // Together, and what is idle alone, longer than the limit of one second; each of the queries far below it.
    const client = await connect("main", "asker_own");
    await client.query("begin");
    for (let round = 0; round < 4; round += 1) {
      await client.query("select pg_sleep(0.2)");
      await sleep(250);
    }
    await sleep(1300);
    await client.query("commit");
    const patient = await connect("main", "patient");
    expect((await patient.query("select pg_sleep(1), 1 as one")).rows).toMatchObject([{ one: 1 }]);
  });

  test("a client that waits for a server is told so too", async () => {
    const holder = await connect("one", "asker");
    await holder.query("begin");
    const waiter = await connect("one", "asker");
    expect(await refusalOf(() => waiter.query("select 1"))).toEqual(timely("query_timeout", 500));
    await holder.query("commit");
  });
});

describe.concurrent("idle_transaction_timeout", () => {
  test.each([
    ["the global one", "sitter", "begin", 500],
    ["the user's own", "sitter_own", "begin", 1000],
    ["of a failed transaction", "sitter", "begin; select 1 / 0", 500],
  ])("%s", async (_, user, text, limitMs) => {
    const client = await connect("main", user);
    await client.query(text).catch(() => undefined);
    expect(await endOf(client)).toEqual(timely("idle transaction timeout", limitMs));
  });

  test("time spent in a query is not idle, nor is time without a transaction", async () => {
    const client = await connect("main", "sitter");
    await client.query("begin");
    await client.query("select pg_sleep(0.9)");
    await sleep(200);
    await client.query("rollback");
    await sleep(800);
    expect((await client.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
  });

  test("in session mode a client that keeps its server between transactions is not idle in one", async () => {
    const client = await connect("session", "sitter");
    await client.query("select 1");
    await sleep(1000);
    expect((await client.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
    await client.query("begin");
    expect(await endOf(client)).toEqual(timely("idle transaction timeout", 500));
  });
});

describe.concurrent("transaction_timeout", () => {
  test.each([
    ["the global one", "doer", 700],
    ["the user's own", "doer_own", 1000],
  ])("%s: from the beginning, however busy the transaction is", async (_, user, limitMs) => {
    const client = await connect("main", user);
    const work = async (): Promise<void> => {
      for (await client.query("begin"); ; await client.query("select pg_sleep(0.3)"));
    };
    expect(await refusalOf(work)).toEqual(timely("transaction timeout", limitMs));
  });

  test("each transaction counts by itself, and the time between them not at all", async () => {
    const client = await connect("session", "doer");
    for (let round = 0; round < 3; round += 1) {
      await client.query("begin; select pg_sleep(0.35)");
      await client.query("commit");
    }
    await sleep(900);
    expect((await client.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
  });
});

describe.concurrent("client_idle_timeout", () => {
  test.each([
    ["the global one", "absent", 500],
    ["the user's own", "absent_own", 1000],
  ])("%s", async (_, user, limitMs) => {
    const client = await connect("main", user);
    await client.query("select 1");
    expect(await endOf(client)).toEqual(timely("client_idle_timeout", limitMs));
  });

  test("spares who holds a server, and who speaks now and then", async () => {
    const holder = await connect("main", "absent");
    await holder.query("begin");
    const talker = await connect("main", "absent");
    for (let round = 0; round < 6; round += 1) {
      await talker.query("select 1");
      await sleep(200);
    }
    await holder.query("commit");
    expect((await talker.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
  });
});

describe.concurrent("query_wait_timeout", () => {
  test.each([
    ["the global one", "one", "waiter", 500],
    ["the user's, before the global one", "one", "waiter_own", 1000],
    ["the database's, before the global one", "one_by_name", "waiter", 1000],
    ["the user's, before the database's", "one_of_many", "waiter_own", 1000],
  ])("%s: an error, and the query does not run later", async (_, database, user, limitMs) => {
    const holder = await connect(database, user);
    await holder.query("begin");
    const waiter = await connect(database, user);
    const row = `${database} for ${user}`;
    expect(await refusalOf(() => waiter.query(`insert into ran values ('${row}')`))).toEqual(
      timely("query_wait_timeout", limitMs),
    );
    await holder.query("commit");
    // On the only server, so behind everything that was ever sent to it.
    expect((await holder.query("select from ran where by = $1", [row])).rows).toEqual([]);
  });

  test("a shorter wait is no error", async () => {
    const [holder, waiter] = [await connect("one_by_name", "waiter_own"), await connect("one_by_name", "waiter_own")];
    await holder.query("begin");
    const waiting = waiter.query("select 1 as one");
    await holder.query("select pg_sleep(0.4)");
    await holder.query("commit");
    expect((await waiting).rows).toEqual([{ one: 1 }]);
  });
});

test("query_wait_notify = 0: no notice", async () => {
  await reloadBySignal(bouncer, { settings: { ...settings, query_wait_notify: 0 } });
  const holder = await connect("one", "patient");
  await holder.query("begin");
  const waiter = await WireClient.login(bouncer, { user: "patient", database: "one" });
  waiter.send(query("select 1"));
  await sleep(1400);
  await holder.query("commit");
  expect(types(await waiter.until("Z"))).toBe("TDCZ");
  waiter.end();
});
