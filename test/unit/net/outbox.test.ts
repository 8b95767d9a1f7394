/** What is gathered in a turn leaves in order, in few writes, and out of memory that nobody writes to any more. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Outbox, OUTBOX_HIGH_BYTES } from "../../../src/net/outbox.ts";
import type { Connection } from "../../../src/net/transport.ts";
import { Scratch, Turn } from "../../../src/net/turn.ts";
import type { World } from "../../../src/net/world.ts";

const SCRATCH_BYTES = 64 * 1024;

/** A turn that ends when it is told to. */
class HandTurn {
  readonly reused: Uint8Array[] = [];
  readonly turn: Turn;
  now = 0;
  #tasks: (() => void)[] = [];

  constructor() {
    const world = {
      clock: { now: () => this.now },
      afterTurn: (task: () => void) => this.#tasks.push(task),
      transport: { reuse: (memory: Uint8Array) => this.reused.push(memory) },
    } as unknown as World;
    this.turn = new Turn(world);
  }

  get tasks(): number {
    return this.#tasks.length;
  }

  end(): void {
    for (const task of this.#tasks.splice(0)) task();
  }
}

/** Keeps what it is given as it is told to: what is held is looked at only when it drains, as a socket would. */
class HoldingConnection {
  /** The next answers of `write`: the share of the bytes that stays here, 0 to 1. */
  readonly holds: number[] = [];
  readonly writes: number[] = [];
  #kept: Uint8Array[] = [];
  #out: Buffer[] = [];
  #held = 0;

  write(memory: Uint8Array, start = 0, end = memory.length): number {
    const bytes = memory.subarray(start, end);
    this.writes.push(bytes.length);
    const share = this.#held > 0 ? 1 : (this.holds.shift() ?? 0);
    this.#held += Math.ceil(bytes.length * share);
    // Sent bytes are read at once; of what is held only a view stays.
    if (share === 0) this.#out.push(Buffer.from(Uint8Array.from(bytes)));
    else this.#kept.push(bytes);
    return this.#held;
  }

  get held(): number {
    return this.#held;
  }

