/** Queries through the pooler with node-postgres and postgres.js: more clients than servers, both ways to ask. */
import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer } from "../support/bouncer.ts";

const poolSize = 3;
const clientCount = 24;
const queriesPerClient = 20;

let cluster: EmbeddedPostgres;
let bouncer: Bouncer;

beforeAll(async () => {
  cluster = await EmbeddedPostgres.start();
  await cluster.query("create table item (id int primary key, label text)");
  await cluster.query("insert into item select i, 'item ' || i from generate_series(1, 1000) i");
  bouncer = await Bouncer.start({
    databases: { shop: `host=${cluster.host} port=${cluster.port} dbname=postgres` },
    userlist: { postgres: "" },
    settings: { pool_mode: "transaction", default_pool_size: poolSize },
  });
});

afterAll(async () => {
  await bouncer?.stop();
  await cluster?.stop();
});

/** How many server connections PostgreSQL itself counts for the pooler. */
async function countServers(): Promise<number> {
  const result = await cluster.query(
    "select count(*)::int as n from pg_stat_activity where backend_type = 'client backend' and client_addr is not null",
  );
  return (result.rows as { n: number }[])[0]!.n;
}

describe("simple queries", () => {
  test("a row arrives as PostgreSQL sent it", async () => {
    const client = await bouncer.connect({ database: "shop" });
    const result = await client.query("select id, label, null as nothing from item where id = 7");
    expect(result.rows).toEqual([{ id: 7, label: "item 7", nothing: null }]);
    expect(result.command).toBe("SELECT");
    await client.end();
  });

  test("several statements in one text answer one by one", async () => {
    const client = await bouncer.connect({ database: "shop" });
    const results = (await client.query("select 1 as a; select 2 as b, 3 as c; ")) as unknown as { rows: unknown[] }[];
    expect(results.map((result) => result.rows)).toEqual([[{ a: 1 }], [{ b: 2, c: 3 }]]);
    await client.end();
  });

  test("an empty text gets its own answer", async () => {
    const client = await bouncer.connect({ database: "shop" });
    const result = await client.query(";");
    expect(result.rows).toEqual([]);
    expect((await client.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
    await client.end();
  });

  test("an error reaches the client with its fields, and the connection goes on", async () => {
    const client = await bouncer.connect({ database: "shop" });
    await expect(client.query("select * from no_such_table")).rejects.toMatchObject({
      code: "42P01",
      severity: "ERROR",
      position: "15",
    });
    await expect(client.query("select 1 / 0")).rejects.toMatchObject({ code: "22012" });
    expect((await client.query("select 'still here' as answer")).rows).toEqual([{ answer: "still here" }]);
    await client.end();
  });

  test("a notice reaches the client that caused it", async () => {
    const client = await bouncer.connect({ database: "shop" });
    const notices: (string | undefined)[] = [];
    client.on("notice", (notice) => notices.push(notice.message));
    await client.query("do $$ begin raise notice 'told %', 42; end $$");
    expect(notices).toEqual(["told 42"]);
    await client.end();
  });

  test("a large answer and a large question arrive whole", async () => {
    const client = await bouncer.connect({ database: "shop" });
    const text = "x".repeat(3_000_000);
    const result = await client.query(`select repeat('ab', 2000000) as long, length('${text}') as sent`);
    expect(result.rows[0].long.length).toBe(4_000_000);
    expect(result.rows[0].sent).toBe(3_000_000);
    const rows = await client.query("select i, repeat(i::text, 10) as t from generate_series(1, 50000) i");
    expect(rows.rows.length).toBe(50_000);
    expect(rows.rows.every((row, index) => row.i === index + 1 && row.t === String(index + 1).repeat(10))).toBe(true);
    await client.end();
  });
});

describe("parameters", () => {
  test("typed values go and come", async () => {
    const client = await bouncer.connect({ database: "shop" });
    const result = await client.query("select $1::int + 1 as n, $2::text as t, $3::bytea as b, $4::int[] as a", [
      41,
      "ünï ' \" \\",
      Buffer.from([0, 1, 255]),
      [1, 2, 3],
    ]);
    expect(result.rows[0]).toEqual({ n: 42, t: "ünï ' \" \\", b: Buffer.from([0, 1, 255]), a: [1, 2, 3] });
    await client.end();
  });

  test("an error between Parse and Sync leaves the connection in step", async () => {
    const client = await bouncer.connect({ database: "shop" });
    await expect(client.query("select $1::int / $2::int as n", [1, 0])).rejects.toMatchObject({ code: "22012" });
    await expect(client.query("select $1::nonsense", [1])).rejects.toMatchObject({ code: "42704" });
    expect((await client.query("select $1::int as n", [5])).rows).toEqual([{ n: 5 }]);
    await client.end();
  });
});

describe("more clients than servers", () => {
  test("each of many clients gets its own answers, and PostgreSQL sees only the pool", async () => {
    const clients = await Promise.all(Array.from({ length: clientCount }, () => bouncer.connect({ database: "shop" })));
    const wrong: string[] = [];
    let serversMax = 0;
    await Promise.all([
      ...clients.map(async (client, number) => {
        for (let round = 0; round < queriesPerClient; round += 1) {
          const expected = `${number}/${round}`;
          const result =
            round % 2 === 0
              ? await client.query(`select '${expected}' as answer, pg_sleep(0.002)`)
              : await client.query("select $1::text as answer", [expected]);
          const { answer } = result.rows[0] as { answer: string };
          if (answer !== expected) wrong.push(`${expected} got ${answer}`);
        }
      }),
      (async () => {
        for (let look = 0; look < 5; look += 1) serversMax = Math.max(serversMax, await countServers());
      })(),
    ]);
    serversMax = Math.max(serversMax, await countServers());
    expect(wrong).toEqual([]);
    expect(serversMax).toBeGreaterThan(0);
    expect(serversMax).toBeLessThanOrEqual(poolSize);
    await Promise.all(clients.map((client) => client.end()));
  });

  test("postgres.js: pipelined queries of many connections", async () => {
    const sql = postgres(bouncer.url("shop"), { max: clientCount, prepare: false, onnotice: () => undefined });
    const answers = await Promise.all(
      Array.from(
        { length: 500 },
        (_, number) => sql<{ n: number; label: string }[]>`
        select ${number}::int as n, label from item where id = ${(number % 1000) + 1}`,
      ),
    );
    expect(answers.map((rows) => rows[0])).toEqual(
      Array.from({ length: 500 }, (_, number) => ({ n: number, label: `item ${(number % 1000) + 1}` })),
    );
    expect(await countServers()).toBeLessThanOrEqual(poolSize);
    await sql.end();
  });
});
