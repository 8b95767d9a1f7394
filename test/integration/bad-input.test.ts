/**
 * What no client should send: lengths out of range, messages of the wrong phase, half messages, garbage. That connection alone
 * is closed, with the right error and a line in the log; a witness on the same server notices nothing.
 */
import { createHash } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { Bouncer } from "../support/bouncer.ts";
import { waitFor } from "../support/wait-for.ts";
import { logIn } from "./login-dialogue.ts";
import {
  bind,
  describePortal,
  describeStatement,
  errorFields,
  execute,
  int16,
  int32,
  message,
  parse,
  query,
  startupMessage,
  sync,
  terminate,
  types,
  WireClient,
} from "../support/wire-client.ts";

let cluster: EmbeddedPostgres;
let bouncer: Bouncer;
/** Asks for passwords. */
let guarded: Bouncer;
let witness: WireClient;

const hello = startupMessage({ user: "postgres", database: "open" });
const locked = startupMessage({ user: "pat", database: "locked" });

beforeAll(async () => {
  cluster = await EmbeddedPostgres.start();
  const target = `host=${cluster.host} port=${cluster.port} dbname=postgres user=postgres`;
  bouncer = await Bouncer.start({
    databases: { open: `${target} pool_size=2` },
    userlist: { postgres: "" },
    settings: { auth_type: "trust", pool_mode: "transaction", server_tls_sslmode: "disable" },
  });
  guarded = await Bouncer.start({
    databases: { locked: target },
    userlist: { pat: "secret" },
    settings: { auth_type: "scram-sha-256", server_tls_sslmode: "disable" },
  });
  witness = await WireClient.login(bouncer, { user: "postgres", database: "open" });
});

afterAll(async () => {
  witness?.end();
  await bouncer?.stop();
  await guarded?.stop();
  await cluster?.stop();
});

/** The witness, and a newcomer, are served after whatever a test did. */
beforeEach(() => async () => {
  if (!(await isServing())) throw new Error("others are not served any more");
});

async function isServing(): Promise<boolean> {
  const newcomer = await WireClient.login(bouncer, { user: "postgres", database: "open" });
  const answers: string[] = [];
  for (const client of [witness, newcomer]) {
    client.send(query("select 1"));
    answers.push(types(await client.until("Z", "E")));
  }
  newcomer.end();
  return answers.every((answer) => answer === "TDCZ");
}

/** A header with any length. */
function headed(type: string, length: number, body: Buffer = Buffer.alloc(0)): Buffer {
  return Buffer.concat([Buffer.from(type, "latin1"), int32(length), body]);
}

/** A startup packet with any length and content. */
function packet(length: number, ...content: Buffer[]): Buffer {
  return Buffer.concat([int32(length), ...content]);
}

interface Outcome {
  /** Types of all messages, those of a welcome left out. */
  readonly answered: string;
  readonly error: string | null;
  readonly log: string;
}

/** Sends `bytes` on a connection in the wanted phase, and waits for its end. */
async function send(phase: "fresh" | "password" | "in", bytes: Buffer): Promise<Outcome> {
  const pooler = phase === "password" ? guarded : bouncer;
  const before = pooler.log().length;
  const client =
    phase === "in"
      ? await WireClient.login(pooler, { user: "postgres", database: "open" })
      : await WireClient.open(pooler);
  if (phase === "password") {
    client.send(locked);
    await client.until("R");
  }
  client.send(bytes);
  const messages = await client.rest();
  client.destroy();
  const last = messages.at(-1);
  const fields = last?.type === "E" ? errorFields(last.body) : null;
  expect(fields === null || (fields["S"] === "FATAL" && fields["C"] === "08P01")).toBe(true);
  return {
    answered: types(messages),
    error: last?.type === "E" ? errorFields(last.body)["M"]! : null,
    log: pooler.log().slice(before),
  };
}