  drain(): void {
    for (const view of this.#kept.splice(0)) this.#out.push(Buffer.from(Uint8Array.from(view)));
    this.#held = 0;
  }

  /** All that has arrived at the other end. */
  get sent(): Buffer {
    return Buffer.concat(this.#out);
  }
}

function make(): { hand: HandTurn; connection: HoldingConnection; outbox: Outbox; scratch: Scratch } {
  const hand = new HandTurn();
  const connection = new HoldingConnection();
  const scratch = new Scratch(SCRATCH_BYTES);
  const outbox = new Outbox(hand.turn, scratch, connection as unknown as Connection);
  return { hand, connection, outbox, scratch };
}

function bytesOf(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 7 + seed * 13 + 1) & 0xff);
}

describe("writes of a turn", () => {
  test("a single slice is written as it lies, without a copy", () => {
    const { hand, outbox } = make();
    const seen: [Uint8Array, number?, number?][] = [];
    const direct = new Outbox(hand.turn, new Scratch(SCRATCH_BYTES), {
      write: (...written: [Uint8Array, number?, number?]) => (seen.push(written), 0),
    } as unknown as Connection);
    const memory = bytesOf(100, 1);
    direct.add(memory, 10, 20);
    direct.add(memory, 20, 30);
    hand.end();
    expect(seen).toHaveLength(1);
    expect(seen[0]?.[0]).toBe(memory);
    expect(seen[0]?.slice(1)).toEqual([10, 30]);
    expect(outbox.backlog).toBe(0);
  });

  test("a chunk is given back when all of it is in the kernel in one piece, and only then", () => {
    const { hand, connection, outbox } = make();
    const [whole, cut, held] = [bytesOf(100, 1), bytesOf(100, 2), bytesOf(100, 3)];
    outbox.addAll(whole);
    hand.end();
    outbox.add(cut, 0, 99);
    hand.end();
    connection.holds.push(0.5);
    outbox.addAll(held);
    hand.end();
    expect(hand.reused).toEqual([whole]);
  });

  test("chunks that are copied together into one write are given back, but for cut ones and those that somebody keeps", () => {
    const { hand, outbox } = make();
    const [first, cut, last] = [bytesOf(100, 1), bytesOf(100, 2), bytesOf(9000, 3)];
    outbox.addAll(first);
    outbox.add(cut, 1, 100);
    outbox.addAll(last);
    hand.end();
    expect(hand.reused).toEqual([first, last]);
    outbox.addAll(first);
    outbox.addKept(last, 0, 9000);
    hand.end();
    expect(hand.reused).toEqual([first, last]);
  });

  test("a long chunk that was held is given back when it is gone, but for one that somebody keeps or whose connection closes", () => {
    const { hand, connection, outbox } = make();
    const [first, second] = [bytesOf(20_000, 1), bytesOf(20_000, 2)];
    connection.holds.push(0.5);
    outbox.addAll(first);
    outbox.addAll(second);
    hand.end();
    outbox.addKept(bytesOf(20_000, 3), 0, 20_000);
    hand.end();
    expect(hand.reused).toEqual([]);
    connection.drain();
    outbox.drained();
    expect(hand.reused).toEqual([first, second]);
    connection.holds.push(0.5);
    outbox.addAll(bytesOf(20_000, 4));
    hand.end();
    outbox.close();
    outbox.drained();
    expect(hand.reused).toEqual([first, second]);
  });

  test("small slices are one write, long ones go by themselves and in their place", () => {
    const { hand, connection, outbox } = make();
    const parts = [10, 200, 1, 20_000, 5, 16 * 1024 - 1, 16 * 1024].map((length, i) => bytesOf(length, i));
    for (const part of parts) outbox.addAll(part);
    expect(connection.writes).toEqual([]);
    expect(outbox.backlog).toBe(parts.reduce((sum, part) => sum + part.length, 0));
    hand.end();
    expect(connection.writes).toEqual([211, 20_000, 5 + 16 * 1024 - 1, 16 * 1024]);
    expect(connection.sent.equals(Buffer.concat(parts))).toBe(true);
    expect(outbox.backlog).toBe(0);
  });

  test("nothing gathered is no write, no task and no array", () => {
    const { hand, connection, outbox } = make();
    outbox.add(bytesOf(5, 0), 3, 3);
    outbox.flush();
    outbox.drained();
    expect(hand.tasks).toBe(0);
    expect(connection.writes).toEqual([]);
    outbox.addAll(bytesOf(5, 0));
    outbox.flush();
    expect(connection.writes).toEqual([5]);
    // It was written before the end of the turn; the end finds nothing.
    hand.end();
    expect(connection.writes).toEqual([5]);
  });

  test("after close nothing is written, counted or kept", () => {
    const { hand, connection, outbox } = make();
    outbox.addAll(bytesOf(5, 0));
    outbox.close();
    outbox.addAll(bytesOf(5, 0));
    hand.end();
    expect(connection.writes).toEqual([]);
    expect(outbox.backlog).toBe(0);
    expect(outbox.full).toBe(false);
  });

  test("an outbox whose turn comes to write throws: the others write all the same", () => {
    const { hand, connection, outbox } = make();
    const failing = new Outbox(hand.turn, new Scratch(SCRATCH_BYTES), {
      write: () => {
        throw new Error("write failed");
      },
    } as unknown as Connection);
    failing.addAll(bytesOf(5, 0));
    outbox.addAll(bytesOf(7, 0));
    expect(() => hand.end()).toThrow("write failed");
    expect(connection.writes).toEqual([7]);
    outbox.addAll(bytesOf(8, 0));
    hand.end();
    expect(connection.writes).toEqual([7, 8]);
  });
});

describe("back-pressure", () => {
  test("full is what the transport holds above the bound, until it has drained", () => {
    const { hand, connection, outbox } = make();
    connection.holds.push(1);
    outbox.addAll(bytesOf(OUTBOX_HIGH_BYTES, 1));
    hand.end();
    expect(outbox.full).toBe(false);
    outbox.addAll(bytesOf(1, 1));
    hand.end();
    expect(outbox.full).toBe(true);
    expect(outbox.backlog).toBe(OUTBOX_HIGH_BYTES + 1);
    connection.drain();
    outbox.drained();
    expect(outbox.full).toBe(false);
    expect(outbox.backlog).toBe(0);
  });

  test("a source that brings much in one turn learns in this turn that it has to stop", () => {
    const { connection, outbox } = make();
    connection.holds.push(1);
    let added = 0;
    while (!outbox.full && added < 100) {
      outbox.addAll(bytesOf(8 * 1024, added));
      added += 1;
    }
    expect(outbox.backlog).toBeLessThanOrEqual(2 * OUTBOX_HIGH_BYTES + 8 * 1024);
    expect(added).toBeLessThan(20);
  });
});

describe("memory", () => {
  test.each([false, true])("what the transport holds is never written over; keepsMemory %s", (keepsMemory) => {
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.record({ box: fc.nat(2), add: fc.oneof(fc.nat(300), fc.nat(40_000)) }) },
      { weight: 2, arbitrary: fc.constant("turn" as const) },
      { weight: 1, arbitrary: fc.record({ drain: fc.nat(2) }) },
      { weight: 2, arbitrary: fc.record({ hold: fc.nat(2), share: fc.constantFrom(0, 0.01, 0.5, 1) }) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const hand = new HandTurn();
        const scratch = new Scratch(SCRATCH_BYTES);
        const ends = Array.from({ length: 3 }, () => {
          const connection = new HoldingConnection();
          const outbox = new Outbox(hand.turn, scratch, connection as unknown as Connection);
          outbox.keepsMemory = keepsMemory;
          return { connection, outbox, given: [] as Uint8Array[] };
        });
        const settled = (): void => {
          for (const { connection, outbox } of ends) {
            if (outbox.backlog < connection.held) throw new Error("less backlog than the transport holds");
          }
        };
        let serial = 0;
        for (const made of steps) {
          if (made === "turn") hand.end();
          else if ("box" in made) {
            const { outbox, given } = ends[made.box] as (typeof ends)[number];
            const bytes = bytesOf(made.add, serial++);
            given.push(bytes.slice());
            outbox.addAll(bytes);
          } else if ("drain" in made) {
            const { connection, outbox } = ends[made.drain] as (typeof ends)[number];
            if (connection.held === 0) continue;
            connection.drain();
            outbox.drained();
          } else {
            ends[made.hold]?.connection.holds.push(made.share);
          }
          settled();
        }
        hand.end();
        for (const { connection, outbox, given } of ends) {
          connection.drain();
          outbox.drained();
          if (!connection.sent.equals(Buffer.concat(given))) throw new Error("other bytes than were given");
          if (outbox.backlog !== 0) throw new Error("a backlog of nothing");
        }
      }),
      { numRuns: 300 },
    );
    expect(keepsMemory).toBeTypeOf("boolean");
  });

  test("scratch memory is used again as long as the transport keeps none of it", () => {
    const { hand, connection, outbox, scratch } = make();
    const memory = scratch.bytes;
    const writeTwo = (): void => {
      outbox.addAll(bytesOf(10, 1));
      outbox.addAll(bytesOf(10, 2));
      hand.end();
    };
    writeTwo();
    writeTwo();
    expect(scratch.bytes).toBe(memory);
    connection.holds.push(0.1);
    writeTwo();
    expect(scratch.bytes).not.toBe(memory);
    // While something is held, small copies are given away and not the scratch memory.
    const second = scratch.bytes;
    writeTwo();
    expect(scratch.bytes).toBe(second);
  });

  test("a flush of several writes gives the scratch memory away once", () => {
    const { hand, connection, outbox, scratch } = make();
    let given = 0;
    const giveAway = scratch.giveAway.bind(scratch);
    scratch.giveAway = () => {
      given += 1;
      giveAway();
    };
    connection.holds.push(1);
    for (const length of [10, 10, 17_000, 10, 17_000, 10]) outbox.addAll(bytesOf(length, length));
    hand.end();
    expect(given).toBe(1);
  });

  test("under TLS the scratch memory is never given away", () => {
    const { hand, connection, outbox, scratch } = make();
    const memory = scratch.bytes;
    outbox.keepsMemory = true;
    connection.holds.push(1);
    outbox.addAll(bytesOf(10, 1));
    outbox.addAll(bytesOf(10, 2));
    hand.end();
    expect(scratch.bytes).toBe(memory);
    expect(connection.held).toBe(20);
  });
});

describe("a turn", () => {
  test("has one time, and asks the world for its end once", () => {
    const hand = new HandTurn();
    hand.now = 5;
    expect(hand.turn.now).toBe(5);
    hand.now = 6;
    expect(hand.turn.now).toBe(5);
    expect(hand.tasks).toBe(1);
    hand.end();
    expect(hand.turn.now).toBe(6);
  });

  test("what is added while it ends belongs to the next", () => {
    const hand = new HandTurn();
    const order: string[] = [];
    const again = { flush: () => void order.push("again") };
    hand.turn.atEnd({
      flush: () => {
        order.push("first");
        hand.turn.atEnd(again);
      },
    });
    hand.turn.atEnd({ flush: () => void order.push("second") });
    hand.end();
    expect(order).toEqual(["first", "second"]);
    hand.end();
    expect(order).toEqual(["first", "second", "again"]);
  });
});
