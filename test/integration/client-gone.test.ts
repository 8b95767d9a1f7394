/**
 * Clients that vanish in the middle of something: what runs by itself is carried out, what was to be committed is not, and
 * the connection to PostgreSQL is kept, seen by its backend's process id. With one server each client finds the last one's.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer } from "../support/bouncer.ts";
import { waitFor } from "../support/wait-for.ts";
import {
  bind,
  columns,
  execute,
  flush,
  message,
  parse,
  query,
  sync,
  terminate,
  WireClient,
} from "../support/wire-client.ts";
import { Backends } from "./backends.ts";

let cluster: EmbeddedPostgres;
let bouncer: Bouncer;
let backends: Backends;

beforeAll(async () => {
  cluster = await EmbeddedPostgres.start();
  await cluster.query("create table ran (what text)");
  const target = `host=${cluster.host} port=${cluster.port} dbname=postgres pool_size=1`;
  bouncer = await Bouncer.start({
    databases: {
      transaction: target,
      session: `${target} pool_mode=session`,
      statement: `${target} pool_mode=statement`,
    },
    userlist: { postgres: "" },
    settings: { pool_mode: "transaction", disconnected_query_timeout: 2, max_client_conn: 500 },
  });
  backends = await Backends.watch(cluster);
});

afterAll(async () => {
  await backends?.end();
  await bouncer?.stop();
  await cluster?.stop();
});

beforeEach(async () => {
  await cluster.query("truncate ran");
});

const login = (database: string): Promise<WireClient> => WireClient.login(bouncer, { user: "postgres", database });

async function backendPid(client: WireClient): Promise<string> {
  client.send(query("select pg_backend_pid()"));
  const answer = await client.until("Z");
  return columns(answer.find(({ type }) => type === "D")!.body)[0]!;
}

const ran = async (): Promise<string[]> =>
  (await cluster.query("select what from ran order by what")).rows.map(({ what }: { what: string }) => what);

/** A client sends `messages` and vanishes when `when` holds; who comes next has the same backend, within `deadlineMs`. */
async function vanishes(
  database: string,
  messages: readonly Uint8Array[],
  when: (client: WireClient) => Promise<unknown>,
): Promise<{ kept: boolean; afterMs: number }> {
  const client = await login(database);
  const pid = await backendPid(client);
  client.send(...messages);
  await when(client);
  const beganAtMs = performance.now();
  client.destroy();
  const next = await login(database);
  const kept = (await backendPid(next)) === pid;
  const afterMs = performance.now() - beganAtMs;
  next.send(terminate());
  next.end();
  return { kept, afterMs };
}

const runs = (mark: string) => (): Promise<unknown> => backends.waitForQuery(mark);
const answered = (count: number) => async (client: WireClient) => {
  for (let i = 0; i < count; i++) await client.until("Z");
};

