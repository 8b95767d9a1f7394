/**
 * The HBA file as it decides about clients: types, addresses, lists and their files, replication, the order of lines, what a
 * reload changes, and what is said about lines and files that cannot be read. How lines are read in detail is a unit test's.
 */
import { chmodSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer, type BouncerOptions } from "../support/bouncer.ts";
import { errorFields, int32, message, startupMessage, types, WireClient } from "../support/wire-client.ts";
import { createCertificate } from "../transport/certificate.ts";
import { logIn, md5Secret, scramSecret } from "./login-dialogue.ts";
import { reloadBySignal, reloadToItsEnd } from "./login-reload.ts";

const password = "correct horse";
const certificate = createCertificate({ commonName: "pooler" });

let cluster: EmbeddedPostgres;
let bouncer: Bouncer;

beforeAll(async () => {
  cluster = await EmbeddedPostgres.start({ roles: [{ name: "ann" }, { name: "bob" }] });
  const target = `host=${cluster.host} port=${cluster.port} dbname=postgres`;
  bouncer = await Bouncer.start({
    databases: { shop: target, ann: target, "'odd name'": target },
    userlist: { ann: password, bob: md5Secret("bob", password), eve: scramSecret(password), all: password },
    settings: { auth_type: "trust" },
  });
});

afterAll(async () => {
  await bouncer?.stop();
  await cluster?.stop();
});

function file(name: string, content: string | Uint8Array, mode = 0o644): string {
  const path = join(bouncer.folder, name);
  writeFileSync(path, content);
  chmodSync(path, mode);
  return path;
}

function settings(more: Record<string, string | number> = {}): Record<string, string | number> {
  return {
    auth_type: "hba",
    auth_hba_file: join(bouncer.folder, "hba.conf"),
    listen_addr: "127.0.0.1",
    server_tls_sslmode: "disable",
    client_tls_sslmode: "allow",
    client_tls_cert_file: file("server.pem", certificate.certPem),
    client_tls_key_file: file("server.key", certificate.keyPem),
    verbose: 2,
    ...more,
  };
}

/** Puts these lines in force; returns what the log says of them. */
async function rules(...lines: string[]): Promise<string> {
  file("hba.conf", `${lines.join("\n")}\n`);
  return logOfReload({ settings: settings() });
}

function logOfReload(changes: BouncerOptions): Promise<string> {
  return bouncer.logDuring(() => reloadToItsEnd(bouncer, changes));
}

interface Who {
  readonly user?: string;
  readonly database?: string;
  readonly by?: "tcp" | "tls" | "unix";
  readonly replication?: string;
}

const methods: Readonly<Record<number, string>> = { 0: "trust", 3: "password", 5: "md5", 10: "scram-sha-256" };

/** The method that a client meets, or the error's text. */
async function met({ user = "ann", database = "shop", by = "tcp", replication }: Who = {}): Promise<string> {
  const hello = startupMessage({ user, database, ...(replication === undefined ? {} : { replication }) });
  const first = by === "tls" ? await firstOverTls(hello) : await firstInClear(hello, by === "unix");
  return first.type === "E"
    ? errorFields(first.body)["M"]!
    : (methods[first.body.readInt32BE(0)] ?? `R${first.body.readInt32BE(0)}`);
}

async function firstInClear(hello: Buffer, unix: boolean): Promise<{ type: string; body: Buffer }> {
  const { port, folder } = bouncer;
  const client = await WireClient.open(unix ? { port, socketFolder: folder } : bouncer);
  client.send(hello);
  const first = await client.next();
  client.destroy();
  return first!;
}

function firstOverTls(hello: Buffer): Promise<{ type: string; body: Buffer }> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({
      host: bouncer.host,
      port: bouncer.port,
      rejectUnauthorized: false,
      ALPNProtocols: ["postgresql"],
    });
    let received = Buffer.alloc(0);
    socket.on("secureConnect", () => socket.write(hello));
    socket.on("error", reject);
    socket.on("data", (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      if (received.length < 5 || received.length < received.readInt32BE(1) + 1) return;
      socket.destroy();
      resolve({ type: String.fromCharCode(received[0]!), body: received.subarray(5, received.readInt32BE(1) + 1) });
    });
  });
}

const nobody = "no authentication method is found";

