/** Descriptors in messages of a Unix socket, and sockets that go on under another descriptor, in the runtime of this test. */
import { closeSync, mkdtempSync, openSync, readdirSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DescriptorPassing, Passing } from "../../src/net/descriptor-passing.ts";
import { loadLibc, Libc } from "../../src/net/libc.ts";
import type { Connection, ConnectionEvents } from "../../src/net/transport.ts";
import { createWorld } from "../../src/net/world-of-runtime.ts";
import { waitFor } from "../support/wait-for.ts";

const libc = loadLibc();
const passing = DescriptorPassing.load(libc) as DescriptorPassing;
const world = await createWorld(libc);
const folder = mkdtempSync(join(tmpdir(), "pass-"));
const opened: number[] = [];
const connections: Connection[] = [];

/** What one end of a connection has been told. */
class Ear implements ConnectionEvents {
  text = "";
  closed = false;
  ended = false;
  onOpen(): void {}
  onDrain(): void {}
  onSecure(): void {}
  onData(bytes: Uint8Array): void {
    this.text += Buffer.from(bytes).toString("latin1");
  }
  onEnd(): void {
    this.ended = true;
  }
  onClose(): void {
    this.closed = true;
  }
}

/** The descriptors of this process that stand for the file at `path`. */
function openedAs(path: string): number[] {
  const standsForIt = (fd: string): boolean => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === path;
    } catch {
      return false;
    }
  };
  return readdirSync("/proc/self/fd").filter(standsForIt).map(Number);
}

let serial = 0;
/** Two ends of a Unix socket: one is the transport's and is not read from, one is a bare descriptor. */
async function pair(): Promise<{ held: Connection; bare: number }> {
  const path = join(folder, `pair-${(serial += 1)}`);
  let held: Connection | null = null;
  const listener = await world.transport.listen({ path }, {}, (connection) => {
    held = connection;
    connection.pause();
    return new Ear();
  });
  const bare = passing.connect(path);
  if (bare === null) throw new Error("nobody listens");
  await waitFor("the other end", () => held !== null);
  listener.close();
  opened.push(bare);
  connections.push(held as unknown as Connection);
  return { held: held as unknown as Connection, bare };
}

/** An accepted connection with its events, and its peer with those. */
async function conversation(kind: "tcp" | "unix"): Promise<{
  accepted: Connection;
  ear: Ear;
  peer: Connection;
  peerEar: Ear;
}> {
  const path = join(folder, `talk-${(serial += 1)}`);
  const ear = new Ear();
  const peerEar = new Ear();
  let accepted: Connection | null = null;
  const at = kind === "tcp" ? { host: "127.0.0.1", port: 0 } : { path };
  const listener = await world.transport.listen(at, {}, (connection) => {
    accepted = connection;
    return ear;
  });
  const to = kind === "tcp" ? { host: "127.0.0.1", port: listener.port } : { path };
  const peer = world.transport.connect(to, peerEar);
  await waitFor("the connection", () => accepted !== null);
  listener.close();
  connections.push(peer, accepted as unknown as Connection);
  return { accepted: accepted as unknown as Connection, ear, peer, peerEar };
}

function bytes(text: string): Uint8Array {
  return Buffer.from(text, "latin1");
}

async function receive(fd: number): Promise<{ text: string; descriptors: readonly number[] }> {
  let received = passing.receive(fd);
  await waitFor("a message", () => {
    if (received === Passing.later) received = passing.receive(fd);
    return received !== Passing.later;
  });
  if (typeof received === "string") throw new Error(received);
  opened.push(...received.descriptors);
  return { text: Buffer.from(received.bytes).toString("latin1"), descriptors: received.descriptors };
}

function openDescriptors(): number {
  return readdirSync("/proc/self/fd").length;
}

beforeAll(() => expect(passing).not.toBeNull());

afterAll(() => {
  for (const connection of connections) connection.destroy();
  for (const fd of opened) passing.close(fd);
  rmSync(folder, { recursive: true, force: true });
});

