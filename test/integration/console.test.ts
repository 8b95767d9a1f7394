/** The console as people and programs see it: psql, node-postgres and postgres.js, the simple and the extended protocol. */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { statSync } from "node:fs";
import { Client } from "pg";
import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer } from "../support/bouncer.ts";
import { waitFor } from "../support/wait-for.ts";

const hasPsql = spawnSync("psql", ["--version"]).status === 0;

let cluster: EmbeddedPostgres;
let bouncer: Bouncer;

beforeAll(async () => {
  cluster = await EmbeddedPostgres.start();
  const place = `host=${cluster.host} port=${cluster.port} dbname=postgres`;
  bouncer = await Bouncer.start({
    databases: { shop: place, forced: `${place} user=postgres pool_mode=session` },
    userlist: { postgres: "", looker: "" },
    settings: { pool_mode: "transaction", stats_users: "looker" },
  });
});

afterAll(async () => {
  await bouncer?.stop();
  await cluster?.stop();
});

const shows = [
  "CLIENTS",
  "SERVERS",
  "SOCKETS",
  "ACTIVE_SOCKETS",
  "POOLS",
  "PEER_POOLS",
  "DATABASES",
  "PEERS",
  "USERS",
  "LISTS",
  "STATS",
  "STATS_TOTALS",
  "STATS_AVERAGES",
  "TOTALS",
  "CONFIG",
  "MEM",
  "STATE",
  "VERSION",
  "DNS_HOSTS",
  "DNS_ZONES",
  "HELP",
];

describe("node-postgres", () => {
  test.each(shows)("SHOW %s answers the same in both protocols", async (what) => {
    const client = await bouncer.connect({ database: "pgbouncer", user: "looker" });
    const simple = await client.query(`SHOW ${what}`);
    const extended = await client.query({ text: `SHOW ${what}`, values: [], name: `show_${what}` });
    expect(extended.fields).toEqual(simple.fields);
    expect(simple.command).toBe("SHOW");
    expect(extended.command).toBe("SHOW");
    await client.end();
  });

  test("an error leaves the connection usable", async () => {
    const client = await bouncer.connect({ database: "pgbouncer", user: "looker" });
    await expect(client.query("SHOW NOTHING")).rejects.toMatchObject({
      severity: "ERROR",
      code: "08P01",
      message: "invalid command 'SHOW NOTHING', use SHOW HELP;",
    });
    await expect(client.query({ text: "PAUSE", name: "pause" })).rejects.toMatchObject({
      message: "admin access needed",
    });
    await expect(client.query("SHOW $1", ["pools"])).rejects.toMatchObject({ code: "08P01" });
    expect((await client.query("SHOW STATE")).rows).toHaveLength(3);
    await client.end();
  });
});

test("postgres.js, which prepares everything", async () => {
  const sql = postgres(bouncer.url("pgbouncer", "looker"), { max: 2, fetch_types: false });
  const [pools, again, totals] = await Promise.all([sql`SHOW POOLS`, sql`SHOW POOLS`, sql`SHOW TOTALS`]);
  expect(pools.map(({ database }) => database as string)).toContain("pgbouncer");
  expect(again.length).toBe(pools.length);
  expect(totals).toHaveLength(24);
  await sql.end();
});

describe("what is shown is what is there", () => {
  test("clients, servers and pools of a transaction", async () => {
    const client = await bouncer.connect({ database: "shop", application_name: "till" });
    await client.query("begin");
    const { pid } = (await client.query("select pg_backend_pid() as pid")).rows[0] as { pid: number };
    const servers = await bouncer.admin("SHOW SERVERS");
    const server = servers.find((row) => row["database"] === "shop" && row["state"] === "active");
    expect(server).toMatchObject({
      type: "S",
      user: "postgres",
      remote_pid: pid,
      application_name: "till",
      close_needed: 0,
    });
    const clients = await bouncer.admin("SHOW CLIENTS");
    const row = clients.find(({ application_name }) => application_name === "till");
    expect(row).toMatchObject({
      type: "C",
      database: "shop",
      state: "active",
      addr: "127.0.0.1",
      local_port: bouncer.port,
      link: server?.["ptr"],
      ptr: server?.["link"],
    });
    const pool = (await bouncer.admin("SHOW POOLS")).find(({ database }) => database === "shop");
    expect(pool).toMatchObject({
      user: "postgres",
      cl_active: 1,
      cl_waiting: 0,
      sv_active: 1,
      pool_mode: "transaction",
    });
    await client.query("commit");
    expect(
      (await bouncer.admin("SHOW CLIENTS")).find(({ application_name }) => application_name === "till"),
    ).toMatchObject({
      state: "idle",
      link: "",
    });
    await client.end();
  });

  test("ids come from one counter, and every socket takes one", async () => {
    const id = async (): Promise<number> => Number((await bouncer.admin("SHOW CLIENTS")).at(-1)?.["id"]);
    const ids = (await Promise.resolve([await id(), await id(), await id()])).map((n, index) => n - index);
    expect(new Set(ids).size).toBe(1);
  });

  test("traffic is counted, by database and in total", async () => {
    const stats = async () => (await bouncer.admin("SHOW STATS_TOTALS")).find(({ database }) => database === "forced");
    expect(await stats()).toBeUndefined();
    const client = await bouncer.connect({ database: "forced", user: "looker" });
    await client.query("begin");
    await client.query("select 1");
    await client.query("commit");
    await client.query("select 2");
    await client.end();
    const counted = (await stats())!;
    expect([counted["xact_count"], counted["query_count"], counted["server_assignment_count"]]).toEqual([
      "2",
      "4",
      "1",
    ]);
    expect([counted["client_login_count"], counted["bind_count"]]).toEqual(["1", "0"]);
    expect(Number(counted["bytes_received"])).toBeGreaterThan(40);
  });

  test("SHOW VERSION is the first line of --version", async () => {
    const executable = process.env["PGCARPOOL_EXECUTABLE"] ?? "bin/pgcarpool";
    const env = { ...process.env, PGCARPOOL_RUNTIME: bouncer.runtime };
    const output = execFileSync(executable, ["--version"], { encoding: "utf8", env });
    expect((await bouncer.admin("SHOW VERSION"))[0]?.["version"]).toBe(output.split("\n")[0]);
  });
});

