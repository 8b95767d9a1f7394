/** Laws of the framer: however a stream is cut and whatever is held or streamed, the same messages come out. */

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Framer, HEADER_BYTES } from "../../../src/protocol/framer.ts";

const MAX = 0x7fffffff;

interface Frame {
  readonly type: number;
  readonly bytes: Uint8Array;
}

function message(type: number, content: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + content.length);
  bytes[0] = type;
  new DataView(bytes.buffer).setUint32(1, content.length + 4);
  bytes.set(content, HEADER_BYTES);
  return bytes;
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

function cut(stream: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  let at = 0;
  for (let i = 0; at < stream.length; i++) {
    const size = Math.max(1, sizes[i % sizes.length] ?? 1);
    // A copy: chunks come from the network in memory of their own.
    chunks.push(stream.slice(at, at + size));
    at += size;
  }
  return chunks;
}

interface Policy {
  /** Messages up to this size are held, larger ones streamed. */
  readonly holdBytesMax: number;
  /** Ends the holding when this many chunks have come while a message was held; 0 is never. */
  readonly unholdAfter: number;
  /** Leaves the loop without advancing at every n-th offer, as a client that waits does; 0 is never. */
  readonly waitEach: number;
}

/** Plays the caller: puts every offered byte into frames, and checks what must hold at each offer. */
function drive(chunks: readonly Uint8Array[], policy: Policy): { frames: Frame[]; framer: Framer } {
  const framer = new Framer();
  const frames: Frame[] = [];
  let open: { type: number; parts: Uint8Array[]; missing: number } | null = null;
  let heldFor = 0;
  let unheld = false;
  let offers = 0;

  const turn = () => {
    while (framer.next(MAX)) {
      offers++;
      expect(framer.at).toBeLessThanOrEqual(framer.end);
      expect(framer.available).toBeLessThanOrEqual(framer.size);
      expect(framer.available).toBeGreaterThan(0);
      expect(framer.at + framer.available).toBeLessThanOrEqual(framer.end);
      expect(framer.last).toBe(framer.available === framer.size);
      if (policy.waitEach > 0 && offers % policy.waitEach === 0) return;
      if (!framer.continues && !framer.whole && framer.size <= policy.holdBytesMax && !unheld) {
        framer.hold();
        continue;
      }
      const piece = framer.buf.slice(framer.at, framer.at + framer.available);
      if (framer.continues) {
        if (open === null) throw new Error("a piece of a message that was not begun");
        if (framer.type !== open.type) throw new Error("a piece with another type than its message");
        if (framer.size !== open.missing) throw new Error("a piece that miscounts what is to come");
      } else {
        if (open !== null) throw new Error("a message inside another");
        if (piece[0] !== framer.type) throw new Error("another type than the first byte");
        open = { type: framer.type, parts: [], missing: framer.size };
      }
      open.parts.push(piece);
      open.missing -= piece.length;
      if (open.missing === 0) {
        frames.push({ type: open.type, bytes: concat(open.parts) });
        open = null;
      }
      framer.advance();
      heldFor = 0;
      unheld = false;
    }
  };

  for (const chunk of chunks) {
    framer.push(chunk);
    if (policy.unholdAfter > 0 && framer.pending > HEADER_BYTES && ++heldFor > policy.unholdAfter) {
      framer.unhold();
      unheld = true;
    }
    turn();
  }
  // Who waited goes on when the last byte has come.
  for (let i = 0; i < 2 * frames.length + 100 && framer.pending > 0; i++) turn();
  turn();
  return { frames, framer };
}

const messages = fc.array(
  fc.record({
    type: fc.integer({ min: 1, max: 255 }),
    content: fc.oneof(
      { weight: 4, arbitrary: fc.uint8Array({ maxLength: 40 }) },
      { weight: 1, arbitrary: fc.uint8Array({ minLength: 100, maxLength: 3000 }) },
    ),
  }),
  { maxLength: 30 },
);
const cuts = fc.array(fc.oneof(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 4000 })), {
  minLength: 1,
  maxLength: 30,
});
const policies = fc.record({
  holdBytesMax: fc.constantFrom(0, 20, 200, 100_000),
  unholdAfter: fc.constantFrom(0, 1, 3),
  waitEach: fc.constantFrom(0, 2, 5),
});

