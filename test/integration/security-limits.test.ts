/**
 * What a stranger can make grow before it has proved anything, in figures: memory for each connection in each phase of a
 * login, what stays behind when it goes, how much it is answered, and how long it may take. The counts of connections are
 * `login-limits.test.ts`'s.
 */
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Bouncer } from "../support/bouncer.ts";
import { waitFor } from "../support/wait-for.ts";
import { int32, message, query, startupMessage, types, WireClient } from "../support/wire-client.ts";
import { createCertificate } from "../transport/certificate.ts";
import { friendly, HostileServer } from "./hostile-server.ts";
import { logIn } from "./login-dialogue.ts";

const KIB = 1024;
const CROWD = 250;
const startupBytesMax = 65_535;
const loginMessageBytesMax = 66 * KIB;
const sslRequest = Buffer.concat([int32(8), int32(80877103)]);
const countless = Object.fromEntries(Array.from({ length: 5000 }, (_, n) => [`_pq_.${n}`, "x"]));
const hello = (database = "shop", more: Record<string, string> = {}): Buffer =>
  startupMessage({ user: "pat", database, ...more });
const crammed = hello("shop", countless);

let server: HostileServer;
let bouncer: Bouncer;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "pgc-limits-"));
  chmodSync(folder, 0o755);
  const own = createCertificate({ commonName: "pooler" });
  writeFileSync(join(folder, "cert.pem"), own.certPem);
  writeFileSync(join(folder, "key.pem"), own.keyPem);
  for (const name of ["cert.pem", "key.pem"]) chmodSync(join(folder, name), 0o644);
  server = await HostileServer.start();
  server.answers = friendly;
  bouncer = await Bouncer.start({
    databases: { shop: `host=127.0.0.1 port=${server.port}`, "*": `host=127.0.0.1 port=${server.port}` },
    userlist: { pat: "pw" },
    settings: {
      auth_type: "scram-sha-256",
      server_tls_sslmode: "disable",
      client_tls_sslmode: "allow",
      client_tls_cert_file: join(folder, "cert.pem"),
      client_tls_key_file: join(folder, "key.pem"),
      max_client_conn: 1000,
      scram_iterations: 16,
      client_login_timeout: 60,
      tcp_defer_accept: 0,
    },
  });
  // The first of everything costs what later ones do not.
  for (let n = 0; n < 20; n++) await use();
});

