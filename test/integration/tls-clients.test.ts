/**
 * TLS towards clients: all modes of client_tls_sslmode, direct TLS with ALPN, client certificates, and certificates replaced
 * by a reload.
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from "node:tls";
import type { Client } from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer } from "../support/bouncer.ts";
import { errorFields, int32, query, startupMessage, types, WireClient } from "../support/wire-client.ts";
import { waitFor } from "../support/wait-for.ts";
import { createCertificate } from "../transport/certificate.ts";
import { reloadBySignal, reloadToItsEnd } from "./login-reload.ts";

const sslRequest = Buffer.concat([int32(8), int32(80877103)]);
const authority = createCertificate({ commonName: "authority", isAuthority: true });
const otherAuthority = createCertificate({ commonName: "somebody else", isAuthority: true });
const first = createCertificate({ commonName: "pooler", altNames: ["pooler.test", "127.0.0.1"], issuer: authority });
const second = createCertificate({ commonName: "pooler 2", altNames: ["pooler.test"], issuer: authority });
const good = createCertificate({ commonName: "postgres", issuer: authority });
const bad = createCertificate({ commonName: "postgres", issuer: otherAuthority });
const selfSigned = createCertificate({ commonName: "postgres" });

/** How a connection ends that is refused in its handshake or right behind it, in the words of two TLS libraries. */
const closed =
  /ECONNRESET|disconnected|terminated|closed|alert|unexpected|EPIPE|socket hang up|version|handshake|unable to verify|self-signed|authority/i;

let cluster: EmbeddedPostgres;
let bouncer: Bouncer;
let folder: string;

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
  cluster = await EmbeddedPostgres.start();
  bouncer = await Bouncer.start({
    databases: { shop: `host=${cluster.host} port=${cluster.port} dbname=postgres` },
    userlist: { postgres: "pw" },
    settings: settings("disable"),
  });
});

afterAll(async () => {
  await bouncer?.stop();
  await cluster?.stop();
  rmSync(folder, { recursive: true, force: true });
});

function settings(mode: string, more: Record<string, string> = {}): Record<string, string> {
  return {
    pool_mode: "transaction",
    server_tls_sslmode: "disable",
    client_tls_sslmode: mode,
    client_tls_cert_file: file("server.pem", first.certPem),
    client_tls_key_file: file("server.key", first.keyPem),
    client_tls_ca_file: join(folder, "ca.pem"),
    ...more,
  };
}

const use = (mode: string, more: Record<string, string> = {}): Promise<void> =>
  reloadToItsEnd(bouncer, { settings: settings(mode, more) });

interface Own {
  readonly certPem: Uint8Array;
  readonly keyPem: Uint8Array;
}

/** node-postgres over TLS, trusting `authority` and checking the host name. */
function secure(own: Own | null = null, more: ConnectionOptions = {}, user = "postgres"): Promise<Client> {
  return bouncer.connect({
    database: "shop",
    user,
    password: "pw",
    ssl: {
      ca: Buffer.from(authority.certPem),
      servername: "pooler.test",
      ...(own === null ? {} : { cert: Buffer.from(own.certPem), key: Buffer.from(own.keyPem) }),
      ...more,
    } as ConnectionOptions,
  });
}

const plain = (): Promise<Client> => bouncer.connect({ database: "shop", password: "pw" });

async function works(opening: Promise<Client>): Promise<void> {
  const client = await opening;
  expect((await client.query("select 41 + 1 as n, repeat('x', 100000) as x")).rows[0]).toMatchObject({ n: 42 });
  await client.end();
}

/** The answer to an SSLRequest. */
async function sslAnswer(): Promise<string> {
  const client = await WireClient.open(bouncer);
  client.send(sslRequest);
  const answer = (await client.raw(1)).toString("latin1");
  client.destroy();
  return answer;
}

/** TLS from the first byte. */
function direct(options: ConnectionOptions): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({
      host: "127.0.0.1",
      port: bouncer.port,
      ca: Buffer.from(authority.certPem),
      servername: "pooler.test",
      ...options,
    });
    socket.once("secureConnect", () => resolve(socket));
    socket.once("error", reject);
  });
}

