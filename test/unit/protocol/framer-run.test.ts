/** `advanceRun`: the same frames as one at a time, wherever the stream is cut and whatever the messages are. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { Framer } from "../../../src/protocol/framer.ts";

interface Message {
  readonly type: number;
  readonly size: number;
}

const bytesMax = 1000;

/** All messages in one stream, each body filled with its index. */
function stream(messages: readonly Message[]): Uint8Array {
  const parts = messages.map(({ type, size }, index) => {
    const bytes = new Uint8Array(size + 5).fill(index & 0xff);
    bytes[0] = type;
    new DataView(bytes.buffer).setUint32(1, size + 4);
    return bytes;
  });
  return Buffer.concat(parts);
}

/** What is offered, glued together again, with or without runs. */
function read(bytes: Uint8Array, cuts: readonly number[], runs: boolean): { offered: Buffer; types: number[] } {
  const framer = new Framer();
  const offered: Uint8Array[] = [];
  const types: number[] = [];
  let from = 0;
  for (const to of [...cuts, bytes.length]) {
    framer.push(Uint8Array.from(bytes.subarray(from, to)));
    from = to;
    const memory = framer.buf;
    while (framer.next(bytesMax)) {
      const { at, available, type } = framer;
      if (runs && framer.whole) {
        const end = framer.advanceRun(bytesMax);
        offered.push(memory.subarray(at, end));
      } else {
        framer.advance();
        offered.push(memory.subarray(at, at + available));
      }
      if (types.at(-1) !== type) types.push(type);
    }
  }
  return { offered: Buffer.concat(offered), types };
}

const messages = fc.array(fc.record({ type: fc.constantFrom(0x44, 0x64, 0x5a), size: fc.nat(40) }), { maxLength: 60 });

test("a run skips nothing and doubles nothing", () => {
  fc.assert(
    fc.property(messages, fc.array(fc.nat(3000), { maxLength: 8 }), (wanted, places) => {
      const bytes = stream(wanted);
      const cuts = places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b);
      const result = read(bytes, cuts, true);
      expect(result.offered.equals(bytes)).toBe(true);
      expect(result.types).toEqual(read(bytes, cuts, false).types);
    }),
    { numRuns: 500 },
  );
});

test.each([
  ["too short", [0, 0, 0, 3]],
  ["beyond 31 bits", [0x80, 0, 0, 9]],
  ["longer than allowed", [0, 0, 0x10, 0]],
])("a run ends before a header that is %s, and the header is found broken", (_what, length) => {
  const good = stream([
    { type: 0x44, size: 6 },
    { type: 0x44, size: 7 },
  ]);
  const framer = new Framer();
  framer.push(Uint8Array.from([...good, 0x44, ...length, ...new Uint8Array(5000)]));
  expect(framer.next(bytesMax)).toBe(true);
  expect(framer.advanceRun(bytesMax)).toBe(good.length);
  expect(framer.next(bytesMax)).toBe(false);
  expect(framer.broken).toBe(true);
});
