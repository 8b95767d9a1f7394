/** When a server is opened: size, pace, retry pause, reserve, minimum, cancel requests. */
import { describe, expect, it } from "vitest";
import { InvariantError } from "../../../src/pool/invariant.ts";
import { Waiting } from "../../../src/pool/wait-queue.ts";
import { Rig, SECOND } from "./fake-host.ts";

describe("opening servers", () => {
  it("makes one attempt at a time, and as many servers as clients that wait, up to the size", () => {
    const rig = new Rig({ sizeMax: 3 });
    for (const name of ["a", "b", "c", "d", "e"]) rig.acquire(name);
    expect(rig.host.slots.length).toBe(1);
    for (let opened = 1; opened <= 3; opened++) {
      rig.open();
      expect(rig.host.slots.length).toBe(opened < 3 ? 1 : 0);
    }
    expect([rig.host.served.map(({ waiter }) => waiter), rig.waiting]).toEqual([
      ["a", "b", "c"],
      ["d", "e"],
    ]);
  });

  it("makes none for who takes what is there: that one is served in its turn, and nothing grows for it", () => {
    const rig = new Rig({ sizeMax: 3 });
    const modest = new Waiting("reads", true);
    expect(rig.pool.acquire(modest, 0)).toBe(null);
    rig.tick(SECOND);
    expect(rig.host.slots).toEqual([]);
    rig.acquire("a");
    rig.open();
    expect([rig.host.served.map(({ waiter }) => waiter), rig.waiting, rig.host.slots.length]).toEqual([
      ["reads"],
      ["a"],
      1,
    ]);
    rig.open();
    expect([rig.host.served.length, rig.waiting, rig.host.slots.length]).toEqual([2, [], 0]);
    const other = new Waiting("reads again", true);
    rig.pool.acquire(other, rig.now);
    for (const { server } of rig.host.served) rig.pool.closed(server, rig.now);
    rig.tick(2 * SECOND);
    expect([rig.waiting, rig.host.slots, rig.pool.connections]).toEqual([["reads again"], [], 0]);
    rig.pool.leave(other);
    expect(rig.waiting).toEqual([]);
  });

  it("checks a used server for who takes what is there", () => {
    const rig = new Rig({ sizeMax: 3, checks: true, checkDelayMs: 0 });
    rig.acquire("a");
    const server = rig.open();
    rig.pool.released(server, rig.now);
    expect(server.state).toBe("used");
    expect(rig.pool.acquire(new Waiting("reads", true), rig.now)).toBe(null);
    expect([rig.host.checks, rig.host.slots]).toEqual([[server], []]);
    rig.pool.checked(server, rig.now);
    expect(rig.host.served.at(-1)).toEqual({ waiter: "reads", server });
  });

  it("makes several attempts at a time where that is allowed, never more than are wanted", () => {
    const rig = new Rig({ loginsAtOnceMax: 4 });
    rig.acquire("first");
    rig.open();
    for (const name of ["a", "b", "c"]) rig.acquire(name);
    expect(rig.host.slots.length).toBe(3);
    rig.acquire("d");
    rig.acquire("e");
    expect(rig.host.slots.length).toBe(4);
  });

  it("the first login of a generation goes alone: at the start, after a failure, after RECONNECT", () => {
    const rig = new Rig({ loginsAtOnceMax: 4, loginRetryMs: SECOND });
    for (const name of ["a", "b", "c", "d"]) rig.acquire(name);
    expect(rig.host.slots.length).toBe(1);
    const failed = rig.announce();
    rig.pool.openFailed(failed, failed.slot!, 1);
    rig.tick(2 * SECOND);
    expect(rig.host.slots.length).toBe(1);
    rig.open();
    expect(rig.host.slots.length).toBe(3);
    for (let i = 0; i < 3; i++) rig.open();
    rig.pool.markCloseNeeded(3 * SECOND);
    for (const name of ["e", "f"]) rig.acquire(name);
    expect(rig.host.slots.length).toBe(1);
  });

  it("knows no limit with size 0", () => {
    const rig = new Rig({ sizeMax: 0, loginsAtOnceMax: 100 });
    rig.idle(1);
    rig.acquire("first");
    for (let i = 0; i < 50; i++) rig.acquire(`${i}`);
    expect(rig.host.slots.length).toBe(50);
  });

  it("keeps a server that nobody waits for any more", () => {
    const rig = new Rig();
    const waiting = new Waiting("a");
    rig.pool.acquire(waiting, 0);
    rig.pool.leave(waiting);
    expect(rig.open().state).toBe("idle");
  });

  it("after a failure waits, counted from the attempt's start, then tries again", () => {
    const rig = new Rig({ loginRetryMs: 15 * SECOND });
    rig.acquire("a");
    const server = rig.announce();
    rig.pool.openFailed(server, server.slot!, 10 * SECOND);
    expect([rig.pool.loginFailing, rig.pool.connections, server.slot]).toEqual([true, 0, null]);
    rig.now = 14 * SECOND;
    rig.acquire("b");
    rig.tick(15 * SECOND - 1);
    expect(rig.host.slots.length).toBe(0);
    rig.tick(15 * SECOND);
    expect(rig.host.slots.length).toBe(1);
    rig.open();
    expect([rig.pool.loginFailing, rig.host.served.length, rig.host.slots.length]).toEqual([false, 1, 1]);
  });

  it("tries again at once, alone, when somebody has ended a login; waits when that one is ended too", () => {
    const rig = new Rig({ loginsAtOnceMax: 4, loginRetryMs: 15 * SECOND });
    const interrupt = (now: number): void => {
      const server = rig.announce();
      rig.pool.openFailed(server, server.slot!, now, true);
    };
    for (const name of ["a", "b", "c"]) rig.acquire(name);
    interrupt(SECOND);
    expect([rig.pool.loginFailing, rig.host.slots.length]).toEqual([false, 1]);
    interrupt(SECOND);
    expect([rig.pool.loginFailing, rig.host.slots.length]).toEqual([true, 0]);
    rig.tick(16 * SECOND);
    expect(rig.host.slots.length).toBe(1);
    rig.open();
    expect(rig.host.slots.length).toBe(2);
    interrupt(17 * SECOND);
    expect([rig.pool.loginFailing, rig.host.slots.length]).toEqual([false, 1]);
  });

  it("fails as well before a server was announced, and by its death while it logs in; not when the pool itself ended it", () => {
    const early = new Rig();
    early.acquire("a");
    early.pool.openFailed(null, early.host.slots[0]!, 1);
    expect([early.pool.loginFailing, early.pool.connections]).toEqual([true, 0]);
    const dies = new Rig();
    dies.acquire("a");
    dies.pool.closed(dies.announce(), 1);
    expect([dies.pool.loginFailing, dies.host.slots.length]).toEqual([true, 0]);
    const ended = new Rig();
    ended.acquire("a");
    const server = ended.announce();
    ended.pool.markCloseNeeded(1);
    expect(ended.host.reasons).toEqual(["connect string changed"]);
    ended.pool.closed(server, 2);
    expect([ended.pool.loginFailing, ended.host.slots.length]).toEqual([false, 1]);
  });

  it("never tries twice in one instant after a failure, even without a pause", () => {
    const rig = new Rig({ loginRetryMs: 0 });
    rig.host.onOpen = (slot) => rig.pool.openFailed(null, slot, rig.now);
    rig.acquire("a");
    rig.acquire("b");
    rig.tick();
    expect(rig.host.slots.length).toBe(1);
    rig.tick(1);
    expect(rig.host.slots.length).toBe(2);
  });

  it("opens one without a client when asked to (the first welcome), once, and again only when asked again", () => {
    const rig = new Rig();
    rig.pool.warm(0);
    rig.pool.warm(0);
    expect(rig.host.slots.length).toBe(1);
    rig.open();
    rig.tick(1);
    expect(rig.pool.snapshot()).toMatchObject({ idle: 1, new: 0, connections: 1 });
    rig.pool.warm(2);
    rig.tick(3);
    expect(rig.host.slots.length).toBe(0);
  });
});

