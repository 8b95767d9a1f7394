import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { InvariantError } from "../../../src/pool/invariant.ts";
import { WaitQueue, Waiting } from "../../../src/pool/wait-queue.ts";

describe("WaitQueue", () => {
  it("serves in order of arrival and tells since when the first one waits", () => {
    const queue = new WaitQueue<string>();
    queue.push(new Waiting("a"), 10);
    queue.push(new Waiting("b"), 20);
    expect([queue.length, queue.first(), queue.oldestSince]).toEqual([2, "a", 10]);
    expect([queue.shift(), queue.shift(), queue.shift(), queue.oldestSince]).toEqual(["a", "b", null, null]);
  });

  it("puts back one that came earlier before those who came later, wherever that is", () => {
    const queue = new WaitQueue<string>();
    queue.push(new Waiting("b"), 20);
    queue.push(new Waiting("d"), 40);
    queue.pushFront(new Waiting("c"), 30);
    queue.pushFront(new Waiting("a"), 10);
    queue.pushFront(new Waiting("before d"), 40);
    expect([...queue]).toEqual(["a", "b", "c", "before d", "d"]);
  });

  it("refuses one that waits already, here or elsewhere, and removes nothing of another queue", () => {
    const queue = new WaitQueue<string>();
    const other = new WaitQueue<string>();
    const waiting = new Waiting("a");
    queue.push(waiting, 0);
    expect(() => queue.push(waiting, 1)).toThrow(InvariantError);
    expect(() => other.push(waiting, 1)).toThrow(InvariantError);
    expect(waiting.since).toBe(0);
    expect(other.remove(waiting)).toBe(false);
    expect([waiting.queued, queue.remove(waiting), queue.remove(waiting), waiting.queued]).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });

  it("behaves as a list kept sorted by time of arrival (model)", () => {
    const step = fc.record({
      kind: fc.constantFrom("push", "back", "shift", "remove"),
      which: fc.nat(5),
      age: fc.nat(10),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const queue = new WaitQueue<number>();
        const all = Array.from({ length: 6 }, (_, i) => new Waiting(i));
        let model: { id: number; since: number }[] = [];
        let now = 0;
        for (const { kind, which, age } of steps) {
          now++;
          const waiting = all[which]!;
          if (kind === "push" && !waiting.queued) {
            queue.push(waiting, now);
            model.push({ id: which, since: now });
          } else if (kind === "back" && !waiting.queued) {
            const since = Math.max(0, now - age);
            queue.pushFront(waiting, since);
            const at = model.findIndex((other) => other.since >= since);
            model.splice(at === -1 ? model.length : at, 0, { id: which, since });
          }
          const shifted = kind === "shift" ? [queue.shift(), model.shift()?.id ?? null] : [null, null];
          expect(shifted[0]).toBe(shifted[1]);
          const known = model.some((other) => other.id === which);
          const removed = kind === "remove" ? [queue.remove(waiting), known] : [false, false];
          expect(removed[0]).toBe(removed[1]);
          if (kind === "remove") model = model.filter((other) => other.id !== which);
          expect([...queue]).toEqual(model.map(({ id }) => id));
          expect(queue.length).toBe(model.length);
          expect(queue.oldestSince).toBe(model[0]?.since ?? null);
        }
      }),
      { numRuns: 500 },
    );
  });
});
