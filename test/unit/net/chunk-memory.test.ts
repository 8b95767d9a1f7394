/** Chunks: never lent twice at a time, never taken back from somebody who did not have one. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { ChunkMemory } from "../../../src/net/chunk-memory.ts";

test("memory is exactly as long as asked for, and no two that are out share any", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 1, max: 64 * 1024 }), fc.boolean()), { maxLength: 60 }),
      (steps) => {
        const chunks = new ChunkMemory();
        const out: { memory: Buffer; mark: number }[] = [];
        for (const [index, [bytes, givesBack]] of steps.entries()) {
          const memory = chunks.take(bytes);
          expect(memory.length).toBe(bytes);
          memory.fill(index & 0xff);
          out.push({ memory, mark: index & 0xff });
          if (givesBack) chunks.giveBack((out.shift() as { memory: Buffer }).memory);
          for (const { memory: held, mark } of out) expect(held.every((byte) => byte === mark)).toBe(true);
        }
      },
    ),
    { numRuns: 60 },
  );
});

test.each([4096, 4097, 8192, 30_000, 65_536])("a chunk of %i bytes is used again for others of its size", (bytes) => {
  const chunks = new ChunkMemory();
  const first = chunks.take(bytes);
  chunks.giveBack(first);
  chunks.giveBack(first);
  const second = chunks.take(bytes);
  const third = chunks.take(bytes);
  expect(second.buffer).toBe(first.buffer);
  expect(third.buffer).not.toBe(first.buffer);
  expect(second.buffer.byteLength).toBeLessThan(2 * bytes);
});

test("a part of a chunk, a small piece and a foreign one are ignored", () => {
  const chunks = new ChunkMemory();
  const whole = chunks.take(60_000);
  chunks.giveBack(whole.subarray(0, 59_999));
  chunks.giveBack(whole.subarray(1));
  expect(chunks.take(60_000).buffer).not.toBe(whole.buffer);

  for (const other of [Buffer.alloc(64 * 1024), Buffer.alloc(4096), chunks.take(100)]) {
    chunks.giveBack(other);
    expect(chunks.take(64 * 1024).buffer).not.toBe(other.buffer);
    expect(chunks.take(4096).buffer).not.toBe(other.buffer);
  }
});
