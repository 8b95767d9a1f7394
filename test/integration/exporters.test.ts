/**
 * What monitoring asks of the console, as the drivers ask it: the queries of prometheus_pgbouncer_exporter and its like
 * (SHOW STATS, POOLS, DATABASES, LISTS, CONFIG, VERSION, CLIENTS, SERVERS), in the simple and in the extended protocol, by
 * node-postgres and postgres.js. psycopg does the same in test/drivers.
 */
import type { Client, QueryResult } from "pg";
import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer } from "../support/bouncer.ts";
import {
  WireClient,
  bind,
  describeStatement,
  execute,
  message,
  parse,
  startupMessage,
  sync,
  types,
} from "../support/wire-client.ts";
import { answerLogin } from "./login-dialogue.ts";

const Oid = { int8: 20, int4: 23, text: 25, numeric: 1700 } as const;

/** Columns that exporters read, with the types that they scan them into. */
const scraped: readonly (readonly [command: string, columns: Readonly<Record<string, number>>])[] = [
  [
    "SHOW STATS",
    {
      database: Oid.text,
      total_xact_count: Oid.numeric,
      total_query_count: Oid.numeric,
      total_received: Oid.numeric,
      total_sent: Oid.numeric,
      total_xact_time: Oid.numeric,
      total_query_time: Oid.numeric,
      total_wait_time: Oid.numeric,
      avg_query_time: Oid.numeric,
    },
  ],
  [
    "SHOW POOLS",
    {
      database: Oid.text,
      user: Oid.text,
      cl_active: Oid.int4,
      cl_waiting: Oid.int4,
      sv_active: Oid.int4,
      sv_idle: Oid.int4,
      sv_used: Oid.int4,
      sv_tested: Oid.int4,
      sv_login: Oid.int4,
      maxwait: Oid.int4,
      maxwait_us: Oid.int4,
      pool_mode: Oid.text,
    },
  ],
  [
    "SHOW DATABASES",
    {
      name: Oid.text,
      host: Oid.text,
      port: Oid.int4,
      database: Oid.text,
      force_user: Oid.text,
      pool_size: Oid.int4,
      reserve_pool_size: Oid.int4,
      pool_mode: Oid.text,
      max_connections: Oid.int4,
      current_connections: Oid.int4,
      paused: Oid.int4,
      disabled: Oid.int4,
    },
  ],
  ["SHOW LISTS", { list: Oid.text, items: Oid.int4 }],
  ["SHOW CONFIG", { key: Oid.text, value: Oid.text, default: Oid.text, changeable: Oid.text }],
  ["SHOW VERSION", { version: Oid.text }],
  ["SHOW CLIENTS", { user: Oid.text, database: Oid.text, state: Oid.text, wait: Oid.int4, application_name: Oid.text }],
  ["SHOW SERVERS", { user: Oid.text, database: Oid.text, state: Oid.text, remote_pid: Oid.int4 }],
  ["SHOW DNS_HOSTS", { hostname: Oid.text, ttl: Oid.int8, addrs: Oid.text }],
];

let cluster: EmbeddedPostgres;
let bouncer: Bouncer;
let application: Client;

beforeAll(async () => {
  cluster = await EmbeddedPostgres.start();
  const place = `host=${cluster.host} port=${cluster.port} dbname=postgres`;
  bouncer = await Bouncer.start({
    databases: { shop: place },
    userlist: { postgres: "secret", exporter: "exporter-password" },
    settings: {
      pool_mode: "transaction",
      auth_type: "scram-sha-256",
      stats_users: "exporter",
      ignore_startup_parameters: "extra_float_digits",
    },
  });
  application = await bouncer.connect({ database: "shop", password: "secret", application_name: "shop-frontend" });
  await application.query("select 1");
});

afterAll(async () => {
  await application?.end();
  await bouncer?.stop();
  await cluster?.stop();
});

const login = { database: "pgbouncer", user: "exporter", password: "exporter-password" };