describe("the reserve", () => {
  it("is for clients that have waited for long, and says so in the log", () => {
    const rig = new Rig({ sizeMax: 1, reserveMax: 1, reserveTimeoutMs: 5 * SECOND });
    rig.acquire("a");
    rig.open();
    rig.acquire("b");
    rig.acquire("c");
    rig.tick(5 * SECOND - 1);
    expect([rig.host.slots.length, rig.host.lines]).toEqual([0, []]);
    rig.tick(5 * SECOND);
    expect([rig.host.slots.length, rig.host.lines]).toEqual([1, ["WARNING taking connection from reserve_pool"]]);
    rig.open();
    rig.tick(20 * SECOND);
    expect([rig.pool.connections, rig.host.slots.length, rig.waiting]).toEqual([2, 0, ["c"]]);
  });

  it("is never used with time-out 0", () => {
    const rig = new Rig({ sizeMax: 1, reserveMax: 5, reserveTimeoutMs: 0 });
    rig.acquire("a");
    rig.open();
    rig.acquire("b");
    rig.tick(100 * SECOND);
    expect(rig.host.slots.length).toBe(0);
  });
});

describe("the minimum", () => {
  it("is filled one a tick, while the pool has clients", () => {
    const rig = new Rig({ sizeMin: 2 });
    rig.host.clients = false;
    rig.tick();
    expect(rig.host.slots.length).toBe(0);
    rig.host.clients = true;
    for (let i = 0; i < 2; i++) {
      rig.tick();
      rig.tick();
      expect(rig.host.slots.length).toBe(1);
      rig.open();
    }
    rig.tick();
    expect([rig.host.slots.length, rig.pool.snapshot().idle]).toEqual([0, 2]);
  });

  it("is kept without clients for a forced user, within the size, and not under PAUSE", () => {
    const rig = new Rig({ sizeMin: 5, sizeMax: 1, keepFilled: true });
    rig.host.clients = false;
    rig.pool.pause(0);
    rig.tick();
    expect(rig.host.slots.length).toBe(0);
    rig.pool.resume(0);
    rig.tick();
    rig.open();
    rig.tick();
    expect([rig.pool.connections, rig.host.slots.length]).toEqual([1, 0]);
  });
});

describe("cancel requests", () => {
  it("may take the pool to twice its size, count against it, and give their place back", () => {
    const rig = new Rig({ sizeMax: 1 });
    rig.acquire("a");
    const server = rig.open();
    const slot = rig.pool.takeCancelSlot();
    expect([slot?.use, rig.pool.takeCancelSlot(), rig.pool.snapshot().cancels]).toEqual(["cancel", null, 1]);
    rig.acquire("b");
    rig.pool.closed(server, 1);
    expect(rig.host.slots.length).toBe(0);
    slot!.giveBack();
    expect(rig.host.slots.length).toBe(1);
    expect(() => slot!.giveBack()).toThrow(InvariantError);
  });

  it("does not let a server's slot be given back by hand", () => {
    const rig = new Rig();
    rig.acquire("a");
    const server = rig.open();
    expect(() => server.slot!.giveBack()).toThrow(InvariantError);
    expect(rig.pool.connections).toBe(1);
  });
});
