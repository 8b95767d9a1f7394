/**
 * A server that sends nonsense, or dies at any byte. A fake PostgreSQL plays a recorded session and cuts it at every offset:
 * the client gets an error, the pooler lives, and the next client is served.
 */
import { createServer, type Server, type Socket } from "node:net";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { findFreePort } from "../../src/demo/free-port.ts";
import { Bouncer } from "../support/bouncer.ts";
import { waitFor } from "../support/wait-for.ts";
import {
  errorFields,
  int16,
  int32,
  message,
  query,
  startupMessage,
  types,
  WireClient,
} from "../support/wire-client.ts";

const greeting = Buffer.concat([
  message("R", int32(0)),
  message("S", "server_version", "18.0"),
  message("S", "client_encoding", "UTF8"),
  message("K", int32(4242), int32(99)),
  message("Z", Buffer.from("I")),
]);
const answer = Buffer.concat([
  message("T", int16(1), "n", int32(0), int16(0), int32(25), int16(-1), int32(-1), int16(0)),
  message("D", int16(1), int32(2), Buffer.from("42")),
  message("N", Buffer.from("SNOTICE\0C00000\0Mread this\0\0")),
  message("C", "SELECT 1"),
  message("Z", Buffer.from("I")),
]);

/** What the fake does with its next connections: bytes for the startup packet and for a query, and whether to end behind them. */
interface Script {
  readonly greeting: Buffer;
  readonly answer: Buffer;
  readonly how: "end" | "reset" | "stay";
}
const healthy: Script = { greeting, answer, how: "stay" };

let script = healthy;
let server: Server;
let port: number;
let bouncer: Bouncer;
const sockets = new Set<Socket>();

