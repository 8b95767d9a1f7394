/**
 * Online restart: a second process takes the first one's place, with its sockets and what hangs on them. Every second one
 * is of the other runtime, so each takes over from its own kind and from the other.
 */
import { chmodSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer } from "../support/bouncer.ts";
import type { BouncerOptions } from "../support/bouncer.ts";
import { waitFor } from "../support/wait-for.ts";
import {
  bind,
  columns,
  execute,
  flush,
  int32,
  message,
  parse,
  query,
  startupMessage,
  sync,
  types,
  WireClient,
} from "../support/wire-client.ts";
import { createCertificate } from "../transport/certificate.ts";
import { Backends } from "./backends.ts";
import { scramSecret } from "./login-dialogue.ts";

const password = "pass-through";
const deadlineMs = 60_000;

let cluster: EmbeddedPostgres;
let bouncer: Bouncer;
let backends: Backends;
let verifier: string;

beforeAll(async () => {
  verifier = scramSecret(password);
  cluster = await EmbeddedPostgres.start({
    roles: [{ name: "ann" }, { name: "sam", password: verifier }],
    hba: "host all sam 127.0.0.1/32 scram-sha-256\nhost all all all trust\nlocal all all trust\n",
  });
  backends = await Backends.watch(cluster);
});

afterEach(async () => {
  await bouncer?.stop();
});

afterAll(async () => {
  await backends?.end();
  await cluster?.stop();
});

async function start(changes: BouncerOptions = {}): Promise<void> {
  const target = `host=${cluster.host} port=${cluster.port} dbname=postgres`;
  bouncer = await Bouncer.start({
    databases: { shared: target, own: `${target} pool_mode=session`, single: `${target} pool_size=1` },
    userlist: { postgres: "", ann: "", sam: verifier },
    ...changes,
    settings: { pool_mode: "transaction", default_pool_size: 5, ...changes.settings },
  });
}

function otherRuntime(): "node" | "bun" {
  return bouncer.runtime === "node" ? "bun" : "node";
}

const wire = (database: string, user = "postgres"): Promise<WireClient> =>
  WireClient.login({ host: bouncer.host, port: bouncer.port }, { database, user });

/** Nothing but an orderly end has closed a connection. */
function expectNobodyLost(): void {
  expect(bouncer.log()).not.toMatch(/pooler error|unexpected eof|conn crashed|cannot go on|not ready|got dirty/);
}

