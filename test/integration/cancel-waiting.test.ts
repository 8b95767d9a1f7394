/**
 * A client that waits for a server and cancels is told so at once, as PostgreSQL would tell it; nothing of what it has
 * cancelled is sent, and what it asks for next is served in its turn.
 */
import { connect as connectSocket } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer } from "../support/bouncer.ts";
import { waitFor } from "../support/wait-for.ts";
import {
  type WireMessage,
  WireClient,
  bind,
  columns,
  errorFields,
  execute,
  flush,
  int32,
  message,
  parse,
  query,
  sync,
  types,
} from "../support/wire-client.ts";
import { Backends } from "./backends.ts";

let cluster: EmbeddedPostgres;
let bouncer: Bouncer;
let backends: Backends;
/** Holds the only server of `one`. */
let holder: WireClient;

beforeAll(async () => {
  cluster = await EmbeddedPostgres.start();
  const target = `host=${cluster.host} port=${cluster.port} dbname=postgres`;
  bouncer = await Bouncer.start({
    databases: {
      one: `${target} pool_size=1`,
      session: `${target} pool_mode=session pool_size=1`,
      paused: `${target} pool_size=1`,
    },
    userlist: { postgres: "" },
    settings: { pool_mode: "transaction", log_connections: 0, query_timeout: 60 },
  });
  backends = await Backends.watch(cluster);
  holder = await login();
});

afterAll(async () => {
  holder?.end();
  await backends?.end();
  await bouncer?.stop();
  await cluster?.stop();
});

function login(database = "one", more: Readonly<Record<string, string>> = {}): Promise<WireClient> {
  return WireClient.login(bouncer, { user: "postgres", database, ...more });
}

async function occupy(): Promise<void> {
  holder.send(query("begin"));
  await holder.until("Z");
}

async function leave(): Promise<void> {
  holder.send(query("rollback"));
  await holder.until("Z");
}

const waiting = async (database = "one"): Promise<unknown> =>
  (await bouncer.admin("SHOW POOLS")).find((row) => row["database"] === database)?.["cl_waiting"];

async function waitUntilWaiting(count = 1, database = "one"): Promise<void> {
  await waitFor(`${count} to wait`, async () => (await waiting(database)) === count);
}

function cancel(client: WireClient): Promise<void> {
  const { pid, secret } = client.key!;
  return new Promise((resolve, reject) => {
    const socket = connectSocket(bouncer.port, bouncer.host);
    socket.on("error", reject);
    socket.on("close", () => resolve());
    socket.write(Buffer.concat([int32(16), int32(80877102), int32(pid), secret]));
  });
}

function expectCancelled(answer: WireMessage | null | undefined): void {
  expect(answer?.type).toBe("E");
  expect(errorFields(answer!.body)).toEqual({
    S: "ERROR",
    V: "ERROR",
    C: "57014",
    M: "canceling statement due to user request",
  });
}

/** `client` asks `sql` and gets its row. */
async function expectServed(client: WireClient, sql: string, value: string): Promise<void> {
  client.send(query(sql));
  const answer = await client.until("Z");
  expect(types(answer)).toBe("TDCZ");
  expect(columns(answer[1]!.body)).toEqual([value]);
}

