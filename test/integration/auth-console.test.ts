/**
 * Who gets to the console, and with which rights, under each auth_type; and what auth_type=any and users who have left auth_file
 * mean for everybody else.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer } from "../support/bouncer.ts";
import { errorFields, query, types } from "../support/wire-client.ts";
import { logIn, md5Secret, scramSecret } from "./login-dialogue.ts";
import { reloadBySignal } from "./login-reload.ts";

const password = "correct horse";
const userlist = {
  boss: password,
  "boss-md5": md5Secret("boss-md5", password),
  "boss-scram": scramSecret(password),
  watcher: password,
  ann: password,
};

let cluster: EmbeddedPostgres;
let bouncer: Bouncer;

beforeAll(async () => {
  cluster = await EmbeddedPostgres.start({
    roles: [
      { name: "ann" },
      { name: "lookup", attributes: "superuser" },
      { name: "asked", password },
      { name: "asked-too", password },
    ],
  });
  const target = `host=${cluster.host} port=${cluster.port} dbname=postgres`;
  bouncer = await Bouncer.start({
    databases: { shop: target, forced: `${target} user=postgres` },
    userlist,
    settings: settings("trust"),
  });
});

afterAll(async () => {
  await bouncer?.stop();
  await cluster?.stop();
});

function settings(authType: string, more: Record<string, string | number> = {}): Record<string, string | number> {
  return {
    auth_type: authType,
    admin_users: "boss, boss-md5, boss-scram, asked, console",
    stats_users: "watcher",
    server_tls_sslmode: "disable",
    ...more,
  };
}

const use = (authType: string, more: Record<string, string | number> = {}): Promise<void> =>
  reloadBySignal(bouncer, { settings: settings(authType, more) });

/** "admin", "stats", or the error's text; with the dialogue in front of it. */
async function rights(user: string, secret: string = password): Promise<string> {
  const { dialogue, error, client } = await logIn(bouncer, { user, password: secret, database: "pgbouncer" });
  if (error !== null) return `${dialogue}: ${error["M"]}`;
  client.send(query("SHOW VERSION"));
  expect(types(await client.until("Z"))).toBe("TDCZ");
  client.send(query("RESUME"));
  const answer = await client.until("Z");
  client.end();
  const said = errorFields(answer[0]!.body)["M"];
  expect(said).toMatch(/admin access needed|not paused/);
  return `${dialogue}: ${said === "admin access needed" ? "stats" : "admin"}`;
}