describe("any cut, any policy", () => {
  test("yields the same messages, each byte once and in order", () => {
    fc.assert(
      fc.property(messages, cuts, policies, (list, sizes, policy) => {
        const wanted = list.map(({ type, content }) => ({ type, bytes: message(type, content) }));
        const { frames, framer } = drive(cut(concat(wanted.map((m) => m.bytes)), sizes), policy);
        expect(frames).toEqual(wanted);
        expect(framer.broken).toBe(false);
        expect(framer.atBoundary).toBe(true);
        expect(framer.buf.length).toBe(0);
      }),
      { numRuns: 500 },
    );
  });

  test("one byte at a time, all held and all streamed", () => {
    const wanted = [
      message(0x44, new Uint8Array(0)),
      message(0x5a, Uint8Array.of(0x49)),
      message(0x43, new Uint8Array(9)),
    ];
    for (const holdBytesMax of [0, 1000]) {
      const { frames } = drive(cut(concat(wanted), [1]), { holdBytesMax, unholdAfter: 0, waitEach: 0 });
      expect(frames.map((frame) => frame.bytes)).toEqual(wanted);
    }
  });
});

describe("the loop", () => {
  test("whole messages of a chunk are offered in the chunk itself", () => {
    const chunk = concat([message(0x31, new Uint8Array(0)), message(0x44, new Uint8Array(100))]);
    const framer = new Framer();
    framer.push(chunk);
    expect(framer.next(MAX)).toBe(true);
    expect(framer.buf).toBe(chunk);
    framer.advance();
    expect(framer.next(MAX)).toBe(true);
    expect(framer.buf).toBe(chunk);
    expect([framer.at, framer.size, framer.whole]).toEqual([5, 105, true]);
  });

  test("without advance the same message is offered again, with what came meanwhile", () => {
    const bytes = message(0x51, new Uint8Array(20));
    const framer = new Framer();
    framer.push(bytes.slice(0, 10));
    expect(framer.next(MAX)).toBe(true);
    expect([framer.size, framer.available]).toEqual([25, 10]);
    expect(framer.next(MAX)).toBe(true);
    framer.push(bytes.slice(10, 18));
    expect(framer.next(MAX)).toBe(true);
    expect([framer.size, framer.available, framer.continues]).toEqual([25, 18, false]);
  });

  test("a held message is not offered before it is whole; unhold offers what there is", () => {
    const bytes = message(0x51, new Uint8Array(20));
    const framer = new Framer();
    framer.push(bytes.slice(0, 10));
    framer.next(MAX);
    framer.hold();
    expect(framer.next(MAX)).toBe(false);
    framer.push(bytes.slice(10, 12));
    expect(framer.next(MAX)).toBe(false);
    framer.unhold();
    expect(framer.next(MAX)).toBe(true);
    expect([framer.available, framer.whole]).toEqual([12, false]);
    framer.advance();
    expect(framer.atBoundary).toBe(false);
    framer.push(bytes.slice(12));
    expect(framer.next(MAX)).toBe(true);
    expect([framer.continues, framer.last, framer.available]).toEqual([true, true, 13]);
  });

  test("streaming what was to be held leaves no demand for the next message", () => {
    const framer = new Framer();
    framer.push(message(0x51, new Uint8Array(500)).slice(0, 100));
    framer.next(MAX);
    framer.hold();
    framer.advance();
    framer.push(concat([new Uint8Array(405), message(0x53, new Uint8Array(0))]));
    framer.next(MAX);
    framer.advance();
    expect(framer.next(MAX)).toBe(true);
    expect([framer.type, framer.whole]).toEqual([0x53, true]);
  });
});

