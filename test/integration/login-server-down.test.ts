/**
 * Logins while PostgreSQL is down, comes up, or refuses the pooler: who waits, who is told what, and that everything works
 * again without a restart.
 */
import { createServer, type Server, type Socket } from "node:net";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { findFreePort } from "../../src/demo/free-port.ts";
import { Bouncer } from "../support/bouncer.ts";
import { waitFor } from "../support/wait-for.ts";
import { errorFields, message, query, startupMessage, types, WireClient } from "../support/wire-client.ts";
import { reloadBySignal } from "./login-reload.ts";

let cluster: EmbeddedPostgres;
const bouncers: Bouncer[] = [];
const servers: Server[] = [];

beforeAll(async () => {
  cluster = await EmbeddedPostgres.start({ roles: [{ name: "locked", attributes: "connection limit 0" }] });
});

afterEach(async () => {
  for (const bouncer of bouncers.splice(0)) await bouncer.stop();
  for (const server of servers.splice(0)) server.close();
});

afterAll(async () => {
  await cluster?.stop();
});

async function start(
  databases: Record<string, string>,
  settings: Record<string, string | number> = {},
): Promise<Bouncer> {
  const bouncer = await Bouncer.start({
    databases,
    userlist: { postgres: "", locked: "", nologin: "" },
    settings: { pool_mode: "transaction", server_tls_sslmode: "disable", server_login_retry: 0.3, ...settings },
  });
  bouncers.push(bouncer);
  return bouncer;
}

const target = (): string => `host=${cluster.host} port=${cluster.port} dbname=postgres`;

/** A client whose startup packet is out; its answers are still to come. */
async function knock(bouncer: Bouncer, database: string, user = "postgres"): Promise<WireClient> {
  const client = await WireClient.open(bouncer);
  client.send(startupMessage({ user, database }));
  return client;
}

/** The error a login ends with. */
async function refusal(client: WireClient): Promise<Record<string, string>> {
  const messages = await client.rest();
  expect(types(messages)).toMatch(/^R?E$/);
  return errorFields(messages.at(-1)!.body);
}

async function ask(client: WireClient): Promise<string> {
  client.send(query("select 1"));
  return types(await client.until("Z", "E"));
}

