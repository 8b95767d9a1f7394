/** Limits that pools share: counting, eviction, whose turn it is. */
import { describe, expect, it } from "vitest";
import { Budget } from "../../../src/pool/budget.ts";
import { InvariantError } from "../../../src/pool/invariant.ts";
import type { PoolPolicy } from "../../../src/pool/pool.ts";
import { ServerState } from "../../../src/pool/server-state.ts";
import { Waiting } from "../../../src/pool/wait-queue.ts";
import { Rig, SECOND } from "./fake-host.ts";

/** Pools of one database with a limit; each pool's host closes at once what is retired, unless told otherwise. */
function rigs(
  count: number,
  limit: number,
  changes: Partial<PoolPolicy> = {},
): { database: Budget; all: Rig[]; setLimit: (to: number) => void } {
  let now = limit;
  const database = new Budget("database", () => now);
  const all = Array.from({ length: count }, () => new Rig(changes, [database]));
  return { database, all, setLimit: (to) => (now = to) };
}

describe("a budget", () => {
  it("counts servers from the permission to connect until the connection is gone, and cancel requests", () => {
    const { database, all } = rigs(1, 0);
    const rig = all[0]!;
    rig.acquire("a");
    expect(database.used).toBe(1);
    const server = rig.open();
    const cancel = rig.pool.takeCancelSlot()!;
    expect(database.used).toBe(2);
    rig.pool.retire(server, "test", 1);
    expect([database.used, database.leaving]).toEqual([2, 1]);
    rig.pool.closed(server, 2);
    cancel.giveBack(3);
    expect([database.used, database.leaving, database.isFull]).toEqual([0, 0, false]);
  });

  it("is never exceeded by servers of several pools; cancel requests are not refused by it", () => {
    const { database, all } = rigs(3, 2);
    for (const rig of all) rig.acquire("a");
    expect(all.map((rig) => rig.host.slots.length)).toEqual([1, 1, 0]);
    expect(all[2]!.pool.snapshot()).toMatchObject({
      slotRequested: true,
      connections: 0,
      budgets: [{ name: "database", used: 2, limit: 2 }],
    });
    expect(all[2]!.pool.takeCancelSlot()).not.toBe(null);
    expect([database.used, database.isFull]).toEqual([3, true]);
  });

  it("gives room to the pool whose client has waited longest, whoever gives it back", () => {
    const { all } = rigs(4, 1);
    const [holder, late, early, gone] = all as [Rig, Rig, Rig, Rig];
    holder.acquire("h");
    const server = holder.open();
    late.now = 30;
    early.now = 20;
    gone.now = 10;
    late.acquire("late");
    early.acquire("early");
    const waiting = new Waiting("gone");
    gone.pool.acquire(waiting, 10);
    gone.pool.leave(waiting);
    holder.now = 25;
    holder.acquire("h2");
    holder.pool.closed(server, 40);
    expect(all.map((rig) => rig.host.slots.length)).toEqual([0, 0, 1, 0]);
    early.pool.closed(early.open(), 41);
    expect(all.map((rig) => rig.host.slots.length)).toEqual([1, 0, 0, 0]);
  });

  it("asks all budgets of a pool: one that is full is enough", () => {
    const database = new Budget("database", () => 5);
    const user = new Budget("user", () => 1);
    const both = new Rig({}, [database, user]);
    const sameUser = new Rig({}, [user]);
    sameUser.acquire("a");
    sameUser.open();
    both.acquire("b");
    expect([both.host.slots.length, database.used]).toEqual([0, 0]);
  });

  it("lets go of a pool that is taken away, which must be empty", () => {
    const { database, all } = rigs(2, 1);
    const [one, other] = all as [Rig, Rig];
    one.acquire("a");
    const server = one.open();
    expect(() => one.pool.dismantle()).toThrow(InvariantError);
    other.acquire("b");
    expect(() => other.pool.dismantle()).toThrow(InvariantError);
    one.pool.closed(server, 1);
    one.pool.dismantle();
    expect([database.members.size, database.used]).toEqual([1, 1]);
  });
});

