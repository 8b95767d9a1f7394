/**
 * Replication connections, logical and physical, through a pool in transaction mode: what the client brings along reaches
 * a server of its own, the streams of PostgreSQL's walsender go through in both directions, and nobody else is touched.
 */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer } from "../support/bouncer.ts";
import { waitFor } from "../support/wait-for.ts";
import { columns, errorFields, message, query, types, WireClient, type WireMessage } from "../support/wire-client.ts";

const mib = 1024 * 1024;

let cluster: EmbeddedPostgres;
let bouncer: Bouncer;
const open: WireClient[] = [];

beforeAll(async () => {
  cluster = await EmbeddedPostgres.start({
    roles: [{ name: "plain" }],
    databases: ["other"],
    settings: { max_wal_senders: 10, max_replication_slots: 10, log_replication_commands: "on" },
  });
  const server = `host=${cluster.host} port=${cluster.port}`;
  bouncer = await Bouncer.start({
    databases: {
      main: `${server} dbname=postgres application_name=entry`,
      prepared: `${server} dbname=other connect_query='set work_mem to 123'`,
    },
    userlist: { postgres: "", plain: "" },
    settings: { pool_mode: "transaction", server_login_retry: 5 },
  });
});

afterEach(async () => {
  for (const client of open.splice(0)) client.destroy();
  await waitFor("replication connections to close", async () => (await walsenders()).length === 0);
});

afterAll(async () => {
  await bouncer?.stop();
  await cluster?.stop();
});

async function login(replication: string, more: Readonly<Record<string, string>> = {}): Promise<WireClient> {
  const client = await WireClient.login(bouncer, { user: "postgres", database: "main", replication, ...more });
  open.push(client);
  return client;
}

async function walsenders(): Promise<{ pid: number; application: string; state: string }[]> {
  const { rows } = await cluster.query(
    `select pid, application_name as application, wait_event as state from pg_stat_activity where backend_type = 'walsender'`,
  );
  return rows as { pid: number; application: string; state: string }[];
}

/** The rows of one command, and the types of all that answered it. */
async function run(client: WireClient, text: string): Promise<{ rows: (string | null)[][]; shape: string }> {
  client.send(query(text));
  const answer = await client.until("Z");
  const error = answer.find(({ type }) => type === "E");
  if (error !== undefined) throw new Error(errorFields(error.body)["M"]);
  return {
    rows: answer.filter(({ type }) => type === "D").map(({ body }) => columns(body)),
    shape: types(answer),
  };
}

/** The stream's messages: `w` is WAL (with where it begins), `k` a keepalive. */
function streamed({ body }: WireMessage): { kind: string; startsAt: bigint; endsAt: bigint; payload: Buffer } {
  const kind = String.fromCharCode(body[0]!);
  const startsAt = body.readBigUInt64BE(1);
  const payload = kind === "w" ? body.subarray(25) : Buffer.alloc(0);
  return { kind, startsAt, endsAt: startsAt + BigInt(payload.length), payload };
}

/** "Standby status update": all up to `at` has been received. */
function status(at: bigint, wantsAnswer = false): Buffer {
  const body = Buffer.alloc(34);
  body.write("r", 0, "latin1");
  for (const offset of [1, 9, 17]) body.writeBigUInt64BE(at, offset);
  body[33] = wantsAnswer ? 1 : 0;
  return message("d", body);
}

const copyDone = (): Buffer => message("c");

function lsn(text: string): bigint {
  const [high, low] = text.split("/");
  return (BigInt(`0x${high}`) << 32n) + BigInt(`0x${low}`);
}

/** Begins a physical stream at where the WAL ends now. */
async function startPhysical(client: WireClient): Promise<bigint> {
  const [identity] = (await run(client, "IDENTIFY_SYSTEM")).rows;
  const position = identity![2]!;
  client.send(query(`START_REPLICATION PHYSICAL ${position} TIMELINE 1`));
  expect(types(await client.until("W"))).toBe("W");
  return lsn(position);
}

