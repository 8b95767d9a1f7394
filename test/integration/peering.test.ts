/**
 * Peering: poolers that share a port pass cancel requests on to the one whose client they are for.
 *
 * With PGCARPOOL_PGBOUNCER (the path of a PgBouncer with peering, 1.19 or newer) the group is also a mixed one.
 */
import { type Server, type Socket, connect as connectSocket, createServer } from "node:net";
import type { Client } from "pg";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { findFreePort } from "../../src/demo/free-port.ts";
import { Bouncer, type BouncerOptions, type ConsoleRow } from "../support/bouncer.ts";
import { waitFor } from "../support/wait-for.ts";
import { int32 } from "../support/wire-client.ts";
import { Backends } from "./backends.ts";

const pgbouncer = process.env["PGCARPOOL_PGBOUNCER"];
const cancelled = "57014 canceling statement due to user request";

let cluster: EmbeddedPostgres;
let backends: Backends;

beforeAll(async () => {
  cluster = await EmbeddedPostgres.start();
  backends = await Backends.watch(cluster);
});

afterAll(async () => {
  await backends?.end();
  await cluster?.stop();
});

// ── Keys and requests ─────────────────────────────────────────────────────────────────────────────────────────────────

/** The eight bytes of a client's key. */
function keyOf(client: Client): Buffer {
  const { processID, secretKey } = client as unknown as { processID: number; secretKey: number };
  return Buffer.concat([int32(processID), int32(secretKey)]);
}

const peerIdOf = (key: Buffer): number => key.readUInt16LE(1);

function withPasses(key: Buffer, passes: number): Buffer {
  const changed = Buffer.from(key);
  changed[7] = (changed[7]! & 0xfc) | passes;
  return changed;
}

function withPeer(key: Buffer, id: number): Buffer {
  const changed = Buffer.from(key);
  changed.writeUInt16LE(id, 1);
  return changed;
}

type Entrance = { readonly port: number } | { readonly path: string };

const socketOf = (bouncer: Bouncer): Entrance => ({ path: `${bouncer.folder}/.s.PGSQL.${bouncer.port}` });

/** Sends a cancel request and resolves when the pooler has closed its connection. */
function cancel(key: Buffer, at: Entrance): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = "port" in at ? connectSocket(at.port, "127.0.0.1") : connectSocket(at.path);
    socket.on("data", () => reject(new Error("a cancel request is not answered")));
    socket.on("error", reject);
    socket.on("close", () => resolve());
    socket.write(Buffer.concat([int32(16), int32(80877102), key]));
  });
}

let marks = 0;

/** What a long query of `client` ends with when `request` is made while it runs. */
async function outcomeOf(client: Client, request: (key: Buffer) => Promise<void>): Promise<string> {
  marks += 1;
  const running = client.query(`select 'peering ${marks}.', pg_sleep(15)`).then(
    () => "not cancelled",
    ({ code, message }: { code: string; message: string }) => `${code} ${message}`,
  );
  await backends.waitForQuery(`peering ${marks}.`);
  await request(keyOf(client));
  return running;
}

// ── Groups ────────────────────────────────────────────────────────────────────────────────────────────────────────────

function configuration(id: number, port: number, more: BouncerOptions = {}): BouncerOptions {
  return {
    databases: { main: `host=${cluster.host} port=${cluster.port} dbname=postgres` },
    userlist: { postgres: "" },
    port,
    ...more,
    settings: { pool_mode: "transaction", so_reuseport: 1, peer_id: id, ...more.settings },
  };
}

/** Poolers with the ids 1, 2, … on one port, each knowing the others by their Unix sockets. */
async function startGroup(executables: readonly (string | undefined)[], own: boolean): Promise<Bouncer[]> {
  const port = await findFreePort();
  const group: Bouncer[] = [];
  try {
    for (const [index, executable] of executables.entries()) {
      const more = executable === undefined ? {} : { executable };
      group.push(await Bouncer.start(configuration(index + 1, port, more)));
    }
    const entries = group.map(({ folder }, index) => [String(index + 1), `host=${folder} port=${port}`] as const);
    for (const [index, bouncer] of group.entries())
      await bouncer.reload({ peers: Object.fromEntries(entries.filter((_entry, other) => own || other !== index)) });
    return group;
  } catch (error) {
    await Promise.all(group.map((bouncer) => bouncer.stop()));
    throw error;
  }
}

/** A client of `bouncer`, whichever of the group the port would lead to. */
const clientOf = (bouncer: Bouncer): Promise<Client> => bouncer.connect({ host: bouncer.folder, database: "main" });

const groups: readonly (readonly [name: string, executables: readonly (string | undefined)[], skip: boolean])[] = [
  ["three poolers", [undefined, undefined, undefined], false],
  ["two poolers and a PgBouncer (PGCARPOOL_PGBOUNCER)", [undefined, undefined, pgbouncer], pgbouncer === undefined],
];

