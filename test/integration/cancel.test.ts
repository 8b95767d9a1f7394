/**
 * Cancel requests: they end the query of the client whose key they carry, and nothing else, whatever has happened to its
 * server meanwhile.
 */
import type { Client } from "pg";
import { connect as connectSocket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer } from "../support/bouncer.ts";
import { waitFor } from "../support/wait-for.ts";
import { columns, errorFields, int32, query, types, WireClient } from "../support/wire-client.ts";
import { Backends } from "./backends.ts";

let cluster: EmbeddedPostgres;
let bouncer: Bouncer;
let backends: Backends;

beforeAll(async () => {
  cluster = await EmbeddedPostgres.start();
  const target = `host=${cluster.host} port=${cluster.port} dbname=postgres`;
  bouncer = await Bouncer.start({
    databases: {
      main: `${target} pool_size=5`,
      one: `${target} pool_size=1`,
      session: `${target} pool_mode=session pool_size=2`,
    },
    userlist: { postgres: "" },
    settings: { pool_mode: "transaction", max_client_conn: 500, log_connections: 0 },
  });
  backends = await Backends.watch(cluster);
});

afterAll(async () => {
  await backends?.end();
  await bouncer?.stop();
  await cluster?.stop();
});

interface Key {
  readonly pid: number;
  readonly secret: Buffer;
}

/** The key that node-postgres was given at login. */
function keyOf(client: Client): Key {
  const { processID, secretKey } = client as unknown as { processID: number; secretKey: number };
  return { pid: processID, secret: int32(secretKey) };
}

/** Sends a cancel request, and returns when the pooler has closed its connection. */
function cancel(key: Key, path?: string): Promise<void> {
  const packet = Buffer.concat([int32(12 + key.secret.length), int32(80877102), int32(key.pid), key.secret]);
  return new Promise((resolve, reject) => {
    const socket =
      path === undefined
        ? connectSocket(bouncer.port, bouncer.host)
        : connectSocket(`${path}/.s.PGSQL.${bouncer.port}`);
    let answer = 0;
    socket.on("data", (bytes) => (answer += bytes.length));
    socket.on("error", reject);
    socket.on("close", () => (answer === 0 ? resolve() : reject(new Error("a cancel request is not answered"))));
    socket.write(packet);
  });
}

const cancelled = { code: "57014", message: "canceling statement due to user request" };

/** What a long query ends with when `request` is made while it runs; the connection answers afterwards. */
async function outcomeOf(
  client: Client,
  mark: string,
  request: () => Promise<void>,
): Promise<{ code: string; message: string }> {
  const running = client.query(`select '${mark}', pg_sleep(20)`).then(
    () => ({ code: "00000", message: "not cancelled" }),
    ({ code, message }: { code: string; message: string }) => ({ code, message }),
  );
  await backends.waitForQuery(mark);
  await request();
  const outcome = await running;
  await client.query("select 1").catch((error: { code: string }) => {
    // Only a failed transaction may refuse.
    if (error.code !== "25P02") throw error;
  });
  return outcome;
}

