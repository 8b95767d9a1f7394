/**
 * What walking the headers costs: MB and messages per second, on the runtime that runs this file.
 *
 *     node bench/micro/framer.ts        bun bench/micro/framer.ts
 *
 * Streams of DataRow (100 bytes of content) in chunks of 64 KiB as sockets give them, the messages cut where the chunks
 * end; then the messages of a short query, one answer a chunk. Best of several rounds: the machine is shared.
 */

import { Framer } from "../../src/protocol/framer.ts";

const CHUNK_BYTES = 65_536;
const ROUNDS = 7;
const ROUND_MS = 250;

function message(type: number, contentBytes: number): Uint8Array {
  const bytes = new Uint8Array(5 + contentBytes);
  bytes[0] = type;
  new DataView(bytes.buffer).setUint32(1, 4 + contentBytes);
  return bytes;
}

function repeat(unit: Uint8Array, times: number): Uint8Array {
  const bytes = new Uint8Array(unit.length * times);
  for (let i = 0; i < times; i++) bytes.set(unit, i * unit.length);
  return bytes;
}

/** Views, as chunks of a socket are: the framer must not care. */
function chunksOf(stream: Uint8Array, chunkBytes: number): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < stream.length; at += chunkBytes) chunks.push(stream.subarray(at, at + chunkBytes));
  return chunks;
}

/** Walks all chunks once; everything is streamed on, as by a link. The sum keeps the work from being optimised away. */
function walk(chunks: readonly Uint8Array[], framer: Framer): number {
  let seen = 0;
  for (const chunk of chunks) {
    framer.push(chunk);
    while (framer.next(0x7fffffff)) {
      if (!framer.continues) seen += 1;
      framer.advance();
    }
  }
  return seen;
}

function measure(name: string, chunks: readonly Uint8Array[]): void {
  const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  const framer = new Framer();
  let best = 0;
  let messages = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now();
    let walks = 0;
    let elapsedMs = 0;
    while (elapsedMs < ROUND_MS) {
      messages = walk(chunks, framer);
      walks += 1;
      elapsedMs = performance.now() - start;
    }
    best = Math.max(best, (walks / elapsedMs) * 1000);
  }
  const mbPerSecond = (best * bytes) / 1e6;
  const millionsPerSecond = (best * messages) / 1e6;
  console.log(
    `${name.padEnd(34)} ${mbPerSecond.toFixed(0).padStart(8)} MB/s ${millionsPerSecond.toFixed(1).padStart(8)} M messages/s`,
  );
}

const runtime = process.versions.bun === undefined ? `Node ${process.versions.node}` : `Bun ${process.versions.bun}`;
console.log(runtime);

const dataRows = repeat(message(0x44, 100), 80_000);
measure("DataRow of 100 bytes, 64 KiB chunks", chunksOf(dataRows, CHUNK_BYTES));
measure("DataRow of 100 bytes, 1500 B chunks", chunksOf(dataRows, 1500));
measure("CopyData of 8 KB, 64 KiB chunks", chunksOf(repeat(message(0x64, 8192), 1000), CHUNK_BYTES));

const answer = new Uint8Array([
  ...message(0x32, 0),
  ...message(0x54, 30),
  ...message(0x44, 12),
  ...message(0x43, 9),
  ...message(0x5a, 1),
]);
measure(
  "answer to a short query, one a chunk",
  Array.from({ length: 20_000 }, () => answer),
);
