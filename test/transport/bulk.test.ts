/**
 * Connections that bring much rest between reads (`src/net/bulk-pace.ts`): nothing is lost, whoever pauses them has the last
 * word, and those who ask and are answered never rest. And what becomes of the memory that was received. On the transport of the
 * runtime these tests run in.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Rests } from "../../src/net/bulk-pace.ts";
import { BunTransport } from "../../src/net/bun-transport.ts";
import { Libc } from "../../src/net/libc.ts";
import { NodeTransport } from "../../src/net/node-transport.ts";
import type { Transport } from "../../src/net/transport.ts";
import { runtimeName } from "../../src/net/world-of-runtime.ts";
import { createCertificate } from "./certificate.ts";
import type { Recorder } from "./recorder.ts";
import { benches, pattern } from "./subject.ts";

const deadlineMs = 8000;
const quietMs = 40;
const pieceBytes = 8 * 1024;
const bulkBytes = 8 * 1024 * 1024;

/** Ends of rests that are due; the test may keep them back. */
let due: (() => void)[] = [];
let keepsResting = false;
let restCount = 0;

const rests = (): Rests =>
  new Rests((task) => {
    restCount++;
    if (keepsResting) due.push(task);
    else setTimeout(task, 1);
  });

const sleep = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms));

const bench = benches({
  createTransport(): Transport {
    due = [];
    keepsResting = false;
    restCount = 0;
    return runtimeName() === "bun" ? new BunTransport(new Libc(), rests()) : new NodeTransport(rests());
  },
  anywhere: { host: "127.0.0.1", port: 0 },
  async until(condition, what) {
    const deadline = performance.now() + deadlineMs;
    while (!condition()) {
      if (performance.now() > deadline) throw new Error(`waited in vain for ${what}`);
      await sleep(1);
    }
  },
  quiet: () => sleep(quietMs),
});

function endRests(): void {
  for (const task of due.splice(0)) task();
}

/** Writes `bytes` as PostgreSQL does, piece by piece, and lets the world go on in between. Ends early when `stops` says so. */
async function pour(from: Recorder, bytes: Uint8Array, stops: () => boolean = () => false): Promise<number> {
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    if (stops()) return at;
    from.wire.write(bytes.subarray(at, at + pieceBytes));
    await new Promise((resolve) => void setImmediate(resolve));
  }
  return bytes.length;
}

/** Brings `to` to rest, and leaves it so. Returns what was sent. */
async function bringToRest(from: Recorder, to: Recorder): Promise<number> {
  keepsResting = true;
  to.keepBytes = false;
  const sent = await pour(from, new Uint8Array(2 * bulkBytes), () => due.length > 0);
  await bench().until(() => due.length > 0, "a rest");
  return sent;
}

test("a bulk rests, and arrives whole and in order", async () => {
  const { client, server } = await bench().pair();
  const bytes = pattern(bulkBytes);
  await pour(client, bytes);
  await bench().until(() => server.sizeBytes === bytes.length, "all bytes");
  expect(server.bytes.equals(bytes)).toBe(true);
  expect(restCount).toBeGreaterThan(0);
});

test("who asks and is answered does not rest, however much the answers are", async () => {
  const { client, server } = await bench().pair();
  const answer = new Uint8Array(32 * 1024);
  let asked = 0;
  server.whenData = () => void server.wire.write(answer);
  client.keepBytes = false;
  client.whenData = () => {
    if (client.sizeBytes === asked * answer.length && asked < 500) ask();
  };
  const ask = (): void => {
    asked++;
    client.wire.write(Buffer.from("?"));
  };
  ask();
  await bench().until(() => client.sizeBytes === 500 * answer.length, "the answers");
  expect(restCount).toBe(0);
});

test("much that comes in small pieces does not rest", async () => {
  const { client, server } = await bench().pair();
  const piece = new Uint8Array(1000);
  server.keepBytes = false;
  server.whenData = () => {
    if (server.sizeBytes < bulkBytes) client.wire.write(piece);
  };
  client.wire.write(piece);
  await bench().until(() => server.sizeBytes >= bulkBytes, "all pieces");
  expect(restCount).toBe(0);
});

test("one that is paused while it rests is still paused when it has rested", async () => {
  const { client, server } = await bench().pair();
  const sent = await bringToRest(client, server);
  server.wire.pause();
  client.wire.write(new Uint8Array(pieceBytes));
  endRests();
  await bench().quiet();
  expect(server.sizeBytes).toBe(sent);
  server.wire.resume();
  await bench().until(() => server.sizeBytes === sent + pieceBytes, "the rest");
});

