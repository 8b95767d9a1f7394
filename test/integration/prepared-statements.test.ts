/** Named prepared statements in transaction mode: each client's names are its own, on whatever server it lands. */
import type { Client } from "pg";
import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer } from "../support/bouncer.ts";
import {
  bind,
  closeStatement,
  describeStatement,
  errorFields,
  execute,
  flush,
  parse,
  query,
  sync,
  types,
  WireClient,
} from "../support/wire-client.ts";

const poolSize = 3;

let cluster: EmbeddedPostgres;
let bouncer: Bouncer;

beforeAll(async () => {
  cluster = await EmbeddedPostgres.start();
  const server = `host=${cluster.host} port=${cluster.port} dbname=postgres`;
  bouncer = await Bouncer.start({
    databases: { shop: server, single: `${server} pool_size=1` },
    userlist: { postgres: "" },
    settings: { pool_mode: "transaction", default_pool_size: poolSize, max_prepared_statements: 20 },
  });
});

afterAll(async () => {
  await bouncer?.stop();
  await cluster?.stop();
});

describe("node-postgres", () => {
  test("one name, different texts in different clients", async () => {
    const clients = await Promise.all(Array.from({ length: 12 }, () => bouncer.connect({ database: "shop" })));
    const answers = await Promise.all(
      clients.map(async (client, number) => {
        const seen: number[] = [];
        for (let round = 0; round < 10; round += 1) {
          const { rows } = await client.query({
            name: "mine",
            text: `select $1::int + ${number * 1000} as n`,
            values: [round],
          });
          seen.push(rows[0].n);
        }
        return seen;
      }),
    );
    expect(answers).toEqual(clients.map((_, number) => Array.from({ length: 10 }, (_round, n) => number * 1000 + n)));
    await Promise.all(clients.map((client) => client.end()));
  });

  test("a statement is parsed once per server, however many clients prepare it", async () => {
    const clients = await Promise.all(Array.from({ length: 8 }, () => bouncer.connect({ database: "single" })));
    for (const client of clients) {
      await client.query({ name: "shared", text: "select $1::text as once", values: ["a"] });
    }
    const { rows } = await clients[0]!.query(
      "select count(*)::int as n from pg_prepared_statements where statement = 'select $1::text as once'",
    );
    expect(rows).toEqual([{ n: 1 }]);
    await Promise.all(clients.map((client) => client.end()));
  });

  test("more statements than a server may hold", async () => {
    const client = await bouncer.connect({ database: "single" });
    for (let round = 0; round < 2; round += 1) {
      for (let number = 0; number < 50; number += 1) {
        const { rows } = await client.query({
          name: `s${number}`,
          text: `select $1::int * ${number} as n`,
          values: [2],
        });
        expect(rows).toEqual([{ n: 2 * number }]);
      }
    }
    const held = await client.query("select count(*)::int as n from pg_prepared_statements");
    expect(held.rows[0].n).toBeGreaterThan(0);
    expect(held.rows[0].n).toBeLessThanOrEqual(20);
    await client.end();
  });

  test("a statement whose Parse fails does not exist afterwards, and its name is free", async () => {
    const client = await bouncer.connect({ database: "shop" });
    await expect(client.query({ name: "broken", text: "selekt 1" })).rejects.toMatchObject({ code: "42601" });
    const { rows } = await client.query({ name: "broken", text: "select 1 as n" });
    expect(rows).toEqual([{ n: 1 }]);
    await client.end();
  });

  test("in a transaction, after an error in it, and after it", async () => {
    const client = await bouncer.connect({ database: "shop" });
    const divide = { name: "divide", text: "select 10 / $1::int as n" };
    await client.query("begin");
    expect((await client.query({ ...divide, values: [5] })).rows).toEqual([{ n: 2 }]);
    await expect(client.query({ ...divide, values: [0] })).rejects.toMatchObject({ code: "22012" });
    await expect(client.query({ ...divide, values: [1] })).rejects.toMatchObject({ code: "25P02" });
    await client.query("rollback");
    expect((await client.query({ ...divide, values: [2] })).rows).toEqual([{ n: 5 }]);
    await client.end();
  });

  test("a text means what it means under its client's settings, not under those of who prepared it first", async () => {
    // The literal becomes a date when PostgreSQL parses it: the same text is another statement under another DateStyle.
    const text = "select date '02/01/2003' - date '2003-01-01' as days";
    const connect = async (style: string): Promise<Client> => {
      const client = await bouncer.connect({ database: "single" });
      await client.query(`set datestyle = 'ISO, ${style}'`);
      return client;
    };
    const [american, european] = [await connect("MDY"), await connect("DMY")];
    for (let round = 0; round < 3; round += 1) {
      expect((await american.query({ name: "then", text })).rows).toEqual([{ days: 31 }]);
      expect((await european.query({ name: "then", text })).rows).toEqual([{ days: 1 }]);
    }
    // A client that changes its mind gets the statement that it has, as long as its server has it.
    await american.query("set datestyle = 'ISO, DMY'");
    expect((await american.query({ name: "then", text })).rows).toEqual([{ days: 31 }]);
    expect((await european.query({ name: "then", text })).rows).toEqual([{ days: 1 }]);
    // And one of its new settings where the old ones cannot be had any more, which the others do not get to see.
    for (let number = 0; number < 40; number += 1)
      await european.query({ name: `other${number}`, text: `select ${number}` });
    expect((await american.query({ name: "then", text })).rows).toEqual([{ days: 1 }]);
    const late = await connect("MDY");
    expect((await late.query({ name: "then", text })).rows).toEqual([{ days: 31 }]);
    for (const client of [american, european, late]) await client.end();
  });

  test("DEALLOCATE ALL and DISCARD ALL make all names free", async () => {
    for (const command of ["deallocate all", "discard all"]) {
      const client = await bouncer.connect({ database: "single" });
      await client.query({ name: "gone", text: "select 1 as n" });
      await client.query(command);
      // The driver remembers that it prepared the name; a driver that starts anew must be able to use it again.
      const { parsedStatements } = (client as unknown as { connection: { parsedStatements: Record<string, string> } })
        .connection;
      delete parsedStatements["gone"];
      expect((await client.query({ name: "gone", text: "select 2 as n" })).rows).toEqual([{ n: 2 }]);
      await client.end();
    }
  });
});