describe("a client that waits for a server", () => {
  test("and cancels its Query gets 57014 and ReadyForQuery at once, and nothing of it is run", async () => {
    await occupy();
    const client = await login();
    client.send(query("create table never (id int)"));
    await waitUntilWaiting();
    await cancel(client);
    const answer = await client.until("Z");
    expect(types(answer)).toBe("EZ");
    expectCancelled(answer[0]);
    expect(answer[1]?.body.toString()).toBe("I");
    expect(await waiting()).toBe(0);
    expect(bouncer.log()).toMatch(/closing because: cancel request for waiting client/);
    await leave();
    await expectServed(client, "select to_regclass('never') is null", "t");
    client.end();
  });

  test("and cancels a unit of the extended protocol gets the error at once and ReadyForQuery at its Sync", async () => {
    await occupy();
    const client = await login();
    client.send(parse("", "select 'never'"), bind("", ""), execute(""), flush());
    await waitUntilWaiting();
    await cancel(client);
    expectCancelled(await client.next());
    // All of it is skipped up to the Sync, a Query too.
    client.send(execute(""), query("select 'skipped too'"), sync());
    const answer = await client.until("Z");
    expect(types(answer)).toBe("Z");
    expect(answer[0]?.body.toString()).toBe("I");
    await leave();
    await expectServed(client, "select 'later'", "later");
    client.end();
  });

  test("and cancels the first of several units gets the others' answers when its turn comes", async () => {
    await occupy();
    const client = await login();
    client.send(query("select 'first'"), query("select 'second'"), parse("", "select 'third'"), bind("", ""));
    client.send(execute(""), sync());
    await waitUntilWaiting();
    await cancel(client);
    const first = await client.until("Z");
    expect(types(first)).toBe("EZ");
    expectCancelled(first[0]);
    await waitUntilWaiting();
    await leave();
    const second = await client.until("Z");
    expect(columns(second[1]!.body)).toEqual(["second"]);
    const third = await client.until("Z");
    expect(types(third)).toBe("12DCZ");
    expect(columns(third[2]!.body)).toEqual(["third"]);
    client.end();
  });

  test("can cancel a FunctionCall, and a Query that is longer than what is read of a client that waits", async () => {
    await occupy();
    const client = await login();
    const int16 = (value: number): Buffer => Buffer.from([value >> 8, value & 0xff]);
    client.send(message("F", int32(1200), int16(0), int16(0), int16(0)));
    await waitUntilWaiting();
    await cancel(client);
    expect(types(await client.until("Z"))).toBe("EZ");
    client.send(query(`select '${"x".repeat(3_000_000)}'`));
    await waitUntilWaiting();
    await cancel(client);
    expect(types(await client.until("Z"))).toBe("EZ");
    await leave();
    await expectServed(client, "select 'later'", "later");
    client.end();
  });

  test("keeps its place only for what it still wants: the next in the queue is served, and it comes last", async () => {
    await occupy();
    const [first, second] = [await login(), await login()];
    first.send(query("select 'cancelled'"), query("select pg_sleep(0.1)"));
    await waitUntilWaiting(1);
    second.send(query("select pg_sleep(0.1)"));
    await waitUntilWaiting(2);
    await cancel(first);
    expect(types(await first.until("Z"))).toBe("EZ");
    await waitUntilWaiting(2);
    await leave();
    const order: string[] = [];
    await Promise.all([
      first.until("Z").then(() => order.push("first")),
      second.until("Z").then(() => order.push("second")),
    ]);
    expect(order).toEqual(["second", "first"]);
    first.end();
    second.end();
  });

  test("because of PAUSE, or in session mode, can cancel too", async () => {
    const client = await login("paused");
    await bouncer.admin("PAUSE paused");
    client.send(query("select 1"));
    await waitUntilWaiting(1, "paused");
    await cancel(client);
    expect(types(await client.until("Z"))).toBe("EZ");
    await bouncer.admin("RESUME paused");
    await expectServed(client, "select 'resumed'", "resumed");
    client.end();

    const owner = await login("session");
    owner.send(query("select 1"));
    await owner.until("Z");
    const other = await login("session");
    other.send(query("select 2"));
    await waitUntilWaiting(1, "session");
    await cancel(other);
    expect(types(await other.until("Z"))).toBe("EZ");
    owner.end();
    await expectServed(other, "select 'served'", "served");
    other.end();
  });

  test("finds the name of a statement whose Parse was skipped, as after any other error in its unit", async () => {
    await occupy();
    const client = await login();
    client.send(parse("named", "select 'by name'"), sync());
    await waitUntilWaiting();
    await cancel(client);
    expect(types(await client.until("Z"))).toBe("EZ");
    await leave();
    client.send(bind("", "named"), execute(""), sync());
    expect(types(await client.until("Z"))).toBe("2DCZ");
    client.end();
  });

  test("and sends nothing but a Sync has nothing to cancel", async () => {
    await occupy();
    const client = await login();
    client.send(sync());
    await waitUntilWaiting();
    await cancel(client);
    expect(await waiting()).toBe(1);
    await leave();
    expect(types(await client.until("Z"))).toBe("Z");
    client.end();
  });
});

test("a unit that waits for our SETs is not sent when it is cancelled, and the server is good for the next", async () => {
  // PostgreSQL's backend is stopped while it has the SETs to run.
  const client = await login("one", { application_name: "sets" });
  await expectServed(client, "select 'before'", "before");
  holder.send(query("select pg_backend_pid()"));
  const [, row] = await holder.until("Z");
  const pid = Number(columns(row!.body)[0]);
  process.kill(pid, "SIGSTOP");
  try {
    client.send(query("create table never_either (id int)"), query("select current_setting('application_name')"));
    await waitFor("the server", async () => {
      const servers = await bouncer.admin("SHOW SERVERS");
      return servers.some((server) => server["database"] === "one" && server["state"] === "active");
    });
    await cancel(client);
    const answer = await client.until("Z");
    expect(types(answer)).toBe("EZ");
    expectCancelled(answer[0]);
    // Once more: this one is for the second unit.
    await cancel(client);
    expect(types(await client.until("Z"))).toBe("EZ");
    await cancel(client);
    expect(bouncer.logCount(/cancel request for idle client/)).toBeGreaterThanOrEqual(1);
  } finally {
    process.kill(pid, "SIGCONT");
  }
  await expectServed(client, "select current_setting('application_name')", "sets");
  await expectServed(holder, "select to_regclass('never_either') is null", "t");
  client.end();
});
