/**
 * Clients that prove who they are by a certificate: auth_type=cert, and lines of the HBA file, with and without a map; names
 * that match, certificates that are not good, and what the settings must be for it.
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ConnectionOptions } from "node:tls";
import type { Client } from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer } from "../support/bouncer.ts";
import { type Certificate, createCertificate } from "../transport/certificate.ts";
import { reloadBySignal } from "./login-reload.ts";

const authority = createCertificate({ commonName: "authority", isAuthority: true });
const otherAuthority = createCertificate({ commonName: "somebody else", isAuthority: true });
const pooler = createCertificate({ commonName: "pooler", altNames: ["pooler.test"], issuer: authority });
const ann = createCertificate({ commonName: "ann", issuer: authority });
const bob = createCertificate({ commonName: "bob", issuer: authority });
const named = createCertificate({ commonName: "somebody", altNames: ["ann", "eve.crew.test"], issuer: authority });
const pattern = createCertificate({ commonName: "*.crew.test", issuer: authority });
const expired = createCertificate({ commonName: "ann", issuer: authority, isExpired: true });
const strange = createCertificate({ commonName: "ann", issuer: otherAuthority });
const selfSigned = createCertificate({ commonName: "ann" });

const closed =
  /ECONNRESET|disconnected|terminated|closed|alert|unexpected|EPIPE|socket hang up|handshake|unable to verify|authority/i;
const failed = { severity: "FATAL", code: "08P01", message: "certificate authentication failed" };

let cluster: EmbeddedPostgres;
let bouncer: Bouncer;
let folder: string;

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  chmodSync(path, 0o644);
  return path;
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "pgc-cert-"));
  chmodSync(folder, 0o755);
  file("ca.pem", authority.certPem);
  cluster = await EmbeddedPostgres.start({
    roles: [
      { name: "ann", password: "pw" },
      { name: "bob" },
      { name: "eve.crew.test" },
      { name: "lookup", attributes: "superuser" },
    ],
  });
  bouncer = await Bouncer.start({
    databases: {
      shop: `host=${cluster.host} port=${cluster.port} dbname=postgres`,
      asked: `host=${cluster.host} port=${cluster.port} dbname=postgres auth_user=lookup`,
    },
    userlist: { ann: "", bob: "", "eve.crew.test": "", "any.crew.test": "", lookup: "" },
    settings: settings("cert", "verify-full"),
  });
});

afterAll(async () => {
  await bouncer?.stop();
  await cluster?.stop();
  rmSync(folder, { recursive: true, force: true });
});

function settings(authType: string, mode: string, more: Record<string, string> = {}): Record<string, string> {
  return {
    auth_type: authType,
    pool_mode: "transaction",
    server_tls_sslmode: "disable",
    client_tls_sslmode: mode,
    client_tls_cert_file: file("server.pem", pooler.certPem),
    client_tls_key_file: file("server.key", pooler.keyPem),
    client_tls_ca_file: join(folder, "ca.pem"),
    ...more,
  };
}

const use = (authType: string, mode: string, more: Record<string, string> = {}): Promise<void> =>
  reloadBySignal(bouncer, { settings: settings(authType, mode, more) });

async function rules(mode: string, hba: string, ident = ""): Promise<void> {
  const more = { auth_hba_file: file("hba.conf", `${hba}\n`), auth_ident_file: file("ident.conf", `${ident}\n`) };
  await use("hba", mode, more);
}

function connect(user: string, own: Certificate | null, database = "shop"): Promise<Client> {
  return bouncer.connect({
    database,
    user,
    password: "pw",
    ssl: {
      ca: Buffer.from(authority.certPem),
      servername: "pooler.test",
      ...(own === null ? {} : { cert: Buffer.from(own.certPem), key: Buffer.from(own.keyPem) }),
    } as ConnectionOptions,
  });
}

/** `current_user` of a client that came in. */
async function comesIn(user: string, own: Certificate | null, database = "shop"): Promise<string> {
  const client = await connect(user, own, database);
  const { rows } = await client.query<{ me: string }>("select current_user as me");
  await client.end();
  return rows[0]!.me;
}