test(
  "five takeovers under running queries, and no client notices",
  async () => {
    await start();
    let takeovers = 0;
    const state = { busy: true };
    const quick = async (): Promise<number> => {
      const client = await bouncer.connect({ database: "shared" });
      let count = 0;
      for (; state.busy; count += 1)
        expect((await client.query("select $1::int as n", [count])).rows).toEqual([{ n: count }]);
      await client.end();
      return count;
    };
    const long = async (): Promise<number> => {
      const client = await bouncer.connect({ database: "shared" });
      let count = 0;
      for (; state.busy; count += 1) {
        const { rows } = await client.query(
          "select pg_sleep(1.5), repeat('x', 500) as text from generate_series(1, 3)",
        );
        expect(rows.map(({ text }: { text: string }) => text.length)).toEqual([500, 500, 500]);
      }
      await client.end();
      return count;
    };
    /** Megabytes on the way to a client, in rows that do not fit a read. */
    const wide = async (): Promise<number> => {
      const client = await bouncer.connect({ database: "shared" });
      let count = 0;
      for (; state.busy; count += 1) {
        const { rows } = await client.query("select n, repeat('y', n * 7) as text from generate_series(1, 3000) n");
        expect(rows.length).toBe(3000);
        expect(rows.every(({ n, text }: { n: number; text: string }) => text.length === n * 7)).toBe(true);
      }
      await client.end();
      return count;
    };
    const work = Promise.all([quick(), quick(), long(), wide()]);
    const done = work.then(
      () => null,
      (error: unknown) => error,
    );
    for (; takeovers < 5; takeovers += 1) {
      await bouncer.reboot(takeovers % 2 === 0 ? { runtime: otherRuntime() } : {});
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    state.busy = false;
    expect(await done).toBeNull();
    expect((await work).every((count) => count > 0)).toBe(true);
    expectNobodyLost();
    expect(bouncer.logCount(/Online restart is deprecated, use so_reuseport instead/)).toBe(5);
  },
  deadlineMs,
);

describe("what a session is", () => {
  test(
    "transactions, temporary tables, settings, prepared statements and keys go on, servers are the same",
    async () => {
      await start();
      const idle = await bouncer.connect({ database: "shared", application_name: "idle one" });
      await idle.query("set timezone = 'Asia/Tokyo'");
      await idle.query({ name: "mine", text: "select $1::int * 2 as n", values: [1] });
      const own = await bouncer.connect({ database: "own", user: "ann" });
      await own.query("create temp table kept (n int)");
      const open = await bouncer.connect({ database: "shared" });
      await open.query("begin");
      await open.query("select set_config('take.over', 'kept', true)");
      const local = await bouncer.connect({ database: "shared", host: bouncer.folder });
      await local.query("select 1");
      const before = (await backends.list({ user: "postgres" })).concat(await backends.list({ user: "ann" }));
      for (const runtime of [otherRuntime(), bouncer.runtime]) {
        await bouncer.reboot({ runtime });
        await own.query("insert into kept values (1)");
        expect((await open.query("select current_setting('take.over') as v")).rows).toEqual([{ v: "kept" }]);
        // The statement is not prepared anew by the driver.
        expect((await idle.query({ name: "mine", text: "", values: [21] })).rows).toEqual([{ n: 42 }]);
        expect((await idle.query("show timezone")).rows).toEqual([{ TimeZone: "Asia/Tokyo" }]);
        expect((await idle.query("show application_name")).rows).toEqual([{ application_name: "idle one" }]);
        expect((await local.query("select $1::text as t", ["unix"])).rows).toEqual([{ t: "unix" }]);
        const late = await bouncer.connect({ database: "shared" });
        expect((await late.query("show server_version")).rows).toHaveLength(1);
        await late.end();
      }
      expect((await own.query("select count(*)::int as n from kept")).rows).toEqual([{ n: 2 }]);
      await open.query("commit");
      const after = new Set((await backends.list({})).map(({ pid }) => pid));
      expect(before.length).toBeGreaterThan(2);
      expect(before.filter(({ pid }) => !after.has(pid))).toEqual([]);
      const sleeping = open.query("select pg_sleep(30)").catch((error: Error) => error);
      await waitFor("the query to run", async () =>
        (await backends.list({ state: "active" })).some((b) => b.query.includes("pg_sleep(30)")),
      );
      const { processID, secretKey } = open as unknown as { processID: number; secretKey: number };
      await cancel(processID, secretKey);
      expect(await sleeping).toMatchObject({ code: "57014" });
      for (const client of [idle, own, open, local]) await client.end();
      expectNobodyLost();
    },
    deadlineMs,
  );

  test(
    "half a unit, a COPY, a client that waits and one that has said nothing",
    async () => {
      await start();
      // Parse and Bind before, Execute and Sync behind.
      const half = await wire("shared");
      half.send(parse("", "select 'whole' as what"), bind("", ""), flush());
      await half.until("2");
      const copy = await wire("shared");
      copy.send(query("create temp table lines (line text)"));
      await copy.until("Z");
      copy.send(query("begin; create temp table lines2 (line text) on commit drop; copy lines2 from stdin"));
      await copy.until("G");
      // `single` has one server: the first sleeps on it, the second waits.
      const first = await wire("single");
      first.send(query("select pg_sleep(3)"));
      const second = await wire("single");
      second.send(query("select 'served' as what"));
      await waitFor("the wait", async () => (await bouncer.admin("show pools")).some((row) => row["cl_waiting"] === 1));
      const silent = await WireClient.open({ host: bouncer.host, port: bouncer.port });
      await bouncer.reboot({ runtime: otherRuntime() });
      half.send(execute(""), sync());
      expect(types(await half.until("Z"))).toBe("DCZ");
      copy.send(copyData("one\n"), copyData("two\n"), message("c"));
      expect(types(await copy.until("Z"))).toBe("CZ");
      copy.send(query("select count(*) from lines2; commit"));
      const counted = await copy.until("Z");
      expect(columns(counted.find(({ type }) => type === "D")!.body)).toEqual(["2"]);
      expect(types(await first.until("Z"))).toBe("TDCZ");
      expect(types(await second.until("Z"))).toBe("TDCZ");
      silent.send(startupMessage({ user: "postgres", database: "shared" }));
      expect(types(await silent.until("Z"))).toMatch(/^RS+KZ$/);
      silent.send(query("select 1"));
      expect(types(await silent.until("Z"))).toBe("TDCZ");
      for (const client of [half, copy, first, second, silent]) client.end();
      expectNobodyLost();
    },
    deadlineMs,
  );

  test(
    "a replication client keeps its own server, which is nobody else's afterwards",
    async () => {
      await start();
      const client = await WireClient.login(
        { host: bouncer.host, port: bouncer.port },
        { database: "shared", user: "postgres", replication: "database" },
      );
      for (const runtime of [otherRuntime(), bouncer.runtime]) {
        await bouncer.reboot({ runtime });
        client.send(query("IDENTIFY_SYSTEM"));
        expect(types(await client.until("Z"))).toBe("TDCZ");
        expect((await bouncer.admin("show servers")).map((row) => row["replication"])).toEqual(["logical"]);
      }
      client.end();
      await bouncer.waitForLog(/replication client was closed/);
      await backends.waitForCount(0, { database: "postgres" });
    },
    deadlineMs,
  );

  test(
    "keys of a SCRAM client open a new server in the new process",
    async () => {
      await start({ settings: { auth_type: "scram-sha-256" } });
      const client = await bouncer.connect({ database: "shared", user: "sam", password });
      await client.query("select 1");
      await bouncer.admin("reconnect");
      await waitFor("the server to go", async () => (await backends.list({ user: "sam" })).length === 0);
      await bouncer.reboot({ runtime: otherRuntime() });
      expect((await client.query("select current_user as who")).rows).toEqual([{ who: "sam" }]);
      await client.end();
    },
    deadlineMs,
  );
});

test(
  "under TLS nobody can be handed over: they are cut off with the old process, and all others go on",
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "pgc-tls-"));
    chmodSync(folder, 0o755);
    const certificate = createCertificate({ commonName: "pooler" });
    for (const [name, text] of [
      ["cert.pem", certificate.certPem],
      ["key.pem", certificate.keyPem],
    ] as const) {
      writeFileSync(join(folder, name), text, { mode: 0o644 });
    }
    try {
      await start({
        settings: {
          client_tls_sslmode: "allow",
          client_tls_cert_file: join(folder, "cert.pem"),
          client_tls_key_file: join(folder, "key.pem"),
        },
      });
      const plain = await bouncer.connect({ database: "shared" });
      await plain.query("begin");
      const secure = await bouncer.connect({ database: "shared", ssl: { rejectUnauthorized: false } });
      await secure.query("begin");
      expect((await bouncer.admin("show clients")).filter((row) => row["tls"] !== "").length).toBe(1);
      const ended = new Promise((resolve) => secure.once("end", resolve));
      await bouncer.reboot({ runtime: otherRuntime() });
      await ended;
      expect((await plain.query("select 1 as n")).rows).toEqual([{ n: 1 }]);
      await plain.end();
      await backends.waitForCount(0, { state: "idle in transaction" });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
  deadlineMs,
);

