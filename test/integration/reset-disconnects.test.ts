/**
 * Clients that leave without a word, in every phase of what they do; and units that are begun and not ended. With one
 * server: whoever comes next must be served by a clean one, and nothing of the one who left may run or answer any more.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer } from "../support/bouncer.ts";
import { waitFor } from "../support/wait-for.ts";
import {
  bind,
  columns,
  describePortal,
  execute,
  flush,
  parse,
  query,
  sync,
  types,
  WireClient,
} from "../support/wire-client.ts";
import { Backends } from "./backends.ts";

const poolSize = 3;

let cluster: EmbeddedPostgres;
let bouncer: Bouncer;
let backends: Backends;

beforeAll(async () => {
  cluster = await EmbeddedPostgres.start();
  await cluster.query("create table ran (by text)");
  const target = `host=${cluster.host} port=${cluster.port} dbname=postgres`;
  bouncer = await Bouncer.start({
    databases: { one: `${target} pool_size=1`, session: `${target} pool_size=1 pool_mode=session`, main: target },
    userlist: { postgres: "" },
    settings: {
      pool_mode: "transaction",
      default_pool_size: poolSize,
      query_wait_timeout: 10,
      max_client_conn: 500,
      max_prepared_statements: 5,
    },
  });
  backends = await Backends.watch(cluster);
});

afterAll(async () => {
  await backends?.end();
  await bouncer?.stop();
  await cluster?.stop();
});

const login = (database: string, parameters: Readonly<Record<string, string>> = {}): Promise<WireClient> =>
  WireClient.login(bouncer, { user: "postgres", database, ...parameters });

/** What the next client sees: its own row, no transaction of somebody else, and its own settings. */
async function nextSees(database: string): Promise<(string | null)[]> {
  const client = await login(database);
  client.send(query("select 'mine', now() = statement_timestamp(), current_setting('application_name')"));
  const answer = await client.until("Z");
  client.end();
  return [types(answer), ...columns(answer.find(({ type }) => type === "D")!.body)];
}

const unit = [parse("named", "select $1 || ' row'"), bind("", "named", ["a"]), describePortal(""), execute(""), sync()];
const half = query("select 'never'").subarray(0, 9);

describe.each(["one", "session"])("a client leaves (%s)", (database) => {
  test.each([
    ["behind its login", []],
    ["in the middle of a header", [half.subarray(0, 3)]],
    ["in the middle of a message", [half]],
    ["in the middle of a long message", [query(`select '${"x".repeat(100_000)}'`).subarray(0, 60_000)]],
    ["behind a Parse without Sync", [parse("named", "select 1")]],
    ["behind a failed Parse without Sync", [parse("", "select no_such_column"), flush()]],
    ["behind a Flush", [parse("", "select 1"), bind("", ""), execute(""), flush()]],
    ["with a unit behind it and one begun", [...unit, parse("", "select 1")]],
    [
      "with a hundred units sent and no answer read",
      Array.from({ length: 100 }, () => query("select repeat('x', 9999)")),
    ],
    ["with a hundred prepared units sent", Array.from({ length: 100 }, () => unit).flat()],
    ["in a transaction", [query("begin"), query("insert into ran values ('left behind')")]],
    ["in a failed transaction", [query("begin"), query("select 1 / 0")]],
    ["in a query", [query("select pg_sleep(0.05)")]],
    ["in its first query, while its settings are being set", [query("insert into ran values ('unset')")]],
  ])("%s", async (_, messages) => {
    for (let round = 0; round < 3; round += 1) {
      const client = await login(database, { application_name: `leaver ${round}` });
      if (messages.length > 0) client.send(...messages);
      // Once at once, once when it has its answers, once with a reset instead of an orderly end.
      if (round === 1) await shortWhile();
      if (round === 2) client.socket.resetAndDestroy();
      else client.destroy();
      expect(await nextSees(database)).toEqual(["TDCZ", "mine", "t", ""]);
    }
    expect((await cluster.query("select from ran where by = 'left behind'")).rows).toEqual([]);
    expect(await backends.count({ state: "idle in transaction" })).toBe(0);
  });

  test("while it waits: what it has sent is carried out, as PostgreSQL would", async () => {
    const holder = await login(database);
    holder.send(query("begin"));
    await holder.until("Z");
    const waiter = await login(database);
    waiter.send(query("insert into ran values ('waited')"));
    waiter.destroy();
    await shortWhile();
    holder.send(query("rollback"));
    await holder.until("Z");
    holder.end();
    expect(await nextSees(database)).toEqual(["TDCZ", "mine", "t", ""]);
    expect((await cluster.query("delete from ran where by = 'waited'")).rowCount).toBe(1);
  });
});