test("one that is resumed while it rests goes on resting", async () => {
  const { client, server } = await bench().pair();
  const sent = await bringToRest(client, server);
  server.wire.pause();
  server.wire.resume();
  client.wire.write(new Uint8Array(pieceBytes));
  await bench().quiet();
  expect(server.sizeBytes).toBe(sent);
  endRests();
  await bench().until(() => server.sizeBytes === sent + pieceBytes, "the rest");
});

test("one that rests is destroyed, and hears nothing more", async () => {
  const { client, server } = await bench().pair();
  const sent = await bringToRest(client, server);
  client.wire.write(new Uint8Array(pieceBytes));
  server.wire.destroy();
  endRests();
  await bench().until(() => server.closed, "the close");
  await bench().quiet();
  expect(server.sizeBytes).toBe(sent);
  expect(server.log.filter((event) => event === "close")).toHaveLength(1);
});

test("an end that comes while it rests is told when it has rested", async () => {
  const { client, server } = await bench().pair();
  const sent = await bringToRest(client, server);
  client.wire.write(new Uint8Array(pieceBytes));
  client.wire.end();
  await bench().quiet();
  expect(server.ended).toBe(false);
  keepsResting = false;
  endRests();
  await bench().until(() => server.ended, "the end");
  expect(server.sizeBytes).toBe(sent + pieceBytes);
});

test("what is written to one that rests goes at once", async () => {
  const { client, server } = await bench().pair();
  await bringToRest(client, server);
  server.wire.write(Buffer.from("enough"));
  await bench().until(() => client.text === "enough", "the word");
});

test("nothing rests on a Unix socket", async () => {
  const folder = mkdtempSync(join(tmpdir(), "pgcarpool-bulk-"));
  try {
    const { client, server } = await bench().pair({ path: join(folder, "socket") });
    server.keepBytes = false;
    await pour(client, new Uint8Array(bulkBytes));
    await bench().until(() => server.sizeBytes === bulkBytes, "all bytes");
    expect(restCount).toBe(0);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("nothing rests under TLS", async () => {
  const { client, server } = await bench().pair();
  const own = createCertificate({ commonName: "server" });
  const versions = { minVersion: "TLSv1.2", maxVersion: "TLSv1.3" } as const;
  server.wire.startTls("server", { cert: own.certPem, key: own.keyPem, ...versions });
  client.wire.startTls("client", { serverName: "db.example", ...versions });
  await bench().until(() => client.peer !== null && server.peer !== null, "both handshakes");
  const bytes = pattern(bulkBytes);
  await pour(client, bytes);
  await bench().until(() => server.sizeBytes === bytes.length, "all bytes");
  expect(server.bytes.equals(bytes)).toBe(true);
  expect(restCount).toBe(0);
});

test("memory that came from elsewhere is not freed, and not handed out", async () => {
  const { client, server } = await bench().pair();
  const kept = pattern(64 * 1024);
  const own = new Uint8Array(kept);
  bench().transport.reuse?.(own);
  client.wire.write(new Uint8Array(bulkBytes));
  await bench().until(() => server.sizeBytes === bulkBytes, "all bytes");
  expect(kept.equals(own)).toBe(true);
});

test("a long chunk that is given back is freed or used again, and a part of one is not", async () => {
  const { client, server } = await bench().pair();
  const { transport } = bench();
  const bytes = pattern(bulkBytes);
  const long = (chunk: Uint8Array): boolean => chunk.length >= 16 * 1024;
  client.wire.write(bytes);
  await bench().until(() => server.sizeBytes === bytes.length, "all bytes");
  const chunks = server.chunks.filter(long);
  for (const chunk of chunks) transport.reuse?.(chunk.subarray(1));
  expect(server.bytes.equals(bytes)).toBe(true);

  for (const chunk of chunks) transport.reuse?.(chunk);
  if (runtimeName() === "bun") {
    expect(chunks.map(({ length }) => length)).toEqual(chunks.map(() => 0));
  } else {
    const known = new Set(chunks.map(({ buffer }) => buffer));
    server.chunks.length = 0;
    client.wire.write(bytes);
    await bench().until(() => server.sizeBytes === 2 * bytes.length, "all bytes again");
    expect(server.chunks.filter(long).some(({ buffer }) => known.has(buffer))).toBe(true);
    expect(server.bytes.equals(bytes)).toBe(true);
  }
  expect(chunks.length).toBeGreaterThan(0);
});