for (const [name, executables, skip] of groups) {
  describe.skipIf(skip)(`${name} on one port`, () => {
    let group: Bouncer[] = [];

    beforeAll(async () => {
      group = await startGroup(executables, true);
    });

    afterAll(() => Promise.all(group.map((bouncer) => bouncer.stop())));

    test("clients' keys name the process that they belong to", async () => {
      for (const [index, bouncer] of group.entries()) {
        const client = await clientOf(bouncer);
        expect(peerIdOf(keyOf(client))).toBe(index + 1);
        expect(keyOf(client)[7]! & 3).toBe(3);
        expect(keyOf(client)[0]! & 0x80).toBe(0);
        await client.end();
      }
    });

    test("a request reaches each one's clients from each other one, and over the port wherever it lands", async () => {
      for (const holder of group) {
        const client = await clientOf(holder);
        for (const entrance of group)
          expect(await outcomeOf(client, (key) => cancel(key, socketOf(entrance)))).toBe(cancelled);
        for (let round = 0; round < 4; round += 1)
          expect(await outcomeOf(client, (key) => cancel(key, { port: holder.port }))).toBe(cancelled);
        expect((await client.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
        await client.end();
      }
      const [first] = group;
      expect((await first!.admin("SHOW PEER_POOLS")).map((row) => row["peer_id"])).toEqual([2, 3]);
    });

    test("a request that was passed on as often as it may be is dropped, and one for the own client is not", async () => {
      const [first, second] = group as [Bouncer, Bouncer];
      const client = await clientOf(first);
      const running = client.query("select 'spared', pg_sleep(0.6)");
      await backends.waitForQuery("spared");
      await cancel(withPasses(keyOf(client), 0), socketOf(second));
      await cancel(withPeer(keyOf(client), 77), socketOf(first));
      expect((await running).rowCount).toBe(1);
      expect(second.log()).toContain("failed to forward cancel request because its TTL was exhausted");
      expect(first.log()).toContain("could not find peer to forward request to");
      // The last pooler of the way gets the key with no pass left.
      expect(await outcomeOf(client, (key) => cancel(withPasses(key, 0), socketOf(first)))).toBe(cancelled);
      await client.end();
    });

    test("one that is shutting down accepts nothing more on the port, and its clients can be cancelled to the end", async () => {
      const [leaving, other] = group as [Bouncer, Bouncer];
      const client = await clientOf(leaving);
      await client.query("select 1");
      await leaving.admin("SHUTDOWN WAIT_FOR_CLIENTS");
      for (let round = 0; round < 5; round += 1) {
        const newcomer = await other.connect({ database: "main" });
        expect(peerIdOf(keyOf(newcomer))).not.toBe(1);
        await newcomer.end();
      }
      expect(await outcomeOf(client, (key) => cancel(key, { port: other.port }))).toBe(cancelled);
      expect((await client.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
      await client.end();
      expect(await leaving.exited).toEqual({ status: 0, signal: null });
      // Its place is taken again.
      await leaving.startAgain();
      const next = await clientOf(leaving);
      expect(await outcomeOf(next, (key) => cancel(key, socketOf(other)))).toBe(cancelled);
      await next.end();
    });
  });
}

// ── A peer that does what the test says ───────────────────────────────────────────────────────────────────────────────

interface ScriptedPeer {
  readonly server: Server;
  readonly port: number;
  readonly sockets: Socket[];
  readonly packets: Buffer[];
}

/** Keeps whatever it gets, and closes when the test does. */
async function scriptedPeer(): Promise<ScriptedPeer> {
  const sockets: Socket[] = [];
  const packets: Buffer[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.push(socket);
    socket.on("error", () => undefined);
    socket.on("data", (bytes) => packets.push(bytes));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { server, port: (server.address() as { port: number }).port, sockets, packets };
}

describe("a peer", () => {
  let bouncer: Bouncer;
  let peer: ScriptedPeer;
  const key = withPeer(Buffer.from("4100000011223347", "hex"), 9);

  async function start(entry: string, settings: Readonly<Record<string, string | number>> = {}): Promise<void> {
    peer = await scriptedPeer();
    const peers = { "9": `host=127.0.0.1 port=${peer.port} ${entry}` };
    bouncer = await Bouncer.start(configuration(4, await findFreePort(), { peers, settings }));
  }

  afterEach(async () => {
    for (const socket of peer.sockets) socket.destroy();
    peer.server.close();
    await bouncer.stop();
  });

  const peerPool = async (): Promise<ConsoleRow | undefined> => (await bouncer.admin("SHOW PEER_POOLS"))[0];

  test("gets the key with one pass less, and the sender waits until the peer has closed", async () => {
    await start("");
    let isOver = false;
    const request = cancel(key, { port: bouncer.port }).then(() => (isOver = true));
    await waitFor("the request", () => peer.packets.length === 1);
    expect(peer.packets[0]?.toString("hex")).toBe(`0000001004d2162e${withPasses(key, 2).toString("hex")}`);
    expect(await peerPool()).toEqual({
      peer_id: 9,
      cl_active_cancel_req: 1,
      cl_waiting_cancel_req: 0,
      sv_active_cancel: 1,
      sv_login: 0,
    });
    const clients = await bouncer.admin("SHOW CLIENTS");
    expect(clients.filter(({ state }) => state === "active_cancel_req")).toMatchObject([
      { type: "C", user: "(nouser)", database: "(nodb)" },
    ]);
    expect(isOver).toBe(false);
    peer.sockets[0]?.end();
    await request;
    expect(await peerPool()).toMatchObject({ cl_active_cancel_req: 0, sv_active_cancel: 0 });
    const line = (kind: string): RegExp =>
      new RegExp(`${kind}-0x[0-9a-f]+: peer-9@127\\.0\\.0\\.1:\\d+ closing because: successfully sent cancel request`);
    expect(bouncer.log()).toMatch(line("S"));
    expect(bouncer.log()).toMatch(line("C"));
    expect(bouncer.log()).toMatch(
      /S-0x[0-9a-f]+: peer-9@127\.0\.0\.1:\d+ new connection to server \(from 127\.0\.0\.1:\d+\)/,
    );
  });

  test("has at most pool_size requests at a time; the next goes when one has ended", async () => {
    await start("pool_size=2");
    const requests = [1, 2, 3].map(() => cancel(key, { port: bouncer.port }));
    await waitFor("two requests", () => peer.packets.length === 2);
    await waitFor("the third to wait", async () => (await peerPool())?.["cl_waiting_cancel_req"] === 1);
    expect(await peerPool()).toMatchObject({ cl_active_cancel_req: 2, sv_active_cancel: 2, sv_login: 0 });
    const states = (await bouncer.admin("SHOW CLIENTS")).map(({ state }) => state);
    expect(states.filter((state) => state === "waiting_cancel_req")).toHaveLength(1);
    expect(peer.packets).toHaveLength(2);
    peer.sockets[0]?.end();
    await waitFor("the third request", () => peer.packets.length === 3);
    for (const socket of peer.sockets) socket.end();
    await Promise.all(requests);
  });

  test("a request that gets no turn within cancel_wait_timeout is dropped, one whose sender has gone too", async () => {
    await start("pool_size=1", { cancel_wait_timeout: 1 });
    const first = cancel(key, { port: bouncer.port });
    await waitFor("the first request", () => peer.packets.length === 1);
    const gone = connectSocket(bouncer.port, "127.0.0.1");
    gone.write(Buffer.concat([int32(16), int32(80877102), key]));
    await waitFor("the second to wait", async () => (await peerPool())?.["cl_waiting_cancel_req"] === 1);
    gone.resetAndDestroy();
    await waitFor("the second to be gone", async () => (await peerPool())?.["cl_waiting_cancel_req"] === 0);
    await cancel(key, { port: bouncer.port });
    await bouncer.waitForLog(/C-0x[0-9a-f]+: peer-9@[^ ]+ closing because: cancel_wait_timeout/);
    // The one that was sent is waited for.
    expect(await peerPool()).toMatchObject({ cl_active_cancel_req: 1, cl_waiting_cancel_req: 0 });
    peer.sockets[0]?.end();
    await first;
    expect(peer.packets).toHaveLength(1);
  });

  test("that is not there ends the request, and its name may be one that DNS knows", async () => {
    await start("");
    peer.server.close();
    await cancel(key, { port: bouncer.port });
    expect(bouncer.log()).toMatch(/peer-9@127\.0\.0\.1:\d+ closing because: connect failed/);
    await bouncer.reload({ peers: { "9": `host=localhost port=${peer.port}` } });
    await cancel(key, { port: bouncer.port });
    expect(bouncer.log()).toMatch(/peer-9@localhost:\d+ closing because: connect failed/);
    expect(await peerPool()).toMatchObject({ cl_active_cancel_req: 0, cl_waiting_cancel_req: 0, sv_login: 0 });
  });

  test("can be added, moved and removed by a reload; requests to one that was removed end", async () => {
    await start("");
    const request = cancel(key, { port: bouncer.port });
    await waitFor("the request", () => peer.packets.length === 1);
    const other = await scriptedPeer();
    await bouncer.reload({ peers: { "9": `host=127.0.0.1 port=${other.port}`, "10": "host=/nowhere" } });
    expect(await bouncer.admin("SHOW PEERS")).toEqual([
      { peer_id: 9, host: "127.0.0.1", port: other.port, pool_size: 20 },
      { peer_id: 10, host: "/nowhere", port: 6432, pool_size: 20 },
    ]);
    const second = cancel(key, { port: bouncer.port });
    await waitFor("the second request", () => other.packets.length === 1);
    await bouncer.reload({ peers: {} });
    await Promise.all([request, second]);
    expect(bouncer.logCount(/S-0x[0-9a-f]+: peer-9@[^ ]+ closing because: peer removed/)).toBe(2);
    expect(await bouncer.admin("SHOW PEER_POOLS")).toEqual([]);
    const lists = Object.fromEntries((await bouncer.admin("SHOW LISTS")).map(({ list, items }) => [list, items]));
    expect(lists).toMatchObject({ peers: 0, peer_pools: 0 });
    await cancel(key, { port: bouncer.port });
    expect(bouncer.log()).toContain("could not find peer to forward request to");
    for (const socket of other.sockets) socket.destroy();
    other.server.close();
  });
});
