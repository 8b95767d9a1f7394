/**
 * When a pooler reads a catalogue, seen from outside: in PostgreSQL's log, in its own, and on the console. What it reads there is
 * `sharing-catalogue.test.ts`; every way to fail is `unit/sharing/catalogue-watch.test.ts`.
 */
import type { Client, ClientConfig } from "pg";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer } from "../support/bouncer.ts";
import { waitFor } from "../support/wait-for.ts";

describe("a pooler that shares", () => {
  let cluster: EmbeddedPostgres;
  let bouncer: Bouncer;

  beforeAll(async () => {
    cluster = await EmbeddedPostgres.start({
      databases: ["a", "b"],
      roles: [{ name: "plain" }],
      settings: { log_statement: "all" },
    });
    const servers = `host=127.0.0.1 port=${cluster.port}`;
    bouncer = await Bouncer.start({
      databases: { a: servers, b: servers },
      userlist: { postgres: "", plain: "" },
      settings: { pool_mode: "transaction", default_pool_size: 1 },
    });
  });

  afterAll(async () => {
    await bouncer?.stop();
    await cluster?.stop();
  });

  /** How often the catalogue of `database` has been asked, by what PostgreSQL has logged. */
  const readings = (database: string): number =>
    cluster
      .log()
      .split("\n")
      .filter((line) => line.includes(`@${database} `) && line.includes("set local search_path = pg_catalog")).length;

  /** One client waits while another one has the only server. */
  async function contend([first, second]: readonly Client[]): Promise<void> {
    const slow = first?.query("select pg_sleep(0.02)");
    await second?.query("select 1 as one");
    await slow;
  }

  async function contendUntil(clients: readonly Client[], what: string, holds: () => boolean): Promise<void> {
    const deadline = performance.now() + 10_000;
    while (!holds()) {
      if (performance.now() > deadline) throw new Error(`${what} has not come\n${bouncer.log()}`);
      await contend(clients);
    }
  }

  async function withTwo(config: ClientConfig, work: (clients: readonly Client[]) => Promise<void>): Promise<void> {
    const clients = [await bouncer.connect(config), await bouncer.connect(config)];
    try {
      await work(clients);
    } finally {
      for (const client of clients) await client.end();
    }
  }

  test("reads the catalogue when somebody waits, once, and again after DDL", async () => {
    await withTwo({ database: "a" }, async (clients) => {
      await clients[0]?.query("select 1");
      expect(readings("a")).toBe(0);
      await contendUntil(clients, "a reading", () => readings("a") > 0);
      for (let i = 0; i < 20; i++) await contend(clients);
      expect(readings("a")).toBe(1);
      await clients[0]?.query("create view v as select random()");
      await contendUntil(clients, "a reading after DDL", () => readings("a") > 1);
    });
  });

  test("a client alone, which waits for its server's login and its checks, is no reason to", async () => {
    const checking = await Bouncer.start({
      databases: { a: `host=127.0.0.1 port=${cluster.port}` },
      userlist: { plain: "" },
      settings: { pool_mode: "transaction", server_check_query: "select 'sound'", server_check_delay: 0 },
    });
    try {
      const before = readings("a");
      const client = await checking.connect({ database: "a", user: "plain" });
      for (let i = 0; i < 20; i++) await client.query(`select ${i}`);
      await client.end();
      expect(cluster.log().match(/statement: select 'sound'/g)).toHaveLength(19);
      expect(readings("a")).toBe(before);
    } finally {
      await checking.stop();
    }
  });

  test("one that may not read says so once, and serves its clients", async () => {
    await cluster.query("revoke select on pg_catalog.pg_rewrite from public", [], "b");
    await withTwo({ database: "b", user: "plain" }, async (clients) => {
      const warning = /WARNING b\/plain: catalogue cannot be read.*permission denied/;
      await contendUntil(clients, "the warning", () => bouncer.logContains(warning));
      await contendUntil(clients, "another reading", () => readings("b") > 2);
      expect(bouncer.logCount(warning)).toBe(1);
    });
  });

  test("a reading that waits is no client, and PAUSE need not wait for it", async () => {
    // No reading begins within a second of the one before.
    await sleep(1100);
    await withTwo({ database: "a" }, async (clients) => {
      await clients[0]?.query("begin");
      await clients[0]?.query("create temp view t as select 1");
      const waiting = clients[1]?.query("select 1 as one");
      const before = readings("a");
      await waitFor("somebody to wait", async () => {
        const pools = await bouncer.admin("SHOW POOLS");
        return pools.some((pool) => pool["database"] === "a" && pool["cl_waiting"] === 1);
      });
      const pools = await bouncer.admin("SHOW POOLS");
      expect(pools.filter((pool) => pool["database"] === "a").map((pool) => pool["cl_waiting"])).toEqual([1]);
      const paused = bouncer.admin("PAUSE a");
      await clients[0]?.query("rollback");
      await paused;
      await bouncer.admin("RESUME a");
      await waiting;
      // It has gone if the pause has closed the server before its turn came; then the next who waits brings another.
      await contendUntil(clients, "a reading", () => readings("a") > before);
    });
  });
});