/** Everything received until `types` of messages contain `Z` or `E`, or the end. */
async function speak(socket: TLSSocket, bytes: Buffer): Promise<string> {
  const chunks: Buffer[] = [];
  let ended = false;
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.on("error", () => (ended = true));
  socket.on("close", () => (ended = true));
  socket.write(bytes);
  return waitFor("an answer", () => {
    const received = Buffer.concat(chunks);
    let seen = "";
    for (let at = 0; at + 5 <= received.length; at += 1 + received.readInt32BE(at + 1))
      seen += String.fromCharCode(received[at]!);
    return /[ZE]$/.test(seen) || ended ? seen || "end" : null;
  });
}

describe("client_tls_sslmode", () => {
  test("disable: declined, and direct TLS is not understood", async () => {
    await use("disable");
    expect(await sslAnswer()).toBe("N");
    await works(plain());
    await expect(secure()).rejects.toThrow(/does not support SSL/);
    await expect(direct({ ALPNProtocols: ["postgresql"] })).rejects.toThrow(closed);
  });

  test.each(["allow", "prefer"])("%s: as the client likes", async (mode) => {
    await use(mode);
    expect(await sslAnswer()).toBe("S");
    await works(plain());
    await works(secure());
    expect(bouncer.log()).toMatch(/login attempt: db=shop user=postgres tls=TLSv1\.[23]\/[A-Z0-9_-]+ replication=no/);
  });

  test("require: not without, over TCP", async () => {
    await use("require");
    await works(secure());
    await expect(plain()).rejects.toMatchObject({ code: "08P01", severity: "FATAL", message: "SSL required" });
    await works(bouncer.connect({ host: bouncer.folder, database: "shop", password: "pw" }));
    const cancel = await WireClient.open(bouncer);
    cancel.send(Buffer.concat([int32(16), int32(80877102), int32(1), int32(2)]));
    expect(await cancel.rest()).toEqual([]);
  });

  test.each(["verify-ca", "verify-full"])("%s: only with a certificate of ours", async (mode) => {
    await use(mode);
    await works(secure(good));
    await expect(plain()).rejects.toMatchObject({ message: "SSL required" });
    for (const own of [null, bad, selfSigned]) await expect(secure(own)).rejects.toThrow(closed);
    expect(
      bouncer.logCount(/WARNING C-0x\w+: .*TLS handshake error: certificate verify failed/),
    ).toBeGreaterThanOrEqual(2);
    await works(secure(good));
  });

  test("below verify-ca a certificate may be missing, but not be wrong", async () => {
    await use("require");
    await works(secure(null));
    await works(secure(good));
    await expect(secure(bad)).rejects.toThrow(closed);
    await use("require", { client_tls_ca_file: "" });
    await works(secure(bad));
  });

  test("the name and authority that we show are for the client to judge", async () => {
    await use("require");
    await expect(secure(null, { servername: "other.test" })).rejects.toThrow(/altnames|does not match/i);
    await expect(secure(null, { ca: Buffer.from(otherAuthority.certPem) })).rejects.toThrow(closed);
    await works(secure());
  });
});