describe("before the login", () => {
  test.each<[string, Buffer, string | null]>([
    ["a length of 0", packet(0, int32(0x30000)), "bad packet header: '0000000000030000'"],
    ["a length of 4", packet(4, int32(0x30000)), "bad packet header: '0000000400030000'"],
    ["a length of 7", packet(7, int32(0x30000)), "bad packet header: '0000000700030000'"],
    ["a length of 65,536", packet(0x10000, int32(0x30000)), "bad packet header: '0001000000030000'"],
    ["a length of 2³¹−1", packet(0x7fffffff, int32(0x30000)), null],
    ["a negative length", packet(-1, int32(0x30000)), null],
    ["an unknown request code", packet(8, int32(80877199)), "bad packet header: '0000000804d2168f'"],
    ["an SSL request with a body", packet(12, int32(80877103), int32(0)), "bad packet header: '0000000c04d2162f'"],
    [
      "no terminator",
      packet(17, int32(0x30000), Buffer.from("user\0bob\0")),
      "invalid startup packet layout: expected terminator as last byte",
    ],
    [
      "a name without a value",
      packet(14, int32(0x30000), Buffer.from("user\0\0")),
      "invalid startup packet layout: expected terminator as last byte",
    ],
    [
      "bytes behind the terminator",
      packet(19, int32(0x30000), Buffer.from("user\0b\0\0xyz")),
      "invalid startup packet layout: expected terminator as last byte",
    ],
    [
      "nothing but a version",
      packet(8, int32(0x30000)),
      "invalid startup packet layout: expected terminator as last byte",
    ],
    ["a terminator only", packet(9, int32(0x30000), Buffer.from("\0")), "no username supplied"],
    ["a password", message("p", "secret"), "client password pkt before startup packet"],
  ])("%s", async (_name, bytes, text) => {
    const { answered, error, log } = await send("fresh", bytes);
    expect(text === null ? /^bad packet header: '[0-9a-f]{2,16}'$/.test(error ?? "") : error === text).toBe(true);
    expect(answered).toBe("E");
    expect(log).toMatch(/LOG C-0x\w+: \(nodb\)\/\(nouser\)@127\.0\.0\.1:\d+ closing because: /);
  });

  test.each<[string, Buffer, string]>([
    ["a query", query("select 1"), "bad packet"],
    ["HTTP", Buffer.from("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), "bad packet"],
    ["a cancel request without a key", packet(12, int32(80877102), int32(1)), "bad cancel request"],
    ["a cancel request with a key too long", packet(300, int32(80877102), Buffer.alloc(292)), "bad cancel request"],
    ["a cancel request for nobody", packet(16, int32(80877102), int32(1), int32(2)), "failed cancel request"],
  ])("%s is closed without a word, but with a line", async (_name, bytes, reason) => {
    const { error, log } = await send("fresh", bytes);
    expect(error === null || error.startsWith("bad packet header")).toBe(true);
    expect(log).toMatch(
      error === null ? new RegExp(`closing because: ${reason}`) : /closing because: bad packet header/,
    );
  });

  test("TLS where there is none", async () => {
    const { error } = await send("fresh", Buffer.from("16030100c8010000c40303", "hex"));
    expect(error).toBeNull();
  });

  test("a client that stops in the middle is nobody's trouble", async () => {
    for (const part of [1, 3, 7, 8, 20]) {
      const client = await WireClient.open(bouncer);
      client.send(hello.subarray(0, part));
      client.socket.end();
      expect(await client.rest()).toEqual([]);
    }
  });
});

describe("during the password dialogue", () => {
  test.each<[string, Buffer, string]>([
    ["a query", query("select 1"), "unknown pkt"],
    ["an unknown type", message("?", "x"), "unknown pkt"],
    ["a second startup packet", hello, "client re-sent startup pkt"],
    ["a long second startup packet", startupMessage({ user: "x".repeat(400) }), "client re-sent startup pkt"],
    ["an SSL request", Buffer.concat([int32(8), int32(80877103)]), "client re-sent startup pkt"],
    ["a length below 4", headed("p", 3), "bad packet header: 'login message'"],
    ["a negative length", headed("p", -5), "bad packet header: 'login message'"],
    ["a length beyond all passwords", headed("p", 10_000_000), "bad packet header: 'login message'"],
    ["an empty response", message("p"), "SASL authentication failed"],
    ["a mechanism without its end", message("p", Buffer.from("SCRAM-SHA-256")), "SASL authentication failed"],
    [
      "a wrong inner length",
      message("p", "SCRAM-SHA-256", int32(1000), Buffer.from("n,,n=,r=x")),
      "SASL authentication failed",
    ],
    [
      "a negative inner length",
      message("p", "SCRAM-SHA-256", int32(-7), Buffer.from("n,,n=,r=x")),
      "SASL authentication failed",
    ],
    [
      "binary nonsense",
      message("p", "SCRAM-SHA-256", int32(4), Buffer.from([0, 255, 1, 128])),
      "SASL authentication failed",
    ],
    [
      "channel binding",
      message("p", "SCRAM-SHA-256", int32(11), Buffer.from("p=x,,n=,r=x")),
      "SASL authentication failed",
    ],
  ])("%s", async (_name, bytes, text) => {
    const { answered, error, log } = await send("password", bytes);
    expect(error).toBe(text);
    expect(answered).toBe("E");
    expect(log).toMatch(/LOG C-0x\w+: locked\/pat@127\.0\.0\.1:\d+ closing because: /);
  });

  test("goodbye", async () => {
    const { answered, log } = await send("password", terminate());
    expect(answered).toBe("");
    expect(log).toMatch(/closing because: client close request/);
  });

  test("a password that never ends", async () => {
    const client = await WireClient.open(guarded);
    client.send(locked);
    await client.until("R");
    client.send(headed("p", 60_000, Buffer.alloc(59_000, 0x61)));
    client.socket.end();
    expect(await client.rest()).toEqual([]);
    expect(guarded.log()).toMatch(/locked\/pat@.* closing because: client unexpected eof/);
  });

  test("and after all that a right password still opens", async () => {
    const { error, client } = await logIn(guarded, { user: "pat", database: "locked", password: "secret" });
    expect(error).toBeNull();
    client.end();
  });
});

describe("after the login", () => {
  test.each<[string, Buffer, string | RegExp]>([
    ["a length below 4", headed("Q", 3), "bad packet header: '5100000003'"],
    ["a length of 0", headed("Q", 0), "bad packet header: '5100000000'"],
    ["a negative length", headed("Q", -1), "bad packet header: '51ffffffff'"],
    ["an unknown type", message("?", "x"), "unknown pkt"],
    ["a message of the server's", message("Z", Buffer.from("I")), "unknown pkt"],
    ["a startup packet", hello, /unknown pkt|bad packet header|client re-sent startup pkt/],
    ["a password", message("p", "secret"), "unknown pkt"],
    ["a Parse without its end", message("P", Buffer.from("name")), "broken Parse packet"],
    ["a Parse without its text's end", message("P", "name", Buffer.from("select 1")), "broken Parse packet"],
    ["a Bind without its end", message("B", Buffer.from("x")), "broken Bind packet"],
    ["a Describe of nothing", message("D"), "broken Describe packet"],
    ["a Close of nothing", message("C"), "broken Close packet"],
    ["a Bind of an unknown statement", bind("", "nowhere"), "prepared statement did not exist"],
    ["a Describe of an unknown statement", describeStatement("nowhere"), "prepared statement did not exist"],
  ])("%s", async (_name, bytes, text) => {
    const { error, log } = await send("in", Buffer.concat([bytes]));
    expect(typeof text === "string" ? error === text : text.test(error ?? "")).toBe(true);
    expect(log).toMatch(/LOG C-0x\w+: open\/postgres@127\.0\.0\.1:\d+ closing because: /);
  });

  test.each<[string, Buffer]>([
    ["an empty Query body", headed("Q", 4)],
    ["a Query without its zero", message("Q", Buffer.from("select 1"))],
    ["an Execute without a row limit", Buffer.concat([parse("", "select 1"), bind("", ""), message("E", ""), sync()])],
    [
      "a Bind with too many values",
      Buffer.concat([parse("", "select 1"), message("B", "", "", int16(0), int16(9)), sync()]),
    ],
    ["a Describe of neither", Buffer.concat([message("D", Buffer.from("X"), ""), sync()])],
    ["a FunctionCall of nonsense", message("F", int32(1))],
    ["an Execute of no portal", Buffer.concat([describePortal("none"), execute("none"), sync()])],
  ])("%s is PostgreSQL's to refuse", async (_name, bytes) => {
    const client = await WireClient.login(bouncer, { user: "postgres", database: "open" });
    client.send(bytes);
    const answer = await client.until("Z", "E");
    expect(types(answer)).toContain("E");
    client.destroy();
  });

  test("a message that stops in the middle, in every length", async () => {
    const bytes = Buffer.concat([
      parse("s", "select $1::text"),
      bind("", "s", ["x"]),
      execute(""),
      sync(),
      query("select 1"),
    ]);
    for (let cut = 1; cut < bytes.length; cut += 3) {
      const client = await WireClient.login(bouncer, { user: "postgres", database: "open" });
      client.send(bytes.subarray(0, cut));
      client.socket.end();
      await client.rest();
    }
    await waitFor("all servers to be free", async () => {
      const busy = await cluster.query(
        "select count(*)::int as n from pg_stat_activity where client_addr is not null and state <> 'idle'",
      );
      return (busy.rows as { n: number }[])[0]!.n === 0;
    });
    expect(await isServing()).toBe(true);
  });

  test("garbage, in many forms", async () => {
    for (let round = 0; round < 40; round += 1) {
      const bytes = Buffer.concat([0, 1, 2].map((part) => createHash("sha512").update(`${round}.${part}`).digest()));
      const client =
        round % 2 === 0
          ? await WireClient.open(bouncer)
          : await WireClient.login(bouncer, { user: "postgres", database: "open" });
      client.send(bytes);
      client.socket.end();
      await client.rest();
      client.destroy();
    }
    expect(await isServing()).toBe(true);
  });

  test("a cancel request whose sender ends its half at once is not forgotten", async () => {
    const client = await WireClient.login(bouncer, { user: "postgres", database: "open" });
    client.send(query("select pg_sleep(20)"));
    await waitFor("the query to run", async () => {
      const running = await cluster.query(
        "select 1 from pg_stat_activity where query like 'select pg_sleep%' and state = 'active'",
      );
      return running.rows.length === 1;
    });
    const canceller = await WireClient.open(bouncer);
    canceller.send(packet(16, int32(80877102), int32(client.key!.pid), client.key!.secret));
    canceller.socket.end();
    const answer = await client.until("Z");
    expect(errorFields(answer.find(({ type }) => type === "E")!.body)["C"]).toBe("57014");
    expect(await canceller.rest()).toEqual([]);
    client.end();
  });

  test("max_packet_size", async () => {
    const small = await Bouncer.start({
      databases: { open: `host=${cluster.host} port=${cluster.port} dbname=postgres` },
      userlist: { postgres: "" },
      settings: { pool_mode: "transaction", server_tls_sslmode: "disable", max_packet_size: 5000 },
    });
    try {
      const client = await WireClient.login(small, { user: "postgres", database: "open" });
      client.send(query(`select length('${"x".repeat(4900)}')`));
      expect(types(await client.until("Z"))).toBe("TDCZ");
      client.send(query(`select length('${"x".repeat(5000)}')`));
      const [refusal] = await client.rest();
      expect(errorFields(refusal!.body)["M"]).toMatch(/^bad packet header: '51[0-9a-f]{8,14}'$/);
    } finally {
      await small.stop();
    }
  });
});
