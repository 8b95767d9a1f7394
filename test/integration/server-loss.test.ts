/**
 * PostgreSQL goes away: one server in the middle of something, or all of them under load. Whoever was in the middle gets
 * an error, everybody else goes on, and the pooler needs no restart.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer } from "../support/bouncer.ts";
import { waitFor } from "../support/wait-for.ts";
import { bind, errorFields, execute, flush, message, parse, query, types, WireClient } from "../support/wire-client.ts";
import { Backends } from "./backends.ts";

let cluster: EmbeddedPostgres;
let bouncer: Bouncer;
let backends: Backends;

beforeAll(async () => {
  cluster = await EmbeddedPostgres.start({ databases: ["second"] });
  const target = `host=${cluster.host} port=${cluster.port}`;
  bouncer = await Bouncer.start({
    databases: {
      main: `${target} dbname=postgres`,
      second: `${target} dbname=second`,
      one: `${target} dbname=postgres pool_size=1`,
      session: `${target} dbname=postgres pool_mode=session pool_size=2`,
    },
    userlist: { postgres: "" },
    settings: { pool_mode: "transaction", default_pool_size: 4, server_login_retry: 0.2, query_wait_timeout: 10 },
  });
  backends = await Backends.watch(cluster);
});

afterAll(async () => {
  await backends?.end().catch(() => undefined);
  await bouncer?.stop();
  await cluster?.stop();
});

const login = (database: string): Promise<WireClient> => WireClient.login(bouncer, { user: "postgres", database });

describe("a server is lost", () => {
  test.each([
    ["in the middle of a simple query", [query("select 'lost 1', pg_sleep(20)")], "lost 1"],
    [
      "in the middle of an extended query",
      [parse("", "select 'lost 2', pg_sleep(20)"), bind("", ""), execute(""), flush()],
      "lost 2",
    ],
    ["in the middle of a transaction", [query("begin; select 'lost 3', pg_sleep(20)")], "lost 3"],
  ])("%s: PostgreSQL's error, then the end", async (_, messages, mark) => {
    const client = await login("one");
    client.send(...messages);
    const backend = await backends.waitForQuery(mark);
    await backends.terminate([backend.pid]);
    const errors = (await client.rest()).filter(({ type }) => type === "E").map(({ body }) => errorFields(body));
    expect(errors).toMatchObject([
      { S: "FATAL", C: "57P01" },
      { S: "FATAL", C: "08006", M: "server conn crashed?" },
    ]);
    const next = await bouncer.connect({ database: "one" });
    expect((await next.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
    await next.end();
  });

  test.each(["one", "session"])("while its client is idle in a transaction (%s)", async (database) => {
    const client = await bouncer.connect({ database });
    let told = "";
    const ended = new Promise<void>((resolve) => {
      client.on("error", (error) => (told ||= error.message));
      client.on("end", resolve);
    });
    await client.query("begin");
    await backends.terminate([(await client.query("select pg_backend_pid() as pid")).rows[0].pid]);
    await ended;
    expect(told).toMatch(/terminating connection|server conn crashed/);
  });

  test("in session mode between transactions too: the session is what was lost", async () => {
    const client = await login("session");
    client.send(query("set work_mem = '5MB'"));
    await client.until("Z");
    await backends.terminate(await backends.pids());
    expect(errorFields((await client.rest()).at(-1)!.body)).toMatchObject({ M: "server conn crashed?" });
  });

  test("while COPY data is coming in", async () => {
    const client = await login("one");
    client.send(query("create temp table taken (t text); copy taken from stdin"));
    await client.until("G");
    await backends.terminate(await backends.pids());
    for (let round = 0; round < 5; round += 1) client.send(message("d", Buffer.from("line\n")));
    expect(types(await client.rest())).toMatch(/^E+$/);
    const next = await bouncer.connect({ database: "one" });
    expect((await next.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
    await next.end();
  });

  test("in the middle of a long answer, killed without a word: what came is a part, and the end is an error", async () => {
    const client = await login("one");
    client.send(query("select 'row', repeat('x', 20000), pg_sleep(0.005) from generate_series(1, 4000)"));
    await client.until("D");
    const backend = await backends.waitForQuery("'row'");
    client.send(query("select 'never'"));
    process.kill(backend.pid, "SIGKILL");
    const answer = await client.rest();
    expect(types(answer)).toMatch(/^D*E$/);
    expect(errorFields(answer.at(-1)!.body)).toMatchObject({ M: "server conn crashed?" });
    // PostgreSQL restarts all its processes after that.
    await waitFor("PostgreSQL to be back", () => cluster.query("select 1"));
    backends = await Backends.watch(cluster);
    const next = await bouncer.connect({ database: "one" });
    expect((await next.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
    await next.end();
  });

  test("the others in its pool do not notice", async () => {
    const clients = await Promise.all(Array.from({ length: 3 }, () => bouncer.connect({ database: "main" })));
    await Promise.all(clients.map((client) => client.query("begin")));
    const [first, ...others] = clients;
    const { rows } = await first!.query("select pg_backend_pid() as pid");
    await backends.terminate([rows[0].pid]);
    for (const client of others) expect((await client.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
    await Promise.all(others.map((client) => client.query("commit")));
    await Promise.all(clients.map((client) => client.end()));
  });
});

/** A client that queries without end, and comes again when it is thrown out. */
class Worker {
  readonly database: string;
  readonly errors: string[] = [];
  answered = 0;
  wrong = 0;
  #over = false;
  readonly done: Promise<void>;

