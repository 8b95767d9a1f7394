/**
 * PgBouncer's published vulnerabilities that a server could use, played by a server: data before TLS, a SCRAM nonce without
 * measure, errors without a SQLSTATE. SECURITY.md lists them all.
 */
import type { Socket } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Bouncer } from "../support/bouncer.ts";
import { waitFor } from "../support/wait-for.ts";
import { errorFields, int32, message, query, startupMessage, types, WireClient } from "../support/wire-client.ts";
import { friendly, HostileServer, oneRow, welcome, type Answers } from "./hostile-server.ts";

let hostile: HostileServer;
let honest: HostileServer;
let bouncer: Bouncer;
/** Works on another server all the time. */
let witness: WireClient;

beforeAll(async () => {
  hostile = await HostileServer.start();
  honest = await HostileServer.start();
  const at = (port: number): string => `host=127.0.0.1 port=${port} pool_size=1`;
  bouncer = await Bouncer.start({
    databases: { hostile: `${at(hostile.port)} password=known-to-both`, honest: at(honest.port) },
    userlist: { postgres: "" },
    settings: {
      pool_mode: "transaction",
      server_tls_sslmode: "disable",
      server_login_retry: 0,
      client_login_timeout: 30,
    },
  });
  witness = await WireClient.login(bouncer, { user: "postgres", database: "honest" });
});

afterAll(async () => {
  witness?.destroy();
  await bouncer?.stop();
  hostile?.stop();
  honest?.stop();
});

/** Whatever a server did: the witness is served, and so is the pool of the hostile one once it behaves. */
beforeEach(() => async () => {
  witness.send(query("still here"));
  expect((await witness.until("Z"))[1]!.body.toString("utf8", 6)).toBe("still here");
  hostile.answers = friendly;
  for (const socket of hostile.sockets) socket.destroy();
  await waitFor("the pool to work again", async () => {
    const client = await WireClient.open(bouncer);
    client.send(startupMessage({ user: "postgres", database: "hostile" }));
    const ready = (await client.until("Z", "E").catch(() => [])).at(-1)?.type === "Z";
    if (ready) client.send(query("better now"));
    const answer = ready ? types(await client.until("Z", "E").catch(() => [])) : "";
    client.destroy();
    return answer === "TDCZ";
  });
});

/** Lets the hostile server behave like `answers` from its next connection on, and has the pooler open one. */
async function meet(answers: Answers): Promise<{ client: WireClient; log: () => string }> {
  hostile.answers = answers;
  for (const socket of hostile.sockets) socket.destroy();
  const before = bouncer.log().length;
  const client = await WireClient.open(bouncer);
  client.send(startupMessage({ user: "postgres", database: "hostile" }), query("who is there"));
  return { client, log: () => bouncer.log().slice(before) };
}

/** A server that wants SCRAM, and answers our first message with `challenge` made of our nonce. */
function scram(challenge: (nonce: string) => string): Answers {
  return (socket, type, body) => {
    if (type === "") socket.write(message("R", int32(10), "SCRAM-SHA-256", Buffer.from([0])));
    else if (type === "p" && body.includes("n,,")) {
      const nonce = /r=(.*)$/.exec(body.toString("latin1"))![1]!;
      socket.write(message("R", int32(11), Buffer.from(challenge(nonce))));
    } else if (type === "p") socket.write(message("R", int32(12), Buffer.from("v=AAAA")));
  };
}

describe("CVE-2026-6665: the server's SCRAM nonce", () => {
  const salt = Buffer.alloc(16).toString("base64");
  test.each<[string, (nonce: string) => string, RegExp]>([
    ["of 600 characters", (own) => `r=${own}${"x".repeat(600)},s=${salt},i=4096`, /nonce mismatch/],
    ["of 3,900 characters", (own) => `r=${own}${"x".repeat(3900)},s=${salt},i=4096`, /nonce mismatch/],
    ["in a message of 5,000", (own) => `r=${own}${"x".repeat(5000)},s=${salt},i=4096`, /message too long/],
    ["of 200,000", (own) => `r=${own}${"x".repeat(200_000)},s=${salt},i=4096`, /message too long/],
    ["beyond every bound", (own) => `r=${own}${"x".repeat(500_000)},s=${salt},i=4096`, /bad packet header/],
    ["that is not ours", () => `r=other,s=${salt},i=4096`, /nonce mismatch/],
    ["without iterations to count", (own) => `r=${own}x,s=${salt},i=99999999999`, /invalid iteration count/],
    ["with a salt of 3,000 bytes", (own) => `r=${own}x,s=${"A".repeat(4000)},i=1`, /message too long|malformed/],
  ])("%s", async (_name, challenge, line) => {
    const { client, log } = await meet(scram(challenge));
    await waitFor("its end", () => line.test(log()));
    expect(log()).not.toContain("known-to-both");
    client.destroy();
  });
});

