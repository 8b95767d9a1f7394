/**
 * TLS towards PostgreSQL while things change: which settings renew servers and which do not, files that come later or get
 * other contents, and hosts of a list that are each judged by their own name.
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer } from "../support/bouncer.ts";
import { waitFor } from "../support/wait-for.ts";
import { columns, query, startupMessage, WireClient } from "../support/wire-client.ts";
import { createCertificate } from "../transport/certificate.ts";
import { reloadToItsEnd } from "./login-reload.ts";

const authority = createCertificate({ commonName: "authority", isAuthority: true });
const otherAuthority = createCertificate({ commonName: "somebody else", isAuthority: true });
const db = createCertificate({ commonName: "db", altNames: ["localhost", "127.0.0.1"], issuer: authority });
const own = createCertificate({ commonName: "postgres", issuer: authority });

let folder: string;
let cluster: EmbeddedPostgres;
let bouncer: Bouncer;

function file(name: string, content: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  chmodSync(path, 0o644);
  return path;
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "pgc-tls-"));
  chmodSync(folder, 0o755);
  file("ca.pem", authority.certPem);
  file("ca-copy.pem", authority.certPem);
  cluster = await EmbeddedPostgres.start({
    tls: {
      certPath: file("db.pem", db.certPem),
      keyPath: file("db.key", db.keyPem),
      caPath: join(folder, "ca.pem"),
    },
    databases: ["certain"],
    settings: { listen_addresses: "127.0.0.1, 127.0.0.2" },
    hba: "hostssl certain all 127.0.0.1/32 cert\nhost all all 127.0.0.0/8 trust\nlocal all all trust",
  });
  const target = `port=${cluster.port} dbname=postgres`;
  bouncer = await Bouncer.start({
    databases: {
      shop: `host=127.0.0.1 ${target}`,
      certain: `host=127.0.0.1 port=${cluster.port} dbname=certain`,
      local: `host=${cluster.socketFolder} ${target}`,
      both: `host=localhost,127.0.0.1 ${target}`,
      second_good: `host=127.0.0.2,127.0.0.1 ${target} load_balance_hosts=disable`,
      one_good: `host=127.0.0.2,localhost ${target}`,
    },
    userlist: { postgres: "" },
    // A file that is not there yet is no reason not to start.
    settings: settings({ server_tls_ca_file: join(folder, "later.pem") }),
  });
});

afterAll(async () => {
  await bouncer?.stop();
  await cluster?.stop();
  rmSync(folder, { recursive: true, force: true });
});

function settings(more: Record<string, string | number> = {}): Record<string, string | number> {
  return {
    pool_mode: "transaction",
    server_login_retry: 0.1,
    client_login_timeout: 1,
    server_tls_sslmode: "verify-full",
    server_tls_ca_file: join(folder, "ca.pem"),
    ...more,
  };
}

const use = (more: Record<string, string | number> = {}): Promise<void> =>
  reloadToItsEnd(bouncer, { settings: settings(more) });

/** The first column of a query on a connection of its own; null when no server can be had. */
async function ask(database: string, sql: string): Promise<string | null> {
  const client = await WireClient.open(bouncer);
  try {
    client.send(startupMessage({ user: "postgres", database }));
    const messages = await client.until("Z", "E");
    if (messages.at(-1)!.type === "E") return null;
    client.send(query(sql));
    const answer = await client.until("Z", "E");
    const row = answer.find(({ type }) => type === "D");
    return row === undefined ? null : columns(row.body)[0]!;
  } finally {
    client.destroy();
  }
}

const pid = (database = "shop"): Promise<string | null> => ask(database, "select pg_backend_pid()");

async function reconnect(): Promise<void> {
  await bouncer.admin("RECONNECT");
  await bouncer.admin("WAIT_CLOSE");
}