describe.each(["transaction", "session"])("%s mode", (database) => {
  test("a transaction without its end is rolled back", async () => {
    const messages = [query("begin"), query("insert into ran values ('left')")];
    expect(await vanishes(database, messages, answered(2))).toMatchObject({ kept: true });
    expect(await ran()).toEqual([]);
  });

  test("so is one that has failed", async () => {
    expect(await vanishes(database, [query("begin"), query("select 1/0")], answered(2))).toMatchObject({ kept: true });
  });

  test("a statement that runs in a transaction is cancelled", async () => {
    const messages = [
      query("begin"),
      query("insert into ran values ('left')"),
      query("select 'in block', pg_sleep(30)"),
    ];
    const { kept, afterMs } = await vanishes(database, messages, runs("in block"));
    expect(kept).toBe(true);
    expect(afterMs).toBeLessThan(1_500);
    expect(await ran()).toEqual([]);
  });

  test("one that runs by itself is carried out", async () => {
    const insert = query("insert into ran select 'alone' from (select pg_sleep(0.4)) as slowly");
    expect(await vanishes(database, [insert], runs("alone"))).toMatchObject({ kept: true });
    expect(await ran()).toEqual(["alone"]);
  });

  test("so are a whole unit of the extended protocol, and all that was sent behind it", async () => {
    const unit = [parse("", "insert into ran select $1 from (select pg_sleep(0.3)) as slowly"), bind("", "", ["unit"])];
    const messages = [...unit, execute(""), sync(), query("insert into ran values ('behind')"), terminate()];
    expect(await vanishes(database, messages, runs("slowly"))).toMatchObject({ kept: true });
    expect(await ran()).toEqual(["behind", "unit"]);
  });

  test("without its Sync a unit is not committed", async () => {
    const unit = [parse("", "insert into ran values ('unsynced')"), bind("", ""), execute(""), flush()];
    await vanishes(database, unit, (client) => client.until("C"));
    expect(await ran()).toEqual([]);
  });

  test("disconnected_query_timeout ends what goes on for too long", async () => {
    const { kept, afterMs } = await vanishes(database, [query("select 'too long', pg_sleep(30)")], runs("too long"));
    expect(kept).toBe(true);
    expect(afterMs).toBeGreaterThan(1_500);
    expect(afterMs).toBeLessThan(6_000);
  });

  test("an answer without an end is not read to its end", async () => {
    const endless = query("select repeat('x', 1000) from generate_series(1, 10000) a, generate_series(1, 10000) b");
    const begins = ({ socket }: WireClient): Promise<void> =>
      new Promise((resolve) => {
        socket.once("data", () => {
          socket.pause();
          resolve();
        });
      });
    expect(await vanishes(database, [endless], begins)).toMatchObject({ kept: true });
  });

  test.each([
    ["a Query", [query("copy ran from stdin")], "G"],
    ["an Execute", [parse("", "copy ran from stdin"), bind("", ""), execute(""), flush()], "G"],
  ])("COPY FROM STDIN by %s is failed", async (_, messages, type) => {
    const during = async (client: WireClient): Promise<void> => {
      await client.until(type);
      client.send(message("d", Buffer.from("copied\n")));
      await sleep(50);
    };
    expect(await vanishes(database, messages, during)).toMatchObject({ kept: true });
    expect(await ran()).toEqual([]);
  });

  test("a query sent at once before the end, and nothing read", async () => {
    for (let round = 0; round < 20; round++) {
      const client = await login(database);
      client.send(query(`insert into ran values ('${round}')`));
      client.end();
    }
    await waitFor("all to have run", async () => (await ran()).length === 20);
  });

  test("while somebody else holds the only server: it runs when its turn comes", async () => {
    const holder = await login(database);
    holder.send(query("begin"));
    await holder.until("Z");
    const waiter = await login(database);
    waiter.send(query("insert into ran values ('waited')"));
    waiter.end();
    await sleep(100);
    expect(await ran()).toEqual([]);
    holder.send(query("commit"), terminate());
    await waitFor("it to have run", async () => (await ran()).length === 1);
  });

  test("KILL_CLIENT cancels what runs", async () => {
    const client = await login(database);
    const pid = await backendPid(client);
    client.send(query("select 'killed', pg_sleep(30)"));
    await backends.waitForQuery("killed");
    const rows = await bouncer.admin("SHOW CLIENTS");
    const id = rows.find((row) => row["database"] === database && row["state"] === "active")!["id"];
    await bouncer.admin(`KILL_CLIENT ${id}`);
    const next = await login(database);
    expect(await backendPid(next)).toBe(pid);
    next.end();
    client.destroy();
  });
});

test("statement mode: a transaction that was begun all the same is rolled back", async () => {
  expect(await vanishes("statement", [query("select pg_sleep(0.2), 'slow'; begin")], runs("slow"))).toMatchObject({
    kept: true,
  });
  expect(await backends.count({ state: "idle in transaction" })).toBe(0);
});

test("the log has none of PgBouncer's lines for it", () => {
  expect(bouncer.logContains(/client disconnected with quer/)).toBe(false);
});
