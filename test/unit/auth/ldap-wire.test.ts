/**
 * The wire up to the directory, against servers that misbehave: what comes in clear must not count behind StartTLS, and a
 * lost connection is not opened again.
 */
import { createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import * as fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { LdapStartTlsError, openLdapConnection, readStartTlsResponse } from "../../../src/net/ldap-connection.ts";
import { LdapError, ldapNetwork } from "../../../src/net/ldap-session.ts";

const accepted = Buffer.from("300c02010178070a010004000400", "hex");
const servers: Server[] = [];

afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

/** A server that calls `behave` with each connection; the port. */
function listen(behave: (socket: Socket) => void): Promise<number> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    behave(socket);
  });
  servers.push(server);
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port));
  });
}

const tls = { ca: [], isVerified: true };

describe("the answer to StartTLS", () => {
  test("is taken whole, and only when it says success", () => {
    expect(readStartTlsResponse(accepted)).toBe("accepted");
    const long = Buffer.from("30840000000c02010178070a010004000400", "hex");
    expect(readStartTlsResponse(long)).toBe("accepted");
    const refused = Buffer.from(accepted);
    refused[9] = 52;
    expect(readStartTlsResponse(refused)).toContain("result code 52");
    const otherMessage = Buffer.from(accepted);
    otherMessage[4] = 2;
    expect(readStartTlsResponse(otherMessage)).toContain("another message");
    const bindResponse = Buffer.from(accepted);
    bindResponse[5] = 0x61;
    expect(readStartTlsResponse(bindResponse)).toContain("another message");
  });

  test("cut anywhere it is incomplete; with anything behind it, refused", () => {
    for (let length = 0; length < accepted.length; length += 1) {
      expect(readStartTlsResponse(accepted.subarray(0, length))).toBe("incomplete");
    }
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 40 }), (more) => {
        expect(readStartTlsResponse(Buffer.concat([accepted, more]))).toContain("in clear");
      }),
    );
  });

  test("of any bytes: an answer, no exception, and success only for a success", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        if (readStartTlsResponse(bytes) === "accepted") expect(bytes).toContain(0x78);
      }),
    );
  });
});

describe("opening", () => {
  const target = { host: "127.0.0.1", security: "starttls", tls } as const;

  test("data in clear behind the consent ends it, before any handshake", async () => {
    let handshake = false;
    // The first half of a forged bind response: the encrypted bytes that follow would complete it.
    const forged = Buffer.concat([accepted, Buffer.from("300c0201026107", "hex")]);
    const port = await listen((socket) => {
      socket.once("data", () => {
        socket.write(forged);
        socket.on("data", () => (handshake = true));
      });
    });
    await expect(openLdapConnection({ ...target, port })).rejects.toThrow(/in clear/);
    expect(handshake).toBe(false);
  });

  test("a server that closes, refuses, or says nothing", async () => {
    const closes = await listen((socket) => socket.destroy());
    await expect(openLdapConnection({ ...target, port: closes })).rejects.toThrow(LdapStartTlsError);
    const refuses = await listen((socket) => {
      socket.once("data", () => socket.write(Buffer.from("300c02010178070a013504000400", "hex")));
    });
    await expect(openLdapConnection({ ...target, port: refuses })).rejects.toThrow("result code 53");
    const silent = await listen(() => {});
    await expect(openLdapConnection({ ...target, port: silent })).rejects.toThrow("no answer to StartTLS within 3 s");
    await expect(openLdapConnection({ ...target, security: "ldaps", port: silent })).rejects.toThrow(
      "no TLS handshake within 3 s",
    );
  });

  test("nobody there", async () => {
    const port = await listen(() => {});
    servers.pop()?.close();
    await expect(openLdapConnection({ ...target, port })).rejects.toThrow("ECONNREFUSED");
  });
});

test("a connection that is lost is not opened again by the library", async () => {
  let connections = 0;
  const received: Buffer[] = [];
  const port = await listen((socket) => {
    connections += 1;
    socket.on("data", (bytes: Buffer) => {
      received.push(bytes);
      socket.destroy();
    });
  });
  const session = await ldapNetwork.open({ host: "127.0.0.1", port, security: "none", tls: null });
  await expect(session.bind("uid=a", "first")).rejects.toThrow(LdapError);
  await expect(session.bind("uid=a", "second")).rejects.toThrow("the connection was lost");
  await session.close();
  expect(connections).toBe(1);
  expect(Buffer.concat(received).includes("first")).toBe(true);
  expect(Buffer.concat(received).includes("second")).toBe(false);
});

test("a name that is called like a SASL mechanism is not taken for one", async () => {
  let isAsked = false;
  const port = await listen((socket) => socket.on("data", () => (isAsked = true)));
  const session = await ldapNetwork.open({ host: "127.0.0.1", port, security: "none", tls: null });
  await expect(session.bind("EXTERNAL", "p")).rejects.toMatchObject({ code: 34 });
  expect(isAsked).toBe(false);
  await session.close();
});
