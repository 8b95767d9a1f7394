/** The end of the process: the modes of SHUTDOWN, signals, signals twice, and the pidfile. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Client } from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer } from "../support/bouncer.ts";
import { waitFor } from "../support/wait-for.ts";
import { WireClient, query } from "../support/wire-client.ts";

let cluster: EmbeddedPostgres;
let bouncer: Bouncer;

beforeAll(async () => {
  cluster = await EmbeddedPostgres.start();
});

beforeEach(async () => {
  const place = `host=${cluster.host} port=${cluster.port} dbname=postgres`;
  bouncer = await Bouncer.start({
    databases: { shop: place },
    userlist: { postgres: "" },
    settings: { pool_mode: "transaction" },
  });
});

afterEach(() => bouncer?.stop());
afterAll(() => cluster?.stop());

const orderly = { status: 0, signal: null };

/** A console over the Unix socket, which stays open during a shutdown. */
const openConsole = (): Promise<WireClient> =>
  WireClient.login({ port: bouncer.port, socketFolder: bouncer.folder }, { user: "console", database: "pgbouncer" });

async function refusesTcp(): Promise<boolean> {
  return WireClient.open({ port: bouncer.port }).then(
    (client) => {
      client.destroy();
      return false;
    },
    () => true,
  );
}

const errorOf = (client: Client): Promise<Error> => new Promise((resolve) => client.once("error", resolve));