afterAll(async () => {
  await bouncer?.stop();
  server?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** A login and a query that work. */
async function use(): Promise<void> {
  const { client, error } = await logIn(bouncer, { user: "pat", database: "shop", password: "pw" });
  expect(error).toBeNull();
  client.send(query("select 1"));
  expect(types(await client.until("Z"))).toBe("TDCZ");
  client.end();
}

/** Bytes of memory that the process holds: the least of a few looks, as garbage comes and goes. */
async function residentBytes(): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let look = 0; look < 3; look++) {
    await bouncer.admin("SHOW MEM");
    const line = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${bouncer.pid}/status`, "utf8"));
    least = Math.min(least, Number(line![1]) * KIB);
  }
  return least;
}

/** Connections whose login is not over. */
async function loginCount(): Promise<number> {
  const rows = await bouncer.admin("SHOW LISTS");
  return Number(rows.find(({ list }) => list === "login_clients")!["items"]);
}

/** Connections up to `limit`, some at a time. */
async function crowd(count: number, begin: (client: WireClient) => Promise<void> | void): Promise<WireClient[]> {
  const clients: WireClient[] = [];
  for (let from = 0; from < count; from += 25) {
    const opened = Array.from({ length: Math.min(25, count - from) }, async () => {
      const client = await WireClient.open(bouncer);
      await begin(client);
      return client;
    });
    clients.push(...(await Promise.all(opened)));
  }
  return clients;
}

async function allGone(clients: readonly WireClient[]): Promise<void> {
  for (const client of clients) client.destroy();
  await waitFor("them to be forgotten", async () => (await loginCount()) === 0);
}

describe("memory of a login that is not over, for each connection", () => {
  const scramFirst = message("p", "SCRAM-SHA-256", int32(32), Buffer.from("n,,n=,r=abcdefghijklmnopqrstuvwx"));
  test.each<[string, number, (client: WireClient) => Promise<void> | void]>([
    ["that says nothing", 64 * KIB, () => undefined],
    [
      "in the middle of the longest startup packet",
      4 * startupBytesMax,
      (client) =>
        client.send(Buffer.concat([int32(startupBytesMax), int32(0x30000), Buffer.alloc(startupBytesMax - 9, 1)])),
    ],
    [
      // What it was taken apart into is garbage, which may not have been collected yet.
      "with a startup packet full of parameters that nobody knows",
      10 * startupBytesMax,
      (client) => client.send(crammed),
    ],
    [
      "in the middle of the longest password message",
      4 * loginMessageBytesMax,
      async (client) => {
        client.send(hello());
        await client.until("R");
        client.send(
          Buffer.concat([
            Buffer.from("p"),
            int32(loginMessageBytesMax - 2),
            Buffer.alloc(loginMessageBytesMax - 10, 1),
          ]),
        );
      },
    ],
    [
      "in the middle of SCRAM",
      64 * KIB,
      async (client) => {
        client.send(hello(), scramFirst);
        await client.until("R");
        await client.until("R");
      },
    ],
    [
      "in the middle of a TLS handshake",
      256 * KIB,
      async (client) => {
        client.send(sslRequest);
        await client.raw(1);
        client.send(Buffer.from("160301020001", "hex"));
      },
    ],
  ])("%s", async (_name, bytesMax, begin) => {
    const before = await residentBytes();
    const clients = await crowd(CROWD, begin);
    try {
      await waitFor("all to be there", async () => (await loginCount()) === CROWD);
      const grown = (await residentBytes()) - before;
      expect(grown / CROWD).toBeLessThan(bytesMax);
      await use();
    } finally {
      await allGone(clients);
    }
  });
});

test("a message that is longer than logins need is refused at its header", async () => {
  const tooLong: [Buffer, Buffer][] = [
    [Buffer.alloc(0), Buffer.concat([int32(0x10000), int32(0x30000)])],
    [hello(), Buffer.concat([Buffer.from("p"), int32(loginMessageBytesMax + 1)])],
    [hello(), Buffer.concat([Buffer.from("p"), int32(0x40000000)])],
  ];
  for (const [before, header] of tooLong) {
    const client = await WireClient.open(bouncer);
    client.send(before);
    if (before.length > 0) await client.until("R");
    client.send(header);
    expect(types(await client.rest())).toBe("E");
    client.destroy();
  }
});

test("logins that fail leave nothing behind: 1,500 of them, each with names of its own", async () => {
  const attempt = async (n: number): Promise<void> => {
    const { client, error } = await logIn(bouncer, {
      user: `stranger${n}`,
      database: `invented${n}${"x".repeat(40)}`,
      password: "guess",
      parameters: { application_name: `${n}${"y".repeat(400)}`, TimeZone: `zone${n}` },
    });
    expect(error?.["S"]).toBe("FATAL");
    client.destroy();
  };
  const many = async (from: number, to: number): Promise<void> => {
    for (let n = from; n < to; n += 10) await Promise.all(Array.from({ length: 10 }, (_, more) => attempt(n + more)));
  };
  await many(0, 500);
  const databases = await bouncer.admin("SHOW DATABASES");
  const before = await residentBytes();
  await many(500, 1500);
  const grown = (await residentBytes()) - before;
  expect((await bouncer.admin("SHOW DATABASES")).length).toBe(databases.length);
  expect(databases.map(({ name }) => name)).not.toContain(expect.stringContaining("invented"));
  expect((await bouncer.admin("SHOW USERS")).some(({ name }) => String(name).startsWith("stranger"))).toBe(false);
  expect(await loginCount()).toBe(0);
  // Parameters are kept once for all who have the same, up to a bound; that, and garbage, is what may grow here.
  expect(grown / 1000).toBeLessThan(48 * KIB);
}, 60_000);

test("TLS handshakes that fail leave nothing behind (1.19.0: a memory leak)", async () => {
  const fail = async (count: number): Promise<void> => {
    const clients = await crowd(count, async (client) => {
      client.send(sslRequest);
      await client.raw(1);
      client.send(Buffer.from("this is no handshake, and never will be one"));
      client.socket.end();
    });
    await allGone(clients);
  };
  await fail(300);
  const before = await residentBytes();
  await fail(600);
  expect(((await residentBytes()) - before) / 600).toBeLessThan(32 * KIB);
  await use();
});

test("a stranger is not answered more than it sends, but for a few hundred bytes", async () => {
  const packets = [
    hello("x".repeat(60_000)),
    hello("shop", { options: "-c a=b ".repeat(5000) }),
    crammed,
    startupMessage({ user: "u".repeat(60_000), database: "shop" }),
    hello("shop", { ["n".repeat(60_000)]: "x" }),
  ];
  for (const packet of packets) {
    const client = await WireClient.open(bouncer);
    client.send(packet);
    client.socket.end();
    const bytes = (await client.rest()).reduce((sum, { body }) => sum + 5 + body.length, 0);
    expect(bytes).toBeLessThan(packet.length + 1000);
    client.destroy();
  }
});

/** Of all its threads, in milliseconds; a tick of the kernel's count is 10 ms. */
function processorMs(): number {
  const fields = readFileSync(`/proc/${bouncer.pid}/stat`, "utf8")
    .replace(/^.*\) /, "")
    .split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

test("a packet that comes byte by byte costs no more than its bytes", async () => {
  const packet = hello("shop", { application_name: "x".repeat(3000) });
  const client = await WireClient.open(bouncer);
  const before = processorMs();
  for (const byte of packet) await new Promise((resolve) => client.socket.write(Uint8Array.of(byte), resolve));
  expect(types(await client.until("R"))).toBe("R");
  expect(processorMs() - before).toBeLessThan(3000);
  client.destroy();
});