describe("broken streams", () => {
  test.each([0, 1, 3])("a length of %i", (length) => {
    const framer = new Framer();
    framer.push(Uint8Array.of(0x51, 0, 0, 0, length, 1, 2, 3));
    expect(framer.next(MAX)).toBe(false);
    expect(framer.broken).toBe(true);
  });

  test.each([0x80, 0xff])("a length with a first byte of %i is too much, not negative", (first) => {
    const framer = new Framer();
    framer.push(Uint8Array.of(0x51, first, 0xff, 0xff, 0xff));
    expect(framer.next(MAX)).toBe(false);
    expect(framer.broken).toBe(true);
  });

  test("the bound counts the type byte", () => {
    for (const [bound, broken] of [
      [15, false],
      [14, true],
    ] as const) {
      const framer = new Framer();
      framer.push(message(0x51, new Uint8Array(10)));
      expect(framer.next(bound)).toBe(!broken);
      expect(framer.broken).toBe(broken);
    }
  });

  test("a broken header behind good messages leaves those alone", () => {
    const framer = new Framer();
    framer.push(concat([message(0x53, new Uint8Array(0)), Uint8Array.of(0x51, 0, 0, 0, 0)]));
    expect(framer.next(MAX)).toBe(true);
    expect(framer.type).toBe(0x53);
    framer.advance();
    expect(framer.next(MAX)).toBe(false);
    expect(framer.broken).toBe(true);
  });

  test("random bytes never take the framer out of its bounds", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 64 }), { maxLength: 20 }), (chunks) => {
        const framer = new Framer();
        let received = 0;
        let advanced = 0;
        for (const chunk of chunks) {
          framer.push(chunk.slice());
          received += chunk.length;
          while (framer.next(4096)) {
            expect(framer.size).toBeLessThanOrEqual(4096);
            advanced += framer.available;
            framer.advance();
          }
          expect(framer.pending).toBe(received - advanced);
        }
      }),
    );
  });
});

describe("memory", () => {
  test.each([true, false])("a held message in crumbs is copied once (asked again after hold: %s)", (asksAgain) => {
    const bytes = message(0x50, new Uint8Array(16_000));
    const framer = new Framer();
    const rooms = new Set<Uint8Array>();
    for (const crumb of cut(bytes, [7])) {
      framer.push(crumb);
      while (framer.next(MAX)) {
        if (framer.whole) break;
        framer.hold();
        if (!asksAgain) break;
      }
      rooms.add(framer.buf);
      expect(framer.buf.length).toBeLessThanOrEqual(bytes.length);
    }
    expect(framer.whole).toBe(true);
    // The first crumb, the room of the whole message; one more at most.
    expect(rooms.size).toBeLessThanOrEqual(3);
  });

  test("a cut header does not keep its chunk alive", () => {
    const framer = new Framer();
    framer.push(concat([message(0x44, new Uint8Array(60_000)), Uint8Array.of(0x44, 0, 0)]));
    framer.next(MAX);
    framer.advance();
    expect(framer.next(MAX)).toBe(false);
    expect([framer.pending, framer.buf.length]).toEqual([3, HEADER_BYTES]);
    // Nor the chunk that it was joined with.
    framer.push(concat([Uint8Array.of(0, 4), message(0x44, new Uint8Array(60_000)), Uint8Array.of(0x44, 0)]));
    while (framer.next(MAX)) framer.advance();
    expect([framer.pending, framer.buf.length]).toEqual([2, HEADER_BYTES]);
  });

  test("a streamed message leaves nothing between its pieces", () => {
    const framer = new Framer();
    framer.push(message(0x64, new Uint8Array(100_000)).slice(0, 50_000));
    while (framer.next(MAX)) framer.advance();
    expect([framer.buf.length, framer.pending, framer.atBoundary]).toEqual([0, 0, false]);
  });

  test("bytes that were offered do not change when more come", () => {
    const framer = new Framer();
    framer.push(concat([message(0x44, Uint8Array.of(1, 2, 3)), Uint8Array.of(0x44, 0)]));
    framer.next(MAX);
    const seen = framer.buf.subarray(framer.at, framer.at + framer.available);
    const before = seen.slice();
    framer.advance();
    framer.next(MAX);
    framer.push(Uint8Array.of(0, 0, 4, 0x5a, 9, 9, 9, 9));
    framer.next(MAX);
    expect(seen).toEqual(before);
  });
});
