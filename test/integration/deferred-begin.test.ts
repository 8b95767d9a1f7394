/**
 * `deferred_begin`: a BEGIN is answered without a server and begins with the first statement behind it. What the client sees is what
 * PostgreSQL would have said, and nothing of its transaction ever runs outside one.
 */
import { type Server, type Socket, connect, createServer } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer } from "../support/bouncer.ts";
import { waitFor } from "../support/wait-for.ts";
import {
  type WireMessage,
  WireClient,
  bind,
  columns,
  describePortal,
  errorFields,
  execute,
  int32,
  parse,
  query,
  sync,
  types,
} from "../support/wire-client.ts";
import { Backends } from "./backends.ts";

/** PostgreSQL behind a road on which this BEGIN becomes something that it refuses. */
const REFUSED = "begin /* refuse */";
const GARBLED = "begix /* refuse */";

let cluster: EmbeddedPostgres;
let road: Server;
let bouncer: Bouncer;
let backends: Backends;

beforeAll(async () => {
  cluster = await EmbeddedPostgres.start();
  await cluster.query("create table kept (id int)");
  road = await garblingRoad(cluster);
  const { port } = road.address() as { port: number };
  const target = `host=127.0.0.1 port=${port} dbname=postgres`;
  bouncer = await Bouncer.start({
    databases: {
      one: `${target} pool_size=1`,
      quick: `${target} pool_size=1 user=postgres`,
      session: `${target} pool_mode=session pool_size=1`,
      statement: `${target} pool_mode=statement pool_size=1`,
    },
    userlist: { postgres: "" },
    settings: { pool_mode: "transaction", deferred_begin: 60_000, log_connections: 0 },
  });
  backends = await Backends.watch(cluster);
});

afterAll(async () => {
  await backends?.end();
  await bouncer?.stop();
  road?.close();
  await cluster?.stop();
});

