/**
 * The startup packet: protocol versions, parameters that are tracked, ignored or refused, `options`, and the requests for
 * encryption before it. Table by table, on the wire.
 */
import { hostname } from "node:os";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer } from "../support/bouncer.ts";
import {
  columns,
  errorFields,
  int32,
  query,
  startupMessage,
  types,
  WireClient,
  type WireMessage,
} from "../support/wire-client.ts";
import { answerLogin, logIn } from "./login-dialogue.ts";
import { reloadBySignal } from "./login-reload.ts";

const version = (major: number, minor: number): number => major * 0x10000 + minor;
const sslRequest = Buffer.concat([int32(8), int32(80877103)]);
const gssRequest = Buffer.concat([int32(8), int32(80877104)]);
const base = {
  pool_mode: "transaction",
  server_tls_sslmode: "disable",
  ignore_startup_parameters: "extra_float_digits, Custom.Thing",
  track_extra_parameters: "IntervalStyle, search_path",
};

let cluster: EmbeddedPostgres;
let bouncer: Bouncer;

beforeAll(async () => {
  cluster = await EmbeddedPostgres.start();
  bouncer = await Bouncer.start({
    databases: { shop: `host=${cluster.host} port=${cluster.port} dbname=postgres` },
    userlist: { postgres: "", pat: "pw" },
    settings: base,
  });
});

afterAll(async () => {
  await bouncer?.stop();
  await cluster?.stop();
});

/** All messages of a login with these parameters, up to its end. */
async function start(
  parameters: Record<string, string>,
  protocol = version(3, 0),
): Promise<[WireClient, WireMessage[]]> {
  const client = await WireClient.open(bouncer);
  client.send(startupMessage({ user: "postgres", database: "shop", ...parameters }, protocol));
  return [client, await client.until("Z", "E")];
}

async function ask(client: WireClient, sql: string): Promise<string | null> {
  client.send(query(sql));
  const answer = await client.until("Z", "E");
  const row = answer.find(({ type }) => type === "D");
  return row === undefined ? null : columns(row.body)[0]!;
}

/** "client: shop", or the error. */
async function outcome(parameters: Record<string, string>, setting: string): Promise<string | null> {
  const [client, messages] = await start(parameters);
  const last = messages.at(-1)!;
  if (last.type === "E") {
    const { S, C, M } = errorFields(last.body);
    const behind = types(await client.rest());
    return `${S} ${C} ${M}${behind}`;
  }
  const value = await ask(client, `show ${setting}`);
  client.end();
  return value;
}

describe("protocol versions", () => {
  test("3.0 is not negotiated", async () => {
    const [client, messages] = await start({});
    expect(types(messages)).toMatch(/^RS+KZ$/);
    client.end();
  });

  test.each([
    ["3.1", version(3, 1), {}, []],
    ["3.2", version(3, 2), {}, []],
    ["3.65535", version(3, 65535), {}, []],
    ["3.0 with extensions", version(3, 0), { "_pq_.one": "1", "_pq_.two": "" }, ["_pq_.one", "_pq_.two"]],
    ["3.2 with an extension", version(3, 2), { "_pq_.one": "1" }, ["_pq_.one"]],
  ])("%s is negotiated to 3.0, once, before anything else", async (_name, protocol, parameters, names) => {
    const [client, messages] = await start(parameters, protocol);
    expect(types(messages)).toMatch(/^vRS+KZ$/);
    const body = messages[0]!.body;
    expect(body.readInt32BE(0)).toBe(version(3, 0));
    expect(body.readInt32BE(4)).toBe(names.length);
    expect(body.toString("utf8", 8)).toBe(names.map((name) => `${name}\0`).join(""));
    const key = messages.find(({ type }) => type === "K")!;
    expect(key.body.length).toBe(8);
    expect(await ask(client, "select 7")).toBe("7");
    client.end();
  });

  test("once, with a password dialogue too", async () => {
    await reloadBySignal(bouncer, { settings: { ...base, auth_type: "scram-sha-256" } });
    const login = { user: "pat", database: "shop", password: "pw" };
    const client = await WireClient.open(bouncer);
    client.send(startupMessage({ user: "pat", database: "shop" }, version(3, 2)));
    const right = await answerLogin(client, { ...login, password: "wrong" });
    expect(right.dialogue).toBe("v R10 R11 E");
    expect((await logIn(bouncer, { ...login, parameters: { "_pq_.x": "1" } })).dialogue).toMatch(
      /^v R10 R11 R12 (E|R0 … Z)$/,
    );
    await reloadBySignal(bouncer, { settings: base });
  });

  test.each([
    ["2.0", version(2, 0), "old V2 protocol not supported"],
    ["4.0", version(4, 0), "bad packet header: '0000002500040000'"],
    ["1.0", version(1, 0), "bad packet header: '0000002500010000'"],
  ])("%s is refused", async (_name, protocol, text) => {
    const [client, messages] = await start({}, protocol);
    expect(types(messages)).toBe("E");
    expect(errorFields(messages[0]!.body)).toEqual({ S: "FATAL", C: "08P01", M: text });
    expect(await client.rest()).toEqual([]);
    expect(bouncer.log()).toContain(`C-0x`);
    expect(bouncer.log()).toContain(`(nodb)/(nouser)@127.0.0.1:`);
    expect(bouncer.log()).toContain(`pooler error: ${text}`);
  });
});