describe("eviction", () => {
  it("closes the longest idle server of another pool, and opens when its connection is gone", () => {
    const { all } = rigs(3, 3);
    const [rich, richer, poor] = all as [Rig, Rig, Rig];
    const [younger] = rich.idle(1);
    const [older, old] = richer.idle(2);
    younger!.usedAt = 20;
    older!.usedAt = 10;
    old!.usedAt = 15;
    poor.acquire("p");
    expect([rich.host.retired, richer.host.retired]).toEqual([[], [{ server: older, reason: "evicted" }]]);
    poor.tick();
    poor.acquire("p2");
    expect([richer.host.retired.length, poor.host.slots.length]).toEqual([1, 0]);
    richer.pool.closed(older!, 30);
    expect(poor.host.slots.length).toBe(1);
  });

  it("goes on for each pool that waits, not twice for one", () => {
    const { all } = rigs(3, 2);
    const [rich, one, two] = all as [Rig, Rig, Rig];
    const servers = rich.idle(2);
    one.acquire("a");
    two.acquire("b");
    one.tick();
    two.tick();
    expect(rich.host.reasons).toEqual(["evicted", "evicted"]);
    for (const server of servers) rich.pool.closed(server, 1);
    expect([one.host.slots.length, two.host.slots.length]).toEqual([1, 1]);
  });

  it("takes used and tested servers only from a pool for which nobody waits", () => {
    const { all } = rigs(2, 2, { checkDelayMs: SECOND, lifetimeMs: 3600 * SECOND });
    const [busy, poor] = all as [Rig, Rig];
    const [used, tested] = busy.idle(2);
    busy.tick(2 * SECOND);
    busy.acquire("a");
    busy.acquire("b");
    poor.now = 2 * SECOND;
    const waiting = new Waiting("p");
    poor.pool.acquire(waiting, 2 * SECOND);
    expect([used!.state, tested!.state, busy.host.reasons]).toEqual(["tested", "tested", []]);
    busy.pool.checked(used!, 3 * SECOND);
    busy.pool.checked(tested!, 3 * SECOND);
    poor.pool.leave(waiting);
    busy.pool.released(used!, 3 * SECOND);
    busy.tick(5 * SECOND);
    expect(used!.state).toBe("used");
    poor.now = 5 * SECOND;
    poor.acquire("q");
    expect(busy.host.retired).toEqual([{ server: used, reason: "evicted" }]);
  });

  it("happens at the moment a server becomes free", () => {
    const { all } = rigs(2, 1);
    const [busy, poor] = all as [Rig, Rig];
    const [server] = busy.idle(1);
    busy.acquire("a");
    poor.acquire("p");
    expect(busy.host.reasons).toEqual([]);
    busy.pool.released(server!, 1);
    expect(busy.host.retired).toEqual([{ server, reason: "evicted" }]);
    busy.pool.closed(server!, 2);
    expect(poor.host.slots.length).toBe(1);
  });

  it("a pool that is always busy gives way to one that has nothing, and keeps its share", () => {
    const { all } = rigs(2, 4);
    const [busy, poor] = all as [Rig, Rig];
    const servers = busy.idle(4);
    for (let i = 0; i < 20; i++) busy.acquire(`b${i}`);
    for (let i = 0; i < 20; i++) poor.acquire(`p${i}`);
    // Both have clients waiting all the time, and every server is released every 50 ms.
    for (let now = 50; now < 5_000; now += 50) {
      for (const rig of [busy, poor]) {
        rig.now = now;
        for (const server of rig.pool.servers.in(ServerState.active)) {
          rig.pool.released(server, now);
          rig.acquire(`later ${now}`);
        }
      }
      for (const { server } of busy.host.retired.splice(0)) busy.pool.closed(server, now);
      for (const { server } of poor.host.retired.splice(0)) poor.pool.closed(server, now);
      while (poor.host.slots.length > 0) poor.open();
      while (busy.host.slots.length > 0) busy.open();
    }
    expect([busy.pool.connections, poor.pool.connections]).toEqual([2, 2]);
    expect(servers.filter((server) => server.place.state === ServerState.active).length).toBe(2);
  });

  it("closes nothing in vain: not when another budget stays full", () => {
    const database = new Budget("database", () => 1);
    const user = new Budget("user", () => 1);
    const inDatabase = new Rig({}, [database]);
    const ofUser = new Rig({}, [user]);
    inDatabase.idle(1);
    ofUser.acquire("busy");
    ofUser.open();
    const poor = new Rig({}, [database, user]);
    poor.acquire("p");
    poor.tick();
    expect(inDatabase.host.reasons).toEqual([]);
  });

  it("is not done for the minimum, which also takes nothing that others stand in line for", () => {
    const { all, setLimit } = rigs(3, 1, { sizeMin: 1 });
    const [rich, filled, poor] = all as [Rig, Rig, Rig];
    rich.idle(1);
    filled.tick();
    expect([rich.host.reasons, filled.host.slots.length]).toEqual([[], 0]);
    rich.acquire("busy");
    poor.acquire("p");
    setLimit(2);
    filled.tick();
    expect(filled.host.slots.length).toBe(0);
    poor.tick();
    expect(poor.host.slots.length).toBe(1);
  });
});