beforeAll(async () => {
  port = await findFreePort();
  server = createServer((socket) => {
    const mine = script;
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => sockets.delete(socket));
    let greeted = false;
    socket.on("data", (chunk) => {
      if (greeted && chunk[0] === 0x58) return;
      const bytes = greeted ? mine.answer : mine.greeting;
      const complete = greeted ? answer : greeting;
      greeted = true;
      const over = mine.how !== "stay" && !bytes.equals(complete);
      if (!over) socket.write(bytes);
      else if (mine.how === "end") socket.end(bytes);
      else socket.write(bytes, () => socket.resetAndDestroy());
    });
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  bouncer = await Bouncer.start({
    databases: { fake: `host=127.0.0.1 port=${port}` },
    userlist: { postgres: "" },
    settings: {
      pool_mode: "transaction",
      server_tls_sslmode: "disable",
      server_login_retry: 0,
      default_pool_size: 1,
      client_login_timeout: 20,
    },
  });
});

afterAll(async () => {
  await bouncer?.stop();
  for (const socket of sockets) socket.destroy();
  server?.close();
});

/** Whatever a test did: with a healthy server everything works again, without a restart. */
beforeEach(() => async () => {
  script = healthy;
  for (const socket of sockets) socket.destroy();
  await waitFor("the next client to be served", async () => {
    const client = await knock();
    const messages = await client.until("Z", "E").catch(() => []);
    if (messages.at(-1)?.type !== "Z") return false;
    client.send(query("select 1"));
    const served = types(await client.rest1());
    client.destroy();
    return served.startsWith("TDNCZ");
  });
});

/** A client that also tells how far an answer came before the connection's end. */
async function knock(): Promise<WireClient & { rest1(): Promise<Awaited<ReturnType<WireClient["rest"]>>> }> {
  const client = await WireClient.open(bouncer);
  client.send(startupMessage({ user: "postgres", database: "fake" }));
  return Object.assign(client, {
    rest1: async () => {
      const messages = [];
      for (;;) {
        const next = await client.next();
        if (next === null) return messages;
        messages.push(next);
        if (next.type === "Z" || next.type === "E") return messages;
      }
    },
  });
}

/** Drops the pool's servers, so that the next query meets the script of now. */
async function dropServers(): Promise<void> {
  for (const socket of sockets) socket.destroy();
  await waitFor("the pooler to notice", () => {
    const opened = bouncer.logCount(/S-.* new connection to server/);
    return opened === bouncer.logCount(/S-.*closing because/);
  });
}

for (const how of ["end", "reset"] as const) {
  test(`an answer cut at every offset (${how})`, async () => {
    const step = how === "end" ? 1 : 5;
    for (let cut = 0; cut < answer.length; cut += step) {
      script = { greeting, answer: answer.subarray(0, cut), how };
      await dropServers();
      const client = await knock();
      await client.until("Z");
      client.send(query("select 1"));
      const messages = await client.rest();
      client.destroy();
      // Whole messages that came before the cut are the client's; then it learns what happened, once. Not behind half a
      // message, which an error would be taken for the rest of; and a reset may take what came before along.
      const whole = "TDNCZ".slice(0, boundaries(answer, cut));
      const torn = !isBoundary(answer, cut);
      const shortest = how === "end" ? whole.length : 0;
      const allowed = Array.from({ length: whole.length - shortest + 1 }, (_, n) =>
        whole.slice(0, shortest + n),
      ).flatMap((part) => (torn || how === "reset" ? [part, `${part}E`] : [`${part}E`]));
      expect(allowed).toContain(types(messages));
      const errors = messages.filter(({ type }) => type === "E").map(({ body }) => errorFields(body)["M"]);
      expect(errors.every((text) => text === "server conn crashed?")).toBe(true);
    }
  }, 60_000);
}

test("a login cut at every offset: who waits goes on waiting, and is served by the next server", async () => {
  for (let cut = 0; cut < greeting.length; cut += 4) {
    script = { greeting: greeting.subarray(0, cut), answer, how: cut % 8 === 0 ? "end" : "reset" };
    await dropServers();
    const client = await knock();
    await client.until("Z");
    const before = bouncer.logCount(/S-.*closing because/);
    client.send(query("select 1"));
    await waitFor("the attempt to fail", () => bouncer.logCount(/S-.*closing because/) > before);
    script = healthy;
    const served = types(await client.rest1());
    expect(served).toBe("TDNCZ");
    client.destroy();
  }
}, 60_000);

test.each<[string, Buffer]>([
  ["a type nobody knows", message("?", "x")],
  ["a length below 4", Buffer.from("5400000003", "hex")],
  ["a negative length", Buffer.from("54ffffffff", "hex")],
  ["a message of a client's", message("Q", "select 1")],
  ["an authentication request", message("R", int32(5), int32(1))],
  ["a second ReadyForQuery", Buffer.concat([answer, message("Z", Buffer.from("I"))])],
  ["an answer to nothing", Buffer.concat([answer, message("C", "SELECT 1")])],
  ["zeros", Buffer.alloc(64)],
  ["a ReadyForQuery without a status", message("Z")],
  ["a ReadyForQuery of an unknown status", message("Z", Buffer.from("?"))],
  ["a ParameterStatus without an end", Buffer.concat([message("S", Buffer.from("x")), answer])],
  ["an ErrorResponse without fields", Buffer.concat([message("E"), message("Z", Buffer.from("I"))])],
  [
    "an error field that does not end",
    Buffer.concat([message("E", Buffer.from("SERROR")), message("Z", Buffer.from("I"))]),
  ],
])("nonsense instead of an answer: %s", async (_name, bytes) => {
  script = { greeting, answer: bytes, how: "stay" };
  await dropServers();
  const client = await knock();
  await client.until("Z");
  client.send(query("select 1"));
  // It ends, or has an answer; what it must not be is stuck, or given somebody else's bytes.
  const messages = await client.rest1();
  expect(types(messages)).toMatch(/^(TDNCZ|E|Z|S?TDNCZ|.*E|R?E)?$/);
  client.destroy();
});

test.each<[string, Buffer, string]>([
  ["ReadyForQuery before AuthenticationOk", message("Z", Buffer.from("I")), "unknown pkt from server"],
  ["BackendKeyData before AuthenticationOk", message("K", int32(1), int32(2)), "unknown pkt from server"],
  ["a key too short", Buffer.concat([message("R", int32(0)), message("K", int32(1))]), "unknown pkt from server"],
  ["an authentication request without a code", message("R"), "unknown pkt from server"],
  ["an unknown authentication request", message("R", int32(99)), "failed to answer authreq"],
  ["a row", message("D", int16(0)), "unknown pkt from server"],
  ["HTTP", Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n"), "bad packet header"],
  ["a length below 4", Buffer.from("5200000003", "hex"), "bad packet header"],
  ["a message without an end", Buffer.from("527fffffff", "hex"), "bad packet header"],
  [
    "a ReadyForQuery without a status",
    Buffer.concat([message("R", int32(0)), message("Z")]),
    "unknown pkt from server",
  ],
])("nonsense instead of a login: %s", async (_name, bytes, reason) => {
  script = { greeting: bytes, answer, how: "stay" };
  await dropServers();
  const before = bouncer.log().length;
  const client = await knock();
  await client.until("Z");
  client.send(query("select 1"));
  await waitFor("the attempt to end", () => bouncer.log().slice(before).includes(`closing because: ${reason} (age=`));
  script = healthy;
  expect(types(await client.rest1())).toMatch(/^(TDNCZ|E)$/);
  client.destroy();
});

/** How many whole messages lie before `cut`. */
function boundaries(stream: Buffer, cut: number): number {
  let count = 0;
  for (let at = 0; at + 5 <= cut; count += 1) {
    at += 1 + stream.readInt32BE(at + 1);
    if (at > cut) break;
  }
  return count;
}

function isBoundary(stream: Buffer, cut: number): boolean {
  let at = 0;
  while (at < cut) at += 1 + stream.readInt32BE(at + 1);
  return at === cut;
}