describe("CVE-2026-6666: an ErrorResponse without SQLSTATE", () => {
  const errors: [string, Buffer][] = [
    ["of severity and message", message("E", Buffer.from("SFATAL\0Mno code here\0\0"))],
    ["of a message", message("E", Buffer.from("Mno code here\0\0"))],
    ["of nothing", message("E", Buffer.from("\0"))],
    ["of no byte at all", message("E")],
    ["with an empty code", message("E", Buffer.from("SFATAL\0C\0Mno code here\0\0"))],
    ["whose code has no end", message("E", Buffer.from("SFATAL\0C57"))],
  ];

  test.each(errors)("%s, while a server logs in", async (_name, error) => {
    const { client, log } = await meet((socket, type) => {
      if (type === "") socket.end(error);
    });
    await waitFor("the refusal", () => /closing because: .*\(age=/.test(log()));
    // It is told of the failure with a SQLSTATE of ours, or waits for a better server.
    hostile.answers = friendly;
    const answer = await client.until("E", "Z");
    const refused = answer.at(-1)!;
    if (refused.type === "E") expect(errorFields(refused.body)["C"]).toMatch(/^[0-9A-Z]{5}$/);
    client.destroy();
  });

  test.each(errors)("%s, in answer to a query", async (_name, error) => {
    const { client } = await meet((socket, type) => {
      if (type === "") socket.write(welcome);
      else if (type === "Q") socket.write(Buffer.concat([error, message("Z", Buffer.from("I"))]));
    });
    await client.until("Z");
    const next = await client.next();
    // As it came, or the end of this one connection.
    if (next !== null) expect(next.type).toBe("E");
    client.destroy();
  });

  test.each(errors)("%s, in answer to connect_query and reset query", async (_name, error) => {
    await bouncer.reload({
      databases: {
        hostile: `host=127.0.0.1 port=${hostile.port} pool_size=1 pool_mode=session connect_query='select prepared'`,
        honest: `host=127.0.0.1 port=${honest.port} pool_size=1`,
      },
    });
    const { client, log } = await meet((socket, type, body) => {
      if (type === "") socket.write(welcome);
      else if (type === "Q" && body.includes("who is there")) socket.write(oneRow("served"));
      else if (type === "Q") socket.write(Buffer.concat([error, message("Z", Buffer.from("I"))]));
    });
    expect(types(await client.until("C"))).toMatch(/TDC$/);
    expect(log()).toMatch(/S: error while executing exec_on_query/);
    client.end();
    await waitFor("the server's end", () => /closing because: reset query failed/.test(log()));
  });
});

test("a server that never stops reporting parameters is given up", async () => {
  let sent = 0;
  const { client, log } = await meet((socket, type) => {
    if (type !== "") return;
    socket.write(message("R", int32(0)));
    const storm = Buffer.concat(
      Array.from({ length: 100 }, (_, n) => message("S", `name${sent + n}`, "x".repeat(1000))),
    );
    const more = (): void => {
      while (!socket.destroyed && sent < 20_000) {
        sent += 100;
        if (!socket.write(storm)) {
          socket.once("drain", more);
          return;
        }
      }
    };
    more();
  });
  await waitFor("the refusal", () => /closing because: too many parameters from server/.test(log()));
  client.destroy();
});

test("CVE-2021-3935: nothing that a server says before TLS counts", async () => {
  const injected = [
    Buffer.concat([Buffer.from("S"), welcome]),
    Buffer.concat([Buffer.from("N"), welcome]),
    Buffer.concat([Buffer.from("S"), oneRow("injected")]),
  ];
  for (const mode of ["prefer", "require"]) {
    await bouncer.reload({
      databases: {
        hostile: `host=127.0.0.1 port=${hostile.port} pool_size=1`,
        honest: `host=127.0.0.1 port=${honest.port} pool_size=1`,
      },
      settings: { pool_mode: "transaction", server_tls_sslmode: mode, server_login_retry: 0 },
    });
    for (const bytes of injected) {
      const said: string[] = [];
      const { client, log } = await meet((socket: Socket, type, body) => {
        if (type === "" && body.readInt32BE(0) === 80877103) socket.write(bytes);
        else said.push(`${type}${body.toString("latin1")}`);
      });
      await waitFor("the refusal", () => /closing because: bad sslreq answer/.test(log()));
      client.destroy();
      expect(said).toEqual([]);
    }
  }
  await bouncer.reload({
    settings: { pool_mode: "transaction", server_tls_sslmode: "disable", server_login_retry: 0 },
  });
});