/** Long enough for what was sent to have been answered. */
function shortWhile(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 30));
}

describe("a unit that is begun keeps its server", () => {
  test.each([
    [
      "extended messages behind a Sync",
      [...unit.slice(0, 4), sync(), parse("", "select 2"), bind("", ""), execute(""), flush()],
    ],
    ["a Parse alone", [parse("", "select 1"), flush()]],
    ["a failed Parse alone", [parse("", "select no_such_column"), flush()]],
  ])("%s", async (_, messages) => {
    const client = await login("one");
    client.send(...messages);
    await client.until("1", "E");
    const other = await login("one");
    let served = false;
    other.send(query("select 'other'"));
    const waiting = other.until("Z").then((answer) => {
      served = true;
      return types(answer);
    });
    await shortWhile();
    await shortWhile();
    expect(served).toBe(false);
    client.send(sync());
    expect(await waiting).toBe("TDCZ");
    client.end();
    other.end();
  });
});

test("hundreds of clients that leave at any point cost the pool nothing", async () => {
  let seed = 4711;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
    return (seed >>> 8) % below;
  };
  const bytes = Buffer.concat([
    ...unit,
    query("begin"),
    query("select repeat('x', 50000)"),
    ...unit.slice(1),
    query("commit"),
    query("copy (select 1) to stdout"),
    query("select 1 / 0"),
  ]);
  const steady = Array.from({ length: 4 }, async (_, number) => {
    const client = await login("main", { application_name: `steady ${number}` });
    for (let round = 0; round < 60; round += 1) {
      client.send(query(`select '${number}.${round}', current_setting('application_name'), pg_sleep(0.001)`));
      const answer = await client.until("Z");
      expect(columns(answer.find(({ type }) => type === "D")!.body).slice(0, 2)).toEqual([
        `${number}.${round}`,
        `steady ${number}`,
      ]);
    }
    client.end();
  });
  const leavers = Array.from({ length: 6 }, async (_, number) => {
    for (let round = 0; round < 40; round += 1) {
      const client = await login("main", { application_name: `leaver ${number}` });
      const cut = random(bytes.length + 1);
      const pause = random(3);
      client.socket.write(bytes.subarray(0, cut));
      if (pause > 0) await Promise.race([client.next(), shortWhile()]);
      if (pause > 1) client.socket.resetAndDestroy();
      else client.destroy();
    }
  });
  await Promise.all([...steady, ...leavers]);
  // All servers can be had at once, and PostgreSQL has no others.
  const holders = await Promise.all(Array.from({ length: poolSize }, () => login("main")));
  for (const holder of holders) {
    holder.send(query("begin"));
    expect(types(await holder.until("Z"))).toMatch(/^S*CZ$/);
  }
  await waitFor("nothing else to be left", async () => {
    const main = (await backends.list()).filter(({ state }) => state === "idle in transaction");
    return main.length === poolSize;
  });
  const pools = await bouncer.admin("SHOW POOLS");
  expect(pools.find((row) => row["database"] === "main")).toMatchObject({
    cl_waiting: 0,
    sv_active: poolSize,
    sv_tested: 0,
    sv_login: 0,
  });
  for (const holder of holders) holder.end();
});
