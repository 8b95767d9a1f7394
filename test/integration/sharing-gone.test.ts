/** Clients that go while their statements wait for, or are on, a server with others': nobody else is disturbed. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { waitFor } from "../support/wait-for.ts";
import { terminate, type WireClient } from "../support/wire-client.ts";
import { answersOf, names, said, saying, sayingUnlocked, SharingStage } from "./sharing-stage.ts";

let stage: SharingStage;

beforeAll(async () => {
  stage = await SharingStage.start({ pooler: { settings: { sharing_short_time: 60_000 } } });
  await stage.warm();
});

afterEach(() => stage.clear());

afterAll(async () => {
  await stage?.stop();
});

interface Leaving {
  readonly how: string;
  readonly leave: (client: WireClient) => void;
  /** The pooler closes it at once. Who has only ended his half may still want the answer. */
  readonly isSeen: boolean;
}

const ways: readonly Leaving[] = [
  { how: "without a word", leave: (client) => client.destroy(), isSeen: false },
  { how: "with a goodbye", leave: (client) => client.socket.end(terminate()), isSeen: false },
  { how: "with a reset", leave: (client) => client.socket.resetAndDestroy(), isSeen: true },
];

const clientCount = async (): Promise<number> =>
  (await stage.bouncer.admin("SHOW CLIENTS")).filter((row) => row["database"] === "shared").length;

describe.each(ways)("a client that goes $how", ({ leave, isSeen }) => {
  test("while it waits in the queue", async () => {
    const clients = await stage.logins(4);
    const texts = names(4);
    const [holder] = await stage.holdServers();
    await stage.queue(clients, (number) => [saying(texts[number]!)]);
    const [goer] = clients.splice(1, 1);
    texts.splice(1, 1);
    leave(goer!);
    if (isSeen) await waitFor("its end", async () => (await clientCount()) === 4);
    await holder!.release();
    expect(await answersOf(clients)).toEqual(texts.map(said));
    expect(holder!.server.deepest).toBeGreaterThanOrEqual(3);
  });

  test.each([0, 1, 3])("as number %i of a trip, before anything was answered", async (which) => {
    const clients = await stage.logins(4);
    const texts = names(4);
    const server = await stage.board(clients, (number) => [saying(texts[number]!)]);
    const [goer] = clients.splice(which, 1);
    texts.splice(which, 1);
    leave(goer!);
    if (isSeen) await waitFor("its end", async () => (await clientCount()) === 3);
    server.flow();
    expect(await answersOf(clients)).toEqual(texts.map(said));
    expect(server.isOpen).toBe(true);
    await waitFor("a free server", async () => (await stage.pool())["sv_idle"] === 1);
  });

  test.each([3, 20, 36, 60, 70])("as the head, of whose answer %i bytes have come", async (bytes) => {
    const clients = await stage.logins(4);
    const texts = names(4);
    const server = await stage.board(clients, (number) => [saying(texts[number]!)]);
    await waitFor("all answers", () => server.heldUnits === 4);
    server.pass(bytes);
    const [goer] = clients.splice(0, 1);
    texts.splice(0, 1);
    leave(goer!);
    if (isSeen) await waitFor("its end", async () => (await clientCount()) === 3);
    server.flow();
    expect(await answersOf(clients)).toEqual(texts.map(said));
    expect(server.isOpen).toBe(true);
  });
});

test("all of a trip go: the server is used again", async () => {
  const clients = await stage.logins(6);
  const server = await stage.board(clients, (number) => [saying(`client ${number}`)]);
  for (const client of clients) client.socket.resetAndDestroy();
  await waitFor("their end", async () => (await clientCount()) === 0);
  server.flow();
  const next = await stage.login();
  next.send(saying("next"));
  expect(await answersOf([next])).toEqual([said("next")]);
  expect(server.sent.at(-1)).toBe("select 'next'");
});

test("a head that nobody wants is cancelled when it takes too long, and those behind it go on", async () => {
  await stage.bouncer.admin("SET sharing_short_time = 100");
  try {
    await stage.lockTable();
    const clients = await stage.logins(3);
    const texts = names(3);
    const [holder] = await stage.holdServers();
    const { cancels } = stage.tap;
    await stage.queue(clients, (number) => [number === 0 ? sayingUnlocked("gone") : saying(texts[number]!)]);
    await holder!.release();
    clients.shift()!.socket.resetAndDestroy();
    texts.shift();
    expect(await answersOf(clients)).toEqual(texts.map(said));
    // The lock has not been given back: it is the request that has ended the head.
    expect(stage.tap.cancels).toBe(cancels + 1);
    expect(holder!.server.isOpen).toBe(true);
  } finally {
    await stage.bouncer.admin("SET sharing_short_time = 60000");
  }
});

test("KILL_CLIENT of a rider and of the head", async () => {
  const clients = await stage.logins(4);
  const texts = names(4);
  const unlock = await stage.lockTable();
  const server = await stage.board(clients, (number) => [sayingUnlocked(texts[number]!)]);
  const ids = (await stage.bouncer.admin("SHOW CLIENTS"))
    .filter((row) => row["database"] === "shared")
    .map((row) => ({ id: row["id"], port: row["port"] }));
  const kill = async (client: WireClient): Promise<void> => {
    const found = ids.find(({ port }) => port === client.socket.localPort);
    await stage.bouncer.admin(`KILL_CLIENT ${found!.id}`);
  };
  await kill(clients[0]!);
  await kill(clients[2]!);
  await unlock();
  server.flow();
  const [head, first, second, third] = await answersOf(clients);
  expect([head!.code, second!.code]).toEqual(["57P01", "57P01"]);
  expect([first, third]).toEqual([said(texts[1]!), said(texts[3]!)]);
  expect(server.isOpen).toBe(true);
});
