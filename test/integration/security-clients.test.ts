/**
 * PgBouncer's published vulnerabilities that a client could use, tried by a client: data before TLS, SCRAM packets whose
 * lengths lie, passwords that are not valid any more, a search_path that auth_query would run under, a command of the
 * console without the right to it, and those of earlier years. SECURITY.md lists them all.
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer } from "../support/bouncer.ts";
import {
  bind,
  columns,
  errorFields,
  execute,
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
import { logIn, scramSecret } from "./login-dialogue.ts";

const sslRequest = Buffer.concat([int32(8), int32(80877103)]);
const gssRequest = Buffer.concat([int32(8), int32(80877104)]);
const iterations = 4096;

let cluster: EmbeddedPostgres;
let bouncer: Bouncer;
let folder: string;
let witness: WireClient;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "pgc-sec-"));
  chmodSync(folder, 0o755);
  const own = createCertificate({ commonName: "pooler" });
  for (const [name, bytes] of [
    ["cert.pem", own.certPem],
    ["key.pem", own.keyPem],
  ] as const) {
    writeFileSync(join(folder, name), bytes);
    chmodSync(join(folder, name), 0o644);
  }
  cluster = await EmbeddedPostgres.start({
    databases: ["shop"],
    roles: [
      { name: "valid", password: "right" },
      { name: "expired", password: "right" },
      { name: "forever", password: "right" },
      { name: "asker", password: "asks" },
    ],
  });
  await cluster.query("alter role valid valid until '2100-01-01'");
  await cluster.query("alter role expired valid until '2001-01-01'");
  await cluster.query("alter role forever valid until 'infinity'");
  await cluster.query("alter role asker superuser");
  await cluster.query("alter role asker in database shop set log_statement = 'all'");
  const at = `host=${cluster.host} port=${cluster.port}`;
  bouncer = await Bouncer.start({
    databases: {
      open: `${at} dbname=postgres user=postgres pool_size=2`,
      shop: `${at} dbname=shop auth_user=asker pool_size=2`,
      nameless: `${at} dbname=shop auth_user=asker auth_query='select null::text, $1::text'`,
      down: "host=127.0.0.1 port=1 dbname=not-quite-public",
    },
    userlist: { postgres: "", pat: scramSecret("secret", iterations), watcher: "watches", asker: "asks" },
    settings: {
      auth_type: "scram-sha-256",
      auth_hba_file: "",
      pool_mode: "transaction",
      server_tls_sslmode: "disable",
      client_tls_sslmode: "allow",
      client_tls_cert_file: join(folder, "cert.pem"),
      client_tls_key_file: join(folder, "key.pem"),
      stats_users: "watcher",
      track_extra_parameters: "IntervalStyle, search_path",
    },
  });
  const { client, error } = await logIn(bouncer, { user: "pat", database: "open", password: "secret" });
  expect(error).toBeNull();
  witness = client;
});

afterAll(async () => {
  witness?.destroy();
  await bouncer?.stop();
  await cluster?.stop();
  rmSync(folder, { recursive: true, force: true });
});

beforeEach(() => async () => {
  witness.send(query("select 'still here'"));
  expect(columns((await witness.until("Z"))[1]!.body)).toEqual(["still here"]);
});

/** The error that ends a connection on which `bytes` are sent; null when it ends without one. */
async function refusalOf(...bytes: Uint8Array[]): Promise<Record<string, string> | null> {
  const client = await WireClient.open(bouncer);
  client.send(...bytes);
  const last = (await client.rest()).at(-1);
  client.destroy();
  return last?.type === "E" ? errorFields(last.body) : null;
}

const hello = (user: string, database: string): Buffer => startupMessage({ user, database });

describe("CVE-2021-3935: nothing that came before TLS counts", () => {
  test.each<[string, Buffer]>([
    ["SSL", sslRequest],
    ["GSSAPI encryption", gssRequest],
  ])("a startup packet and a query behind a request for %s", async (what, request) => {
    const error = await refusalOf(request, hello("postgres", "open"), query("select 'injected'"));
    expect(error).toMatchObject({ S: "FATAL", C: "08P01", M: `received unencrypted data after ${what} request` });
  });

  test("cleartext instead of the handshake, in a packet of its own", async () => {
    const client = await WireClient.open(bouncer);
    client.send(sslRequest);
    expect((await client.raw(1)).toString()).toBe("S");
    client.send(hello("postgres", "open"), query("select 'injected'"));
    const said = await client.rest().catch(() => []);
    expect(types(said)).not.toMatch(/[RZTD]/);
    client.destroy();
  });
});