describe("a cancel request", () => {
  test.each(["main", "session"])("ends the running query, and the connection goes on (%s)", async (database) => {
    const client = await bouncer.connect({ database });
    expect(await outcomeOf(client, `victim in ${database}`, () => cancel(keyOf(client)))).toEqual(cancelled);
    await client.end();
  });

  test("reaches a pooler by its Unix socket too", async () => {
    const client = await bouncer.connect({ database: "main" });
    expect(await outcomeOf(client, "victim by socket", () => cancel(keyOf(client), bouncer.folder))).toEqual(cancelled);
    await client.end();
  });

  test("in a transaction ends the query and leaves the transaction failed", async () => {
    const client = await bouncer.connect({ database: "main" });
    await client.query("begin");
    expect(await outcomeOf(client, "in transaction", () => cancel(keyOf(client)))).toEqual(cancelled);
    await expect(client.query("select 1")).rejects.toMatchObject({ code: "25P02" });
    await client.query("rollback");
    await client.end();
  });

  test("carries PostgreSQL's key, which is not the client's", async () => {
    const client = await bouncer.connect({ database: "main" });
    const { rows } = await client.query("select pg_backend_pid() as pid");
    expect(keyOf(client).pid).not.toBe(rows[0].pid);
    // Above any process id of the operating system, so that it never names a stranger.
    expect(keyOf(client).pid).toBeGreaterThan(4_194_304);
    await client.end();
  });

  test("with a wrong secret, an unknown pid, or too long a secret does nothing", async () => {
    const client = await bouncer.connect({ database: "main" });
    const key = keyOf(client);
    const wrong = Buffer.from(key.secret);
    wrong[3] = wrong[3]! ^ 1;
    const running = client.query("select 'spared', pg_sleep(0.5)");
    await backends.waitForQuery("spared");
    const direct = await backends.waitForQuery("spared");
    await cancel({ pid: key.pid, secret: wrong });
    await cancel({ pid: key.pid ^ 1, secret: key.secret });
    await cancel({ pid: direct.pid, secret: key.secret });
    await cancel({ pid: key.pid, secret: Buffer.concat([key.secret, key.secret]) });
    expect((await running).rowCount).toBe(1);
    await client.end();
  });

  test("for an idle client opens nothing and harms nobody", async () => {
    const holder = await bouncer.connect({ database: "one" });
    await holder.query("begin");
    const received = (): number => cluster.log().split("connection received").length;
    const before = received();
    const idle = await bouncer.connect({ database: "one" });
    await cancel(keyOf(idle));
    expect((await holder.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
    await holder.query("commit");
    expect(received()).toBe(before);
    expect(bouncer.logCount(/cancel request for idle client/)).toBeGreaterThanOrEqual(1);
    await Promise.all([holder, idle].map((client) => client.end()));
  });

  test("goes out beside a pool that is full, five at once", async () => {
    const clients = await Promise.all(Array.from({ length: 5 }, () => bouncer.connect({ database: "main" })));
    const outcomes = await Promise.all(
      clients.map((client, number) => outcomeOf(client, `busy ${number}.`, () => cancel(keyOf(client)))),
    );
    expect(outcomes).toEqual(clients.map(() => cancelled));
    await Promise.all(clients.map((client) => client.end()));
  });

  test("of a client that is gone does nothing", async () => {
    const client = await bouncer.connect({ database: "main" });
    const key = keyOf(client);
    await client.end();
    await cancel(key);
    const next = await bouncer.connect({ database: "main" });
    expect((await next.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
    await next.end();
  });
});

/** Fires cancel requests of `client` until `over`, `width` at a time. Returns how many. */
async function bombard(client: Key, width: number, over: () => boolean): Promise<number> {
  let sent = 0;
  await Promise.all(
    Array.from({ length: width }, async () => {
      while (!over()) {
        sent += 1;
        await cancel(client);
      }
    }),
  );
  return sent;
}

test("cancels never hit a neighbour: two clients take turns on one server while one of them is cancelled", async () => {
  const victim = await WireClient.login(bouncer, { user: "postgres", database: "one" });
  const neighbours = await Promise.all(
    Array.from({ length: 3 }, () => WireClient.login(bouncer, { user: "postgres", database: "one" })),
  );
  const rounds = 160;
  let victims = 0;
  let hits = 0;
  const state = { over: false };
  const suffer = async (): Promise<void> => {
    while (!state.over) {
      victim.send(query("select pg_sleep(0.003), 'victim'"));
      const answer = await victim.until("Z");
      victims += 1;
      const error = answer.find(({ type }) => type === "E");
      if (error === undefined) continue;
      expect(errorFields(error.body)).toMatchObject({ C: "57014" });
      hits += 1;
    }
  };
  const live = async (client: WireClient, number: number): Promise<void> => {
    for (let round = 0; round < rounds; round += 1) {
      client.send(query(`select pg_sleep(0.002), '${number}.${round}'`));
      const answer = await client.until("Z");
      expect(types(answer)).toBe("TDCZ");
      expect(columns(answer[1]!.body)[1]).toBe(`${number}.${round}`);
    }
  };
  const bombing = bombard(victim.key!, 4, () => state.over);
  const suffering = suffer();
  await Promise.all(neighbours.map(live));
  state.over = true;
  const sent = await bombing;
  await suffering;
  expect(sent).toBeGreaterThanOrEqual(100);
  // Not vacuous: requests did reach the victim's queries.
  expect(hits).toBeGreaterThan(0);
  expect(victims).toBeGreaterThanOrEqual(hits);
  // What nobody cancels any more is answered.
  victim.send(query("select 'alive'"));
  expect(types(await victim.until("Z"))).toBe("TDCZ");
  for (const client of [victim, ...neighbours]) client.end();
});

test("a server whose query is over is kept from others until a request that was sent has ended", async () => {
  // PostgreSQL answers a cancel request by closing. One that is stopped in between keeps the server from being given away.
  const client = await bouncer.connect({ database: "one" });
  const running = client.query("select 'nearly over', pg_sleep(0.3)");
  const backend = await backends.waitForQuery("nearly over");
  process.kill(cluster.pid, "SIGSTOP");
  let next: Client | null = null;
  try {
    // The postmaster's socket accepts it, but nobody reads it before the postmaster goes on.
    const request = cancel(keyOf(client));
    expect((await running).rowCount).toBe(1);
    next = await bouncer.connect({ database: "one" });
    let served = false;
    const waiting = next.query("select pg_backend_pid() as pid, pg_sleep(0.2)").then((result) => {
      served = true;
      return result;
    });
    await sleep(300);
    expect(served).toBe(false);
    const shown = (await bouncer.admin("SHOW SERVERS")).filter(({ database }) => database === "one");
    expect(shown).toMatchObject([
      { state: "being_canceled", remote_pid: backend.pid, link: "" },
      { state: "active_cancel", type: "S", user: "postgres", port: cluster.port, remote_pid: 0, link: "", tls: "" },
    ]);
    process.kill(cluster.pid, "SIGCONT");
    expect((await waiting).rows[0].pid).toBe(backend.pid);
    await request;
  } finally {
    process.kill(cluster.pid, "SIGCONT");
  }
  await Promise.all([client.end(), next?.end()]);
});

test("cancel connections do not pile up", async () => {
  const client = await bouncer.connect({ database: "main" });
  const before = bouncer.logCount(/closing because: successfully sent cancel request/);
  expect(await outcomeOf(client, "counted", () => cancel(keyOf(client)))).toEqual(cancelled);
  await waitFor("its end", () => bouncer.logCount(/closing because: successfully sent cancel request/) === before + 1);
  // Far more than twice the pool's size, one after the other: each gives its permission back.
  for (let round = 0; round < 40; round += 1) {
    const running = client.query(`select 'round ${round}.', pg_sleep(20)`).catch(({ code }: { code: string }) => code);
    await backends.waitForQuery(`round ${round}.`);
    await cancel(keyOf(client));
    expect(await running).toBe("57014");
  }
  await client.end();
});
