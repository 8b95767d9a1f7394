/** When a connection that brings much rests, and when that is given up. On a clock of the test's own. */
import { describe, expect, test } from "vitest";
import { BulkPace, Rests } from "../../../src/net/bulk-pace.ts";

const windowBytes = 4 * 1024 * 1024;
const readBytes = 64 * 1024;

/** A bulk that brings a window's bytes in the time given. */
class Bulk {
  nowMs = 1000;
  readonly pace = new BulkPace(this.nowMs);

  /** How many reads were followed by a rest. */
  window(tookMs: number, isAll = true): number {
    const reads = windowBytes / readBytes;
    let rests = 0;
    for (let read = 0; read < reads; read++) {
      this.nowMs += tookMs / reads;
      if (this.pace.received(readBytes, isAll, this.nowMs)) rests++;
    }
    return rests;
  }

  /** For each of so many windows, whether there was any rest in it. The last read of a window belongs to the next one. */
  windows(count: number, tookMs: number): boolean[] {
    return Array.from({ length: count }, () => this.window(tookMs) > 1);
  }
}

describe("a bulk", () => {
  test("rests after each read that has emptied it, from its second window on", () => {
    const bulk = new Bulk();
    expect(bulk.window(10)).toBeLessThanOrEqual(1);
    expect(bulk.window(10)).toBe(windowBytes / readBytes);
    expect(bulk.window(10, false)).toBe(0);
    expect(bulk.window(10)).toBe(windowBytes / readBytes);
  });

  test("goes on resting while windows take up to half as long again", () => {
    const bulk = new Bulk();
    expect(bulk.windows(1, 10)).toEqual([false]);
    for (const tookMs of [14.9, 5, 10, 14.9]) expect(bulk.windows(1, tookMs)).toEqual([true]);
    expect(bulk.windows(1, 10)).toEqual([true]);
  });

  test("that is slower with rests three times in a row goes without for sixteen windows, then for thirty-two", () => {
    const bulk = new Bulk();
    expect(bulk.windows(2, 10)).toEqual([false, true]);
    expect(bulk.windows(3, 16)).toEqual([true, true, true]);
    expect(bulk.windows(16, 10).filter(Boolean)).toEqual([]);
    expect(bulk.windows(3, 16)).toEqual([true, true, true]);
    expect(bulk.windows(32, 10).filter(Boolean)).toEqual([]);
    expect(bulk.windows(1, 10)).toEqual([true]);
  });

  test("that is slower now and then goes on resting", () => {
    const bulk = new Bulk();
    bulk.windows(1, 10);
    for (const tookMs of [16, 30, 10, 16, 16, 14, 100, 100, 15, 10]) expect(bulk.windows(1, tookMs)).toEqual([true]);
    expect(bulk.windows(1, 10)).toEqual([true]);
  });

  test("is compared with the last window that went without rests, not with the first", () => {
    const bulk = new Bulk();
    bulk.windows(1, 10);
    bulk.windows(3, 16);
    bulk.windows(16, 40);
    expect(bulk.windows(5, 59)).toEqual([true, true, true, true, true]);
  });
});

test("one timer serves all that rest at a time", () => {
  const timers: { task: () => void; delayMs: number }[] = [];
  const rests = new Rests((task, delayMs) => timers.push({ task, delayMs }));
  const rested: string[] = [];
  const named = (name: string) => ({ rested: () => void rested.push(name) });
  rests.begin(named("one"));
  rests.begin(named("two"));
  expect(timers.map(({ delayMs }) => delayMs)).toEqual([1]);
  timers[0]!.task();
  expect(rested).toEqual(["one", "two"]);

  rests.begin({
    rested: () => {
      rested.push("three");
      rests.begin(named("four"));
    },
  });
  expect(timers).toHaveLength(2);
  timers[1]!.task();
  expect(rested).toEqual(["one", "two", "three"]);
  expect(timers).toHaveLength(3);
  timers[2]!.task();
  expect(rested).toEqual(["one", "two", "three", "four"]);
});