describe("which line decides", () => {
  test("the first that matches, by type", async () => {
    await rules("hostssl all all 127.0.0.1/32 password", "hostnossl all all 127.0.0.1/32 md5", "local all all trust");
    expect(await met({ by: "tls" })).toBe("password");
    expect(await met({ by: "tcp" })).toBe("md5");
    expect(await met({ by: "unix" })).toBe("trust");
    expect(bouncer.log()).toMatch(/NOISE C-0x\w+: shop\/ann@unix\S* HBA Line 3 is matched\n/);
    await rules("host all all 127.0.0.1/32 scram-sha-256");
    expect(await met({ by: "tls" })).toBe("scram-sha-256");
    expect(await met({ by: "tcp" })).toBe("scram-sha-256");
    expect(await met({ by: "unix" })).toBe(nobody);
    await rules("local all all trust");
    expect(await met({ by: "tcp" })).toBe(nobody);
  });

  test("a stored SCRAM verifier turns md5 into SCRAM here too", async () => {
    await rules("host all all all md5");
    expect(await met({ user: "bob" })).toBe("md5");
    expect(await met({ user: "eve" })).toBe("scram-sha-256");
  });

  test("by address, with bits or with a mask", async () => {
    await rules(
      "host all all 10.0.0.0/8 reject",
      "host all all 127.0.0.2/32 reject",
      "host all all ::1/128 reject",
      "host all all 127.0.0.0 255.255.255.0 md5",
      "host all all all trust",
    );
    expect(await met()).toBe("md5");
    await rules("host all all 127.0.0.2 255.255.255.255 reject", "host all all 0.0.0.0/0 password");
    expect(await met()).toBe("password");
    await rules("host all all ::/0 trust");
    expect(await met()).toBe(nobody);
  });

  test("bits outside the mask are warned of, and match nobody", async () => {
    const log = await rules("host all all 127.9.9.9/8 md5");
    expect(log).toMatch(/WARNING address does not match mask in \S*hba\.conf line #1: 127\.9\.9\.9 \/ 255\.0\.0\.0\n/);
    expect(await met()).toBe(nobody);
  });

  test("by user and database, in lists, in quotes", async () => {
    await rules(
      'host "odd name" all all md5',
      "host shop bob,eve all reject",
      "host sameuser all all trust",
      'host shop "all" all password',
      "host shop ann all scram-sha-256",
    );
    expect(await met({ database: "odd name" })).toBe("md5");
    expect(await met({ user: "bob" })).toBe("login rejected");
    expect(await met({ user: "eve" })).toBe("login rejected");
    expect(await met({ database: "ann" })).toBe("trust");
    expect(await met({ user: "bob", database: "ann" })).toBe(nobody);
    expect(await met({ user: "all" })).toBe("password");
    expect(await met()).toBe("scram-sha-256");
  });

  test("by lists in files, from the folder of the file that names them", async () => {
    file("users", 'bob # not ann\n"eve", cid\n@more\n');
    file("more", "ann\n");
    file("databases", "shop\n");
    await rules("host @databases @users 127.0.0.1/32 md5", "host all all all reject");
    expect(await met({ user: "bob" })).toBe("md5");
    expect(await met({ user: "ann" })).toBe("md5");
    expect(await met({ user: "ann", database: "ann" })).toBe("login rejected");
    expect(await met({ user: "all" })).toBe("login rejected");
    file("more", "all\n");
    await reloadBySignal(bouncer, {});
    expect(await met({ user: "stranger" })).toBe("md5");
  });

  test("physical replication only where it is named, logical replication by its database", async () => {
    await rules("host all all all trust");
    expect(await met({ replication: "yes" })).toBe(nobody);
    await rules("host shop all all reject", "host replication all all md5");
    expect(await met({ replication: "yes" })).toBe("md5");
    expect(await met({ replication: "true" })).toBe("md5");
    expect(await met({ replication: "database" })).toBe("login rejected");
    expect(await met({ replication: "off" })).toBe("login rejected");
    await rules("host shop,replication all all password");
    expect(await met({ replication: "database" })).toBe("password");
    expect(await met({ replication: "on" })).toBe("password");
  });

  test("strangers are asked like everybody, and fail at the end", async () => {
    await rules("host all all all scram-sha-256");
    const { dialogue, error } = await logIn(bouncer, { user: "stranger", password, database: "shop" });
    expect([dialogue, error!["M"]]).toEqual(["R10 R11 E", "SASL authentication failed"]);
    await rules("host all all all trust");
    expect(await met({ user: "stranger" })).toBe('"trust" authentication failed');
    expect(await met({ user: "ann" })).toBe("trust");
  });

  test("databases that do not exist are judged by their name", async () => {
    await rules("host none all all reject", "host all all all md5");
    expect(await met({ database: "none" })).toBe("login rejected");
    expect(await met({ database: "none2" })).toBe("md5");
  });

  test("a cancel request is asked nothing", async () => {
    await rules("host all all all reject");
    const client = await WireClient.open(bouncer);
    client.send(Buffer.concat([int32(16), int32(80877102), int32(1), int32(2)]));
    expect(await client.rest()).toEqual([]);
  });
});

describe("the console", () => {
  const console = { user: "console", database: "pgbouncer" };

  test("by the line for its database", async () => {
    await rules("host pgbouncer all all md5", "host all all all reject", "local all all trust");
    expect(await met(console)).toBe("md5");
    expect(await met({ ...console, by: "unix" })).toBe("trust");
    expect(await met({ user: "ann", database: "pgbouncer" })).toBe("not allowed");
    await rules("local pgbouncer console trust", "host pgbouncer console all reject");
    expect(await met(console)).toBe("login rejected");
  });
});

describe("while it changes", () => {
  test("who is in stays in; who comes meets the new lines", async () => {
    await rules("host all all all trust");
    const client = await WireClient.login(bouncer, { user: "ann", database: "shop" });
    await rules("host all all all reject");
    expect(await met()).toBe("login rejected");
    client.send(message("Q", "select 1"));
    expect(types(await client.until("Z"))).toBe("TDCZ");
    client.end();
  });

  test("a client in the middle of its dialogue goes on by the line that it has met", async () => {
    await rules("host all all all password");
    const client = await WireClient.open(bouncer);
    client.send(startupMessage({ user: "ann", database: "shop" }));
    expect(types(await client.until("R"))).toBe("R");
    await rules("host all all all reject");
    client.send(message("p", password));
    expect(types(await client.until("Z", "E"))).toMatch(/^RS+KZ$/);
    client.end();
  });

  test("the old lines do not come back when auth_type leaves hba and returns", async () => {
    await rules("host all all all reject");
    await reloadBySignal(bouncer, { settings: settings({ auth_type: "md5" }) });
    expect(await met()).toBe("md5");
    file("hba.conf", "host all all all password\n");
    await reloadBySignal(bouncer, { settings: settings() });
    expect(await met()).toBe("password");
  });
});

describe("what cannot be read", () => {
  test.each([
    ["hosts all all all md5", "hba line 1: unknown type"],
    ["host samerole all all md5", "samerole is not supported"],
    ["host all +crew all md5", "\\+crew: groups of users are not supported"],
    ["host all all samenet md5", "hba line 1: failed to parse address - samenet"],
    ["host all all db.example.com md5", "hba line 1: failed to parse address - db.example.com"],
    ["host all all 127.0.0.1/64 md5", "hba line 1: invalid mask"],
    ["host all all 127.0.0.1/32 pam", "hba line 1: unsupported method: buf=pam"],
    ["host all all 127.0.0.1/32 any", "hba line 1: unsupported method: buf=any"],
    ["host all all 127.0.0.1/32 trust map=none", "hba line 1: Ident map none is not found in ident config file"],
    ["host all all 127.0.0.1/32", "hba line 1: unsupported method"],
    ["host all", "could not parse hba config line 1"],
    ["host @missing all all md5", "could not open name file \\S*missing: .*"],
  ])("%s: reported and skipped", async (line, text) => {
    const log = await rules(line, "host all all all md5");
    expect(log).toMatch(new RegExp(`WARNING ${text}`));
    expect(log).toContain("WARNING could not parse hba config line 1\n");
    expect(await met()).toBe("md5");
  });

  test("a file that is gone, or may not be read, lets nobody in", async () => {
    await rules("host all all all trust");
    rmSync(join(bouncer.folder, "hba.conf"));
    const log = await logOfReload({});
    expect(log).toMatch(/ERROR could not open hba config file \S*hba\.conf: No such file or directory\n/);
    expect(await met()).toBe(nobody);
    expect(await met({ by: "unix" })).toBe(nobody);
    await rules("host all all all trust");
    expect(await met()).toBe("trust");
  });

  test("nor does an empty one", async () => {
    await rules("# nothing", "", "   ");
    expect(await met()).toBe(nobody);
  });
});