describe("files", () => {
  test("one that comes later than the start, without a reload", async () => {
    const log = await bouncer.logDuring(async () => expect(await pid()).toBeNull());
    expect(log).toMatch(
      /WARNING S-0x\w+: shop\/postgres@127\.0\.0\.1:\d+ TLS connect error: .*later\.pem.*No such file or directory\n/,
    );
    expect(log).toMatch(/S-0x\w+: shop\/postgres@127\.0\.0\.1:\d+ closing because: connect failed \(age=/);
    file("later.pem", authority.certPem);
    await waitFor("a server", async () => (await pid()) !== null);
  });

  test("other contents reach new connections, and disturb no old one", async () => {
    await use();
    const before = await pid();
    file("ca.pem", otherAuthority.certPem);
    expect(await pid()).toBe(before);
    await use();
    expect(await pid()).toBe(before);
    await reconnect();
    const log = await bouncer.logDuring(async () => expect(await pid()).toBeNull());
    expect(log).toMatch(/WARNING S-.*TLS handshake error: certificate verify failed: /);
    file("ca.pem", authority.certPem);
    await waitFor("a server", async () => (await pid()) !== null);
  });

  test.each([
    ["no certificate at all", "junk", /TLS connect error: the CA file holds no certificate/],
    ["nothing", "", /TLS connect error: the CA file holds no certificate/],
  ])("%s in a file: said at each connect", async (_, content, line) => {
    file("ca.pem", Buffer.from(content));
    await reconnect();
    const log = await bouncer.logDuring(async () => expect(await pid()).toBeNull());
    expect(log).toMatch(line);
    file("ca.pem", authority.certPem);
    await waitFor("a server", async () => (await pid()) !== null);
  });

  test("our own certificate, which PostgreSQL demands, put there while we run", async () => {
    const paths = { server_tls_cert_file: join(folder, "own.pem"), server_tls_key_file: join(folder, "own.key") };
    await use(paths);
    expect(await pid("certain")).toBeNull();
    file("own.pem", own.certPem);
    file("own.key", own.keyPem);
    await waitFor("a server", async () => (await pid("certain")) !== null);
    file("own.key", otherAuthority.keyPem);
    await reconnect();
    const log = await bouncer.logDuring(async () => expect(await pid("certain")).toBeNull());
    expect(log).toMatch(/TLS connect error: the key does not belong to the certificate\n/);
    file("own.key", own.keyPem);
    await use();
  });
});

describe("a reload", () => {
  test.each([
    ["nothing", {}],
    ["what clients are shown", { client_tls_protocols: "tlsv1.3" }],
    ["sizes and times", { default_pool_size: 7, server_lifetime: 5000 }],
  ])("that changes %s keeps every server", async (_, more) => {
    await use();
    const before = [await pid(), await pid("local")];
    expect(before).not.toContain(null);
    await use(more);
    expect([await pid(), await pid("local")]).toEqual(before);
  });

  test.each([
    ["server_tls_sslmode", "verify-ca"],
    ["server_tls_protocols", "tlsv1.3"],
    ["server_tls_ciphers", "HIGH:!aNULL"],
    ["server_tls_ca_file", "ca-copy.pem"],
  ])("that changes %s renews every server, those without TLS too", async (name, value) => {
    await use();
    const before = [await pid(), await pid("local")];
    await use({ [name]: name.endsWith("_file") ? join(folder, value) : value });
    const after = [await pid(), await pid("local")];
    expect(after).not.toContain(null);
    expect(after.filter((one) => before.includes(one))).toEqual([]);
  });

  test("that cannot be made to work changes nothing, neither for old servers nor for new ones", async () => {
    await use({ server_tls_protocols: "tlsv1.2" });
    const before = await pid();
    await use({ server_tls_protocols: "nonsense", server_tls_sslmode: "require", server_tls_ca_file: "/nowhere" });
    expect(bouncer.log()).toContain("TLS setup failed: invalid server_tls_protocols: nonsense\n");
    expect(await pid()).toBe(before);
    await reconnect();
    expect(await ask("shop", "select version from pg_stat_ssl where pid = pg_backend_pid()")).toBe("TLSv1.2");
    const renewed = await pid();
    expect(renewed).not.toBe(before);
    await use({ server_tls_protocols: "tlsv1.2" });
    expect(await pid()).toBe(renewed);
  });

  test("a transaction is finished on its old server", async () => {
    await use();
    const client = await WireClient.login(bouncer, { user: "postgres", database: "shop" });
    const ownPid = async (): Promise<string> => {
      client.send(query("select pg_backend_pid()"));
      return columns((await client.until("Z")).find(({ type }) => type === "D")!.body)[0]!;
    };
    client.send(query("begin"));
    await client.until("Z");
    const before = await ownPid();
    await use({ server_tls_protocols: "tlsv1.2" });
    expect(await ownPid()).toBe(before);
    client.send(query("commit"));
    await client.until("Z");
    expect(await ownPid()).not.toBe(before);
    expect(await ask("shop", "select version from pg_stat_ssl where pid = pg_backend_pid()")).toBe("TLSv1.2");
    client.end();
  });
});

describe("verify-full with several hosts", () => {
  beforeAll(() => use());

  test("each is judged by its own name", async () => {
    expect(await pid("both")).not.toBeNull();
    await reconnect();
    expect(await pid("both")).not.toBeNull();
  });

  test("one that shows another's certificate is passed over", async () => {
    const log = await bouncer.logDuring(() =>
      waitFor("a server", async () => (await ask("second_good", "select host(inet_server_addr())")) === "127.0.0.1"),
    );
    expect(log).toMatch(
      /S-0x\w+: second_good\/postgres@127\.0\.0\.2:\d+ TLS handshake error: certificate verify failed: .*127\.0\.0\.2/,
    );
    expect(log).toMatch(/S-0x\w+: second_good\/postgres@127\.0\.0\.2:\d+ closing because: connect failed/);
    await waitFor("a server", async () => (await pid("one_good")) !== null);
  });
});
