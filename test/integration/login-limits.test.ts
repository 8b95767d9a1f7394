/**
 * Who may come in besides knowing a password: limits of client connections, unknown and disabled databases, `*`, and how
 * long a login may take. Counts are checked by what they let in afterwards.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer } from "../support/bouncer.ts";
import { waitFor } from "../support/wait-for.ts";
import { errorFields, query, startupMessage, types, WireClient } from "../support/wire-client.ts";
import { logIn, type LoginResult } from "./login-dialogue.ts";
import { reloadBySignal } from "./login-reload.ts";

let cluster: EmbeddedPostgres;
let bouncer: Bouncer;
let databases: Record<string, string>;
// Without tcp_defer_accept the pooler sees sockets that have not said anything yet.
const base = { auth_type: "scram-sha-256", server_tls_sslmode: "disable", tcp_defer_accept: 0 };
const userlist = { postgres: "pw", other: "pw", few: "pw" };

beforeAll(async () => {
  cluster = await EmbeddedPostgres.start({
    databases: ["exists"],
    roles: [{ name: "other" }, { name: "few" }],
  });
  const target = `host=${cluster.host} port=${cluster.port}`;
  databases = {
    shop: `${target} dbname=postgres`,
    narrow: `${target} dbname=postgres max_db_client_connections=2`,
    "*": target,
  };
  bouncer = await Bouncer.start({
    databases,
    users: { few: "max_user_client_connections=2" },
    userlist,
    settings: base,
  });
});

afterAll(async () => {
  await bouncer?.stop();
  await cluster?.stop();
});

const login = (database: string, user = "postgres", password = "pw"): Promise<LoginResult> =>
  logIn(bouncer, { user, database, password });

async function fillUp(count: number, database: string, user?: string): Promise<WireClient[]> {
  const clients: WireClient[] = [];
  for (let i = 0; i < count; i += 1) {
    const { error, client } = await login(database, user);
    expect(error).toBeNull();
    clients.push(client);
  }
  return clients;
}

/** Ends them, and returns when the pooler has noticed. */
async function leave(clients: readonly WireClient[]): Promise<void> {
  const before = bouncer.logCount(/closing because: client close request/);
  for (const client of clients) client.end();
  await waitFor(
    "the clients to be gone",
    () => bouncer.logCount(/closing because: client close request/) === before + clients.length,
  );
}

test("max_db_client_connections, and failures that must not count", async () => {
  for (let i = 0; i < 5; i += 1) expect((await login("narrow", "postgres", "wrong")).error?.["C"]).toBe("08P01");
  const clients = await fillUp(2, "narrow");
  const third = await login("narrow", "other");
  expect(third.dialogue).toBe("E");
  expect(third.error).toMatchObject({
    S: "FATAL",
    C: "53300",
    M: "client connections exceeded (max_db_client_connections)",
  });
  expect((await login("shop")).error).toBeNull();
  await leave(clients);
  await leave(await fillUp(2, "narrow"));
});

test("max_user_client_connections of one user, over all databases", async () => {
  for (let i = 0; i < 5; i += 1) expect((await login("shop", "few", "wrong")).error).not.toBeNull();
  const clients = [...(await fillUp(1, "shop", "few")), ...(await fillUp(1, "narrow", "few"))];
  expect((await login("exists", "few")).error).toMatchObject({
    C: "53300",
    M: "client connections exceeded (max_user_client_connections)",
  });
  expect((await login("shop", "other")).error).toBeNull();
  await leave(clients);
  await leave(await fillUp(2, "shop", "few"));
});

test("clients that vanish in the middle of a dialogue are not counted any more", async () => {
  for (let round = 0; round < 3; round += 1) {
    const pair = await Promise.all([1, 2].map(() => WireClient.open(bouncer)));
    for (const client of pair) {
      client.send(startupMessage({ user: "few", database: "narrow" }));
      await client.until("R");
    }
    expect((await login("shop", "few")).error?.["M"]).toContain("max_user_client_connections");
    for (const client of pair) client.destroy();
    const clients = await waitFor("room for a login", async () => {
      const result = await login("narrow", "few");
      return result.error === null ? [result.client] : null;
    });
    await leave(clients);
  }
});

test("max_client_conn counts every socket, those that only stand there too", async () => {
  await bouncer.restart();
  await reloadBySignal(bouncer, { settings: { ...base, max_client_conn: 3 } });
  const silent = await WireClient.open(bouncer);
  const clients = await fillUp(2, "shop");
  const fourth = await login("shop");
  expect(fourth.dialogue).toBe("E");
  expect(fourth.error).toMatchObject({ S: "FATAL", C: "53300", M: "no more connections allowed (max_client_conn)" });
  expect(bouncer.log()).toMatch(/shop\/postgres@127.0.0.1:\d+ pooler error: no more connections allowed/);
  silent.destroy();
  const [first] = clients;
  await waitFor("room for a login", async () => {
    const result = await login("shop");
    if (result.error === null) clients.push(result.client);
    return result.error === null;
  });
  first!.send(query("select 1"));
  expect(types(await first!.until("Z"))).toBe("TDCZ");
  await leave(clients);
  await reloadBySignal(bouncer, { settings: base });
});

