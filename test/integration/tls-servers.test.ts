/** TLS towards PostgreSQL: all modes of server_tls_sslmode against servers with right, wrong and no certificates. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer } from "../support/bouncer.ts";
import { columns, query, startupMessage, WireClient } from "../support/wire-client.ts";
import { createCertificate } from "../transport/certificate.ts";
import { reloadBySignal } from "./login-reload.ts";

const authority = createCertificate({ commonName: "authority", isAuthority: true });
const otherAuthority = createCertificate({ commonName: "somebody else", isAuthority: true });
const named = createCertificate({ commonName: "db", altNames: ["localhost", "127.0.0.1"], issuer: authority });
const own = createCertificate({ commonName: "postgres", issuer: authority });

let folder: string;
/** With TLS; asks for our certificate where the database is `certain`. */
let secure: EmbeddedPostgres;
let plain: EmbeddedPostgres;
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
  const tls = {
    certPath: file("db.pem", named.certPem),
    keyPath: file("db.key", named.keyPem),
    caPath: file("ca.pem", authority.certPem),
  };
  file("other-ca.pem", otherAuthority.certPem);
  file("own.pem", own.certPem);
  file("own.key", own.keyPem);
  [secure, plain] = await Promise.all([
    EmbeddedPostgres.start({
      tls,
      databases: ["certain"],
      settings: { listen_addresses: "127.0.0.1, 127.0.0.2" },
      hba: "hostssl certain all 127.0.0.1/32 cert\nhost all all 127.0.0.0/8 trust\nlocal all all trust",
    }),
    EmbeddedPostgres.start(),
  ]);
  bouncer = await Bouncer.start({ databases: databases(), userlist: { postgres: "" }, settings: settings("prefer") });
});

afterAll(async () => {
  await bouncer?.stop();
  await secure?.stop();
  await plain?.stop();
  rmSync(folder, { recursive: true, force: true });
});

function databases(): Record<string, string> {
  return {
    secure: `host=127.0.0.1 port=${secure.port} dbname=postgres`,
    by_name: `host=localhost port=${secure.port} dbname=postgres`,
    wrong_name: `host=127.0.0.2 port=${secure.port} dbname=postgres`,
    certain: `host=127.0.0.1 port=${secure.port} dbname=certain`,
    plain: `host=127.0.0.1 port=${plain.port} dbname=postgres`,
    local: `host=${secure.socketFolder} port=${secure.port} dbname=postgres`,
  };
}

function settings(mode: string, more: Record<string, string | number> = {}): Record<string, string | number> {
  return {
    pool_mode: "transaction",
    server_login_retry: 0.2,
    client_login_timeout: 2,
    server_tls_sslmode: mode,
    server_tls_ca_file: join(folder, "ca.pem"),
    ...more,
  };
}

const use = (mode: string, more: Record<string, string | number> = {}): Promise<void> =>
  reloadBySignal(bouncer, { settings: settings(mode, more) });

/** The TLS version that PostgreSQL sees, "plain", or null when no server can be had. */
async function seen(database: string): Promise<string | null> {
  const client = await WireClient.open(bouncer);
  try {
    client.send(startupMessage({ user: "postgres", database }));
    const messages = await client.until("Z", "E");
    if (messages.at(-1)!.type === "E") return null;
    client.send(query("select coalesce(version, 'plain') from pg_stat_ssl where pid = pg_backend_pid()"));
    const answer = await client.until("Z", "E");
    const row = answer.find(({ type }) => type === "D");
    return row === undefined ? null : columns(row.body)[0]!;
  } finally {
    client.destroy();
  }
}