describe("the unnamed statement", () => {
  const reads = [bind("", ""), execute(""), sync()];

  test("is its client's, as long as nobody else had the server", async () => {
    const client = await WireClient.login(bouncer, { user: "postgres", database: "single" });
    client.send(parse("", "select 'mine'"), sync());
    expect(types(await client.until("Z"))).toBe("1Z");
    client.send(...reads);
    expect(types(await client.until("Z"))).toBe("2DCZ");
    client.end();
  });

  test("is never another client's", async () => {
    const [owner, other] = [
      await WireClient.login(bouncer, { user: "postgres", database: "single" }),
      await WireClient.login(bouncer, { user: "postgres", database: "single" }),
    ];
    for (const first of [parse("", "select 'older'"), null]) {
      // Once with one of its own that was parsed before, once without.
      if (first !== null) {
        other.send(first, sync());
        await other.until("Z");
      }
      owner.send(parse("", "select 'a secret'"), sync());
      await owner.until("Z");
      for (const messages of [reads, [describeStatement(""), sync()]]) {
        other.send(...messages);
        const answer = await other.until("Z");
        expect(types(answer)).toBe("EZ");
        expect(errorFields(answer[0]!.body)["C"]).toBe("26000");
      }
    }
    other.send(closeStatement(""), sync());
    expect(types(await other.until("Z"))).toBe("3Z");
    // One that PostgreSQL has skipped does not stand for one that is there.
    owner.send(parse("", "select 'a secret'"), sync());
    await owner.until("Z");
    other.send(parse("bad", "selekt"), parse("", "select 'skipped'"), sync());
    await other.until("Z");
    other.send(...reads);
    expect(types(await other.until("Z"))).toBe("EZ");
    owner.end();
    other.end();
  });

  test("is not lost with a named one that is skipped", async () => {
    const client = await WireClient.login(bouncer, { user: "postgres", database: "single" });
    client.send(query("begin"));
    await client.until("Z");
    client.send(parse("", "rollback"), sync());
    await client.until("Z");
    // The Bind fails; PostgreSQL skips the Parse behind it, which comes when the error has been answered.
    client.send(bind("", "", ["too many"]), flush());
    await client.until("E");
    client.send(parse("named", "select 1"), sync());
    await client.until("Z");
    client.send(...reads);
    expect(types(await client.until("Z"))).toBe("2CZ");
    client.end();
  });

  test("in a transaction a refusal is PostgreSQL's own: the transaction has failed", async () => {
    const [owner, other] = [
      await WireClient.login(bouncer, { user: "postgres", database: "single" }),
      await WireClient.login(bouncer, { user: "postgres", database: "single" }),
    ];
    owner.send(parse("", "select 'a secret'"), sync());
    await owner.until("Z");
    other.send(query("begin"), ...reads);
    await other.until("Z");
    const answer = await other.until("Z");
    expect([types(answer), String(answer.at(-1)!.body)]).toEqual(["EZ", "E"]);
    other.send(query("rollback"));
    await other.until("Z");
    owner.end();
    other.end();
  });
});

describe("postgres.js", () => {
  test("prepares by itself, describes, and pipelines", async () => {
    const sql = postgres(bouncer.url("shop"), { max: 10, onnotice: () => undefined });
    // The driver learns of array types with its first connection; queries that it builds before cannot have them.
    await sql`select 1`;
    const answers = await Promise.all(
      Array.from({ length: 300 }, (_, number) =>
        number % 3 === 0
          ? sql<{ v: unknown }[]>`select ${number}::int as v`
          : number % 3 === 1
            ? sql<{ v: unknown }[]>`select ${`text ${number}`}::text as v`
            : sql<{ v: unknown }[]>`select ${sql.array([number])}::int[] as v`,
      ),
    );
    expect(answers.map((rows) => rows[0]?.v)).toEqual(
      Array.from({ length: 300 }, (_, number) =>
        number % 3 === 0 ? number : number % 3 === 1 ? `text ${number}` : [number],
      ),
    );
    await sql.end();
  });

  test("cursors inside a transaction keep their portal", async () => {
    const sql = postgres(bouncer.url("shop"), { max: 4, onnotice: () => undefined });
    const sums = await Promise.all(
      Array.from({ length: 8 }, () =>
        sql.begin(async (transaction) => {
          let sum = 0;
          const cursor = transaction<{ i: number }[]>`select i from generate_series(1, 100) i`.cursor(7);
          for await (const rows of cursor) for (const row of rows) sum += row.i;
          return sum;
        }),
      ),
    );
    expect(sums).toEqual(Array.from({ length: 8 }, () => 5050));
    await sql.end();
  });
});