describe("CVE-2026-6664: lengths that lie in SASL messages", () => {
  const mechanism = Buffer.from("SCRAM-SHA-256\0");
  const first = Buffer.from("n,,n=,r=abcdefghijklmnopqrstuvwx");
  const lengths = [0, 1, 31, 33, 4096, 0x7fffffff, -1, -2, -2147483648, 0x7ffffffa, 0x10000];

  test.each(lengths)("a SASLInitialResponse that announces %i bytes", async (length) => {
    const error = await refusalOf(hello("pat", "open"), message("p", mechanism, int32(length), first));
    expect(error).toMatchObject({ S: "FATAL", M: "SASL authentication failed" });
  });

  test.each([3, 0, -1, -2147483648, 0x7fffffff, 0x7ffffffb])("a message that announces %i bytes", async (length) => {
    const head = Buffer.concat([Buffer.from("p"), int32(length)]);
    const error = await refusalOf(hello("pat", "open"), head, mechanism, int32(first.length), first);
    expect(error).toMatchObject({ S: "FATAL", C: "08P01" });
  });

  test("a message that ends in the middle of each of its fields", async () => {
    const whole = message("p", mechanism, int32(first.length), first);
    for (let size = 0; size < whole.length - 5; size += 3) {
      const error = await refusalOf(hello("pat", "open"), message("p", whole.subarray(5, 5 + size)));
      expect(error).toMatchObject({ S: "FATAL", M: "SASL authentication failed" });
    }
  });
});

describe("CVE-2025-2291: passwords that are not valid any more", () => {
  test.each(["valid", "forever"])("auth_query lets %s in", async (user) => {
    const { client, error } = await logIn(bouncer, { user, database: "shop", password: "right" });
    expect(error).toBeNull();
    client.end();
  });

  test("and expired not, with the right password", async () => {
    const { error } = await logIn(bouncer, { user: "expired", database: "shop", password: "right" });
    expect(error).toMatchObject({ S: "FATAL", M: "SASL authentication failed" });
  });

  test("nor one whose time is over since its last login", async () => {
    await cluster.query("create role brief login password 'right' valid until 'infinity'");
    const login = { user: "brief", database: "shop", password: "right" };
    const before = await logIn(bouncer, login);
    expect(before.error).toBeNull();
    before.client.end();
    await cluster.query("alter role brief valid until 'yesterday'");
    expect((await logIn(bouncer, login)).error).toMatchObject({ M: "SASL authentication failed" });
  });

  test("the default is the query that asks for it", async () => {
    const rows = await bouncer.admin("SHOW CONFIG");
    expect(rows.find(({ key }) => key === "auth_query")!["default"]).toContain("rolvaliduntil < now()");
  });
});

describe("CVE-2025-12819: auth_query and what a client brings along", () => {
  const trap = "trap, pg_catalog";

  beforeAll(async () => {
    // An operator in front of the system's: whoever compares times under this search_path is noticed.
    await cluster.query(
      `create schema trap; create table trap.caught (by_path text);
       create function trap.less(timestamptz, timestamptz) returns boolean language plpgsql volatile as
         $$ begin insert into trap.caught values (current_setting('search_path')); return false; end $$;
       create operator trap.< (leftarg = timestamptz, rightarg = timestamptz, function = trap.less);
       grant usage on schema trap to public; grant insert on trap.caught to public`,
      [],
      "shop",
    );
  });

  const caught = async (): Promise<unknown[]> =>
    (await cluster.query("select by_path from trap.caught", [], "shop")).rows as unknown[];

  test("the trap works", async () => {
    const { client } = await logIn(bouncer, { user: "asker", database: "shop", password: "asks" });
    client.send(query(`set search_path = ${trap}; select now() < now()`));
    expect(types(await client.until("Z"))).toContain("DC");
    client.end();
    const found = await caught();
    await cluster.query("delete from trap.caught", [], "shop");
    expect(found).toEqual([{ by_path: trap }]);
  });

  test.each<[string, Record<string, string>]>([
    ["search_path", { search_path: trap }],
    ["options", { options: `-c search_path=trap,\\ pg_catalog` }],
    ["options of the other form", { options: "--search_path=trap" }],
    ["both", { search_path: trap, options: "-csearch_path=trap" }],
    ["SQL in it", { search_path: "trap'; insert into trap.caught values ('sql'); --" }],
    ["a backslash in it", { search_path: "trap\\'; insert into trap.caught values ('sql'); --" }],
  ])("a stranger who sends %s", async (_name, parameters) => {
    for (const user of ["expired", "nobody-at-all"]) {
      const { error } = await logIn(bouncer, { user, database: "shop", password: "guess", parameters });
      expect(error?.["S"]).toBe("FATAL");
    }
    expect(await caught()).toEqual([]);
  });

  test("servers that a client of the same pool has left with its own search_path", async () => {
    const { client } = await logIn(bouncer, { user: "asker", database: "shop", password: "asks" });
    for (let n = 0; n < 4; n++) {
      client.send(query(`begin`), query(`set search_path = ${trap}`), query("commit"));
      for (let answer = 0; answer < 3; answer++) await client.until("Z");
      await logIn(bouncer, { user: "valid", database: "shop", password: "wrong" });
    }
    client.end();
    expect(await caught()).toEqual([]);
  });
});

