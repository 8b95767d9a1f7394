/** postgres.js through the pooler. */
import { deepStrictEqual, rejects } from "node:assert/strict";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import postgres from "postgres";

export async function usePostgresJs(uri: string): Promise<void> {
  const sql = postgres(uri, { max: 16, onnotice: () => undefined });
  deepStrictEqual([...(await sql`select 1 + 1 as n`)], [{ n: 2 }]);
  await sql`drop table if exists drivers_postgres_js`;
  await sql`create table drivers_postgres_js (id int primary key, name text)`;
  await rejects(
    sql.begin(async (transaction) => {
      await transaction`insert into drivers_postgres_js values (1, 'gone')`;
      throw new Error("roll back");
    }),
    /roll back/,
  );
  deepStrictEqual([...(await sql`select count(*)::int as n from drivers_postgres_js`)], [{ n: 0 }]);

  const lines = Array.from({ length: 1000 }, (_, n) => `${n}\tname ${n}\n`);
  await pipeline(Readable.from(lines), await sql`copy drivers_postgres_js from stdin`.writable());
  let copied = "";
  for await (const chunk of await sql`copy (select * from drivers_postgres_js order by id) to stdout`.readable()) {
    copied += String(chunk);
  }
  deepStrictEqual(copied, lines.join(""));

  // Prepared, pipelined, over 16 connections.
  const names = await Promise.all(
    Array.from({ length: 300 }, (_, n) => sql`select name from drivers_postgres_js where id = ${n}`),
  );
  deepStrictEqual(
    names.map(([row]) => row?.["name"]),
    Array.from({ length: 300 }, (_, n) => `name ${n}`),
  );

  await rejects(Promise.resolve(sql`select 1 / 0`), { code: "22012" });
  const sleeping = sql`select pg_sleep(20)`;
  const over = rejects(Promise.resolve(sleeping), { code: "57014" });
  await new Promise((resolve) => setTimeout(resolve, 300));
  sleeping.cancel();
  await over;
  deepStrictEqual([...(await sql`select 3 as n`)], [{ n: 3 }]);
  await sql.end();

  const wrong = postgres(uri.replace(":secret@", ":wrong@"), { max: 1 });
  await rejects(Promise.resolve(wrong`select 1`), { code: "08P01" });
  await wrong.end();
}
