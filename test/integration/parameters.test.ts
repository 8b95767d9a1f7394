/**
 * Settings that follow a client from server to server in transaction mode, `track_extra_parameters` among them: what the
 * client is told, what its queries run under, and when nothing has to be set.
 */
import type { Client } from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer } from "../support/bouncer.ts";
import { columns, errorFields, query, startupMessage, types, WireClient } from "../support/wire-client.ts";

let cluster: EmbeddedPostgres;
let bouncer: Bouncer;

beforeAll(async () => {
  cluster = await EmbeddedPostgres.start();
  const target = `host=${cluster.host} port=${cluster.port} dbname=postgres`;
  bouncer = await Bouncer.start({
    databases: {
      one: `${target} pool_size=1`,
      two: `${target} pool_size=2`,
      dressed: `${target} application_name=from_entry timezone=Asia/Tokyo datestyle=German client_encoding=LATIN1`,
    },
    userlist: { postgres: "" },
    settings: {
      pool_mode: "transaction",
      track_extra_parameters: "IntervalStyle, search_path, default_transaction_read_only",
      ignore_startup_parameters: "extra_float_digits",
      verbose: 2,
    },
  });
});

afterAll(async () => {
  await bouncer?.stop();
  await cluster?.stop();
});

const login = (parameters: Readonly<Record<string, string>>): Promise<WireClient> =>
  WireClient.login(bouncer, { user: "postgres", database: "one", ...parameters });

async function show(client: WireClient, name: string): Promise<string | null> {
  client.send(query(`select current_setting('${name}')`));
  const row = (await client.until("Z")).find(({ type }) => type === "D");
  return columns(row!.body)[0]!;
}

async function loginError(parameters: Readonly<Record<string, string>>): Promise<string | undefined> {
  const client = await WireClient.open(bouncer);
  client.send(startupMessage({ user: "postgres", database: "one", ...parameters }));
  const [answer] = (await client.until("E", "Z")).slice(-1);
  client.destroy();
  return answer!.type === "E" ? errorFields(answer!.body)["M"] : undefined;
}

const tracked = {
  DateStyle: ["German, DMY", "SQL, DMY"],
  client_encoding: ["LATIN1", "WIN1252"],
  TimeZone: ["Asia/Tokyo", "America/New_York"],
  standard_conforming_strings: ["off", "on"],
  application_name: ["it's me", "back\\slash"],
  IntervalStyle: ["iso_8601", "sql_standard"],
  search_path: ['"$user", pg_catalog', "pg_temp, public"],
  default_transaction_read_only: ["on", "off"],
} as const;

test.each(Object.entries(tracked))(
  "%s of the startup packet holds for each client on a shared server",
  async (name, values) => {
    const clients = await Promise.all(values.map((value) => login({ [name]: value })));
    for (const [number, client] of clients.entries()) expect(client.parameters.get(name)).toBe(values[number]);
    for (let round = 0; round < 3; round += 1) {
      for (const [number, client] of clients.entries()) expect(await show(client, name)).toBe(values[number]);
    }
    for (const client of clients) client.end();
  },
);

test.each(Object.entries(tracked))("%s set by a query holds for that client alone", async (name, values) => {
  const clients = [await login({}), await login({})];
  const told: string[] = [];
  for (const [number, client] of clients.entries()) {
    client.send(query(`select set_config('${name}', $$${values[number]}$$, false)`));
    const answer = await client.until("Z");
    told.push(...answer.filter(({ type }) => type === "S").map(({ body }) => body.toString().replace("\0", "=")));
  }
  // The second value may be PostgreSQL's own, of which it says nothing.
  expect(told).toContain(`${name}=${values[0]}\0`);
  for (let round = 0; round < 3; round += 1) {
    for (const [number, client] of clients.entries()) expect(await show(client, name)).toBe(values[number]);
  }
  for (const client of clients) client.end();
});

test("a rolled back SET, and SET LOCAL, are as if they had not been", async () => {
  const [client, other] = [await login({ TimeZone: "Asia/Tokyo" }), await login({ TimeZone: "America/New_York" })];
  client.send(query("begin; set timezone to 'Europe/Rome'"));
  await client.until("Z");
  expect(await show(client, "timezone")).toBe("Europe/Rome");
  client.send(query("rollback"));
  await client.until("Z");
  client.send(query("begin; set local timezone to 'Europe/Paris'; commit"));
  await client.until("Z");
  expect(await show(other, "timezone")).toBe("America/New_York");
  expect(await show(client, "timezone")).toBe("Asia/Tokyo");
  for (const one of [client, other]) one.end();
});

test("an equivalent spelling is set once, and known by its canonical one then", async () => {
  const [client, other] = [await login({ DateStyle: "ISO" }), await login({ DateStyle: "German" })];
  const sets = (): number => bouncer.logCount(/varcache_apply: .*SET DateStyle='ISO'/);
  expect(await show(other, "datestyle")).toBe("German, DMY");
  const before = sets();
  expect(await show(client, "datestyle")).toBe("ISO, DMY");
  expect(sets()).toBe(before + 1);
  expect(
    bouncer.logContains(/varcache_set_canonical: setting DateStyle to its canonical version ISO -> ISO, DMY/),
  ).toBe(true);
  expect(await show(client, "datestyle")).toBe("ISO, DMY");
  expect(sets()).toBe(before + 1);
  for (const one of [client, other]) one.end();
});