describe("messages with descriptors", () => {
  test("each brings the descriptor that was sent with it", async () => {
    const { held, bare } = await pair();
    const talks = await Promise.all([conversation("tcp"), conversation("unix"), conversation("tcp")]);
    expect(passing.send(held.fd, bytes("nothing with it;"), null)).toBe(16);
    for (const [index, { accepted }] of talks.entries()) {
      expect(passing.send(held.fd, bytes(`row ${index};`), accepted.fd)).toBe(6);
    }
    expect(passing.send(held.fd, bytes("end"), null)).toBe(3);
    const descriptors: number[] = [];
    let text = "";
    while (!text.endsWith("end")) {
      const message = await receive(bare);
      expect(message.descriptors.length).toBeLessThanOrEqual(1);
      descriptors.push(...message.descriptors);
      text += message.text;
      // A message never comes without its descriptor.
      expect(descriptors.length).toBe(text.split("row").length - 1);
    }
    expect(text).toBe("nothing with it;row 0;row 1;row 2;end");
    expect(descriptors).toHaveLength(3);
    for (const [index, fd] of descriptors.entries()) {
      const { accepted, ear, peer } = talks[index] as (typeof talks)[number];
      accepted.pause();
      peer.write(bytes(`to ${index}`));
      let read: Uint8Array | Passing = Passing.later;
      await waitFor("what the peer wrote", () => (read = passing.read(fd, 100)) !== Passing.later);
      expect(Buffer.from(read as unknown as Uint8Array).toString()).toBe(`to ${index}`);
      expect(ear.text).toBe("");
    }
  });

  test("nothing blocks when the other end does not read, and nothing is lost", async () => {
    const { held, bare } = await pair();
    const { accepted } = await conversation("tcp");
    let sent = 0;
    const row = bytes("x".repeat(300));
    for (;;) {
      const result = passing.send(held.fd, row, accepted.fd);
      if (result === Passing.later) break;
      expect(result).toBe(row.length);
      sent += 1;
    }
    expect(sent).toBeGreaterThan(10);
    let length = 0;
    let count = 0;
    while (length < sent * row.length) {
      const received = await receive(bare);
      length += received.text.length;
      count += received.descriptors.length;
      for (const fd of received.descriptors) passing.close(fd);
      opened.length -= received.descriptors.length;
    }
    expect(count).toBe(sent);
    expect(passing.receive(bare)).toBe(Passing.later);
    expect(passing.send(held.fd, row, accepted.fd)).toBe(row.length);
  });

  test("a message longer than the kernel takes at once arrives whole", async () => {
    const { held, bare } = await pair();
    const { accepted } = await conversation("tcp");
    const long = bytes(Array.from({ length: 60_000 }, (_, index) => `${index},`).join(""));
    let at = 0;
    let text = "";
    const descriptors: number[] = [];
    while (text.length < long.length) {
      if (at < long.length) {
        const sent = passing.send(held.fd, long.subarray(at), at === 0 ? accepted.fd : null);
        if (typeof sent === "number") at += sent;
      }
      const received = passing.receive(bare);
      if (typeof received === "string") continue;
      text += Buffer.from(received.bytes).toString("latin1");
      descriptors.push(...received.descriptors);
    }
    opened.push(...descriptors);
    expect(text === Buffer.from(long).toString("latin1")).toBe(true);
    expect(descriptors).toHaveLength(1);
  });

  test("the end of the other side, and a side that is gone, are told apart", async () => {
    const { held, bare } = await pair();
    held.destroy();
    await waitFor("the end", () => passing.receive(bare) === Passing.ended);
    expect(passing.send(bare, bytes("x"), null)).toBe(Passing.failed);
    expect(passing.receive(-1)).toBe(Passing.failed);
    expect(passing.connect(join(folder, "nobody"))).toBeNull();
    expect(DescriptorPassing.load(new Libc(() => null))).toBeNull();
  });

  test("a connection that finds nobody leaves no descriptor open", () => {
    const before = openDescriptors();
    for (let i = 0; i < 200; i++) passing.connect(join(folder, "nobody"));
    // The runtime opens and closes a few of its own meanwhile; each of these would count.
    expect(openDescriptors()).toBeLessThan(before + 100);
  });
});

describe("a socket under another descriptor", () => {
  test.each(["tcp", "unix"] as const)(
    "%s: it goes on where the first one stopped, and no byte is lost",
    async (kind) => {
      const { held, bare } = await pair();
      const { accepted, ear, peer, peerEar } = await conversation(kind);
      peer.write(bytes("before;"));
      await waitFor("the first words", () => ear.text === "before;");
      accepted.pause();
      peer.write(bytes("between;"));
      passing.send(held.fd, bytes("row"), accepted.fd);
      const { descriptors } = await receive(bare);
      opened.length -= 1;
      const next = new Ear();
      const adopted = world.transport.connect({ fd: descriptors[0] as number }, next);
      adopted.pause();
      connections.push(adopted);
      await world.resolve("127.0.0.1");
      expect(next.text).toBe("");
      expect(adopted.remote).toEqual(accepted.remote);
      adopted.resume();
      await waitFor("what was sent between", () => next.text === "between;");
      // The first owner drops its copy: the connection lives on.
      accepted.destroy();
      await waitFor("the close", () => ear.closed);
      peer.write(bytes("after;"));
      await waitFor("what was sent after", () => next.text === "between;after;");
      expect(ear.text).toBe("before;");
      adopted.write(bytes("answer"));
      await waitFor("the answer", () => peerEar.text === "answer");
      expect(peerEar.ended).toBe(false);
      adopted.end();
      await waitFor("the end", () => peerEar.ended);
    },
  );

  test("a listening socket accepts for its new owner", async () => {
    const { held, bare } = await pair();
    const first = await world.transport.listen({ host: "127.0.0.1", port: 0 }, {}, () => new Ear());
    passing.send(held.fd, bytes("row"), first.fd);
    const { descriptors } = await receive(bare);
    const { port } = first;
    first.close();
    const ear = new Ear();
    const second = await world.transport.listen({ fd: descriptors[0] as number }, {}, () => ear);
    opened.length -= 1;
    expect(second.port).toBe(port);
    const peer = world.transport.connect({ host: "127.0.0.1", port }, new Ear());
    connections.push(peer);
    peer.write(bytes("hello"));
    await waitFor("the greeting", () => ear.text === "hello");
    second.close();
  });
});

test("a descriptor is closed", () => {
  const path = join(folder, "closed");
  const file = openSync(path, "w");
  const fd = libc.duplicate(file);
  closeSync(file);
  expect(openedAs(path)).toEqual([fd]);
  passing.close(fd);
  // Not by the number: another thread of the runtime may have been given it already.
  expect(openedAs(path)).toEqual([]);
});