describe("what goes wrong", () => {
  test("nobody is there: the start goes on", async () => {
    await start({ args: ["-R"] });
    expect(bouncer.log()).toMatch(
      /WARNING Online restart is deprecated[^]*old process not found, try to continue normally/,
    );
    expect((await bouncer.admin("show version")).length).toBe(1);
  });

  test(
    "the old process is killed before it has handed anything over: the new one says so and ends",
    async () => {
      await start();
      bouncer.signal("SIGSTOP");
      const old = bouncer.rebootStarted();
      await bouncer.waitForLog(/takeover_init: launching connection/);
      old.kill("SIGKILL");
      expect(await bouncer.exited).toEqual({ status: 1, signal: null });
      expect(bouncer.log()).toMatch(/FATAL (unexpected EOF|recvmsg failed|login failed)/);
    },
    deadlineMs,
  );

  test(
    "the old process is killed when all is handed over: the new one goes on, and a stale pidfile is no obstacle",
    async () => {
      await start({ settings: { pidfile: "pooler.pid" } });
      const client = await bouncer.connect({ database: "own" });
      await client.query("create temp table kept (n int)");
      const old = bouncer.rebootStarted();
      const gone = new Promise((resolve) => old.once("exit", resolve));
      await waitFor("the sockets", () => {
        if (!bouncer.logContains(/SHOW FDS finished/)) return false;
        old.kill("SIGKILL");
        return true;
      });
      await gone;
      await waitFor("the new pooler", () => bouncer.logCount(/process up: /) === 2, 20_000);
      await client.query("insert into kept values (1)");
      await client.end();
    },
    deadlineMs,
  );

  test(
    "the new process is ended: the old one goes on as if nothing had happened, with no descriptor more",
    async () => {
      await start();
      const client = await bouncer.connect({ database: "own" });
      await client.query("create temp table kept (n int)");
      const console = await wire("pgbouncer", "console");
      console.send(query("show fds"));
      const rows = (await console.until("Z")).filter(({ type }) => type === "D").map(({ body }) => columns(body));
      expect(rows.map((row) => row[1])).toEqual(["pooler", "pooler", "client", "server"]);
      expect(rows[2]![7]).toBe(rows[3]![0]);
      expect(rows[3]![7]).toBe(rows[2]![0]);
      console.end();
      await console.rest();
      const { pid } = bouncer;
      const before = openDescriptors(pid);
      // A login that does not go on is waited for: the new process waits for the end of SUSPEND.
      const login = await WireClient.open({ host: bouncer.host, port: bouncer.port });
      login.send(startupMessage({ user: "postgres", database: "own" }).subarray(0, 10));
      const exited = bouncer.exited;
      bouncer.rebootStarted();
      await bouncer.waitForLog(/SUSPEND command issued/);
      const answer = client.query("insert into kept values (1)");
      bouncer.signal("SIGTERM");
      expect(await bouncer.exited).toEqual({ status: 1, signal: null });
      expect(bouncer.log()).toContain("FATAL takeover was in progress, going down immediately");
      await answer;
      expect(bouncer.log()).toContain("admin disappeared when suspended, doing RESUME");
      const late = await bouncer.connect({ database: "shared" });
      await late.end();
      await client.query("select * from kept");
      // The login, and one server.
      await waitFor("the descriptors", () => openDescriptors(pid) <= before + 2);
      await client.end();
      process.kill(pid, "SIGQUIT");
      await exited;
    },
    deadlineMs,
  );
});

function copyData(line: string): Buffer {
  return message("d", Buffer.from(line));
}

/** A cancel request; resolves when the pooler has closed its connection. */
async function cancel(processId: number, secret: number): Promise<void> {
  const client = await WireClient.open({ host: bouncer.host, port: bouncer.port });
  client.send(Buffer.concat([int32(16), int32(80877102), int32(processId), int32(secret)]));
  await client.rest();
}

function openDescriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}