describe("server_tls_sslmode", () => {
  test("disable never asks", async () => {
    await use("disable");
    expect(await seen("secure")).toBe("plain");
    expect(await seen("plain")).toBe("plain");
  });

  test.each(["allow", "prefer"])("%s takes what there is, and checks nothing", async (mode) => {
    await use(mode, { server_tls_ca_file: join(folder, "other-ca.pem") });
    expect(await seen("secure")).toMatch(/^TLSv1\.[23]$/);
    expect(await seen("plain")).toBe("plain");
    expect(bouncer.log()).toMatch(/S-0x\w+: secure\/postgres@127.0.0.1:\d+ SSL established: TLSv1\.[23]\/\S+/);
  });

  test("require does not do without, and checks nothing", async () => {
    await use("require", { server_tls_ca_file: "" });
    expect(await seen("secure")).toMatch(/^TLS/);
    expect(await seen("wrong_name")).toMatch(/^TLS/);
    const log = await bouncer.logDuring(async () => expect(await seen("plain")).toBeNull());
    expect(log).toMatch(/S-0x\w+: plain\/postgres@127.0.0.1:\d+ closing because: server refused SSL \(age=/);
  });

  test("verify-ca: the chain, not the name", async () => {
    await use("verify-ca");
    expect(await seen("secure")).toMatch(/^TLS/);
    expect(await seen("wrong_name")).toMatch(/^TLS/);
    await use("verify-ca", { server_tls_ca_file: join(folder, "other-ca.pem") });
    const log = await bouncer.logDuring(async () => expect(await seen("secure")).toBeNull());
    expect(log).toMatch(/WARNING S-0x\w+: secure\/.* TLS handshake error: certificate verify failed: /);
  });

  test("verify-full: chain and name, of names and addresses", async () => {
    await use("verify-full");
    expect(await seen("secure")).toMatch(/^TLS/);
    expect(await seen("by_name")).toMatch(/^TLS/);
    const log = await bouncer.logDuring(async () => expect(await seen("wrong_name")).toBeNull());
    expect(log).toMatch(/WARNING S-.*TLS handshake error: certificate verify failed: .*127\.0\.0\.2/);
    await use("verify-full", { server_tls_ca_file: join(folder, "other-ca.pem") });
    expect(await seen("secure")).toBeNull();
    expect(await seen("plain")).toBeNull();
  });

  test("Unix sockets never use it", async () => {
    await use("verify-full");
    expect(await seen("local")).toBe("plain");
  });
});

test("our own certificate, where PostgreSQL wants one", async () => {
  await use("require");
  expect(await seen("certain")).toBeNull();
  await use("require", { server_tls_cert_file: join(folder, "own.pem"), server_tls_key_file: join(folder, "own.key") });
  expect(await seen("certain")).toMatch(/^TLS/);
});

test("server_tls_protocols", async () => {
  await use("require", { server_tls_protocols: "tlsv1.2" });
  expect(await seen("secure")).toBe("TLSv1.2");
  await use("require", { server_tls_protocols: "tlsv1.3" });
  expect(await seen("secure")).toBe("TLSv1.3");
});

test("a reload without a change in TLS keeps the servers, one with a change renews them", async () => {
  await use("require");
  const pid = async (): Promise<string | null> => {
    const client = await WireClient.login(bouncer, { user: "postgres", database: "secure" });
    client.send(query("select pg_backend_pid()"));
    const answer = await client.until("Z");
    client.end();
    return columns(answer[1]!.body)[0]!;
  };
  const before = await pid();
  await use("require");
  expect(await pid()).toBe(before);
  await use("prefer");
  expect(await pid()).not.toBe(before);
});

test.each<[string, Buffer, string]>([
  ["neither S nor N", Buffer.from("X"), "bad sslreq answer"],
  ["an error of an old server", Buffer.from("EFATAL: unsupported frontend protocol\n\0"), "bad sslreq answer"],
  ["more than one byte behind N", Buffer.from("NR\0\0\0\x08\0\0\0\0"), "bad sslreq answer"],
  ["plaintext behind S", Buffer.from("SR\0\0\0\x08\0\0\0\0"), "bad sslreq answer"],
  ["S, and then no TLS", Buffer.from("S"), "server conn crashed\\?"],
])("an answer to SSLRequest of %s", async (name, bytes, reason) => {
  const server: Server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.once("data", () => {
      socket.write(bytes);
      if (name.startsWith("S,")) socket.once("data", () => socket.end("this is no handshake"));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  try {
    await reloadBySignal(bouncer, {
      databases: { ...databases(), odd: `host=127.0.0.1 port=${port}` },
      settings: settings("require"),
    });
    const before = bouncer.log().length;
    expect(await seen("odd")).toBeNull();
    expect(bouncer.log().slice(before)).toMatch(new RegExp(`odd/postgres@.* closing because: ${reason} \\(age=`));
    const warned = bouncer.log().slice(before).includes("received unencrypted data after SSL response");
    expect(warned).toBe(name === "plaintext behind S");
    expect(await seen("secure")).toMatch(/^TLS/);
  } finally {
    server.close();
  }
});