test("nothing is set when client and server agree", async () => {
  const count = (): number => bouncer.logCount(/varcache_apply/);
  const client = await login({});
  await show(client, "timezone");
  const before = count();
  for (let round = 0; round < 10; round += 1) await show(client, "timezone");
  expect(count()).toBe(before);
  client.end();
});

test("a value that PostgreSQL refuses ends the client that brought it, and nobody else", async () => {
  const client = await login({ TimeZone: "No/Such_Zone" });
  client.send(query("create table never_made (id int)"));
  const [error] = (await client.rest()).slice(-1);
  expect(errorFields(error!.body)).toMatchObject({ S: "FATAL", M: "invalid server parameter" });
  expect(bouncer.logContains(/varcache_apply failed/)).toBe(true);
  const next = await login({});
  expect(await show(next, "timezone")).not.toBe("No/Such_Zone");
  next.send(query("select to_regclass('never_made')"));
  expect(columns((await next.until("Z"))[1]!.body)).toEqual([null]);
  next.end();
});

test.each(["'; drop table safe; --", "\\'; drop table safe; --", "a'b\"c\\d", "$$", ""])(
  "application_name %j is a value and never SQL",
  async (name) => {
    await cluster.query("create table if not exists safe (id int)");
    const clients = [await login({ application_name: name }), await login({ application_name: "plain" })];
    for (let round = 0; round < 2; round += 1) {
      expect(await show(clients[0]!, "application_name")).toBe(name);
      expect(await show(clients[1]!, "application_name")).toBe("plain");
    }
    expect((await cluster.query("select to_regclass('safe')::text as name")).rows).toEqual([{ name: "safe" }]);
    for (const client of clients) client.end();
  },
);

test("two clients with five settings each take turns on two servers, and each sees its own", async () => {
  const names = Object.keys(tracked) as (keyof typeof tracked)[];
  const clients: Client[] = await Promise.all([0, 1].map(() => bouncer.connect({ database: "two" })));
  await Promise.all(
    clients.map(async (client, number) => {
      for (const name of names) await client.query("select set_config($1, $2, false)", [name, tracked[name][number]]);
    }),
  );
  for (let round = 0; round < 5; round += 1) {
    const seen = await Promise.all(
      clients.map(async (client) => {
        const values: string[] = [];
        for (const name of names) {
          values.push((await client.query("select current_setting($1) as value", [name])).rows[0].value);
        }
        return values;
      }),
    );
    expect(seen).toEqual([0, 1].map((number) => names.map((name) => tracked[name][number])));
  }
  await Promise.all(clients.map((client) => client.end()));
});

test("what a database's entry says goes into the servers' startup, and is what clients without a wish get", async () => {
  const client = await login({ database: "dressed" });
  expect(Object.fromEntries(client.parameters)).toMatchObject({
    application_name: "from_entry",
    TimeZone: "Asia/Tokyo",
    DateStyle: "German, DMY",
    client_encoding: "LATIN1",
  });
  expect(await show(client, "timezone")).toBe("Asia/Tokyo");
  expect(await show(client, "application_name")).toBe("from_entry");
  const other = await login({ database: "dressed", TimeZone: "UTC" });
  expect(await show(other, "timezone")).toBe("UTC");
  expect(await show(client, "timezone")).toBe("Asia/Tokyo");
  for (const one of [client, other]) one.end();
});

describe("the startup packet's options", () => {
  test.each([
    ["-c timezone=Asia/Tokyo", "Asia/Tokyo"],
    ["-ctimezone=Asia/Tokyo", "Asia/Tokyo"],
    ["--timezone=Asia/Tokyo", "Asia/Tokyo"],
    ["-c  TimeZone=Asia/Tokyo -c extra_float_digits=2", "Asia/Tokyo"],
    ["-c datestyle=SQL,\\ DMY --timezone=Europe/Rome", "Europe/Rome"],
  ])("%s", async (options, zone) => {
    const client = await login({ options });
    expect(await show(client, "timezone")).toBe(zone);
    client.end();
  });

  test.each([
    ["-c work_mem=5MB", "unsupported startup parameter in options: work_mem"],
    ["-d 5", "unsupported options startup parameter: only '-c config=val' and '--config=val' are allowed"],
  ])("%s is refused", async (options, text) => {
    expect(await loginError({ options })).toBe(text);
  });

  test("a parameter that is neither tracked nor ignored is refused, an ignored one dropped", async () => {
    expect(await loginError({ work_mem: "5MB" })).toBe("unsupported startup parameter: work_mem");
    expect(await loginError({ extra_float_digits: "2" })).toBeUndefined();
  });
});

test("a startup packet larger than pkt_buf", async () => {
  const long = "n".repeat(20_000);
  expect(await loginError({ extra_float_digits: long })).toBeUndefined();
  const client = await login({ application_name: "n".repeat(5000) });
  client.send(query("select 'in step'"));
  expect(types(await client.until("Z"))).toMatch(/^S*TDCZ$/);
  client.end();
});
