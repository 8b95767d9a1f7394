/** Who gets which server, and what happens to a server that comes back. */
import { describe, expect, it } from "vitest";
import { InvariantError } from "../../../src/pool/invariant.ts";
import { Waiting } from "../../../src/pool/wait-queue.ts";
import { Rig, SECOND } from "./fake-host.ts";

describe("handing out", () => {
  it("gives an idle server at once, without a callback", () => {
    const rig = new Rig();
    const [server] = rig.idle(1);
    expect(rig.acquire("a")).toBe(server);
    expect([server!.state, rig.host.served, rig.waiting]).toEqual(["active", [], []]);
  });

  it("reuses the server that became idle last; with roundRobin the one that has been idle for the longest time", () => {
    for (const roundRobin of [false, true]) {
      const rig = new Rig({ roundRobin });
      const servers = rig.idle(3);
      const given = [rig.acquire("a"), rig.acquire("b"), rig.acquire("c")];
      expect(given).toEqual(roundRobin ? servers : [...servers].reverse());
    }
  });

  it("serves those who wait in the order in which they came, each server once", () => {
    const rig = new Rig({ sizeMax: 1 });
    for (const name of ["a", "b", "c"]) expect(rig.acquire(name)).toBe(null);
    const server = rig.open();
    rig.pool.released(server, 1);
    rig.pool.released(server, 2);
    expect(rig.host.served.map(({ waiter }) => waiter)).toEqual(["a", "b", "c"]);
    rig.pool.released(server, 3);
    expect([server.state, rig.waiting]).toEqual(["idle", []]);
  });

  it("serves nobody who has left, and refuses somebody who waits already", () => {
    const rig = new Rig({ sizeMax: 1 });
    const gone = new Waiting("gone");
    rig.pool.acquire(gone, 0);
    rig.acquire("stays");
    expect(() => rig.pool.acquire(gone, 0)).toThrow(InvariantError);
    rig.pool.leave(gone);
    rig.pool.leave(gone);
    rig.open();
    expect(rig.host.served.map(({ waiter }) => waiter)).toEqual(["stays"]);
  });

  it("closes what must not be used when it is picked, and takes the next", () => {
    const rig = new Rig();
    const [good, dirty, old] = rig.idle(3);
    old!.closeNeeded = true;
    dirty!.dirty = true;
    expect(rig.acquire("a")).toBe(good);
    expect(rig.host.retired).toEqual([
      { server: old, reason: "obsolete connection" },
      { server: dirty, reason: "idle server got dirty" },
    ]);
    expect(rig.pool.snapshot()).toMatchObject({ active: 1, leaving: 2, connections: 3 });
  });
});

describe("coming back", () => {
  it("closes a server whose time is over, then one that must be closed, then under PAUSE", () => {
    const rig = new Rig({ lifetimeMs: 100, sizeMax: 1 });
    rig.acquire("a");
    const server = rig.open();
    server.closeNeeded = true;
    rig.pool.pause(50);
    rig.pool.released(server, 100);
    expect(rig.host.reasons).toEqual(["server lifetime over"]);

    const young = new Rig();
    young.acquire("a");
    const marked = young.open();
    marked.closeNeeded = true;
    young.pool.pause(50);
    young.pool.released(marked, 100);
    expect(young.host.reasons).toEqual(["close_needed"]);

    const paused = new Rig();
    paused.acquire("a");
    const fine = paused.open();
    paused.pool.pause(50);
    paused.pool.released(fine, 100);
    expect(paused.host.reasons).toEqual(["pause mode"]);
  });

  it("replaces a closed server for those who wait, but only when its connection is really gone", () => {
    const rig = new Rig({ sizeMax: 1 });
    rig.acquire("a");
    const server = rig.open();
    rig.acquire("b");
    server.closeNeeded = true;
    rig.pool.released(server, 1);
    expect([rig.host.reasons, rig.host.slots.length]).toEqual([["close_needed"], 0]);
    rig.pool.closed(server, 2);
    expect(rig.host.slots.length).toBe(1);
    rig.open();
    expect(rig.host.served.map(({ waiter }) => waiter)).toEqual(["a", "b"]);
  });

  it("stays in test while the reset query runs, and is free when released again", () => {
    const rig = new Rig({ sizeMax: 1 });
    rig.acquire("a");
    const server = rig.open();
    rig.acquire("b");
    rig.pool.testing(server, 1);
    expect([server.state, rig.host.served.length, rig.host.slots.length]).toEqual(["tested", 1, 0]);
    rig.pool.released(server, 2);
    expect(rig.host.served.at(-1)).toEqual({ waiter: "b", server });
  });

  it("is given to nobody while a cancel request may hit it", () => {
    const rig = new Rig({ sizeMax: 1 });
    rig.acquire("a");
    const server = rig.open();
    rig.acquire("b");
    rig.pool.cancelling(server, 1);
    rig.tick(SECOND);
    expect([server.state, rig.host.served.length, rig.pool.settled]).toEqual(["being_canceled", 1, false]);
    rig.pool.released(server, 2 * SECOND);
    expect(rig.host.served.at(-1)).toEqual({ waiter: "b", server });
  });
});