describe("versions and ciphers", () => {
  test("secure is 1.2 and 1.3", async () => {
    await use("require", { client_tls_protocols: "secure" });
    for (const [version, line] of [
      ["TLSv1.2", /tls=TLSv1\.2\//],
      ["TLSv1.3", /tls=TLSv1\.3\//],
    ] as const) {
      const log = await bouncer.logDuring(() => works(secure(null, { minVersion: version, maxVersion: version })));
      expect(log).toMatch(line);
    }
  });

  test("only what client_tls_protocols names", async () => {
    await use("require", { client_tls_protocols: "tlsv1.3" });
    await expect(secure(null, { maxVersion: "TLSv1.2" })).rejects.toThrow(closed);
    await works(secure());
  });

  test("client_tls_ciphers", async () => {
    await use("require", { client_tls_ciphers: "ECDHE-ECDSA-AES256-GCM-SHA384", client_tls_protocols: "tlsv1.2" });
    const log = await bouncer.logDuring(() => works(secure()));
    expect(log).toMatch(/tls=TLSv1\.2\/\S*ECDHE.ECDSA.*AES.?256.GCM/);
    await expect(secure(null, { ciphers: "ECDHE-ECDSA-AES128-GCM-SHA256", maxVersion: "TLSv1.2" })).rejects.toThrow(
      closed,
    );
  });
});

describe("client_tls13_ciphers", () => {
  const chosen = "TLS_CHACHA20_POLY1305_SHA256";

  test("suites that do not exist are refused, and those of before stay", async () => {
    await use("require", { client_tls_protocols: "tlsv1.3" });
    if (bouncer.runtime === "node") {
      await bouncer.admin(`SET client_tls13_ciphers = '${chosen}'`);
      expect(await bouncer.logDuring(() => works(secure()))).toContain(`tls=TLSv1.3/${chosen}`);
    }
    const log = await bouncer.logDuring(() => bouncer.admin(`SET client_tls13_ciphers = '${chosen}:unknown'`));
    expect(log).toMatch(
      bouncer.runtime === "node"
        ? /TLS setup failed: failed to set the TLSv1\.3 cipher suites: no cipher match for "unknown"/
        : /TLS setup failed: client_tls13_ciphers cannot be set on this runtime/,
    );
    const after = await bouncer.logDuring(() => works(secure()));
    expect(after).toContain(bouncer.runtime === "node" ? `tls=TLSv1.3/${chosen}` : "tls=TLSv1.3/");
    // A setting without a default outlives reloads, which would all be refused.
    await bouncer.admin("SET client_tls13_ciphers = ''");
  });
});

describe("direct TLS", () => {
  const hello = startupMessage({ user: "postgres", database: "shop" });
  beforeAll(() => use("require"));

  test("with ALPN postgresql", async () => {
    const socket = await direct({ ALPNProtocols: ["postgresql"] });
    expect(socket.alpnProtocol).toBe("postgresql");
    expect(await speak(socket, hello)).toMatch(/^RS+KZ$/);
    socket.destroy();
  });

  test("without ALPN", async () => {
    const socket = await direct({});
    expect(await speak(socket, Buffer.concat([hello]))).toMatch(/^RS+KZ$/);
    socket.destroy();
  });

  test("with somebody else's ALPN: refused in the handshake", async () => {
    await expect(direct({ ALPNProtocols: ["http/1.1"] })).rejects.toThrow(/alert|ALPN|protocol|disconnected/i);
  });

  test("an SSLRequest inside TLS ends it", async () => {
    const socket = await direct({ ALPNProtocols: ["postgresql"] });
    expect(await speak(socket, sslRequest)).toBe("end");
  });

  test("over the Unix socket there is none", async () => {
    const client = await WireClient.open({ port: bouncer.port, socketFolder: bouncer.folder });
    client.send(sslRequest);
    expect((await client.raw(1)).toString("latin1")).toBe("N");
    client.destroy();
  });
});

test("plaintext smuggled in before the handshake is refused", async () => {
  await use("prefer");
  const client = await WireClient.open(bouncer);
  client.send(sslRequest, startupMessage({ user: "postgres", database: "shop" }));
  const messages = await client.rest();
  expect(types(messages)).toBe("E");
  expect(errorFields(messages[0]!.body)["M"]).toBe("received unencrypted data after SSL request");
});

test("a handshake that is garbage, or stops, costs nobody anything", async () => {
  await use("prefer");
  const steady = await secure();
  for (const bytes of [
    Buffer.from("not a handshake at all, really"),
    Buffer.from("1603010200010001fc0303", "hex"),
    Buffer.alloc(0),
  ]) {
    const client = await WireClient.open(bouncer);
    client.send(sslRequest);
    await client.raw(1);
    if (bytes.length > 0) client.send(bytes);
    client.socket.end();
    await waitFor("its end", () => client.socket.destroyed || client.socket.readableEnded || client.socket.closed);
  }
  expect((await steady.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
  await steady.end();
  await works(secure());
});

test("an established session does not mind pieces of any size, and goodbye without a TLS goodbye", async () => {
  await use("require");
  const client = await secure();
  const sizes = [1, 100, 16_383, 16_384, 16_385, 100_000, 1_000_000];
  for (const size of sizes) {
    const { rows } = await client.query("select length($1::text) as n, $1::text as back", ["y".repeat(size)]);
    expect((rows as { n: number; back: string }[])[0]!.n).toBe(size);
    expect((rows as { n: number; back: string }[])[0]!.back.length).toBe(size);
  }
  const { stream } = (client as unknown as { connection: { stream: TLSSocket } }).connection;
  const log = await bouncer.logDuring(async () => {
    stream.destroy();
    await bouncer.waitForLog(/closing because: client unexpected eof/);
  });
  expect(log).not.toMatch(/WARNING|ERROR/);
  await works(secure());
});

test("a reload's new certificate reaches new connections, and drops nobody", async () => {
  await use("require");
  const before = await secure();
  const serial = async (): Promise<string> => {
    const socket = await direct({ ALPNProtocols: ["postgresql"] });
    const { CN } = socket.getPeerCertificate().subject;
    socket.destroy();
    return String(CN);
  };
  expect(await serial()).toBe("pooler");
  await reloadBySignal(bouncer, {
    settings: {
      ...settings("require"),
      client_tls_cert_file: file("second.pem", second.certPem),
      client_tls_key_file: file("second.key", second.keyPem),
    },
  });
  expect(await serial()).toBe("pooler 2");
  expect((await before.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
  // New content in the same files.
  file("second.pem", first.certPem);
  file("second.key", first.keyPem);
  expect(await serial()).toBe("pooler 2");
  await reloadBySignal(bouncer, {});
  expect(await serial()).toBe("pooler");
  expect((await before.query("select 2 as two")).rows).toEqual([{ two: 2 }]);
  await before.end();
  expect(bouncer.logContains(/S-.*closing because/)).toBe(false);
});

test("a reload that cannot work keeps what was, and says why", async () => {
  await use("require");
  await reloadBySignal(bouncer, { settings: settings("require", { client_tls_cert_file: "/nowhere/cert.pem" }) });
  await bouncer.waitForLog(/ERROR TLS setup failed: .*No such file or directory/);
  await works(secure());
  for (const [more, text] of [
    [
      { client_tls_cert_file: file("broken.pem", Buffer.from("junk")) },
      /TLS setup failed: the certificate file holds no/,
    ],
    [
      { client_tls_key_file: file("broken.pem", Buffer.from("junk")) },
      /TLS setup failed: the key file holds no private key/,
    ],
    [{ client_tls_key_file: file("other.key", second.keyPem) }, /TLS setup failed: the key does not belong to/],
    [{ client_tls_ca_file: file("broken.pem", Buffer.from("junk")) }, /TLS setup failed: the CA file holds no/],
  ] as const) {
    await reloadBySignal(bouncer, { settings: settings("require", more) });
    await bouncer.waitForLog(text);
    await works(secure());
  }
  await use("require");
});

test("a mode that comes with a broken file is not in force either", async () => {
  await use("disable");
  await use("require", { client_tls_cert_file: "/nowhere/cert.pem" });
  expect(await sslAnswer()).toBe("N");
  await works(plain());
  await use("allow");
  await use("verify-full", { client_tls_ca_file: "/nowhere/ca.pem" });
  await works(plain());
  await works(secure(null));
  await use("require");
});

test.each<[Record<string, string>, RegExp]>([
  [{ client_tls_cert_file: "" }, /client_tls_key_file and client_tls_cert_file must be set/],
  [{ client_tls_cert_file: "/nowhere/cert.pem" }, /TLS setup failed: .*No such file or directory/],
  [{ client_tls_sslmode: "verify-full", client_tls_ca_file: "" }, /client_tls_sslmode requires client_tls_ca_file/],
  [{ client_tls_protocols: "tlsv9" }, /TLS setup failed|invalid value "tlsv9"/],
])("a start with %o is refused", async (more, text) => {
  const { status, output } = await Bouncer.startAndFail({ settings: settings("require", more) });
  expect(status).toBe(1);
  expect(output).toMatch(text);
});

test("a client that speaks no PostgreSQL inside TLS", async () => {
  await use("require");
  const socket = await direct({});
  expect(await speak(socket, Buffer.from("GET / HTTP/1.1\r\n\r\n"))).toMatch(/^(E|end)$/);
  const raw = createConnection(bouncer.port, "127.0.0.1");
  raw.on("error", () => undefined);
  raw.end(query("select 1"));
  await bouncer.waitForLog(/closing because: bad packet/);
  await works(secure());
  expect(raw.destroyed).toBe(true);
});
