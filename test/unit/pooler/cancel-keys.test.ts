/** Cancel requests find their client by its key, also when there are more clients than process ids. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Client } from "../../../src/session/client.ts";
import { peerIdOf } from "../../../src/session/peer-key.ts";
import { ConsoleHarness, HARNESS_INI } from "../admin/console-harness.ts";

let harness: ConsoleHarness;

function start(settings: string): void {
  harness = new ConsoleHarness(`${HARNESS_INI}${settings}\n`);
}

beforeEach(() => start("peer_id = 3"));
afterEach(() => harness.pooler.end());

function secretOf(client: Client): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(client.keySecret);
  return bytes;
}

const find = (client: Client): Client | null =>
  harness.pooler.residents.byCancelKey(client.keyProcessId, secretOf(client));

describe("with a peer_id", () => {
  test("all keys name this process", () => {
    for (let count = 0; count < 50; count += 1) expect(peerIdOf(harness.connect().client.keyProcessId)).toBe(3);
  });

  test("clients that share a process id are told apart by their secrets", () => {
    const clients = Array.from({ length: 500 }, () => harness.connect().client);
    // As if the process ids had run out.
    for (const client of clients) {
      harness.pooler.residents.left(client);
      client.keyProcessId = 0;
    }
    const { crypto } = harness.pooler.engine.world;
    const { randomBytes } = crypto;
    crypto.randomBytes = (length) => {
      const bytes = randomBytes.call(crypto, length);
      if (length === 8) bytes.fill(0, 0, 4);
      return bytes;
    };
    for (const client of clients) harness.pooler.residents.loggedIn(client);
    expect(new Set(clients.map(({ keyProcessId }) => keyProcessId)).size).toBe(1);
    expect(new Set(clients.map(({ keySecret }) => keySecret)).size).toBe(500);
    for (const client of clients) expect(find(client)).toBe(client);
    const [first, second] = clients as [Client, Client];
    harness.pooler.residents.left(first);
    expect(find(first)).toBeNull();
    expect(find(second)).toBe(second);
  });

  test("a client's key counts while peer_id is another than at its login", () => {
    const { client } = harness.connect();
    harness.pooler.settings.peerId = 4;
    expect(find(client)).toBe(client);
  });
});

test("without a peer_id every client has a process id of its own", () => {
  harness.pooler.end();
  start("");
  const { crypto } = harness.pooler.engine.world;
  const { randomBytes } = crypto;
  crypto.randomBytes = (length) => (length === 8 ? new Uint8Array(8).fill(0xff) : randomBytes.call(crypto, length));
  const clients = Array.from({ length: 20 }, () => harness.connect().client);
  expect(new Set(clients.map(({ keyProcessId }) => keyProcessId)).size).toBe(20);
  for (const client of clients) expect(client.keyProcessId).toBeGreaterThan(4_194_304);
  for (const client of clients) expect(find(client)).toBe(client);
});
