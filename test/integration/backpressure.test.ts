/**
 * Somebody does not keep up: a client that does not read its answer, a server that does not take its data. What the
 * pooler holds then has a bound, by its own account (SHOW MEM) and by the system's (resident memory), and nobody else is
 * kept waiting. And large values, which go through without being held at all.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer } from "../support/bouncer.ts";
import { waitFor } from "../support/wait-for.ts";
import { bind, columns, execute, message, parse, query, sync, types, WireClient } from "../support/wire-client.ts";
import { Backends } from "./backends.ts";

const mib = 1024 * 1024;
const poolSize = 3;
/** What may be held of one stopped connection: a backlog of 64 KiB and what one read of its source brings. */
const heldBytesMax = mib;
/** What the process may grow while it holds that; measured, with room for a garbage collector that is late. */
const growthBytesMax = 48 * mib;

let cluster: EmbeddedPostgres;
let bouncer: Bouncer;
let backends: Backends;

beforeAll(async () => {
  cluster = await EmbeddedPostgres.start();
  await cluster.query("create table bulk (line text)");
  bouncer = await Bouncer.start({
    databases: { main: `host=${cluster.host} port=${cluster.port} dbname=postgres` },
    userlist: { postgres: "" },
    settings: { pool_mode: "transaction", default_pool_size: poolSize },
  });
  backends = await Backends.watch(cluster);
});

afterAll(async () => {
  await backends?.end();
  await bouncer?.stop();
  await cluster?.stop();
});

/** Clients of the running test. */
const clients: WireClient[] = [];

// One that is stuck when its test fails must not hold a server in the next.
afterEach(() => {
  for (const client of clients.splice(0)) client.destroy();
});

async function login(): Promise<WireClient> {
  const client = await WireClient.login(bouncer, { user: "postgres", database: "main" });
  clients.push(client);
  return client;
}

/** Bytes that the pooler has received and not passed on, by its own account. */
async function heldBytes(): Promise<number> {
  const row = (await bouncer.admin("SHOW MEM")).find(({ name }) => name === "iobuf_cache");
  return Number(row?.["size"]) * Number(row?.["used"]);
}