describe("who comes in", () => {
  test("a user in neither list is not allowed, one that nobody knows is told nothing", async () => {
    await expect(bouncer.connect({ database: "pgbouncer", user: "postgres" })).rejects.toMatchObject({
      severity: "FATAL",
      message: "not allowed",
    });
    const refusal = bouncer.connect({ database: "pgbouncer", user: "stranger" });
    await expect(refusal).rejects.toThrow(/authentication failed/);
  });

  test("limits of clients hold for stats users, not for admins", async () => {
    await bouncer.admin("SET max_user_client_connections = 1");
    const first = await bouncer.connect({ database: "pgbouncer", user: "looker" });
    await expect(bouncer.connect({ database: "pgbouncer", user: "looker" })).rejects.toMatchObject({
      message: "client connections exceeded (max_user_client_connections)",
    });
    const admin = await bouncer.connect({ database: "pgbouncer", user: "console" });
    const users = (await bouncer.admin("SHOW USERS")).filter(({ name }) => name === "looker" || name === "console");
    expect(users.map((row) => row["current_client_connections"])).toEqual([2, 1]);
    await Promise.all([first.end(), admin.end()]);
    await bouncer.admin("RELOAD");
  });

  test("the console has its own welcome", async () => {
    const client = new Client({ host: bouncer.host, port: bouncer.port, user: "looker", database: "pgbouncer" });
    const parameters = new Map<string, string>();
    const { connection } = client as unknown as {
      connection: {
        on: (event: string, listener: (message: { parameterName: string; parameterValue: string }) => void) => void;
      };
    };
    connection.on("parameterStatus", ({ parameterName, parameterValue }) =>
      parameters.set(parameterName, parameterValue),
    );
    await client.connect();
    expect(parameters.get("server_version")).toBe("1.25.2/bouncer");
    expect(parameters.get("is_superuser")).toBe("on");
    await client.end();
  });
});

describe.skipIf(!hasPsql)("psql", () => {
  const place = (): string => `host=${bouncer.host} port=${bouncer.port} dbname=pgbouncer user=console`;
  const run = (...commands: string[]): { output: string; errors: string; status: number | null } => {
    const args = ["-X", "-A", "-t", place(), ...commands.flatMap((command) => ["-c", command])];
    const { stdout, stderr, status } = spawnSync("psql", args, { encoding: "utf8" });
    return { output: stdout, errors: stderr, status };
  };

  test("the process's own system user is admin over the Unix socket, without a password", () => {
    const args = ["-X", "-A", "-t", `host=${bouncer.folder} port=${bouncer.port} dbname=pgbouncer user=pgbouncer`];
    const command = ["-c", "SET verbose = 0"];
    const { uid, gid } = statSync(bouncer.folder);
    const own = spawnSync("psql", [...args, ...command], { encoding: "utf8", uid, gid });
    expect([own.stderr, own.stdout]).toEqual(["", "SET verbose=0\n"]);
    expect(bouncer.logContains(/pgbouncer access from unix socket/)).toBe(true);
  });

  test("prints tables, tags and the help", () => {
    expect(run("SHOW STATE").output).toBe("active|yes\npaused|no\nsuspended|no\n");
    expect(run("SET verbose = 0").output).toBe("SET verbose=0\n");
    const help = run("SHOW HELP");
    expect(help.errors).toMatch(/^NOTICE: {2}Console usage\nDETAIL: {2}\n\tSHOW HELP\|/);
    expect(help.output).toBe("SHOW\n");
  });

  test("prints errors", () => {
    expect(run("RESUME")).toEqual({ output: "", errors: "ERROR:  pooler is not paused/suspended\n", status: 1 });
  });

  test("Ctrl-C ends a PAUSE that waits", async () => {
    const client = await bouncer.connect({ database: "shop" });
    await client.query("begin");
    const psql = spawn("psql", ["-X", place(), "-c", "PAUSE"], { stdio: ["ignore", "ignore", "pipe"] });
    let errors = "";
    psql.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString()));
    const ended = new Promise((resolve) => psql.on("exit", resolve));
    const state = async () => (await bouncer.admin("SHOW STATE")).find(({ key }) => key === "paused")?.["value"];
    await waitFor("the pause", async () => (await state()) === "yes");
    psql.kill("SIGINT");
    await ended;
    expect(errors).toContain("canceling statement due to user request");
    expect(await state()).toBe("no");
    await client.query("commit");
    await client.end();
  });
});
