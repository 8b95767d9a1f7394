/** The timer wheel against a sorted list, on any history of setting, cancelling and time going on. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { TimerWheel } from "../../../src/net/timer-wheel.ts";
import type { Timer } from "../../../src/net/world.ts";

const steps = fc.array(
  fc.oneof(
    // Delays around the borders of the levels (32, 1024, 32768 … ticks), and any other.
    fc.record({
      kind: fc.constant("set" as const),
      delay: fc.oneof(
        fc.integer({ min: -3, max: 40 }),
        fc.constantFrom(31, 32, 33, 1023, 1024, 1025, 1055, 1056, 32_767, 32_768, 1_048_575, 1_048_576, 33_554_432),
        fc.integer({ min: 0, max: 40_000_000 }),
      ),
    }),
    fc.record({ kind: fc.constant("cancel" as const), which: fc.nat() }),
    fc.record({
      kind: fc.constant("advance" as const),
      by: fc.oneof(fc.integer({ min: 0, max: 70 }), fc.constantFrom(1023, 1024, 32_768), fc.nat(5_000_000)),
    }),
  ),
  { maxLength: 60 },
);

interface Due {
  readonly id: number;
  readonly tick: number;
}

/** What of `ran` is not as in `due`, which is sorted by tick; timers of one tick may run in any order. */
function difference(ran: readonly (readonly [tick: number, id: number])[], due: readonly Due[]): string[] {
  const unsorted = ran.filter(([tick], at) => at > 0 && tick < (ran[at - 1]?.[0] ?? 0));
  const missing = due.filter(({ id }) => !ran.some(([, ranId]) => ranId === id));
  const unexpected = ran.filter(([tick]) => Number.isNaN(tick));
  const twice = ran.filter(([, id], at) => ran.findIndex(([, other]) => other === id) !== at);
  return [
    ...unsorted.map(([, id]) => `${id} ran out of order`),
    ...missing.map(({ id }) => `${id} did not run`),
    ...unexpected.map(([, id]) => `${id} ran too early or after it was cancelled`),
    ...twice.map(([, id]) => `${id} ran twice`),
  ];
}

describe("the timer wheel", () => {
  test("runs what a sorted list would run, when and in the order it would", () => {
    fc.assert(
      fc.property(steps, (history) => {
        const wheel = new TimerWheel();
        let now = 0;
        let expected: { id: number; tick: number }[] = [];
        const timers = new Map<number, Timer>();
        const ran: number[] = [];
        const surprises: string[] = [];
        let id = 0;
        for (const step of history) {
          if (step.kind === "set") {
            const mine = id++;
            timers.set(
              mine,
              wheel.set(now + step.delay, () => ran.push(mine)),
            );
            expected.push({ id: mine, tick: Math.max(now + step.delay, now + 1) });
          } else if (step.kind === "cancel") {
            if (id === 0) continue;
            const victim = step.which % id;
            timers.get(victim)?.cancel();
            expected = expected.filter((timer) => timer.id !== victim);
          } else {
            now += step.by;
            ran.length = 0;
            wheel.advance(now);
            const due = expected.filter(({ tick }) => tick <= now).sort((a, b) => a.tick - b.tick);
            expected = expected.filter(({ tick }) => tick > now);
            const tickOf = new Map(due.map((timer) => [timer.id, timer.tick]));
            surprises.push(
              ...difference(
                ran.map((each) => [tickOf.get(each) ?? NaN, each]),
                due,
              ),
            );
          }
          expect(surprises).toEqual([]);
          expect(wheel.size).toBe(expected.length);
          const first = Math.min(...expected.map(({ tick }) => tick));
          expect(wheel.next()).toBeLessThanOrEqual(first);
          expect(wheel.next()).toBeGreaterThan(now);
        }
      }),
      { numRuns: 300 },
    );
  });

  test("an empty wheel has no next tick", () => {
    const wheel = new TimerWheel();
    expect(wheel.next()).toBe(Infinity);
    wheel.set(5000, () => {}).cancel();
    expect(wheel.next()).toBe(Infinity);
  });

  test("a timer set by a running timer waits for a later tick; one cancelled by it does not run", () => {
    const wheel = new TimerWheel();
    const ran: string[] = [];
    let second: Timer | null = null;
    wheel.set(3, () => {
      ran.push("first");
      second?.cancel();
      wheel.set(3, () => ran.push("later"));
    });
    second = wheel.set(3, () => ran.push("second"));
    wheel.advance(3);
    expect(ran).toEqual(["first"]);
    wheel.advance(4);
    expect(ran).toEqual(["first", "later"]);
    expect(wheel.size).toBe(0);
  });

  test("a task that throws keeps no other from running, and its error comes out", () => {
    const wheel = new TimerWheel();
    const ran: number[] = [];
    wheel.set(1, () => {
      throw new Error("first fault");
    });
    wheel.set(1, () => ran.push(1));
    wheel.set(2, () => {
      throw new Error("second fault");
    });
    wheel.set(40, () => ran.push(40));
    expect(() => wheel.advance(50)).toThrow("first fault");
    expect(ran).toEqual([1, 40]);
    expect(() => wheel.advance(60)).not.toThrow();
  });

  test("ticks beyond 2^31 are ticks as any other", () => {
    const wheel = new TimerWheel();
    const start = 2 ** 33 + 17;
    wheel.advance(start);
    let ran = 0;
    for (const delay of [1, 31, 32, 1000, 100_000]) wheel.set(start + delay, () => ran++);
    wheel.advance(start + 31);
    expect(ran).toBe(2);
    wheel.advance(start + 100_000);
    expect(ran).toBe(5);
  });
});