/** The next message of WAL; keepalives that want an answer get one. */
async function nextWal(client: WireClient, seen: bigint): Promise<ReturnType<typeof streamed>> {
  for (;;) {
    const [received] = await client.until("d");
    const part = streamed(received!);
    if (part.kind === "w") return part;
    client.send(status(seen));
  }
}

describe("what a client brings along", () => {
  test("reaches its server: parameters and options as they are, over those of the entry", async () => {
    const own = { application_name: "abc", options: "-c enable_seqscan=off -c geqo=off" };
    for (const replication of ["database", "yes", "true", "on", "1"]) {
      const client = await login(replication, own);
      expect(client.parameters.get("application_name")).toBe("abc");
      expect((await run(client, "SHOW application_name")).rows).toEqual([["abc"]]);
      expect((await run(client, "SHOW enable_seqscan")).rows).toEqual([["off"]]);
      expect((await run(client, "SHOW geqo")).rows).toEqual([["off"]]);
      expect((await run(client, "IDENTIFY_SYSTEM")).rows[0]![3]).toBe(replication === "database" ? "postgres" : null);
    }
    const without = await login("database");
    expect((await run(without, "SHOW application_name")).rows).toEqual([["entry"]]);
    const others = await bouncer.connect({ database: "main" });
    expect((await others.query("show application_name")).rows).toEqual([{ application_name: "entry" }]);
    expect((await others.query("show enable_seqscan")).rows).toEqual([{ enable_seqscan: "on" }]);
    await others.end();
  });

  test("is no business of replication where the word says no", async () => {
    for (const replication of ["false", "no", "0", "off"]) {
      const client = await login(replication);
      expect((await run(client, "SELECT 1")).rows).toEqual([["1"]]);
    }
    expect(await walsenders()).toEqual([]);
  });

  test("is the session's to the end: a logical connection runs SQL in session mode", async () => {
    const client = await login("database");
    await run(client, "SET work_mem TO 77");
    await run(client, "CREATE TEMP TABLE mine (a int)");
    await run(client, "BEGIN");
    await run(client, "COMMIT");
    expect((await run(client, "SHOW work_mem")).rows).toEqual([["77kB"]]);
    expect((await run(client, "SELECT count(*) FROM mine")).rows).toEqual([["0"]]);
  });

  test("the entry's connect_query runs where SQL can, and is left out where it cannot", async () => {
    const logical = await login("database", { database: "prepared" });
    expect((await run(logical, "SHOW work_mem")).rows).toEqual([["123kB"]]);
    const log = await bouncer.logDuring(async () => {
      const physical = await login("yes", { database: "prepared" });
      expect((await run(physical, "SHOW work_mem")).rows).toEqual([["4MB"]]);
    });
    expect(log).not.toContain("connect_query failed");
  });

  test("physical connections are refused SQL by PostgreSQL, and live on", async () => {
    const client = await login("yes");
    await expect(run(client, "SELECT 1")).rejects.toThrow(
      "cannot execute SQL commands in WAL sender for physical replication",
    );
    expect((await run(client, "IDENTIFY_SYSTEM")).rows.length).toBe(1);
  });

  test("is shown on the console, on both sides of the link", async () => {
    await login("database", { application_name: "one" });
    await login("yes", { application_name: "two" });
    const named = (rows: readonly Record<string, unknown>[]): unknown[] =>
      rows
        .filter(({ application_name: name }) => name === "one" || name === "two")
        .map(({ type, application_name: name, replication, state }) => [type, name, replication, state]);
    expect(named(await bouncer.admin("SHOW CLIENTS"))).toEqual([
      ["C", "one", "logical", "active"],
      ["C", "two", "physical", "active"],
    ]);
    const servers = await bouncer.admin("SHOW SERVERS");
    expect(named(servers)).toEqual([
      ["S", "one", "logical", "active"],
      ["S", "two", "physical", "active"],
    ]);
    expect(bouncer.log()).toMatch(/login attempt: db=main user=postgres tls=no replication=database\n/);
    expect(bouncer.log()).toMatch(/login attempt: db=main user=postgres tls=no replication=yes\n/);
  });
});

