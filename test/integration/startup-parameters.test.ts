/**
 * Settings that follow a client from server to server in transaction mode: several clients with different ones on a single
 * server, so that every transaction meets the settings of somebody else.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer } from "../support/bouncer.ts";
import { columns, query, types, WireClient } from "../support/wire-client.ts";

let cluster: EmbeddedPostgres;
let bouncer: Bouncer;

beforeAll(async () => {
  cluster = await EmbeddedPostgres.start();
  await cluster.query("create schema left_side; create schema right_side");
  await cluster.query("create table left_side.which as select 'left' as name");
  await cluster.query("create table right_side.which as select 'right' as name");
  const target = `host=${cluster.host} port=${cluster.port} dbname=postgres`;
  bouncer = await Bouncer.start({
    databases: {
      one: `${target} pool_size=1`,
      preset: `${target} pool_size=1 timezone=Asia/Tokyo datestyle='German, DMY' application_name=entry client_encoding=LATIN1`,
    },
    userlist: { postgres: "" },
    settings: {
      pool_mode: "transaction",
      server_tls_sslmode: "disable",
      track_extra_parameters: "IntervalStyle, search_path",
      verbose: 2,
    },
  });
});

afterAll(async () => {
  await bouncer?.stop();
  await cluster?.stop();
});

const enter = (parameters: Record<string, string>, database = "one"): Promise<WireClient> =>
  WireClient.login(bouncer, { user: "postgres", database, ...parameters });

async function ask(client: WireClient, sql: string): Promise<(string | null)[]> {
  client.send(query(sql));
  const row = (await client.until("Z")).find(({ type }) => type === "D");
  return row === undefined ? [] : columns(row.body);
}

const settings = `select pg_backend_pid(), current_setting('TimeZone'), current_setting('DateStyle'),
  current_setting('application_name'), current_setting('search_path'), current_setting('IntervalStyle')`;

test("two clients with different settings on one server see their own, every time", async () => {
  const left = await enter({
    TimeZone: "America/New_York",
    DateStyle: "SQL, DMY",
    application_name: "left one",
    options: "-c search_path=left_side -c intervalstyle=iso_8601",
  });
  const right = await enter({
    TimeZone: "Asia/Kolkata",
    DateStyle: "German, DMY",
    application_name: "right one",
    search_path: "right_side, public",
  });
  for (let round = 0; round < 5; round += 1) {
    const [pid, ...ofLeft] = await ask(left, settings);
    const [samePid, ...ofRight] = await ask(right, settings);
    expect(samePid).toBe(pid);
    expect(ofLeft).toEqual(["America/New_York", "SQL, DMY", "left one", "left_side", "iso_8601"]);
    expect(ofRight).toEqual(["Asia/Kolkata", "German, DMY", "right one", "right_side, public", "postgres"]);
    expect(await ask(left, "select name from which")).toEqual(["left"]);
    expect(await ask(right, "select name from which")).toEqual(["right"]);
  }
  const plain = await enter({});
  expect((await ask(plain, settings)).slice(1)).toEqual(["UTC", "ISO, MDY", "", '"$user", public', "postgres"]);
  for (const client of [left, right, plain]) client.end();
});

test("interleaved: no query runs between a stranger's SET and its own", async () => {
  const zones = ["Africa/Cairo", "America/Lima", "Asia/Tokyo", "Europe/Paris", "Pacific/Apia", "UTC"];
  const clients = await Promise.all(zones.map((zone) => enter({ TimeZone: zone, application_name: zone })));
  await Promise.all(
    clients.map(async (client, index) => {
      for (let round = 0; round < 40; round += 1) {
        const seen = await ask(client, "select current_setting('TimeZone'), current_setting('application_name')");
        expect(seen).toEqual([zones[index], zones[index]]);
      }
    }),
  );
  for (const client of clients) client.end();
});

test("what a client sets itself follows it, and stays away from others", async () => {
  const [setter, other] = [await enter({}), await enter({ TimeZone: "Asia/Tokyo" })];
  await ask(setter, "set timezone = 'Europe/Rome'");
  await ask(setter, 'set search_path = left_side, "odd name", public');
  expect(await ask(other, "show timezone")).toEqual(["Asia/Tokyo"]);
  expect(await ask(other, "show search_path")).toEqual(['"$user", public']);
  expect(await ask(setter, "show timezone")).toEqual(["Europe/Rome"]);
  expect(await ask(setter, "show search_path")).toEqual(['left_side, "odd name", public']);
  await ask(setter, "set search_path = ''");
  expect(await ask(other, "show search_path")).toEqual(['"$user", public']);
  expect(await ask(setter, "show search_path")).toEqual(['""']);
  for (const client of [setter, other]) client.end();
});

test("a SET that is rolled back is not followed", async () => {
  const [setter, other] = [await enter({ TimeZone: "Asia/Tokyo" }), await enter({})];
  await ask(setter, "begin");
  await ask(setter, "set timezone = 'Europe/Rome'");
  expect(await ask(setter, "show timezone")).toEqual(["Europe/Rome"]);
  await ask(setter, "rollback");
  expect(await ask(other, "show timezone")).toEqual(["UTC"]);
  expect(await ask(setter, "show timezone")).toEqual(["Asia/Tokyo"]);
  for (const client of [setter, other]) client.end();
});

test("a spelling that means the same is set once, and known in PostgreSQL's own words from then on", async () => {
  const log = await bouncer.logDuring(async () => {
    const [client, other] = [await enter({ DateStyle: "German" }), await enter({})];
    for (let round = 0; round < 3; round += 1) {
      expect(await ask(client, "show datestyle")).toEqual(["German, DMY"]);
      expect(await ask(other, "show datestyle")).toEqual(["ISO, MDY"]);
    }
    for (const each of [client, other]) each.end();
  });
  expect(log.match(/varcache_apply: SET DateStyle='German';/g)).toHaveLength(1);
  expect(
    log.match(/varcache_set_canonical: setting DateStyle to its canonical version German -> German, DMY/g),
  ).toHaveLength(1);
  expect(log.match(/varcache_apply: SET DateStyle='German, DMY';/g)).toHaveLength(2);
});

test("the SETs and their answers are no business of the client's", async () => {
  const [first, second] = [await enter({ TimeZone: "Asia/Tokyo" }), await enter({ TimeZone: "Europe/Rome" })];
  for (let round = 0; round < 3; round += 1) {
    for (const client of [first, second]) {
      client.send(query("select 1"));
      expect(types(await client.until("Z"))).toBe("TDCZ");
    }
  }
  for (const client of [first, second]) client.end();
});

test("values from the database entry are the start of every client that brings none", async () => {
  const [plain, own] = [await enter({}, "preset"), await enter({ TimeZone: "Europe/Rome" }, "preset")];
  expect(plain.parameters.get("TimeZone")).toBe("Asia/Tokyo");
  expect(plain.parameters.get("client_encoding")).toBe("LATIN1");
  for (let round = 0; round < 2; round += 1) {
    expect((await ask(own, settings)).slice(1, 4)).toEqual(["Europe/Rome", "German, DMY", "entry"]);
    expect((await ask(plain, settings)).slice(1, 4)).toEqual(["Asia/Tokyo", "German, DMY", "entry"]);
  }
  for (const client of [plain, own]) client.end();
});

test("names and values that need quoting", async () => {
  const names = ["it's", "back\\slash", "two\nlines", "é—ü", "semi; colon", "x".repeat(63)];
  const clients = await Promise.all(names.map((name) => enter({ application_name: name })));
  for (let round = 0; round < 2; round += 1) {
    for (const client of clients) {
      const [seen] = await ask(client, "show application_name");
      // PostgreSQL replaces what is not printable ASCII.
      const name = names[clients.indexOf(client)]!;
      const direct = (await cluster.query(`select set_config('application_name', $1, false) as name`, [name])).rows[0];
      expect(seen).toBe((direct as { name: string }).name);
    }
  }
  for (const client of clients) client.end();
});

test("a search_path from a startup packet never becomes SQL", async () => {
  const client = await enter({ search_path: "public; create table public.hacked()" });
  client.send(query("select 1"));
  const answer = types(await client.until("Z", "E"));
  const tables = await cluster.query("select to_regclass('public.hacked') as hacked");
  expect(tables.rows).toEqual([{ hacked: null }]);
  expect(answer).toBe("TDCZ");
  client.end();
});
