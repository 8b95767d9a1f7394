/** Rows with descriptors, to a reader that takes its time, that stops, and that goes away. On real sockets. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { DescriptorRows } from "../../../src/admin/descriptor-rows.ts";
import { DescriptorPassing } from "../../../src/net/descriptor-passing.ts";
import { loadLibc } from "../../../src/net/libc.ts";
import { Outbox } from "../../../src/net/outbox.ts";
import type { Connection } from "../../../src/net/transport.ts";
import { Scratch, Turn } from "../../../src/net/turn.ts";
import { createWorld } from "../../../src/net/world-of-runtime.ts";
import type { Client } from "../../../src/session/client.ts";
import { waitFor } from "../../support/wait-for.ts";

const ROWS = 1500;

const libc = loadLibc();
const passing = DescriptorPassing.load(libc) as DescriptorPassing;
const world = await createWorld(libc);
const turn = new Turn(world);
const folder = mkdtempSync(join(tmpdir(), "rows-"));
let serial = 0;

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A client of the console, as far as rows know it, and the other end of its connection. */
async function client(): Promise<{ client: Client; connection: Connection; reader: number }> {
  const path = join(folder, String((serial += 1)));
  let connection: Connection | null = null;
  const listener = await world.transport.listen({ path }, {}, (accepted) => {
    connection = accepted;
    return { onOpen() {}, onData() {}, onDrain() {}, onSecure() {}, onEnd() {}, onClose() {} };
  });
  const reader = passing.connect(path);
  await waitFor("the connection", () => connection);
  listener.close();
  const found = connection as unknown as Connection;
  const outbox = new Outbox(turn, new Scratch(1024), found);
  return { client: { connection: found, outbox } as unknown as Client, connection: found, reader: reader! };
}

function rowsOf(to: Client, fd: number): DescriptorRows {
  const rows = new DescriptorRows(passing, to, world.clock);
  rows.add(Buffer.from("head;"), null);
  for (let i = 0; i < ROWS; i += 1) rows.add(Buffer.from(`row ${i};`.padEnd(200, ".")), () => (i === 7 ? -1 : fd));
  return rows;
}

const openDescriptors = (): number => readdirSync("/proc/self/fd").length;

test("nobody is held up by a reader that is slow, and each row that it reads has its descriptor", async () => {
  const { client: to, connection, reader } = await client();
  const before = openDescriptors();
  const outcomes: boolean[] = [];
  rowsOf(to, connection.fd).send((sent) => outcomes.push(sent));
  // More than the kernel holds: it has come back nevertheless.
  expect(outcomes).toEqual([]);
  let text = "";
  let descriptors = 0;
  await waitFor("all rows", () => {
    for (let i = 0; i < 100; i += 1) {
      const received = passing.receive(reader);
      if (typeof received === "string") break;
      text += Buffer.from(received.bytes).toString();
      descriptors += received.descriptors.length;
      for (const fd of received.descriptors) passing.close(fd);
    }
    return outcomes.length > 0 && descriptors === ROWS - 1;
  });
  expect(outcomes).toEqual([true]);
  // The one whose connection was gone is left out, with its row.
  expect(text.match(/row \d+;/g)?.map((row) => Number(row.slice(4, -1)))).toEqual(
    Array.from({ length: ROWS }, (_, index) => index).filter((index) => index !== 7),
  );
  expect(openDescriptors()).toBeLessThanOrEqual(before);
  connection.destroy();
  passing.close(reader);
});

test("a reader that goes away ends it, and what was on its way is closed", async () => {
  const { client: to, connection, reader } = await client();
  const before = openDescriptors();
  const outcomes: boolean[] = [];
  rowsOf(to, connection.fd).send((sent) => outcomes.push(sent));
  passing.close(reader);
  await waitFor("the end", () => outcomes.length > 0);
  expect(outcomes).toEqual([false]);
  expect(openDescriptors()).toBeLessThan(before);
  connection.destroy();
});

test("nothing is sent any more once it was stopped", async () => {
  const { client: to, connection, reader } = await client();
  const outcomes: boolean[] = [];
  const rows = rowsOf(to, connection.fd);
  rows.send((sent) => outcomes.push(sent));
  rows.stop();
  for (let received = passing.receive(reader); typeof received !== "string"; received = passing.receive(reader)) {
    for (const fd of received.descriptors) passing.close(fd);
  }
  await new Promise<void>((resolve) => {
    world.clock.after(60, () => resolve());
  });
  expect(passing.receive(reader)).toBe("later");
  expect(outcomes).toEqual([]);
  connection.destroy();
  passing.close(reader);
});