describe("parameters", () => {
  test.each<[Record<string, string>, string, string]>([
    [{ TimeZone: "Asia/Kolkata" }, "timezone", "Asia/Kolkata"],
    [{ TIMEZONE: "Asia/Kolkata" }, "timezone", "Asia/Kolkata"],
    [{ datestyle: "SQL, DMY" }, "datestyle", "SQL, DMY"],
    [{ client_encoding: "LATIN1" }, "client_encoding", "LATIN1"],
    [{ application_name: "it's \\ me" }, "application_name", "it's \\ me"],
    [{ intervalstyle: "iso_8601" }, "intervalstyle", "iso_8601"],
    [{ search_path: "pg_catalog, public" }, "search_path", "pg_catalog, public"],
    [{ extra_float_digits: "2" }, "extra_float_digits", "1"],
    [{ "Custom.Thing": "2" }, "extra_float_digits", "1"],
    [{ work_mem: "1MB" }, "work_mem", "FATAL 08P01 unsupported startup parameter: work_mem"],
    [{ "custom.thing": "2" }, "work_mem", "FATAL 08P01 unsupported startup parameter: custom.thing"],
    [{ application_name: "a'; drop table x; --" }, "application_name", "a'; drop table x; --"],
  ])("%o", async (parameters, setting, expected) => {
    expect(await outcome(parameters, setting)).toBe(expected);
  });

  test("the welcome tells a client its own values", async () => {
    const client = await WireClient.login(bouncer, {
      user: "postgres",
      database: "shop",
      TimeZone: "Asia/Kolkata",
      application_name: "told",
    });
    expect(client.parameters.get("TimeZone")).toBe("Asia/Kolkata");
    expect(client.parameters.get("application_name")).toBe("told");
    expect(client.parameters.get("server_version")).toMatch(/^\d/);
    client.end();
  });

  test("a value that PostgreSQL does not take costs the client its connection, at the first query", async () => {
    const [client] = await start({ TimeZone: "Nowhere/Land" });
    client.send(query("select 1"));
    const [refusal] = await client.rest();
    expect(errorFields(refusal!.body)).toMatchObject({ S: "FATAL", C: "08P01", M: "invalid server parameter" });
    expect(bouncer.log()).toMatch(/WARNING S-.*varcache_apply failed: invalid value for parameter "TimeZone"/);
    expect(bouncer.log()).toMatch(/S-.*closing because: var change failed/);
    const [next] = await start({});
    expect(await ask(next, "show timezone")).toBe("UTC");
    next.end();
  });

  test("a packet larger than pkt_buf, and the largest", async () => {
    const name = "n".repeat(20_000);
    expect(await outcome({ application_name: name }, "application_name")).toBe("n".repeat(63));
    const [client, messages] = await start({ "_pq_.large": "x".repeat(65_400) });
    expect(types(messages)).toMatch(/^vRS+KZ$/);
    client.end();
  });

  test("a name sent twice: the last counts", async () => {
    const client = await WireClient.open(bouncer);
    const text = ["user", "nobody", "database", "shop", "user", "postgres", ""].map((part) => `${part}\0`).join("");
    const body = Buffer.concat([int32(version(3, 0)), Buffer.from(text)]);
    client.send(Buffer.concat([int32(body.length + 4), body]));
    expect(types(await client.until("Z", "E"))).toMatch(/^RS+KZ$/);
    client.end();
  });
});