test("a socket that says nothing and leaves is not worth a line in the log", async () => {
  const log = await bouncer.logDuring(async () => {
    const probe = await WireClient.open(bouncer);
    probe.destroy();
    const polite = await WireClient.open(bouncer);
    polite.socket.end();
    expect(await polite.rest()).toEqual([]);
    await leave(await fillUp(1, "shop"));
  });
  expect(log.match(/closing because/g)).toHaveLength(1);
});

test("unknown databases come from `*`, and PostgreSQL says which do not exist", async () => {
  const { client, error } = await login("exists");
  expect(error).toBeNull();
  client.send(query("select current_database()"));
  const answer = await client.until("Z");
  expect(answer[1]!.body.toString("utf8")).toContain("exists");
  expect(bouncer.log()).toContain("registered new auto-database: exists");
  client.end();

  const missing = await login("missing");
  expect(missing.error).toMatchObject({ S: "FATAL", C: "3D000", M: 'database "missing" does not exist' });
  expect(bouncer.log()).toContain('server login failed: FATAL database "missing" does not exist');
});

test("without `*` an unknown database is refused, but only to who knows a password", async () => {
  const named = { ...databases };
  delete named["*"];
  const strict = await Bouncer.start({ databases: named, userlist, settings: base });
  try {
    const right = await logIn(strict, { user: "postgres", database: "nowhere", password: "pw" });
    expect(right.dialogue).toBe("R10 R11 R12 E");
    expect(right.error).toMatchObject({ S: "FATAL", C: "08P01", M: "no such database: nowhere" });
    const wrong = await logIn(strict, { user: "postgres", database: "nowhere", password: "no" });
    expect(wrong.error?.["M"]).toBe("SASL authentication failed");
    const asterisk = await logIn(strict, { user: "postgres", database: "*", password: "pw" });
    expect(asterisk.error?.["M"]).toBe("no such database: *");
  } finally {
    await strict.stop();
  }
});

test("the database is the user's name when none is given, and the user must be given", async () => {
  const unnamed = await WireClient.open(bouncer);
  unnamed.send(startupMessage({ user: "postgres" }));
  await unnamed.until("R");
  unnamed.destroy();
  await waitFor("the line of the login", () => bouncer.logContains(/login attempt: db=postgres user=postgres/));

  for (const parameters of [{}, { database: "shop" }, { user: "", database: "shop" }]) {
    const client = await WireClient.open(bouncer);
    client.send(startupMessage(parameters));
    const [refusal] = await client.rest();
    expect(errorFields(refusal!.body)).toMatchObject({ S: "FATAL", C: "08P01", M: "no username supplied" });
  }
});

test("a user name too long, and the longest that is not", async () => {
  const long = await login("shop", "u".repeat(128));
  expect(long.dialogue).toBe("E");
  expect(long.error).toMatchObject({ C: "08P01", M: "username too long" });
  expect((await login("shop", "u".repeat(127))).error?.["M"]).toBe("SASL authentication failed");
});

test("client_login_timeout ends whoever dawdles, in every phase of a login", async () => {
  await reloadBySignal(bouncer, { settings: { ...base, client_login_timeout: 0.5 } });
  const stopped: (readonly [string, Buffer])[] = [
    ["nothing at all", Buffer.alloc(0)],
    ["half a packet", startupMessage({ user: "postgres", database: "shop" }).subarray(0, 20)],
    ["no password", startupMessage({ user: "postgres", database: "shop" })],
  ];
  const clients = await Promise.all(
    stopped.map(async ([what, bytes]) => {
      const client = await WireClient.open(bouncer);
      if (bytes.length > 0) client.send(bytes);
      const messages = await client.rest();
      return [what, errorFields(messages.at(-1)!.body)["M"]];
    }),
  );
  expect(clients).toEqual(stopped.map(([what]) => [what, "client_login_timeout"]));
  expect(bouncer.logCount(/closing because: client_login_timeout \(age=0s\)/)).toBe(3);

  const logged = await login("shop");
  await new Promise((resolve) => setTimeout(resolve, 1200));
  logged.client.send(query("select 1"));
  expect(types(await logged.client.until("Z"))).toBe("TDCZ");
  logged.client.end();
  await reloadBySignal(bouncer, { settings: base });
});