  constructor(database: string) {
    this.database = database;
    this.done = this.#work();
  }

  async stop(): Promise<void> {
    this.#over = true;
    await this.done;
  }

  async #work(): Promise<void> {
    for (let number = 0; !this.#over;) {
      let client: Client | null = null;
      try {
        client = await bouncer.connect({ database: this.database });
        for (; !this.#over; number += 1) {
          if (number % 3 === 0) await client.query("begin");
          const { rows } = await client.query("select $1::int as number", [number]);
          if (rows[0].number !== number) this.wrong += 1;
          this.answered += 1;
          if (number % 3 === 0) await client.query("commit");
        }
      } catch (error) {
        this.errors.push((error as Error).message);
        number += 1;
        await sleep(20);
      } finally {
        await client?.end().catch(() => undefined);
      }
    }
  }
}

describe("PostgreSQL restarts under load", () => {
  test.each(["fast", "immediate", "killed"] as const)("%s", async (mode) => {
    const workers = ["main", "second", "main", "second", "main", "second", "main", "main"].map(
      (name) => new Worker(name),
    );
    await waitFor("some work", () => workers.every(({ answered }) => answered > 20));
    await backends.end().catch(() => undefined);
    if (mode === "killed") {
      await cluster.kill();
      await cluster.startAgain();
    } else {
      await cluster.restart(mode);
    }
    const before = workers.map(({ answered }) => answered);
    await waitFor("every worker to work again", () => workers.every(({ answered }, at) => answered > before[at]! + 20));
    const errorsAfter = workers.map(({ errors }) => errors.length);
    await Promise.all(workers.map((worker) => worker.stop()));
    expect(workers.map(({ wrong }) => wrong)).toEqual(workers.map(() => 0));
    expect(workers.some(({ errors }) => errors.length > 0)).toBe(true);
    expect(workers.map(({ errors }) => errors.length)).toEqual(errorsAfter);
    backends = await Backends.watch(cluster);
    // Nothing is left over: neither servers that nobody holds nor clients that wait.
    expect(await backends.count({ state: "idle in transaction" })).toBe(0);
    expect(await backends.count()).toBeLessThanOrEqual(8);
  });

  test("who waits for a server while PostgreSQL is down is served when it is back", async () => {
    const client = await bouncer.connect({ database: "main" });
    await client.query("select 1");
    await backends.end();
    await cluster.shutDown("fast");
    const waiting = client.query("select 'patience' as word");
    const attempts = (): number => bouncer.logCount(/closing because: connect failed/);
    const [before, since] = [attempts(), performance.now()];
    await waitFor("some attempts", () => attempts() >= before + 4);
    // One at a time, and server_login_retry between their beginnings.
    expect(performance.now() - since).toBeGreaterThan(3 * 200 - 50);
    await cluster.startAgain();
    expect((await waiting).rows).toEqual([{ word: "patience" }]);
    await client.end();
    backends = await Backends.watch(cluster);
  });
});