async function isRefused(user: string, own: Certificate | null, line: string): Promise<void> {
  const log = await bouncer.logDuring(() => expect(connect(user, own)).rejects.toMatchObject(failed));
  expect(log).toMatch(new RegExp(`ERROR C-0x\\w+: shop/${user}@127\\.0\\.0\\.1:\\d+ ${line}\n`));
  expect(log).toMatch(/closing because: certificate authentication failed \(age=/);
}

describe("auth_type=cert", () => {
  beforeAll(() => use("cert", "verify-full"));

  test("the common name is the user", async () => {
    const log = await bouncer.logDuring(async () => expect(await comesIn("ann", ann)).toBe("ann"));
    expect(log).toMatch(/login attempt: db=shop user=ann tls=TLSv1\.3\/\S+ replication=no\n/);
    expect(await comesIn("bob", bob)).toBe("bob");
    await isRefused("bob", ann, "TLS certificate name mismatch");
  });

  test("names among the alternative ones count, and then the common name too", async () => {
    expect(await comesIn("ann", named)).toBe("ann");
    expect(await comesIn("eve.crew.test", named)).toBe("eve.crew.test");
    await isRefused("bob", named, "TLS certificate name mismatch");
  });

  test("a user that nobody knows, whatever the certificate says", async () => {
    const stranger = createCertificate({ commonName: "stranger", issuer: authority });
    await isRefused("stranger", stranger, "unknown user");
  });

  test("found by auth_query", async () => {
    expect(await comesIn("ann", ann, "asked")).toBe("ann");
    await expect(connect("nobody", ann, "asked")).rejects.toMatchObject({ message: "no such user" });
  });

  test.each([
    ["none", null],
    ["one of another authority", strange],
    ["one of its own", selfSigned],
    ["one whose time is over", expired],
  ])("%s does not come through the handshake", async (_, own) => {
    await expect(connect("ann", own)).rejects.toThrow(closed);
    await bouncer.waitForLog(/WARNING C-.*TLS handshake error: /);
  });

  test("not without TLS: over TCP, and over the Unix socket", async () => {
    const plain = { database: "shop", user: "ann", password: "pw" };
    await expect(bouncer.connect(plain)).rejects.toMatchObject({ message: "SSL required" });
    await expect(bouncer.connect({ ...plain, host: bouncer.folder })).rejects.toMatchObject(failed);
    expect(bouncer.log()).toMatch(/ERROR C-.* TLS connection required\n/);
  });

  test("the console as well", async () => {
    const admin = createCertificate({ commonName: "console", issuer: authority });
    const client = await connect("console", admin, "pgbouncer");
    expect((await client.query("SHOW VERSION")).rows.length).toBe(1);
    await client.end();
    await expect(connect("console", ann, "pgbouncer")).rejects.toMatchObject(failed);
  });

  test.each([
    ["require", {}, "auth_type=cert requires client_tls_sslmode=SSLMODE_VERIFY_FULL"],
    ["disable", {}, "auth_type=cert requires client_tls_sslmode=SSLMODE_VERIFY_FULL"],
    ["verify-full", { client_tls_ca_file: "" }, "auth_type=cert requires client_tls_ca_file"],
  ])("does not start with client_tls_sslmode=%s %o", async (mode, more, text) => {
    const { status, output } = await Bouncer.startAndFail({ settings: settings("cert", mode, more) });
    expect(status).toBe(1);
    expect(output).toContain(text);
  });
});

describe("lines of the HBA file", () => {
  test("without a map, beside lines for others", async () => {
    await rules("verify-full", "hostssl all ann all cert\nhostssl all bob all trust");
    expect(await comesIn("ann", ann)).toBe("ann");
    expect(await comesIn("bob", ann)).toBe("bob");
    await isRefused("ann", bob, "TLS certificate name mismatch");
  });

  test("below verify-ca, where a certificate is a client's own wish", async () => {
    await rules("require", "hostssl all ann all cert\nhostssl all all all trust");
    expect(await comesIn("bob", null)).toBe("bob");
    expect(await comesIn("ann", ann)).toBe("ann");
    await isRefused("ann", null, "TLS client certificate required");
    for (const own of [strange, selfSigned, expired]) await expect(connect("ann", own)).rejects.toThrow(closed);
    await rules("allow", "host all all all cert");
    await expect(bouncer.connect({ database: "shop", user: "ann" })).rejects.toMatchObject(failed);
    expect(bouncer.log()).toMatch(/ERROR C-.* TLS connection required\n/);
  });

  test("without an authority no certificate is asked for", async () => {
    await rules("require", "hostssl all all all cert");
    await reloadBySignal(bouncer, {
      settings: { ...settings("hba", "require", { client_tls_ca_file: "" }), auth_hba_file: join(folder, "hba.conf") },
    });
    for (const own of [ann, strange]) await isRefused("ann", own, "TLS client certificate required");
  });

  test("with a map", async () => {
    await rules(
      "verify-full",
      "hostssl all all all cert map=crew",
      'crew bob ann\ncrew "any.crew.test" eve.crew.test\nother ann all',
    );
    expect(await comesIn("ann", bob)).toBe("ann");
    await isRefused("bob", bob, "ident map: crew does not have a match");
    await isRefused("ann", ann, "ident map: crew does not have a match");
    // A certificate may stand for many names, the map's among them.
    expect(await comesIn("eve.crew.test", pattern)).toBe("eve.crew.test");
    await isRefused("ann", pattern, "ident map: crew does not have a match");
  });

  test("with a map for all", async () => {
    await rules("verify-full", "hostssl all all all cert map=crew", "crew bob all");
    expect(await comesIn("ann", bob)).toBe("ann");
    expect(await comesIn("bob", bob)).toBe("bob");
    await isRefused("bob", ann, "ident map: crew does not have a match");
    await isRefused("stranger", bob, "unknown user");
  });

  test("a map that is changed counts at the next login", async () => {
    await rules("verify-full", "hostssl all all all cert map=crew", "crew bob ann");
    await isRefused("bob", bob, "ident map: crew does not have a match");
    await rules("verify-full", "hostssl all all all cert map=crew", "crew bob ann\ncrew bob bob");
    expect(await comesIn("bob", bob)).toBe("bob");
    // Without its map the line is no line.
    await rules("verify-full", "hostssl all all all cert map=crew", "bad line of too many words");
    await expect(connect("bob", bob)).rejects.toMatchObject({ message: "no authentication method is found" });
    await bouncer.waitForLog(/WARNING could not parse ident config line 1\n/);
    await bouncer.waitForLog(/WARNING hba line 1: Ident map crew is not found in ident config file\n/);
  });
});
