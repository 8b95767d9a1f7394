/** Transactions through a pool in transaction mode: a client keeps its server for exactly as long as the transaction. */
import postgres from "postgres";
import { afterAll, beforeAll, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer } from "../support/bouncer.ts";

let cluster: EmbeddedPostgres;
let bouncer: Bouncer;

beforeAll(async () => {
  cluster = await EmbeddedPostgres.start();
  await cluster.query("create table account (id int primary key, balance int not null)");
  bouncer = await Bouncer.start({
    databases: {
      bank: `host=${cluster.host} port=${cluster.port} dbname=postgres`,
      single: `host=${cluster.host} port=${cluster.port} dbname=postgres pool_size=1`,
    },
    userlist: { postgres: "" },
    settings: { pool_mode: "transaction", default_pool_size: 4 },
  });
});

afterAll(async () => {
  await bouncer?.stop();
  await cluster?.stop();
});

test("one transaction stays on one server, whatever the others do", async () => {
  const clients = await Promise.all(Array.from({ length: 12 }, () => bouncer.connect({ database: "bank" })));
  const seen = await Promise.all(
    clients.map(async (client) => {
      await client.query("begin");
      const pids = new Set<number>();
      for (let step = 0; step < 5; step += 1) {
        pids.add((await client.query("select pg_backend_pid() as pid, pg_sleep(0.002)")).rows[0].pid);
      }
      await client.query("commit");
      return pids.size;
    }),
  );
  expect(seen).toEqual(clients.map(() => 1));
  await Promise.all(clients.map((client) => client.end()));
});

test("with one server a second client waits for the end of the first one's transaction", async () => {
  const first = await bouncer.connect({ database: "single" });
  const second = await bouncer.connect({ database: "single" });
  const order: string[] = [];
  await first.query("begin");
  const waiting = second.query("select 1").then(() => order.push("second"));
  await first.query("select pg_sleep(0.05)");
  order.push("first");
  await first.query("commit");
  await waiting;
  expect(order).toEqual(["first", "second"]);
  await Promise.all([first.end(), second.end()]);
});

test("a failed transaction answers 25P02 until its end and leaves nothing behind", async () => {
  await cluster.query("delete from account");
  const client = await bouncer.connect({ database: "bank" });
  await client.query("begin");
  await client.query("insert into account values (1, 100)");
  await expect(client.query("select 1 / 0")).rejects.toMatchObject({ code: "22012" });
  await expect(client.query("select 1")).rejects.toMatchObject({ code: "25P02" });
  const end = await client.query("commit");
  expect(end.command).toBe("ROLLBACK");
  expect((await client.query("select count(*)::int as n from account")).rows).toEqual([{ n: 0 }]);
  await client.end();
});

test("a client that leaves in the middle of a transaction leaves no transaction to the next", async () => {
  await cluster.query("delete from account");
  const rude = await bouncer.connect({ database: "single" });
  await rude.query("begin");
  await rude.query("insert into account values (7, 7)");
  (rude as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
  const next = await bouncer.connect({ database: "single" });
  const result = await next.query(
    "select count(*)::int as n, now() = statement_timestamp() as own_transaction from account",
  );
  expect(result.rows).toEqual([{ n: 0, own_transaction: true }]);
  await next.end();
});

test("savepoints and isolation levels", async () => {
  await cluster.query("delete from account");
  const client = await bouncer.connect({ database: "bank" });
  await client.query("begin isolation level serializable");
  expect((await client.query("show transaction_isolation")).rows[0]).toEqual({ transaction_isolation: "serializable" });
  await client.query("insert into account values (1, 1)");
  await client.query("savepoint here");
  await expect(client.query("insert into account values (1, 2)")).rejects.toMatchObject({ code: "23505" });
  await client.query("rollback to savepoint here");
  await client.query("insert into account values (2, 2)");
  await client.query("commit");
  expect((await client.query("select id from account order by id")).rows).toEqual([{ id: 1 }, { id: 2 }]);
  await client.end();
});

test("postgres.js: concurrent transfers keep the sum", async () => {
  const accounts = 10;
  await cluster.query("delete from account");
  await cluster.query(`insert into account select i, 1000 from generate_series(1, ${accounts}) i`);
  const sql = postgres(bouncer.url("bank"), { max: 16, prepare: false, onnotice: () => undefined });
  let failed = 0;
  await Promise.all(
    Array.from({ length: 200 }, async (_, number) => {
      const [low, high] = [(number % accounts) + 1, ((number * 7 + 3) % accounts) + 1].sort((a, b) => a - b);
      if (low === high) return;
      await sql
        .begin(async (transaction) => {
          await transaction`update account set balance = balance - 10 where id = ${low!}`;
          if (number % 5 === 0) throw new Error("changed my mind");
          await transaction`update account set balance = balance + 10 where id = ${high!}`;
        })
        .catch((error: Error) => {
          if (error.message !== "changed my mind") throw error;
          failed += 1;
        });
    }),
  );
  const [row] = await sql<{ sum: number }[]>`select sum(balance)::int as sum from account`;
  expect(row?.sum).toBe(accounts * 1000);
  expect(failed).toBeGreaterThan(0);
  await sql.end();
});