describe("rights on the console", () => {
  test("trust", async () => {
    await use("trust");
    expect(await rights("boss")).toBe("R0 … Z: admin");
    expect(await rights("watcher")).toBe("R0 … Z: stats");
    expect(await rights("ann")).toBe("E: not allowed");
    expect(await rights("stranger")).toBe('E: "trust" authentication failed');
  });

  test("plain", async () => {
    await use("plain");
    for (const boss of ["boss", "boss-md5", "boss-scram"]) expect(await rights(boss)).toBe("R3 R0 … Z: admin");
    expect(await rights("watcher")).toBe("R3 R0 … Z: stats");
    expect(await rights("boss", "wrong")).toBe("R3 E: password authentication failed");
    expect(await rights("ann")).toBe("E: not allowed");
    expect(await rights("stranger")).toBe("R3 E: password authentication failed");
  });

  test("md5", async () => {
    await use("md5");
    for (const boss of ["boss", "boss-md5"]) expect(await rights(boss)).toBe("R5 R0 … Z: admin");
    expect(await rights("boss-scram")).toBe("R10 R11 R12 R0 … Z: admin");
    expect(await rights("watcher", "wrong")).toBe("R5 E: password authentication failed");
    expect(await rights("ann")).toBe("E: not allowed");
    expect(await rights("stranger")).toBe("R5 E: password authentication failed");
  });

  test("scram-sha-256", async () => {
    await use("scram-sha-256");
    for (const boss of ["boss", "boss-scram"]) expect(await rights(boss)).toBe("R10 R11 R12 R0 … Z: admin");
    expect(await rights("boss-md5")).toBe("R10 R11 E: SASL authentication failed");
    expect(await rights("watcher")).toBe("R10 R11 R12 R0 … Z: stats");
    expect(await rights("ann")).toBe("E: not allowed");
    expect(await rights("stranger")).toBe("R10 R11 E: SASL authentication failed");
  });

  test("any: names are believed; who has none of the names may look", async () => {
    await use("any");
    expect(await rights("boss")).toBe("R0 … Z: admin");
    expect(await rights("watcher")).toBe("R0 … Z: stats");
    expect(await rights("ann")).toBe("R0 … Z: stats");
    expect(await rights("stranger")).toBe("R0 … Z: stats");
  });

  test("admins found by auth_query, where it has a database of its own", async () => {
    await use("md5", { auth_user: "lookup", auth_dbname: "shop" });
    await reloadBySignal(bouncer, { userlist: { ...userlist, lookup: "" } });
    expect(await rights("asked")).toBe("R10 R11 R12 R0 … Z: admin");
    expect(await rights("asked", "wrong")).toBe("R10 R11 E: SASL authentication failed");
    expect(await rights("asked-too")).not.toMatch(/admin|stats/);
    // These two settings have no default that a reload goes back to.
    bouncer.rewrite({ settings: settings("md5", { auth_user: "lookup" }) });
    await bouncer.restart();
    expect(await rights("asked")).toBe("E: bouncer config error");
    expect(bouncer.log()).toMatch(/cannot use the reserved "pgbouncer" database as an auth_dbname\n/);
    bouncer.rewrite({ settings: settings("md5"), userlist });
    await bouncer.restart();
  });
});

describe("auth_type=any", () => {
  test("whoever comes is the forced user, and is counted and shown as it", async () => {
    await use("any");
    const { client, error } = await logIn(bouncer, { user: "stranger", password: "", database: "forced" });
    expect(error).toBeNull();
    client.send(query("select current_user"));
    expect(types(await client.until("Z"))).toBe("TDCZ");
    const rows = await bouncer.admin("SHOW CLIENTS");
    expect(rows.find(({ database }) => database === "forced")).toMatchObject({ user: "postgres" });
    const users = await bouncer.admin("SHOW USERS");
    expect(users.map(({ name }) => name)).not.toContain("stranger");
    expect(users.find(({ name }) => name === "postgres")).toMatchObject({ current_client_connections: 1 });
    client.end();
  });

  test("without a forced user: bouncer config error", async () => {
    await use("any");
    const { error } = await logIn(bouncer, { user: "ann", password: "", database: "shop" });
    expect(error!["M"]).toBe("bouncer config error");
    expect(bouncer.log()).toMatch(/ERROR C-.* auth_type=any requires forced user\n/);
  });
});

describe("users who have left auth_file", () => {
  test("pass under trust until a restart, and no password is theirs", async () => {
    const rest = Object.fromEntries(Object.entries(userlist).filter(([name]) => name !== "ann"));
    await reloadBySignal(bouncer, { settings: settings("trust"), userlist: rest });
    expect((await logIn(bouncer, { user: "ann", password: "", database: "forced" })).error).toBeNull();
    for (const authType of ["plain", "md5", "scram-sha-256"]) {
      await use(authType);
      for (const secret of [password, ""]) {
        const { error } = await logIn(bouncer, { user: "ann", password: secret, database: "forced" });
        expect(error!["M"]).toMatch(/authentication failed|empty password/);
      }
    }
    await reloadBySignal(bouncer, { userlist });
    expect((await logIn(bouncer, { user: "ann", password, database: "forced" })).error).toBeNull();
    await reloadBySignal(bouncer, { settings: settings("trust"), userlist: rest });
    await bouncer.restart();
    const { error } = await logIn(bouncer, { user: "ann", password: "", database: "forced" });
    expect(error!["M"]).toBe('"trust" authentication failed');
  });
});
