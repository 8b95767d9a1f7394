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

test("a large chunk is used again; a small one, a foreign one and a second return are ignored", () => {
  const chunks = new ChunkMemory();
  const first = chunks.take(60_000);
  chunks.giveBack(first);
  chunks.giveBack(first);
  const second = chunks.take(40_000);
  const third = chunks.take(40_000);
  expect(second.buffer).toBe(first.buffer);
  expect(third.buffer).not.toBe(first.buffer);

  const foreign = Buffer.alloc(64 * 1024);
  chunks.giveBack(foreign);
  expect(chunks.take(64 * 1024).buffer).not.toBe(foreign.buffer);
  const small = chunks.take(100);
  chunks.giveBack(small);
  expect(chunks.take(64 * 1024).buffer).not.toBe(small.buffer);
});
