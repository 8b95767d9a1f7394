/** What happens when a callback calls back: the promises of `pool-host.ts`, one by one. */
import { describe, expect, it } from "vitest";
import { Waiting } from "../../../src/pool/wait-queue.ts";
import { Rig, SECOND } from "./fake-host.ts";

describe("calling back", () => {
  it("serve is not nested, however fast clients are done", () => {
    const rig = new Rig({ sizeMax: 1 });
    const count = 20_000;
    for (let i = 0; i < count; i++) rig.acquire(`${i}`);
    let depth = 0;
    let deepest = 0;
    rig.host.onServe = (_, server) => {
      deepest = Math.max(deepest, ++depth);
      rig.pool.released(server, 1);
      depth--;
    };
    rig.open();
    expect([rig.host.served.length, deepest, rig.waiting]).toEqual([count, 1, []]);
    expect(rig.host.served.map(({ waiter }) => Number(waiter))).toEqual(Array.from({ length: count }, (_, i) => i));
  });

  it("who asks inside serve comes after those who wait", () => {
    const rig = new Rig({ sizeMax: 2 });
    rig.acquire("a");
    const one = rig.open();
    rig.acquire("b");
    const two = rig.open();
    rig.acquire("c");
    rig.acquire("d");
    rig.host.onServe = (waiter) => {
      if (waiter !== "c") return;
      rig.pool.released(two, 1);
      expect(rig.acquire("late")).toBe(null);
    };
    rig.pool.released(one, 1);
    expect(rig.host.served.map(({ waiter }) => waiter)).toEqual(["a", "b", "c", "d"]);
    expect(rig.waiting).toEqual(["late"]);
  });

  it("a client that leaves while it is about to be served is not served", () => {
    const rig = new Rig({ sizeMax: 2 });
    const [bad, good] = rig.idle(2).reverse();
    const waiting = new Waiting("a");
    bad!.dirty = true;
    rig.host.onRetire = () => rig.pool.leave(waiting);
    expect(rig.pool.acquire(waiting, 1)).toBe(null);
    expect([rig.host.served, good!.state, waiting.queued]).toEqual([[], "idle", false]);
  });

  it("a host that answers at once serves the asker by the result, never by callback", () => {
    const rig = new Rig({ checkDelayMs: SECOND });
    rig.host.onOpen = () => rig.open();
    const fresh = rig.acquire("a");
    expect([fresh?.state, rig.host.served]).toEqual(["active", []]);
    rig.pool.released(fresh!, 1);
    rig.tick(3 * SECOND);
    rig.host.onCheck = (server) => rig.pool.checked(server, rig.now);
    expect([rig.acquire("b"), rig.host.checks.length, rig.host.served]).toEqual([fresh, 1, []]);
  });

  it("closed inside retire frees the slot for the next attempt", () => {
    const rig = new Rig({ sizeMax: 1 });
    rig.acquire("a");
    const server = rig.open();
    rig.acquire("b");
    rig.host.onRetire = (retired) => rig.pool.closed(retired, 1);
    server.closeNeeded = true;
    rig.pool.released(server, 1);
    expect([rig.pool.connections, rig.host.slots.length]).toEqual([1, 1]);
  });

  it("servers freed for others inside acquire are handed out by the next call", () => {
    const rig = new Rig({ loginsAtOnceMax: 2 });
    rig.idle(1);
    rig.acquire("holder");
    rig.host.onOpen = () => {
      rig.host.onOpen = () => {};
      rig.acquire("other");
    };
    expect(rig.acquire("first")).toBe(null);
    rig.host.onOpen = () => {};
    expect(rig.host.slots.length).toBe(2);
    rig.open();
    rig.open();
    expect(rig.host.served.map(({ waiter }) => waiter)).toEqual(["first", "other"]);
  });

  it("a callback that throws leaves the pool able to go on", () => {
    const rig = new Rig({ sizeMax: 1 });
    rig.acquire("a");
    rig.acquire("b");
    rig.host.onServe = () => {
      rig.host.onServe = () => {};
      throw new Error("broken client");
    };
    const server = rig.announce();
    expect(() => rig.pool.opened(server, 1)).toThrow("broken client");
    expect(server.state).toBe("active");
    rig.pool.released(server, 2);
    expect(rig.host.served.map(({ waiter }) => waiter)).toEqual(["a", "b"]);
  });
});
