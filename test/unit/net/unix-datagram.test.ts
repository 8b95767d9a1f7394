/** Datagrams over Unix sockets: by path and by abstract name, to nobody, to somebody who does not read, started anew. */
import { mkdtempSync, rmSync, unlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Libc, loadLibc } from "../../../src/net/libc.ts";
import { UnixDatagram } from "../../../src/net/unix-datagram.ts";

const libc = loadLibc();
const bytes = (text: string): Uint8Array => Buffer.from(text);
const text = (message: Uint8Array | null): string | null => (message === null ? null : Buffer.from(message).toString());

let folder: string;
let sender: UnixDatagram;
const open: UnixDatagram[] = [];

function receiver(address: string): UnixDatagram {
  const socket = UnixDatagram.open(libc, address);
  if (socket === null) throw new Error(`cannot receive at ${address}`);
  open.push(socket);
  return socket;
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "dgram-"));
  const socket = UnixDatagram.open(libc);
  if (socket === null) throw new Error("no datagrams here");
  sender = socket;
  open.push(socket);
});
afterEach(() => {
  for (const socket of open.splice(0)) socket.close();
  rmSync(folder, { recursive: true });
});

describe("a message", () => {
  test.each([
    ["by path", () => join(folder, "socket")],
    ["by abstract name", () => `@pgcarpool-test-${process.pid}`],
    ["to the longest path", () => join(folder, "x".repeat(106 - folder.length))],
  ])("%s arrives whole, and one is one", (_name, where) => {
    const address = where();
    const to = receiver(address);
    expect(to.receive()).toBeNull();
    expect(sender.send(address, bytes("one ä"))).toBe(true);
    expect(sender.send(address, bytes("two\nlines"))).toBe(true);
    expect(sender.send(address, bytes(""))).toBe(true);
    expect([to.receive(), to.receive(), to.receive(), to.receive()].map(text)).toEqual([
      "one ä",
      "two\nlines",
      "",
      null,
    ]);
  });

  test("an abstract name ends where it ends: a longer one is another", () => {
    const to = receiver(`@pgcarpool-end-${process.pid}`);
    expect(sender.send(`@pgcarpool-end-${process.pid}x`, bytes("lost"))).toBe(false);
    expect(sender.send(`@pgcarpool-end-${process.pid}`, bytes("found"))).toBe(true);
    expect(text(to.receive())).toBe("found");
  });

  test.each(["", "@", "/", "relative", "vsock:2:9999", "/with\0nul", `/${"x".repeat(107)}`])(
    "to %j goes nowhere, and nothing is thrown",
    (address) => {
      expect(sender.send(address, bytes("lost"))).toBe(false);
      expect(UnixDatagram.open(libc, address)).toBeNull();
    },
  );

  test("to somebody who does not read is lost when the queue is full, at once", () => {
    const address = join(folder, "socket");
    const to = receiver(address);
    let sent = 0;
    while (sent < 100_000 && sender.send(address, bytes(`message ${sent}`))) sent++;
    expect(sent).toBeGreaterThan(0);
    expect(sent).toBeLessThan(100_000);
    expect(text(to.receive())).toBe("message 0");
    expect(sender.send(address, bytes("again"))).toBe(true);
  });

  test("finds a receiver that was away, and one that was started anew", () => {
    const address = join(folder, "socket");
    expect(sender.send(address, bytes("too early"))).toBe(false);
    const first = receiver(address);
    expect(sender.send(address, bytes("1"))).toBe(true);
    expect(text(first.receive())).toBe("1");
    first.close();
    expect(sender.send(address, bytes("lost"))).toBe(false);
    unlinkSync(address);
    const second = receiver(address);
    expect(sender.send(address, bytes("2"))).toBe(true);
    expect(text(second.receive())).toBe("2");
  });

  test("larger than a datagram may be is lost", () => {
    const address = join(folder, "socket");
    receiver(address);
    expect(sender.send(address, new Uint8Array(64 * 1024 * 1024))).toBe(false);
  });
});

test("an address that is taken cannot be had", () => {
  const address = join(folder, "socket");
  receiver(address);
  expect(UnixDatagram.open(libc, address)).toBeNull();
});

test("a closed socket sends and receives nothing", () => {
  const address = join(folder, "socket");
  const to = receiver(address);
  sender.close();
  sender.close();
  expect(sender.send(address, bytes("lost"))).toBe(false);
  to.close();
  expect(to.receive()).toBeNull();
});

test("without libc there are no datagrams", () => {
  expect(UnixDatagram.open(new Libc(() => null))).toBeNull();
});