describe("streams", () => {
  test("logical: changes arrive, status goes back, the stream ends on the client's word, and the connection goes on", async () => {
    await cluster.query("create table noted (a int); create publication notes for table noted");
    const client = await login("database");
    await run(client, "CREATE_REPLICATION_SLOT notes LOGICAL pgoutput");
    client.send(query("START_REPLICATION SLOT notes LOGICAL 0/0 (proto_version '1', publication_names 'notes')"));
    expect(types(await client.until("W"))).toBe("W");
    let seen = 0n;
    for (let value = 1; value <= 3; value += 1) {
      await cluster.query(`insert into noted values (${value})`);
      let kinds = "";
      while (!kinds.endsWith("C")) {
        const part = await nextWal(client, seen);
        seen = part.endsAt;
        kinds += String.fromCharCode(part.payload[0]!);
      }
      expect(kinds).toBe(value === 1 ? "BRIC" : "BIC");
      client.send(status(seen));
    }
    client.send(copyDone());
    const end = await client.until("Z");
    expect(types(end).replace(/^d*/, "")).toMatch(/^cC+Z$/);
    expect((await run(client, "IDENTIFY_SYSTEM")).rows.length).toBe(1);
    expect((await run(client, "SELECT count(*) FROM noted")).rows).toEqual([["3"]]);
    await run(client, "DROP_REPLICATION_SLOT notes");
  });

  test("an error ends a stream, before its beginning or in the middle, and the connection goes on", async () => {
    const client = await login("yes");
    await expect(run(client, "START_REPLICATION SLOT nowhere PHYSICAL 0/1000000")).rejects.toThrow("does not exist");
    await startPhysical(client);
    await cluster.query("select pg_cancel_backend(pid) from pg_stat_replication");
    const end = await client.until("Z");
    expect(errorFields(end.at(-2)!.body)).toMatchObject({ S: "ERROR", C: "57014" });
    // What the client says of the stream before it knows is of no account.
    client.send(status(0n), copyDone());
    expect((await run(client, "IDENTIFY_SYSTEM")).rows.length).toBe(1);
  });

  test("the end of PostgreSQL's side is told in PostgreSQL's words", async () => {
    const client = await login("yes");
    await startPhysical(client);
    await cluster.query("select pg_terminate_backend(pid) from pg_stat_replication");
    const error = (await client.rest()).find(({ type }) => type === "E");
    expect(errorFields(error!.body)).toMatchObject({ S: "FATAL", C: "57P01" });
  });

  test("a cancel request reaches the query of a logical connection", async () => {
    const client = await login("database");
    client.send(query("SELECT pg_sleep(60)"));
    await waitFor("the query to run", async () => (await walsenders()).some(({ state }) => state === "PgSleep"));
    const canceller = await WireClient.open(bouncer);
    const key = client.key!;
    const packet = Buffer.alloc(16);
    packet.writeInt32BE(16, 0);
    packet.writeInt32BE(80877102, 4);
    packet.writeInt32BE(key.pid, 8);
    key.secret.copy(packet, 12);
    canceller.send(packet);
    expect(await canceller.rest()).toEqual([]);
    const answer = await client.until("Z");
    expect(errorFields(answer.find(({ type }) => type === "E")!.body)["C"]).toBe("57014");
    expect((await run(client, "SELECT 1")).rows).toEqual([["1"]]);
  });

  test("a base backup goes through: several results and a COPY in one answer", async () => {
    const client = await login("yes");
    const { shape } = await run(client, "BASE_BACKUP (CHECKPOINT 'fast', MANIFEST 'yes')");
    expect(shape.replaceAll("N", "").replaceAll(/d+/g, "d").replaceAll(/D+/g, "D")).toMatch(/^(TDC)+HdcTDCC?Z$/);
    expect((await run(client, "IDENTIFY_SYSTEM")).rows.length).toBe(1);
  });

  test("physical: a reader that stands still stops the flow, and gets every byte of it in order afterwards", async () => {
    const client = await login("yes");
    const residentBefore = residentBytes();
    let seen = await startPhysical(client);
    client.socket.pause();
    await cluster.query("create table bulk as select repeat('x', 1000) from generate_series(1, 60000)");
    const [{ position }] = (await cluster.query("select pg_current_wal_flush_lsn() as position")).rows as [
      { position: string },
    ];
    const end = lsn(position);
    expect(Number(end - seen)).toBeGreaterThan(50 * mib);
    // The sender is stuck: what it has sent stays far behind what there is.
    await waitFor("the flow to stop", async () => (await sentOf()) === (await sentOf(300)));
    expect(Number(end - (await sentOf()))).toBeGreaterThan(25 * mib);
    expect(residentBytes() - residentBefore).toBeLessThan(32 * mib);
    client.socket.resume();
    while (seen < end) {
      const part = await nextWal(client, seen);
      expect(part.startsAt).toBe(seen);
      seen = part.endsAt;
    }
  });

  test("thousands of status messages go through, and are answered in order", async () => {
    const client = await login("yes");
    const begin = await startPhysical(client);
    const count = 5000;
    const burst = Buffer.concat(Array.from({ length: count }, () => status(begin, true)));
    client.send(burst);
    let keepalives = 0;
    while (keepalives < count) if (streamed((await client.until("d"))[0]!).kind === "k") keepalives += 1;
    client.send(copyDone());
    expect(types(await client.until("Z"))).toMatch(/c.*CZ$/);
  });

  test("a client that vanishes in the middle of a stream takes its server along, and no other", async () => {
    const other = await bouncer.connect({ database: "main" });
    await other.query("begin");
    const client = await login("yes", { application_name: "vanishing" });
    await startPhysical(client);
    expect((await walsenders()).length).toBe(1);
    client.destroy();
    await waitFor("the server to close", async () => (await walsenders()).length === 0);
    expect((await other.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
    await other.end();
  });

  test("time limits of queries and transactions are none of a stream's", async () => {
    await bouncer.reload({
      settings: {
        pool_mode: "transaction",
        query_timeout: 1,
        idle_transaction_timeout: 1,
        transaction_timeout: 1,
        client_idle_timeout: 1,
      },
    });
    const idle = await login("database");
    const client = await login("yes");
    const begin = await startPhysical(client);
    const until = performance.now() + 2500;
    while (performance.now() < until) {
      client.send(status(begin, true));
      await client.until("d");
      await sleep(100);
    }
    expect((await run(idle, "SELECT 1")).rows).toEqual([["1"]]);
    await bouncer.reload({ settings: { pool_mode: "transaction", server_login_retry: 5 } });
  });
});

describe("logins that PostgreSQL refuses", () => {
  test("end that client alone: the log says why, and the pool goes on at once", async () => {
    const before = bouncer.logCount(/closing because: login failed \(age/);
    const user = { user: "plain", database: "main" };
    const log = await bouncer.logDuring(async () => {
      await expect(WireClient.login(bouncer, { ...user, replication: "database" })).rejects.toThrow(
        /"M":"login failed","D":"permission denied to start WAL sender"/,
      );
    });
    expect(log).toMatch(/S: login failed: FATAL: permission denied to start WAL sender/);
    expect(bouncer.logCount(/closing because: login failed \(age/)).toBe(before + 2);
    // server_login_retry would keep it waiting for 5 s.
    const client = await bouncer.connect(user);
    expect((await client.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
    await client.end();
  });

  test("are not told to clients who wait for a server of any kind", async () => {
    const slow = WireClient.login(bouncer, { user: "plain", database: "prepared" });
    await expect(
      WireClient.login(bouncer, { user: "plain", database: "prepared", replication: "database" }),
    ).rejects.toThrow("login failed");
    open.push(await slow);
  });
});

function residentBytes(): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${bouncer.pid}/status`, "utf8"))![1]) * 1024;
}

/** How far the one walsender has come, after `delayMs`. */
async function sentOf(delayMs = 0): Promise<bigint> {
  await sleep(delayMs);
  const { rows } = await cluster.query("select sent_lsn as sent from pg_stat_replication");
  return lsn((rows[0] as { sent: string }).sent);
}