describe("options", () => {
  const refused = "unsupported options startup parameter: only '-c config=val' and '--config=val' are allowed";
  test.each<[string, string, string]>([
    ["-c TimeZone=Asia/Kolkata", "timezone", "Asia/Kolkata"],
    ["-cTimeZone=Asia/Kolkata", "timezone", "Asia/Kolkata"],
    ["--timezone=Asia/Kolkata", "timezone", "Asia/Kolkata"],
    ["  -c  datestyle=German   --timezone=Asia/Kolkata", "datestyle", "German, DMY"],
    ["-c datestyle=SQL,\\ DMY", "datestyle", "SQL, DMY"],
    ["-c extra_float_digits=3", "extra_float_digits", "1"],
    ["-c search_path=pg_catalog,\\ public", "search_path", "pg_catalog, public"],
    ["-c work_mem=1MB", "", "FATAL 08P01 unsupported startup parameter in options: work_mem"],
    ["-c timezone=UTC ", "", `FATAL 08P01 ${refused}`],
    ["-d 5", "", `FATAL 08P01 ${refused}`],
    ["-c timezone", "", `FATAL 08P01 ${refused}`],
    ["nonsense", "", `FATAL 08P01 ${refused}`],
  ])("%s", async (options, setting, expected) => {
    expect(await outcome({ options }, setting)).toBe(expected);
  });

  test("ignored as a whole when ignore_startup_parameters says so, but for what is tracked", async () => {
    await reloadBySignal(bouncer, { settings: { ...base, ignore_startup_parameters: "options" } });
    expect(await outcome({ options: "-c work_mem=1MB -c timezone=Asia/Kolkata" }, "timezone")).toBe("Asia/Kolkata");
    expect(await outcome({ options: "-c work_mem=1MB" }, "work_mem")).toBe("4MB");
    await reloadBySignal(bouncer, { settings: base });
  });
});

describe("application_name_add_host", () => {
  beforeAll(() => reloadBySignal(bouncer, { settings: { ...base, application_name_add_host: 1 } }));
  afterAll(() => reloadBySignal(bouncer, { settings: base }));

  test("over TCP", async () => {
    const [client] = await start({ application_name: "teller" });
    const { localPort } = client.socket;
    expect(await ask(client, "show application_name")).toBe(`teller - 127.0.0.1:${localPort}`);
    client.end();
    const [unnamed] = await start({});
    expect(await ask(unnamed, "show application_name")).toBe(`app - 127.0.0.1:${unnamed.socket.localPort}`);
    unnamed.end();
  });

  test("over the Unix socket", async () => {
    const client = await WireClient.login(
      { port: bouncer.port, socketFolder: bouncer.folder },
      { user: "postgres", database: "shop", application_name: "t" },
    );
    const expected = `t - unix(${process.pid}@${hostname()}):${bouncer.port}`.slice(0, 63);
    expect(await ask(client, "show application_name")).toBe(expected);
    client.end();
  });
});

describe("requests for encryption", () => {
  test("are declined one after the other, and the login goes on", async () => {
    const client = await WireClient.open(bouncer);
    for (const request of [gssRequest, sslRequest, gssRequest]) {
      client.send(request);
      expect((await client.raw(1)).toString("latin1")).toBe("N");
    }
    client.send(startupMessage({ user: "postgres", database: "shop" }));
    expect(types(await client.until("Z"))).toMatch(/^RS+KZ$/);
    client.end();
  });

  test.each([
    ["SSL request", sslRequest],
    ["GSSAPI encryption request", gssRequest],
  ])("nothing may come behind an %s", async (what, request) => {
    const client = await WireClient.open(bouncer);
    client.send(request, startupMessage({ user: "postgres", database: "shop" }));
    const messages = await client.rest();
    expect(types(messages)).toBe("E");
    const text = `received unencrypted data after ${what}`;
    expect(errorFields(messages[0]!.body)).toEqual({ S: "FATAL", C: "08P01", M: text });
    expect(bouncer.log()).toContain(`closing because: ${text}`);
  });
});

test("a packet that arrives byte by byte is the same packet", async () => {
  const client = await WireClient.open(bouncer);
  for (const byte of Buffer.concat([startupMessage({ user: "postgres", database: "shop" }), query("select 5")])) {
    client.socket.write(Buffer.from([byte]));
    await new Promise((resolve) => setImmediate(resolve));
  }
  const greeting = await client.until("Z");
  expect(types(greeting)).toMatch(/^RS+KZ$/);
  expect(types(await client.until("Z"))).toBe("TDCZ");
  client.end();
});

test("a client that does not wait for its welcome", async () => {
  const client = await WireClient.open(bouncer);
  client.send(startupMessage({ user: "postgres", database: "shop" }), query("select 1"), query("select 2"));
  expect(types(await client.until("Z"))).toMatch(/^RS+KZ$/);
  expect(types(await client.until("Z"))).toBe("TDCZ");
  expect(types(await client.until("Z"))).toBe("TDCZ");
  client.end();
});