function garblingRoad(to: EmbeddedPostgres): Promise<Server> {
  const server = createServer((socket: Socket) => {
    const onward = connect(to.port, to.host);
    socket.on("data", (bytes: Buffer) => {
      const at = bytes.indexOf(REFUSED);
      if (at >= 0) bytes.write(GARBLED, at, "latin1");
      onward.write(bytes);
    });
    onward.on("data", (bytes) => socket.write(bytes));
    for (const [from, other] of [
      [socket, onward],
      [onward, socket],
    ] as const) {
      from.on("close", () => other.destroy());
      from.on("error", () => other.destroy());
    }
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

const login = (database = "one"): Promise<WireClient> => WireClient.login(bouncer, { user: "postgres", database });

async function ask(client: WireClient, ...messages: readonly Buffer[]): Promise<WireMessage[]> {
  client.send(Buffer.concat(messages));
  return client.until("Z");
}

const unit = (sql: string): Buffer[] => [parse("", sql), bind("", ""), describePortal(""), execute(""), sync()];
const status = (answer: readonly WireMessage[]): string => answer.at(-1)!.body.toString("latin1");
const tag = (answer: readonly WireMessage[]): string =>
  answer
    .find(({ type }) => type === "C")!
    .body.toString("latin1")
    .replace("\0", "");
const value = (answer: readonly WireMessage[]): string | null =>
  columns(answer.find(({ type }) => type === "D")!.body)[0] ?? null;
const code = (answer: readonly WireMessage[]): string | undefined =>
  errorFields(answer.find(({ type }) => type === "E")!.body)["C"];

const pool = async (database = "one") =>
  (await bouncer.admin("SHOW POOLS")).find((row) => row["database"] === database)!;
const kept = async (): Promise<number> =>
  Number((await cluster.query("select count(*) from kept")).rows[0]?.["count"] ?? -1);

async function cancel(client: WireClient): Promise<void> {
  const { pid, secret } = client.key!;
  await new Promise<void>((resolve, reject) => {
    const socket = connect(bouncer.port, bouncer.host);
    socket.on("error", reject);
    socket.on("close", () => resolve());
    socket.write(Buffer.concat([int32(16), int32(80877102), int32(pid), secret]));
  });
}

describe.each([
  ["simple", (sql: string): Buffer[] => [query(sql)], "CZ"],
  ["extended", unit, "12nCZ"],
])("%s protocol", (_name, asked, answered) => {
  test("a BEGIN takes no server before its first statement", async () => {
    const client = await login();
    const begun = await ask(client, ...asked("BEGIN"));
    expect([types(begun), tag(begun), status(begun)]).toEqual([answered, "BEGIN", "T"]);
    expect(await pool()).toMatchObject({ sv_active: 0, cl_active: 1, cl_waiting: 0 });
    const shown = (await bouncer.admin("SHOW CLIENTS")).find((row) => row["database"] === "one");
    expect([shown?.["state"], shown?.["link"]]).toEqual(["active", ""]);

    const inside = await ask(client, ...asked("select now() = statement_timestamp(), txid_current()"));
    expect(status(inside)).toBe("T");
    expect(await pool()).toMatchObject({ sv_active: 1 });
    const end = await ask(client, ...asked("COMMIT"));
    expect([tag(end), status(end)]).toEqual(["COMMIT", "I"]);
    expect(await pool()).toMatchObject({ sv_active: 0 });
    client.end();
  });

  test("its forms answer their tags, and the transaction is of that kind", async () => {
    const client = await login();
    const start = await ask(client, ...asked("START TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"));
    expect(tag(start)).toBe("START TRANSACTION");
    expect(await pool()).toMatchObject({ sv_active: 0 });
    expect(value(await ask(client, ...asked("show transaction_isolation")))).toBe("repeatable read");
    expect(code(await ask(client, ...asked("insert into kept values (1)")))).toBe("25006");
    expect(tag(await ask(client, ...asked("COMMIT")))).toBe("ROLLBACK");
    client.end();
  });

  test.each([
    ["COMMIT", "COMMIT"],
    ["end", "COMMIT"],
    ["ROLLBACK", "ROLLBACK"],
    ["abort work", "ROLLBACK"],
  ])("an empty transaction, ended by %s, takes none at all", async (end, tagged) => {
    const before = (await bouncer.admin("SHOW STATS")).find((row) => row["database"] === "one")!;
    const client = await login();
    await ask(client, ...asked("begin"));
    const ended = await ask(client, ...asked(end));
    expect([types(ended), tag(ended), status(ended)]).toEqual([answered, tagged, "I"]);
    const after = (await bouncer.admin("SHOW STATS")).find((row) => row["database"] === "one")!;
    const more = (name: string): number => Number(after[`total_${name}`]) - Number(before[`total_${name}`]);
    expect([more("server_assignment_count"), more("xact_count"), more("query_count")]).toEqual([0, 1, 2]);
    client.end();
  });

  test("a BEGIN that PostgreSQL refuses: the statement behind it has not run, and the transaction has failed", async () => {
    const before = await kept();
    const client = await login();
    expect(status(await ask(client, ...asked(REFUSED)))).toBe("T");
    // A second one is sent in the same breath: it must not be carried out by itself.
    client.send(Buffer.concat([...asked("insert into kept values (1)"), ...asked("insert into kept values (2)")]));
    const first = await client.until("Z");
    expect([types(first), code(first), status(first)]).toEqual(["EZ", "42601", "E"]);
    const second = await client.until("Z");
    expect([code(second), status(second)]).toEqual(["25P02", "E"]);
    expect(tag(await ask(client, ...asked("COMMIT")))).toBe("ROLLBACK");
    expect(await kept()).toBe(before);
    // The server has been kept, and the client goes on.
    expect(value(await ask(client, ...asked("select 'on'")))).toBe("on");
    client.end();
  });

  test("ROLLBACK behind a refused BEGIN needs no server", async () => {
    const client = await login();
    await ask(client, ...asked(REFUSED));
    expect(status(await ask(client, ...asked("select 1")))).toBe("E");
    await waitFor("the server to be free", async () => (await pool())["sv_active"] === 0);
    const end = await ask(client, ...asked("ROLLBACK"));
    expect([types(end), tag(end), status(end)]).toEqual([answered, "ROLLBACK", "I"]);
    expect(await pool()).toMatchObject({ sv_active: 0 });
    client.end();
  });

  test("a first statement that is cancelled while it waits: the transaction has failed", async () => {
    const holder = await login();
    await ask(holder, query("begin; select 1"));
    const client = await login();
    await ask(client, ...asked("begin"));
    client.send(Buffer.concat(asked("insert into kept values (3)")));
    await waitFor("it to wait", async () => (await pool())["cl_waiting"] === 1);
    await cancel(client);
    const cancelled = await client.until("Z");
    expect([code(cancelled), status(cancelled)]).toEqual(["57014", "E"]);
    expect(await pool()).toMatchObject({ cl_waiting: 0 });
    client.send(Buffer.concat(asked("insert into kept values (4)")));
    await waitFor("it to wait", async () => (await pool())["cl_waiting"] === 1);
    await ask(holder, query("rollback"));
    expect(code(await client.until("Z"))).toBe("25P02");
    expect(tag(await ask(client, ...asked("commit")))).toBe("ROLLBACK");
    expect(Number((await cluster.query("select count(*) from kept where id in (3, 4)")).rows[0]?.["count"])).toBe(0);
    client.end();
    holder.end();
  });
});

test("an error of the first statement is an error inside the transaction, and its position is right", async () => {
  const client = await login();
  await ask(client, query("begin"));
  const failed = await ask(client, query("select nothing from kept"));
  expect(status(failed)).toBe("E");
  expect(errorFields(failed[0]!.body)).toMatchObject({ C: "42703", P: "8" });
  expect(tag(await ask(client, query("commit")))).toBe("ROLLBACK");
  client.end();
});

test("COPY, and what the transaction has written, are in it", async () => {
  const before = await kept();
  const client = await login();
  await ask(client, query("begin"));
  client.send(query("copy kept from stdin"));
  expect((await client.until("G")).at(-1)!.type).toBe("G");
  client.send(Buffer.concat([Buffer.from("d\0\0\0\x067\n", "latin1"), Buffer.from("c\0\0\0\x04", "latin1")]));
  expect(tag(await client.until("Z"))).toBe("COPY 1");
  expect(await kept()).toBe(before);
  await ask(client, query("rollback"));
  expect(await kept()).toBe(before);
  client.end();
});

test("READ WRITE, SERIALIZABLE, and a BEGIN that is not alone take a server at once", async () => {
  const client = await login();
  for (const sql of ["begin read write", "begin isolation level serializable", "begin; select 1"]) {
    // eslint-disable-next-line no-await-in-loop
    expect(status(await ask(client, query(sql)))).toBe("T");
    // eslint-disable-next-line no-await-in-loop
    expect(await pool()).toMatchObject({ sv_active: 1 });
    // eslint-disable-next-line no-await-in-loop
    await ask(client, query("rollback"));
  }
  client.send(Buffer.concat([query("begin"), query("select 1")]));
  expect(types(await client.until("Z"))).toBe("CZ");
  expect(status(await client.until("Z"))).toBe("T");
  await ask(client, query("rollback"));
  client.end();
});

test("session mode and statement mode have nothing of it", async () => {
  const client = await login("session");
  await ask(client, query("begin"));
  expect(await pool("session")).toMatchObject({ sv_active: 1 });
  client.end();
  const other = await login("statement");
  other.send(query("begin"));
  const answer = await other.until("E");
  expect(errorFields(answer.at(-1)!.body)["M"]).toContain("transaction blocks not allowed");
  other.end();
});

test("a client's parameters are set before the transaction, and stay when it is rolled back", async () => {
  const client = await WireClient.login(bouncer, { user: "postgres", database: "one", application_name: "deferred" });
  await ask(client, query("begin"));
  expect(value(await ask(client, query("show application_name")))).toBe("deferred");
  await ask(client, query("rollback"));
  expect(value(await ask(client, query("show application_name")))).toBe("deferred");
  client.end();
});

test("a client that goes behind its BEGIN costs nothing", async () => {
  const before = (await backends.list()).map(({ pid }) => pid);
  const client = await login();
  await ask(client, query("begin"));
  client.socket.destroy();
  await waitFor("it to be gone", async () => Number((await pool())["cl_active"]) === 0);
  expect((await backends.list()).map(({ pid }) => pid)).toEqual(before);
});

test("PAUSE does not wait for it, and its first statement waits for RESUME", async () => {
  const client = await login();
  await ask(client, query("begin"));
  await bouncer.admin("PAUSE one");
  client.send(query("select 'resumed'"));
  await waitFor("it to wait", async () => (await pool())["cl_waiting"] === 1);
  await bouncer.admin("RESUME one");
  expect(value(await client.until("Z"))).toBe("resumed");
  await ask(client, query("rollback"));
  client.end();
});

describe("when its time is over", () => {
  beforeAll(async () => {
    await bouncer.admin("SET deferred_begin = 20");
  });
  afterAll(async () => {
    await bouncer.admin("SET idle_transaction_timeout = 0");
    await bouncer.admin("SET deferred_begin = 60000");
  });

  test("it takes a server and begins", async () => {
    const client = await login("quick");
    await ask(client, query("begin"));
    await waitFor("it to begin", async () => (await backends.count({ state: "idle in transaction" })) === 1);
    expect(value(await ask(client, query("select now() < clock_timestamp() - interval '1 ms'")))).toBe("t");
    expect(tag(await ask(client, query("commit")))).toBe("COMMIT");
    client.end();
  });

  test("and is refused, it is tried again with the first statement, which does not run", async () => {
    const before = await kept();
    const client = await login("quick");
    await ask(client, query(REFUSED));
    const assignments = async () =>
      Number(
        (await bouncer.admin("SHOW STATS")).find((row) => row["database"] === "quick")![
          "total_server_assignment_count"
        ],
      );
    const at = await assignments();
    await waitFor(
      "it to have been tried",
      async () => (await assignments()) > at || (await pool("quick"))["sv_active"] === 0,
    );
    const first = await ask(client, query("insert into kept values (9)"));
    expect([code(first), status(first)]).toEqual(["42601", "E"]);
    await ask(client, query("rollback"));
    expect(await kept()).toBe(before);
    client.end();
  });

  test("idle_transaction_timeout counts from the answer", async () => {
    await bouncer.admin("SET idle_transaction_timeout = 1");
    const client = await login("quick");
    await ask(client, query("begin"));
    const answer = await client.until("E");
    expect(errorFields(answer.at(-1)!.body)["M"]).toContain("idle transaction timeout");
  });

  test("with 0 nothing is deferred any more, and what was goes on", async () => {
    await bouncer.admin("SET deferred_begin = 60000");
    const client = await login("quick");
    await ask(client, query("begin"));
    await bouncer.admin("SET deferred_begin = 0");
    expect(status(await ask(client, query("select 1")))).toBe("T");
    await ask(client, query("commit"));
    await ask(client, query("begin"));
    expect(await pool("quick")).toMatchObject({ sv_active: 1 });
    await ask(client, query("commit"));
    client.end();
  });
});