describe("node-postgres", () => {
  test.each(scraped)("%s has the columns and types that exporters scan", async (command, columns) => {
    const client = await bouncer.connect(login);
    // Simple, extended unnamed, extended named, and the named one once more without a Parse.
    const named = { name: "scrape", text: command };
    const results: QueryResult[] = [
      await client.query(command),
      await client.query({ text: command, queryMode: "extended" } as { text: string }),
      await client.query(named),
      await client.query(named),
    ];
    for (const { fields, command: tag } of results) {
      expect(Object.fromEntries(fields.map(({ name, dataTypeID }) => [name, dataTypeID]))).toMatchObject(columns);
      expect(tag).toBe("SHOW");
    }
    const [simple] = results;
    for (const result of results) expect(result.fields).toEqual(simple?.fields);
    for (const row of (simple?.rows ?? []) as Record<string, unknown>[]) {
      for (const [name, type] of Object.entries(columns)) {
        const value = row[name];
        if (value === null) continue;
        // The driver decodes int4; int8 and numeric come as texts, which must be whole numbers.
        if (type === Oid.int4) expect(value).toBeTypeOf("number");
        else if (type === Oid.text) expect(value).toBeTypeOf("string");
        else expect(value).toMatch(/^\d+$/);
      }
    }
    await client.end();
  });

  test("the figures are those of the pool", async () => {
    const client = await bouncer.connect(login);
    const rows = async (text: string): Promise<Record<string, unknown>[]> =>
      (await client.query({ name: text, text })).rows as Record<string, unknown>[];
    const stats = (await rows("SHOW STATS")).find(({ database }) => database === "shop");
    expect(stats).toMatchObject({ total_query_count: "1", total_xact_count: "1" });
    const pool = (await rows("SHOW POOLS")).find(({ database }) => database === "shop");
    expect(pool).toMatchObject({ user: "postgres", cl_active: 1, cl_waiting: 0, sv_idle: 1, pool_mode: "transaction" });
    expect((await rows("SHOW LISTS")).find(({ list }) => list === "pools")).toMatchObject({ items: 2 });
    const clients = await rows("SHOW CLIENTS");
    expect(clients.find(({ database }) => database === "shop")).toMatchObject({ application_name: "shop-frontend" });
    expect((await rows("SHOW CONFIG")).find(({ key }) => key === "pool_mode")).toMatchObject({ value: "transaction" });
    expect((await rows("SHOW VERSION"))[0]?.["version"]).toMatch(/^PgBouncer \d+\.\d+\.\d+/);
    await client.end();
  });

  test("what an exporter sends when it connects is answered", async () => {
    const client = await bouncer.connect(login);
    // lib/pq's check of a connection, and what database/sql and pools send before use.
    const empty = (await client.query(";").catch((error: unknown) => error)) as { code?: string };
    expect(empty.code).toBe("08P01");
    await client.query("SET client_encoding TO 'UTF8'");
    await client.query("SET TIMEZONE = 'UTC'");
    expect((await client.query({ text: "SHOW VERSION", name: "after" })).rows).toHaveLength(1);
    await client.end();
  });
});

describe("postgres.js", () => {
  test.each(scraped)("%s, prepared and not", async (command, columns) => {
    for (const prepare of [true, false]) {
      const sql = postgres({ ...login, host: bouncer.host, port: bouncer.port, max: 1, prepare, fetch_types: false });
      try {
        for (const result of [await sql.unsafe(command), await sql.unsafe(command, [], { prepare })]) {
          expect(Object.fromEntries(result.columns.map(({ name, type }) => [name, type]))).toMatchObject(columns);
        }
      } finally {
        await sql.end();
      }
    }
  });

  test("many scrapes at once, pipelined on one connection", async () => {
    const sql = postgres({ ...login, host: bouncer.host, port: bouncer.port, max: 1, fetch_types: false });
    const commands = Array.from({ length: 20 }, (_, at) => scraped[at % scraped.length]![0]);
    const results = await Promise.all(commands.map((command) => sql.unsafe(command, [], { prepare: true })));
    expect(results.map(({ command }) => command)).toEqual(commands.map(() => "SHOW"));
    await sql.end();
  });
});

/** Go's lib/pq: an unnamed Parse, Describe of the statement and Sync; then Bind, Execute and Sync, when a query has arguments. */
test("a statement that is described before it is bound, as Go's lib/pq does", async () => {
  const { user, database } = login;
  const wire = await WireClient.open({ port: bouncer.port });
  wire.send(
    startupMessage({ user, database, client_encoding: "UTF8", datestyle: "ISO, MDY", extra_float_digits: "2" }),
  );
  expect((await answerLogin(wire, login)).error).toBeNull();
  wire.send(parse("", "SHOW POOLS"), describeStatement(""), sync());
  expect(types(await wire.until("Z"))).toBe("1tTZ");
  wire.send(bind("", ""), execute(""), sync());
  expect(types(await wire.until("Z"))).toMatch(/^2D+CZ$/);
  wire.send(message("C", Buffer.from("S"), ""), sync());
  expect(types(await wire.until("Z"))).toBe("3Z");
  wire.end();
});
