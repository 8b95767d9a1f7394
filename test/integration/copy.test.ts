/** COPY in both directions, in transaction mode: through postgres.js, and message by message where a driver hides things. */
import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import postgres from "postgres";
import { afterAll, beforeAll, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer } from "../support/bouncer.ts";
import {
  bind,
  columns,
  errorFields,
  execute,
  message,
  parse,
  query,
  sync,
  types,
  WireClient,
} from "../support/wire-client.ts";

const poolSize = 2;
const rowCount = 200_000;

let cluster: EmbeddedPostgres;
let bouncer: Bouncer;

beforeAll(async () => {
  cluster = await EmbeddedPostgres.start();
  bouncer = await Bouncer.start({
    databases: { depot: `host=${cluster.host} port=${cluster.port} dbname=postgres` },
    userlist: { postgres: "" },
    settings: { pool_mode: "transaction", default_pool_size: poolSize },
  });
});

afterAll(async () => {
  await bouncer?.stop();
  await cluster?.stop();
});

function connect(): postgres.Sql {
  return postgres(bouncer.url("depot"), { max: 1, prepare: false, onnotice: () => undefined });
}

function* lines(count: number): Generator<string> {
  for (let row = 1; row <= count; row += 1) yield `${row}\tlabel of ${row}\n`;
}

/** md5 and length of a stream. */
async function digest(source: Readable): Promise<{ hash: string; bytes: number }> {
  const hash = createHash("md5");
  let bytes = 0;
  for await (const chunk of source as AsyncIterable<Buffer>) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  return { hash: hash.digest("hex"), bytes };
}

test("what goes in by COPY comes out by COPY, byte for byte", async () => {
  await cluster.query("create table parcel (id int, label text)");
  const sql = connect();
  await pipeline(Readable.from(lines(rowCount)), await sql`copy parcel from stdin`.writable());
  const [count] = await sql<{ n: number }[]>`select count(*)::int as n from parcel`;
  expect(count?.n).toBe(rowCount);
  const expected = await digest(Readable.from(lines(rowCount)).map((line: string) => Buffer.from(line)));
  const received = await digest(await sql`copy (select * from parcel order by id) to stdout`.readable());
  expect(received).toEqual(expected);
  await sql.end();
});

test("COPY of several clients at once does not mix", async () => {
  const clients = Array.from({ length: 6 }, connect);
  const sums = await Promise.all(
    clients.map(async (sql, number) => {
      const stream = await sql.unsafe(`copy (select '${number}' from generate_series(1, 30000)) to stdout`).readable();
      const { bytes, hash } = await digest(stream);
      return { bytes, hash };
    }),
  );
  const expected = Array.from({ length: 6 }, (_, number) => ({
    bytes: 60_000,
    hash: createHash("md5").update(`${number}\n`.repeat(30_000)).digest("hex"),
  }));
  expect(sums).toEqual(expected);
  await Promise.all(clients.map((sql) => sql.end()));
});

test("a row that PostgreSQL refuses fails the COPY, and the connection goes on", async () => {
  await cluster.query("create table strict (id int)");
  const client = await WireClient.login(bouncer, { user: "postgres", database: "depot" });
  client.send(query("copy strict from stdin"));
  await client.until("G");
  client.send(message("d", Buffer.from("1\nnot a number\n")));
  const [error] = await client.until("E");
  expect(errorFields(error!.body)).toMatchObject({ C: "22P02" });
  // A client that has not seen the error yet goes on sending; PostgreSQL drops that.
  client.send(message("d", Buffer.from("2\n")), message("c"));
  expect(types(await client.until("Z"))).toBe("Z");
  client.send(query("select 'in step'"));
  expect(types(await client.until("Z"))).toBe("TDCZ");
  client.end();
  for (let round = 0; round < 2 * poolSize; round += 1) {
    const next = await bouncer.connect({ database: "depot" });
    expect((await next.query("select count(*)::int as n from strict")).rows).toEqual([{ n: 0 }]);
    await next.end();
  }
});

test("a client that gives up with CopyFail", async () => {
  await cluster.query("create table refused (id int)");
  const client = await WireClient.login(bouncer, { user: "postgres", database: "depot" });
  client.send(query("copy refused from stdin"));
  await client.until("G");
  client.send(message("d", Buffer.from("1\n")), message("f", "changed my mind"));
  const answer = await client.until("Z");
  expect(types(answer)).toBe("EZ");
  expect(errorFields(answer[0]!.body)).toMatchObject({ C: "57014" });
  client.send(query("select count(*) from refused"));
  expect(columns((await client.until("Z"))[1]!.body)).toEqual(["0"]);
  client.end();
});

test("COPY by extended query, with everything behind it in one write", async () => {
  await cluster.query("create table pipelined (id int)");
  const client = await WireClient.login(bouncer, { user: "postgres", database: "depot" });
  client.send(parse("", "copy pipelined from stdin"), bind("", ""), execute(""));
  client.send(message("d", Buffer.from("1\n2\n")), message("d", Buffer.from("3\n")), message("c"), sync());
  expect(types(await client.until("Z"))).toBe("12GCZ");
  client.send(query("copy (select * from pipelined order by id) to stdout"));
  const answer = await client.until("Z");
  expect(types(answer)).toBe("HdddcCZ");
  expect(answer.filter(({ type }) => type === "d").map(({ body }) => body.toString())).toEqual(["1\n", "2\n", "3\n"]);
  client.end();
});

test("a client that leaves in the middle of COPY IN costs nobody else anything", async () => {
  await cluster.query("create table abandoned (id int)");
  const client = await WireClient.login(bouncer, { user: "postgres", database: "depot" });
  client.send(query("copy abandoned from stdin"));
  await client.until("G");
  client.send(message("d", Buffer.from("1\n")));
  client.destroy();
  for (let round = 0; round < 2 * poolSize; round += 1) {
    const next = await bouncer.connect({ database: "depot" });
    expect((await next.query("select count(*)::int as n from abandoned")).rows).toEqual([{ n: 0 }]);
    await next.end();
  }
});

test("a reader that stops for a while loses nothing, and others are served meanwhile", async () => {
  const sql = connect();
  const megabytes = 24;
  const stream = await sql
    .unsafe(`copy (select repeat('0123456789abcdef', 64) from generate_series(1, ${megabytes * 1024})) to stdout`)
    .readable();
  let bytes = 0;
  let served = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes < 1_000_000 || served > 0) continue;
    const other = await bouncer.connect({ database: "depot" });
    served = (await other.query("select 1 as one")).rows.length;
    await other.end();
  }
  expect(served).toBe(1);
  expect(bytes).toBe(megabytes * 1024 * 1025);
  await sql.end();
});
