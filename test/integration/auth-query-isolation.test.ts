/**
 * What must not leak through auth_query: a client's settings into the query that decides about it (CVE-2025-12819), and one
 * cluster's secrets into another's logins. And what has to survive: the keys a client proved, for servers opened later.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer } from "../support/bouncer.ts";
import { waitFor } from "../support/wait-for.ts";
import { columns, errorFields, query, startupMessage, types, WireClient } from "../support/wire-client.ts";
import { Backends } from "./backends.ts";
import { answerLogin, logIn, type LoginResult } from "./login-dialogue.ts";

const password = "correct horse";
const otherPassword = "battery staple";
const noted = ["DateStyle", "TimeZone", "IntervalStyle", "client_encoding", "search_path", "application_name"];

let cluster: EmbeddedPostgres;
let other: EmbeddedPostgres;
let bouncer: Bouncer;
let backends: Backends;

beforeAll(async () => {
  [cluster, other] = await Promise.all([
    EmbeddedPostgres.start({
      hba: "host all lookup 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256",
      roles: [
        { name: "lookup", attributes: "superuser" },
        { name: "ann", password },
      ],
    }),
    EmbeddedPostgres.start({
      hba: "host all lookup 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256",
      roles: [
        { name: "lookup", attributes: "superuser" },
        { name: "ann", password: otherPassword },
      ],
    }),
  ]);
  await cluster.query(`
    create table notes (id serial, name text, setting text, value text);
    create function noting(wanted text) returns table (name text, secret text) volatile language plpgsql as $$
    begin
      insert into public.notes (name, setting, value)
        select wanted, s, current_setting(s) from unnest('{${noted.join(",")}}'::text[]) s;
      return query select rolname::text, rolpassword from pg_authid where rolname = wanted;
    end $$;
    create schema evil;
    create function evil.noting(wanted text, out text, out text) language sql
      as $$ select wanted, 'md5' || md5('known' || wanted) $$;
  `);
  const target = `host=${cluster.host} port=${cluster.port} dbname=postgres`;
  bouncer = await Bouncer.start({
    databases: {
      shop: `${target} auth_user=lookup auth_query='select * from noting($1)' pool_size=1`,
      second: `host=${other.host} port=${other.port} dbname=postgres auth_user=lookup`,
    },
    userlist: { lookup: "look" },
    settings: {
      auth_type: "scram-sha-256",
      pool_mode: "transaction",
      server_tls_sslmode: "disable",
      track_extra_parameters: "IntervalStyle, search_path",
      server_login_retry: 0.2,
    },
  });
  backends = await Backends.watch(cluster);
});

afterAll(async () => {
  await backends?.end();
  await bouncer?.stop();
  await cluster?.stop();
  await other?.stop();
});

const login = (parameters: Record<string, string> = {}, database = "shop", secret = password): Promise<LoginResult> =>
  logIn(bouncer, { user: "ann", password: secret, database, parameters });

async function ask(client: WireClient, sql: string): Promise<string | null> {
  client.send(query(sql));
  const answer = await client.until("Z", "E");
  const row = answer.find(({ type }) => type === "D");
  return row === undefined ? types(answer) : columns(row.body)[0]!;
}

describe("settings of clients", () => {
  let plain: Record<string, string>;

  async function notes(): Promise<Record<string, string>> {
    const { rows } = await cluster.query("select setting, value from notes order by id");
    await cluster.query("truncate notes");
    return Object.fromEntries(
      (rows as { setting: string; value: string }[]).map(({ setting, value }) => [setting, value]),
    );
  }

  const odd = {
    DateStyle: "German",
    TimeZone: "Asia/Kathmandu",
    IntervalStyle: "iso_8601",
    client_encoding: "LATIN1",
    search_path: "evil",
    application_name: "odd",
  };

  beforeEach(async () => {
    await bouncer.admin("RECONNECT");
    await waitFor("servers to go", async () => (await backends.count()) === 0);
    const { client, error } = await login();
    expect(error).toBeNull();
    client.end();
    plain = await notes();
    expect(Object.keys(plain).toSorted()).toEqual(noted.toSorted());
  });

  test("from the startup packet", async () => {
    const { client, error } = await login(odd);
    expect(error).toBeNull();
    expect(await notes()).toEqual(plain);
    // The client itself has them.
    expect(await ask(client, "show timezone")).toBe("Asia/Kathmandu");
    expect(await ask(client, "show datestyle")).toMatch(/^German/);
    client.end();
    (await login(odd)).client.end();
    expect(await notes()).toEqual(plain);
  });

  test("from options", async () => {
    const options = "-c search_path=evil --TimeZone=Asia/Kathmandu -c DateStyle=German";
    const { client, error } = await login({ options });
    expect(error).toBeNull();
    expect(await notes()).toEqual(plain);
    expect(await ask(client, "show timezone")).toBe("Asia/Kathmandu");
    client.end();
  });

  test("as the first login of all, before the pool knows any values", async () => {
    await bouncer.restart();
    const { client, error } = await login(odd);
    expect(error).toBeNull();
    expect(await notes()).toEqual(plain);
    client.end();
  });

  test("on a server that a client of its own pool has brought into another state", async () => {
    // auth_user is a client here: the one server of that pool is its own, then the query's.
    const user = await logIn(bouncer, { user: "lookup", password: "look", database: "shop", parameters: odd });
    expect(user.error).toBeNull();
    expect(await ask(user.client, "show timezone")).toBe("Asia/Kathmandu");
    const before = await backends.list({ user: "lookup" });
    (await login()).client.end();
    expect(await notes()).toEqual(plain);
    expect((await backends.list({ user: "lookup" })).map(({ pid }) => pid)).toEqual(before.map(({ pid }) => pid));
    expect(await ask(user.client, "show timezone")).toBe("Asia/Kathmandu");
    user.client.end();
  });

  test("no SET is sent for a client's sake", async () => {
    await cluster.query("alter system set log_statement = 'all'");
    await cluster.reload();
    const from = cluster.log().length;
    (await login(odd)).client.end();
    const statements = cluster
      .log()
      .slice(from)
      .split("\n")
      .filter((line) => line.includes("lookup@") && /statement:|execute/.test(line));
    await cluster.query("alter system reset log_statement");
    await cluster.reload();
    expect(statements.length).toBeGreaterThan(0);
    expect(statements.filter((line) => /\bset\b/i.test(line))).toEqual([]);
  });

  test("protocol negotiation is said once", async () => {
    const client = await WireClient.open(bouncer);
    const version = (3 << 16) | 2;
    client.send(startupMessage({ user: "ann", database: "shop", "_pq_.unknown": "1" }, version));
    const { dialogue, error } = await answerLogin(client, { user: "ann", password, database: "shop" });
    expect(error).toBeNull();
    expect(dialogue).toBe("v R10 R11 R12 R0 … Z");
    client.end();
  });
});

describe("secrets and keys", () => {
  test("servers that are opened later are logged in to as well", async () => {
    const { client, error } = await login();
    expect(error).toBeNull();
    const first = await ask(client, "select pg_backend_pid()");
    await bouncer.admin("RECONNECT");
    const second = await ask(client, "select pg_backend_pid()");
    expect(second).toMatch(/^\d+$/);
    expect(second).not.toBe(first);
    await cluster.query("select pg_terminate_backend($1)", [second]);
    await waitFor("its end", async () => !(await backends.list()).some(({ pid }) => String(pid) === second));
    expect(await ask(client, "select pg_backend_pid()")).toMatch(/^\d+$/);
    // A login in between proves the same secret again.
    (await login()).client.end();
    await bouncer.admin("RECONNECT");
    expect(await ask(client, "select current_user")).toBe("ann");
    client.end();
  });

  test("a failed login takes nothing away from those who are in", async () => {
    const { client } = await login();
    expect((await login({}, "shop", "wrong")).error!["M"]).toBe("SASL authentication failed");
    await bouncer.admin("RECONNECT");
    expect(await ask(client, "select current_user")).toBe("ann");
    client.end();
  });

  test("one name, two clusters, two passwords", async () => {
    const here = await login();
    const there = await login({}, "second", otherPassword);
    expect([here.error, there.error]).toEqual([null, null]);
    expect((await login({}, "second", password)).error!["M"]).toBe("SASL authentication failed");
    expect((await login({}, "shop", otherPassword)).error!["M"]).toBe("SASL authentication failed");
    for (let round = 0; round < 2; round += 1) {
      expect(await ask(here.client, "select inet_server_port()")).toBe(String(cluster.port));
      expect(await ask(there.client, "select inet_server_port()")).toBe(String(other.port));
      await bouncer.admin("RECONNECT");
    }
    here.client.end();
    there.client.end();
  });

  test("a password that was changed: the old keys are of no use, a new login brings new ones", async () => {
    const { client } = await login();
    await ask(client, "select 1");
    await cluster.query("alter role ann password 'changed'");
    const renewed = await login({}, "shop", "changed");
    expect(renewed.error).toBeNull();
    await bouncer.admin("RECONNECT");
    expect(await ask(renewed.client, "select current_user")).toBe("ann");
    expect(await ask(client, "select current_user")).toBe("ann");
    await cluster.query("alter role ann password 'changed again'");
    await bouncer.admin("RECONNECT");
    client.send(query("select 1"));
    const [refusal] = await client.until("E", "Z");
    expect(refusal!.type).toBe("E");
    expect(errorFields(refusal!.body)["M"]).toMatch(/password authentication failed|server login/);
    await cluster.query(`alter role ann password '${password}'`);
    renewed.client.end();
    client.end();
  });

  test("nothing of it is in the log", () => {
    expect(bouncer.log()).not.toMatch(/SCRAM-SHA-256\$/);
    expect(bouncer.log()).not.toContain(password);
    expect(bouncer.log()).not.toContain(otherPassword);
  });
});