describe("CVE-2026-6667: KILL_CLIENT by a stats user", () => {
  test.each(["simple", "extended"])("is refused, in the %s protocol", async (protocol) => {
    const victim = await logIn(bouncer, { user: "pat", database: "open", password: "secret" });
    const rows = await bouncer.admin("SHOW CLIENTS");
    const id = rows.findLast(({ database }) => database === "open")!["id"];
    const { client, error } = await logIn(bouncer, { user: "watcher", database: "pgbouncer", password: "watches" });
    expect(error).toBeNull();
    const text = `KILL_CLIENT ${id}`;
    client.send(...(protocol === "simple" ? [query(text)] : [parse("", text), bind("", ""), execute(""), sync()]));
    const answer = await client.until("Z");
    expect(errorFields(answer.find(({ type }) => type === "E")!.body)).toMatchObject({
      S: "ERROR",
      C: "08P01",
      M: "admin access needed",
    });
    victim.client.send(query("select 1"));
    expect(types(await victim.client.until("Z"))).toBe("TDCZ");
    victim.client.end();
    client.end();
  });
});

describe("of earlier years", () => {
  test("CVE-2015-6817: a user that auth_query does not find is not auth_user", async () => {
    for (const password of ["asks", "", "right"]) {
      const { error, dialogue } = await logIn(bouncer, { user: "stranger", database: "shop", password });
      expect(error?.["S"]).toBe("FATAL");
      expect(dialogue).not.toContain("R0");
    }
  });

  test("CVE-2015-4054: a password before the startup packet", async () => {
    expect(await refusalOf(message("p", "secret"))).toMatchObject({
      M: "client password pkt before startup packet",
    });
    expect(await refusalOf(message("p", "secret"), hello("pat", "open"))).toMatchObject({ S: "FATAL" });
  });

  test.each([64, 1000, 60_000])("CVE-2012-4575: a database name of %i characters", async (length) => {
    const name = "d".repeat(length);
    const { error } = await logIn(bouncer, { user: "pat", database: name, password: "secret" });
    expect(error).toMatchObject({ S: "FATAL" });
  });

  test("1.25.0: passwords of 1,024 characters and more", async () => {
    for (const length of [1023, 1024, 1025, 2048, 60_000]) {
      const error = await refusalOf(hello("pat", "open"), message("p", "x".repeat(length)));
      expect(error).toMatchObject({ S: "FATAL", M: "SASL authentication failed" });
    }
  });

  test("1.17.0: what is wrong with a server is told to nobody who has not proved a password", async () => {
    for (const user of ["pat", "nobody-at-all"]) {
      const { error } = await logIn(bouncer, { user, database: "down", password: "guess" });
      expect(error).toEqual({ S: "FATAL", C: "08P01", M: "SASL authentication failed" });
    }
  });

  test("1.13.0: auth_query that answers with no name lets nobody in", async () => {
    const { error, dialogue } = await logIn(bouncer, { user: "stranger", database: "nameless", password: "stranger" });
    expect(error).toMatchObject({ S: "FATAL", M: "bouncer config error" });
    expect(dialogue).not.toContain("R0");
  });
});