describe("the check query", () => {
  it("comes before the use of a server that was quiet for longer than the delay", () => {
    const rig = new Rig({ checkDelayMs: 30 * SECOND });
    const [server] = rig.idle(1);
    rig.tick(30 * SECOND);
    expect(server!.state).toBe("idle");
    rig.tick(30 * SECOND + 1);
    expect(server!.state).toBe("used");
    expect(rig.acquire("a")).toBe(null);
    expect([server!.state, rig.host.checks, rig.host.slots]).toEqual(["tested", [server], []]);
    rig.pool.checked(server!, 31 * SECOND);
    expect([rig.host.served, server!.usedAt]).toEqual([[{ waiter: "a", server }], 31 * SECOND]);
  });

  it("is left out, and the server given at once, when there is none any more", () => {
    const rig = new Rig();
    const [server] = rig.idle(1);
    rig.tick(31 * SECOND);
    rig.policy.checks = false;
    expect(rig.acquire("a")).toBe(server);
    expect([rig.host.checks, rig.host.served]).toEqual([[], []]);
  });

  it("with delay 0 comes before each use", () => {
    const rig = new Rig({ checkDelayMs: 0, sizeMax: 1 });
    rig.acquire("a");
    const server = rig.open();
    expect(rig.host.served.length).toBe(1); // just logged in: no check
    rig.acquire("b");
    rig.pool.released(server, 1);
    expect([server.state, rig.host.checks]).toEqual(["tested", [server]]);
    rig.pool.checked(server, 2);
    expect(rig.host.served.at(-1)).toEqual({ waiter: "b", server });
    rig.pool.released(server, 3);
    expect(server.state).toBe("used");
  });

  it("that fails costs the server, and the client gets another", () => {
    const rig = new Rig({ checkDelayMs: 0, sizeMax: 2 });
    rig.idle(1);
    rig.acquire("a");
    rig.pool.closed(rig.host.checks[0]!, 5);
    const server = rig.open();
    expect(rig.host.served).toEqual([{ waiter: "a", server }]);
  });

  it("is run on one server for each who waits, no more, and opens none besides", () => {
    const rig = new Rig({ checkDelayMs: SECOND });
    rig.idle(3);
    rig.tick(2 * SECOND);
    rig.acquire("a");
    rig.acquire("b");
    expect(rig.pool.snapshot()).toMatchObject({ used: 1, tested: 2, new: 0 });
  });

  it("is not cut short by the idle time-out", () => {
    const rig = new Rig({ idleTimeoutMs: 60 * SECOND });
    const [server] = rig.idle(1);
    rig.tick(59 * SECOND);
    rig.acquire("a");
    rig.tick(61 * SECOND);
    expect([server!.state, rig.host.reasons]).toEqual(["tested", []]);
  });

  it("closes a dirty or obsolete server instead", () => {
    const rig = new Rig({ checkDelayMs: SECOND });
    const [good, dirty] = rig.idle(2);
    rig.tick(2 * SECOND);
    dirty!.dirty = true;
    rig.acquire("a");
    expect([rig.host.reasons, rig.host.checks]).toEqual([["idle server got dirty"], [good]]);
  });
});