describe("SHUTDOWN", () => {
  test("plain: everybody is dropped, nobody is answered", async () => {
    const client = await bouncer.connect({ database: "shop" });
    await client.query("begin");
    const console = await openConsole();
    console.send(query("SHUTDOWN"));
    expect(await console.rest()).toEqual([]);
    expect(await bouncer.exited).toEqual(orderly);
    expect(bouncer.logContains(/LOG SHUTDOWN command issued/)).toBe(true);
    expect(existsSync(join(bouncer.folder, `.s.PGSQL.${bouncer.port}`))).toBe(false);
  });

  const forServers: [string, (console: WireClient) => Promise<void>][] = [
    [
      "SHUTDOWN WAIT_FOR_SERVERS",
      async (console) => {
        console.send(query("SHUTDOWN WAIT_FOR_SERVERS"));
        expect((await console.until("Z"))[0]?.body.toString()).toBe("SHUTDOWN\0");
      },
    ],
    [
      "SIGINT",
      async () => {
        bouncer.signal("SIGINT");
        await bouncer.waitForLog(/got SIGINT, shutting down, waiting for all servers connections to be released/);
      },
    ],
  ];

  test.each(forServers)("%s: transactions end, nobody gets a server any more", async (_name, shutDown) => {
    const busy = await bouncer.connect({ database: "shop" });
    const idle = await bouncer.connect({ database: "shop" });
    await idle.query("select 1");
    await busy.query("begin");
    const console = await openConsole();
    await shutDown(console);
    // The line in the log comes before the deed.
    await waitFor("the doors to close", refusesTcp);
    await expect(idle.query("select 1")).rejects.toMatchObject({ message: "server shutting down" });
    console.send(query("PAUSE"));
    expect((await console.until("Z"))[0]?.body.toString()).toContain("already suspended/paused");
    console.send(query("RESUME"));
    expect((await console.until("Z"))[0]?.body.toString()).toContain("pooler is shutting down");
    expect((await busy.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
    const ended = errorOf(busy).catch(() => undefined);
    await busy.query("commit");
    expect(await bouncer.exited).toEqual(orderly);
    expect(bouncer.logContains(/server connections dropped, exiting/)).toBe(true);
    await ended;
  });

  const forClients: [string, (console: WireClient) => Promise<void>][] = [
    [
      "SHUTDOWN WAIT_FOR_CLIENTS",
      async (console) => {
        console.send(query("SHUTDOWN WAIT_FOR_CLIENTS"));
        expect((await console.until("Z"))[0]?.body.toString()).toBe("SHUTDOWN\0");
      },
    ],
    [
      "SIGTERM",
      async () => {
        bouncer.signal("SIGTERM");
        await bouncer.waitForLog(/got SIGTERM, shutting down, waiting for all clients disconnect/);
      },
    ],
  ];

  test.each(forClients)(
    "%s: clients go on until they leave, the console over the Unix socket too",
    async (_name, shutDown) => {
      const client = await bouncer.connect({ database: "shop" });
      await client.query("select 1");
      const console = await openConsole();
      await shutDown(console);
      expect(await refusesTcp()).toBe(true);
      for (let round = 0; round < 3; round += 1) {
        expect((await client.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
      }
      await expect(bouncer.connect({ host: bouncer.folder, database: "shop" })).rejects.toMatchObject({
        message: "pooler is shutting down",
      });
      await client.end();
      expect((await bouncer.admin("SHOW STATE")).length).toBe(3);
      console.end();
      expect(await bouncer.exited).toEqual(orderly);
      expect(bouncer.logContains(/client connections dropped, exiting/)).toBe(true);
    },
  );
});

describe("signals", () => {
  test.each([
    ["SIGTERM", "SIGTERM"],
    ["SIGINT", "SIGINT"],
    ["SIGTERM", "SIGINT"],
  ] as const)("%s, then %s: the second one ends it at once", async (first, second) => {
    const client = await bouncer.connect({ database: "shop" });
    await client.query("begin");
    bouncer.signal(first);
    await bouncer.waitForLog(new RegExp(`got ${first}, shutting down`));
    bouncer.signal(second);
    expect(await bouncer.exited).toEqual(orderly);
    expect(bouncer.logContains(new RegExp(`got ${second} while shutting down, fast exit`))).toBe(true);
  });

  test("SIGQUIT ends it at once", async () => {
    const client = await bouncer.connect({ database: "shop" });
    await client.query("begin");
    bouncer.signal("SIGQUIT");
    expect(await bouncer.exited).toEqual(orderly);
    expect(bouncer.logContains(/got SIGQUIT, fast exit/)).toBe(true);
  });

  test("SIGHUP reloads", async () => {
    bouncer.rewrite({ settings: { max_client_conn: 77 } });
    bouncer.signal("SIGHUP");
    await bouncer.waitForLog(/got SIGHUP, re-reading config/);
    const config = await bouncer.admin("SHOW CONFIG");
    expect(config.find(({ key }) => key === "max_client_conn")).toMatchObject({ value: "77" });
  });

  test("SIGUSR1 pauses, SIGUSR2 resumes", async () => {
    const client = await bouncer.connect({ database: "shop" });
    await client.query("select 1");
    const state = async () => (await bouncer.admin("SHOW STATE")).find(({ value }) => value === "yes")?.["key"];
    bouncer.signal("SIGUSR1");
    await waitFor("the pause", async () => (await state()) === "paused");
    const waiting = client.query("select 1 as one");
    bouncer.signal("SIGUSR2");
    expect((await waiting).rows).toEqual([{ one: 1 }]);
    expect(await state()).toBe("active");
    await client.end();
  });

  test("SIGUSR2 is ignored during a shutdown", async () => {
    const client = await bouncer.connect({ database: "shop" });
    bouncer.signal("SIGTERM");
    await bouncer.waitForLog(/got SIGTERM/);
    bouncer.signal("SIGUSR2");
    await bouncer.waitForLog(/got SIGUSR2 while shutting down, ignoring/);
    await client.end();
    expect(await bouncer.exited).toEqual(orderly);
  });
});

describe("the pidfile", () => {
  test("holds the process id, keeps a second process out, and goes with the process", async () => {
    await bouncer.stop();
    // Relative to the folder that the process is started in.
    bouncer = await Bouncer.start({ databases: {}, settings: { pidfile: "pooler.pid" } });
    const path = join(bouncer.folder, "pooler.pid");
    expect(readFileSync(path, "utf8")).toBe(`${bouncer.pid}\n`);
    const second = await Bouncer.startAndFail({ databases: {}, settings: { pidfile: path } });
    expect(second.status).toBe(1);
    expect(second.output).toContain(`pidfile '${path}' exists, another instance running?`);
    bouncer.signal("SIGQUIT");
    expect(await bouncer.exited).toEqual(orderly);
    expect(existsSync(path)).toBe(false);
  });
});