/** A PostgreSQL that answers every startup packet with the same bytes and closes. */
async function refusing(answer: () => Buffer): Promise<number> {
  const port = await findFreePort();
  const server = createServer((socket: Socket) => {
    socket.on("error", () => undefined);
    socket.once("data", () => socket.end(answer()));
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  return port;
}

const fatal = (sqlstate: string, text: string): Buffer =>
  message("E", Buffer.from(`SFATAL\0VFATAL\0C${sqlstate}\0M${text}\0\0`));

test("the first login waits for PostgreSQL, and goes on when it is there", async () => {
  const bouncer = await start({ shop: target() });
  await cluster.shutDown();
  const client = await knock(bouncer, "shop");
  await bouncer.waitForLog(/closing because: connect failed/);
  await cluster.startAgain();
  expect(types(await client.until("Z"))).toMatch(/^RS+KZ$/);
  expect(await ask(client)).toBe("TDCZ");
  client.end();
});

test("a login that waits in vain is told so by client_login_timeout", async () => {
  const port = await findFreePort();
  const bouncer = await start({ shop: `host=127.0.0.1 port=${port}` }, { client_login_timeout: 0.6 });
  const error = await refusal(await knock(bouncer, "shop"));
  expect(error).toEqual({ S: "FATAL", C: "57P03", M: "client_login_timeout (server down)" });
  expect(bouncer.log()).toMatch(/S-0x\w+: shop\/postgres@127.0.0.1:\d+ closing because: connect failed \(age=0s\)/);
});

test.each([
  ["query_timeout", "57014"],
  ["query_wait_timeout", "53300"],
])("%s ends a login that waits for the first welcome", async (setting, code) => {
  const port = await findFreePort();
  const bouncer = await start({ shop: `host=127.0.0.1 port=${port}` }, { [setting]: 0.6 });
  const error = await refusal(await knock(bouncer, "shop"));
  expect(error).toEqual({ S: "FATAL", C: code, M: setting });
});

test("with a known welcome logins work while PostgreSQL is down, and queries say what is wrong", async () => {
  const bouncer = await start({ shop: target() }, { server_login_retry: 1 });
  const before = await knock(bouncer, "shop");
  const greeting = await before.until("Z");
  expect(await ask(before)).toBe("TDCZ");
  await cluster.shutDown();
  await bouncer.waitForLog(/S-.*closing because/);

  const during = await knock(bouncer, "shop");
  const same = await during.until("Z");
  expect(types(same)).toBe(types(greeting));
  // This one starts an attempt, and waits.
  during.send(query("select 2"));
  await bouncer.waitForLog(/closing because: connect failed/);
  // Behind a failed attempt nobody waits in line.
  const late = await knock(bouncer, "shop");
  await late.until("Z");
  late.send(query("select 3"));
  expect(await refusal(late)).toEqual({
    S: "FATAL",
    C: "08006",
    M: "server login has been failing, cached error: connect failed (server_login_retry)",
  });
  await cluster.startAgain();
  expect(types(await during.until("Z"))).toBe("TDCZ");
  expect(await ask(before)).toBe("TDCZ");
  for (const client of [before, during]) client.end();
});

test("all who wait are told PostgreSQL's own words when it refuses the login", async () => {
  const bouncer = await start({ shop: target(), missing: target().replace("dbname=postgres", "dbname=missing") });
  const waiting = await Promise.all(Array.from({ length: 5 }, () => knock(bouncer, "missing")));
  const answers = await Promise.all(waiting.map((client) => refusal(client)));
  for (const answer of answers) {
    expect(answer).toMatchObject({ S: "FATAL", C: "3D000", M: 'database "missing" does not exist' });
  }
  const log = bouncer.log();
  expect(log).toMatch(/WARNING server login failed: FATAL database "missing" does not exist/);
  expect(log).toMatch(/LOG C-0x\w+: missing\/postgres@.* closing because: database "missing" does not exist \(age/);
  // Another pool is not concerned.
  const neighbour = await knock(bouncer, "shop");
  expect(types(await neighbour.until("Z"))).toMatch(/^RS+KZ$/);
  neighbour.end();
});

test("a refusal by role keeps its SQLSTATE, and a later change is noticed", async () => {
  const bouncer = await start({ shop: target() });
  expect(await refusal(await knock(bouncer, "shop", "locked"))).toMatchObject({ C: "53300" });
  expect(await refusal(await knock(bouncer, "shop", "nologin"))).toMatchObject({
    C: "28000",
    M: 'role "nologin" does not exist',
  });
  await cluster.query("create role nologin login");
  await waitFor("the role to be accepted", async () => {
    const client = await knock(bouncer, "shop", "nologin");
    const messages = await client.until("Z", "E");
    client.destroy();
    return messages.at(-1)!.type === "Z";
  });
  await cluster.query("drop role nologin");
});

test("a PostgreSQL that is starting up (57P03) refuses nobody: they wait", async () => {
  let answer = fatal("57P03", "the database system is starting up");
  const port = await refusing(() => answer);
  const bouncer = await start({ shop: `host=127.0.0.1 port=${port}` });
  const client = await knock(bouncer, "shop");
  await waitFor(
    "two attempts",
    () => bouncer.logCount(/server login failed: FATAL the database system is starting up/) >= 2,
  );
  answer = fatal("53300", "sorry, too many clients already");
  expect(await refusal(client)).toMatchObject({ C: "53300", M: "sorry, too many clients already" });
});

test("a login that an administrator has ended is tried again at once, and nobody is refused for it; two in a row are", async () => {
  const ended = fatal("57P01", "terminating connection due to administrator command");
  const answers = [ended, fatal("53300", "sorry, too many clients already")];
  const port = await refusing(() => answers.shift() ?? ended);
  const bouncer = await start({ shop: `host=127.0.0.1 port=${port}` }, { server_login_retry: 5 });
  const askedAt = performance.now();
  expect(await refusal(await knock(bouncer, "shop"))).toMatchObject({ C: "53300" });
  expect(performance.now() - askedAt).toBeLessThan(2000);
  const other = await start({ shop: `host=127.0.0.1 port=${port}` }, { server_login_retry: 5 });
  expect(await refusal(await knock(other, "shop"))).toMatchObject({
    C: "57P01",
    M: "terminating connection due to administrator command",
  });
  expect(other.logCount(/server login failed: FATAL terminating connection/)).toBe(2);
});

test("logged-in clients are told of a login that keeps failing, cut to 99 bytes", async () => {
  const text = `no way in: ${"x".repeat(200)}`;
  const bouncer = await start({ shop: target() }, { server_login_retry: 5 });
  const client = await knock(bouncer, "shop");
  await client.until("Z");
  const second = await knock(bouncer, "shop");
  await second.until("Z");
  // The same pool, led to a server that refuses; the welcome stays known.
  const port = await refusing(() => fatal("28000", text));
  await reloadBySignal(bouncer, { databases: { shop: `host=127.0.0.1 port=${port} dbname=postgres` } });
  client.send(query("select 1"));
  expect(await refusal(client)).toMatchObject({ C: "28000", M: text });
  second.send(query("select 1"));
  expect(await refusal(second)).toEqual({
    S: "FATAL",
    C: "08006",
    M: `server login has been failing, cached error: ${text.slice(0, 99)} (server_login_retry)`,
  });
});

test("server_connect_timeout ends an attempt that is accepted and never answered", async () => {
  const port = await findFreePort();
  const sockets: Socket[] = [];
  const server = createServer((socket) => void sockets.push(socket.on("error", () => undefined)));
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  const bouncer = await start(
    { shop: `host=127.0.0.1 port=${port}` },
    { server_connect_timeout: 0.5, client_login_timeout: 5 },
  );
  const client = await knock(bouncer, "shop");
  await bouncer.waitForLog(/S-.*closing because: connect timeout \(age=/);
  await waitFor("the next attempt", () => sockets.length >= 2);
  expect(client.socket.destroyed).toBe(false);
  client.destroy();
  for (const socket of sockets) socket.destroy();
});

test("a name that does not resolve", async () => {
  const bouncer = await start({ shop: "host=no-such-host.invalid port=5432" }, { client_login_timeout: 3 });
  const client = await knock(bouncer, "shop");
  await bouncer.waitForLog(/S-.*closing because: server DNS lookup failed \(age=/);
  expect(bouncer.log()).not.toMatch(/C-.*closing because/);
  client.destroy();
});