function residentBytes(): number {
  const line = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${bouncer.pid}/status`, "utf8"));
  return Number(line![1]) * 1024;
}

/** Returns when nothing flows any more: the pooler holds the same, and more than nothing, three times in a row. */
async function standstill(): Promise<number> {
  let last = -1;
  let same = 0;
  return waitFor("a standstill", async () => {
    const now = await heldBytes();
    same = now === last && now > 0 ? same + 1 : 0;
    last = now;
    await sleep(50);
    return same >= 3 ? now : null;
  });
}

/** Others are served as if nothing were. */
async function answerOfOthers(): Promise<unknown[]> {
  const seen: unknown[] = [];
  for (let round = 0; round < 5; round += 1) {
    const client = await bouncer.connect({ database: "main" });
    seen.push((await client.query("select 1 as one")).rows[0].one);
    await client.end();
  }
  return seen;
}

test.each([
  ["a query", "select repeat('0123456789abcdef', 512) from generate_series(1, 4096)", "D"],
  ["COPY", "copy (select repeat('0123456789abcdef', 512) from generate_series(1, 4096)) to stdout", "d"],
])("a client that stops reading the answer of %s holds nothing up but itself", async (_, text, type) => {
  const client = await login();
  const before = residentBytes();
  client.send(query(text));
  await client.until(type);
  client.socket.pause();
  expect(await standstill()).toBeLessThanOrEqual(heldBytesMax);
  expect(residentBytes() - before).toBeLessThan(growthBytesMax);
  expect(await answerOfOthers()).toEqual([1, 1, 1, 1, 1]);
  client.socket.resume();
  const rows = (await client.until("Z")).filter((answer) => answer.type === type);
  expect(rows.length).toBe(4095);
  expect(new Set(rows.map(({ body }) => createHash("md5").update(body).digest("hex"))).size).toBe(1);
  expect(await heldBytes()).toBeLessThan(64 * 1024);
  client.end();
});

test("a client that stopped reading and dies frees its server", async () => {
  const client = await login();
  client.send(query("select repeat('x', 8000), 'stuck' from generate_series(1, 4096)"));
  await client.until("D");
  client.socket.pause();
  await standstill();
  const stuck = await backends.waitForQuery("stuck");
  client.destroy();
  // Its query is cancelled, and the connection is kept.
  await waitFor("its server to be free", async () => (await backends.pids({ state: "idle" })).includes(stuck.pid));
  expect(await answerOfOthers()).toEqual([1, 1, 1, 1, 1]);
  expect(await heldBytes()).toBeLessThan(64 * 1024);
});

test("a client that pipelines queries without ever reading is stopped", async () => {
  const client = await login();
  client.socket.pause();
  const before = residentBytes();
  // 40 MB, more than the kernel's buffers take of it: what is to be read, and requests whose answers are to be read.
  const count = 10_000;
  const one = query(`select repeat('x', 10000) -- ${"padding ".repeat(500)}`);
  for (let sent = 0; sent < count; sent += 1) client.socket.write(one);
  expect(await standstill()).toBeLessThanOrEqual(heldBytesMax);
  expect(residentBytes() - before).toBeLessThan(growthBytesMax);
  // Not all of it has even left us.
  expect(client.socket.writableLength).toBeGreaterThan(0);
  expect(await answerOfOthers()).toEqual([1, 1, 1, 1, 1]);
  client.socket.resume();
  for (let answered = 0; answered < count; answered += 1) expect(types(await client.until("Z"))).toBe("TDCZ");
  client.end();
});

test("a server that does not take its data stops the client that sends them", async () => {
  const client = await login();
  client.send(query("copy bulk from stdin"));
  await client.until("G");
  const [backend] = await backends.list({ state: "active" });
  const before = residentBytes();
  process.kill(backend!.pid, "SIGSTOP");
  const line = message("d", Buffer.from(`${"y".repeat(8191)}\n`));
  const lines = 4096;
  try {
    for (let sent = 0; sent < lines; sent += 1) client.socket.write(line);
    expect(await standstill()).toBeLessThanOrEqual(heldBytesMax);
    expect(residentBytes() - before).toBeLessThan(growthBytesMax);
    expect(await answerOfOthers()).toEqual([1, 1, 1, 1, 1]);
  } finally {
    process.kill(backend!.pid, "SIGCONT");
  }
  client.send(message("c"));
  expect(types(await client.until("Z"))).toBe("CZ");
  expect((await cluster.query("select count(*)::int as n from bulk where length(line) = 8191")).rows).toEqual([
    { n: lines },
  ]);
  client.end();
});

test("a client that waits for a server is read from a little, and its query arrives whole afterwards", async () => {
  const holders = await Promise.all(Array.from({ length: poolSize }, () => login()));
  for (const holder of holders) {
    holder.send(query("begin"));
    await holder.until("Z");
  }
  const client = await login();
  client.send(query(`select length('${"w".repeat(16 * mib)}')`));
  expect(await standstill()).toBeLessThanOrEqual(heldBytesMax);
  for (const holder of holders) holder.end();
  const row = (await client.until("Z")).find(({ type }) => type === "D");
  expect(columns(row!.body)).toEqual([String(16 * mib)]);
  client.end();
});

test("a server that does not answer while the client's settings are being set: no more than a little is taken", async () => {
  await backends.terminate(await backends.pids());
  await waitFor("the pooler to have noticed", async () => (await bouncer.admin("SHOW SERVERS")).length === 0);
  const first = await login();
  first.send(query("select pg_backend_pid()"));
  // The server used last is the next one's.
  const pid = Number(columns((await first.until("Z")).find(({ type }) => type === "D")!.body)[0]);
  first.end();
  const client = await WireClient.login(bouncer, { user: "postgres", database: "main", application_name: "other" });
  process.kill(pid, "SIGSTOP");
  try {
    client.send(query(`select length('${"z".repeat(16 * mib)}')`));
    expect(await standstill()).toBeLessThanOrEqual(heldBytesMax);
    expect(await answerOfOthers()).toEqual([1, 1, 1, 1, 1]);
  } finally {
    process.kill(pid, "SIGCONT");
  }
  const row = (await client.until("Z")).find(({ type }) => type === "D");
  expect(columns(row!.body)).toEqual([String(16 * mib)]);
  client.end();
});

test.each([
  ["a simple query", (value: string) => [query(`select length(v), md5(v) from (values ('${value}')) as one(v)`)]],
  [
    "an unnamed statement",
    (value: string) => [parse("", "select length($1), md5($1)", [25]), bind("", "", [value]), execute(""), sync()],
  ],
  [
    "a named statement",
    (value: string) => [
      parse("big", "select length($1), md5($1)", [25]),
      bind("", "big", [value]),
      execute(""),
      sync(),
    ],
  ],
])("a parameter of 20 MB in %s arrives whole", async (_, ask) => {
  const value = "0123456789".repeat(2 * mib);
  const client = await login();
  client.send(...ask(value));
  const row = (await client.until("Z")).find(({ type }) => type === "D");
  expect(columns(row!.body)).toEqual([String(value.length), createHash("md5").update(value).digest("hex")]);
  client.end();
});

test("a value of 20 MB comes back whole, in a row among small ones", async () => {
  const client = await bouncer.connect({ database: "main" });
  const text =
    "select case n when 2 then repeat('0123456789', $1) else 'small' end as value from generate_series(1, 3) n";
  const { rows } = await client.query(text, [2 * mib]);
  expect(rows.map(({ value }) => value.length)).toEqual([5, 20 * mib, 5]);
  expect(rows[1].value === "0123456789".repeat(2 * mib)).toBe(true);
  await client.end();
});

test("what large values took is given back", async () => {
  expect(await heldBytes()).toBeLessThan(64 * 1024);
});

test("a small tcp_socket_buffer makes no connection crawl", async () => {
  const small = await Bouncer.start({
    databases: { main: `host=${cluster.host} port=${cluster.port} dbname=postgres` },
    userlist: { postgres: "" },
    settings: { pool_mode: "transaction", tcp_socket_buffer: 4096 },
  });
  try {
    const client = await WireClient.login(small, { user: "postgres", database: "main" });
    const startedMs = performance.now();
    client.send(query("select repeat('x', 1000) from generate_series(1, 30000)"));
    expect(types(await client.until("Z"))).toMatch(/^TD+CZ$/);
    // A second is enough for it. Where each segment waits for a delayed acknowledgement it is 18.
    expect(performance.now() - startedMs).toBeLessThan(9000);
    client.end();
  } finally {
    await small.stop();
  }
});
