/** Servers that several clients' statements ride on: who rides, when, and for whom a server is sealed. Names with `~` may share. */
import { describe, expect, it } from "vitest";
import { Budget } from "../../../src/pool/budget.ts";
import { Fit } from "../../../src/pool/pool-host.ts";
import type { PoolPolicy } from "../../../src/pool/pool-policy.ts";
import { Waiting } from "../../../src/pool/wait-queue.ts";
import { Rig, SECOND } from "./fake-host.ts";
import type { FakeServer } from "./fake-host.ts";

/** A pool of `servers`, all held by clients, whose emptied shared servers are released at once. */
function shared(servers: number, changes: Partial<PoolPolicy> = {}): { rig: Rig; held: FakeServer[] } {
  const rig = new Rig({ sizeMax: servers, shareDepth: 4, shareLowMark: 1, ...changes });
  const held = rig.idle(servers);
  for (const [i] of held.entries()) rig.acquire(`holder ${i}`);
  rig.host.onFree = (server) => rig.pool.released(server, rig.now);
  return { rig, held };
}

/** Each of `held` is shared, with one statement on it. */
function occupy(rig: Rig, held: readonly FakeServer[]): void {
  for (const server of held) {
    rig.acquire(`~first on ${server.name}`);
    rig.pool.released(server, rig.now);
  }
}

function riders(rig: Rig): string[] {
  return rig.host.rides.map(({ waiter, server }) => `${waiter}@${server.name}`);
}

/** `server` has answered `count` of its statements, and the turn ends. */
function answered(rig: Rig, server: FakeServer, count: number): void {
  server.riders -= count;
  rig.pool.refill(rig.now);
}

describe("riding", () => {
  it("nobody rides while a server is idle", () => {
    const rig = new Rig({ shareDepth: 4, shareLowMark: 1 });
    const [server] = rig.idle(1);
    expect(rig.acquire("~a")).toBe(server);
    expect([server!.state, riders(rig)]).toEqual(["active", []]);
  });

  it("a server that is released takes those who have waited longest, up to its depth", () => {
    const { rig, held } = shared(1);
    for (const name of ["~a", "~b", "~c", "~d", "~e"]) expect(rig.acquire(name)).toBe(null);
    rig.pool.released(held[0]!, 1);
    expect(riders(rig)).toEqual(["~a@s1", "~b@s1", "~c@s1", "~d@s1"]);
    expect([held[0]!.state, rig.waiting]).toEqual(["shared", ["~e"]]);
  });

  it("takes more at its low mark and not before, all at once", () => {
    const { rig, held } = shared(1);
    for (const name of ["~a", "~b", "~c", "~d", "~e", "~f", "~g"]) rig.acquire(name);
    const [server] = held as [FakeServer];
    rig.pool.released(server, 1);
    answered(rig, server, 2);
    expect(riders(rig)).toHaveLength(4);
    answered(rig, server, 1);
    expect(riders(rig).slice(4)).toEqual(["~e@s1", "~f@s1", "~g@s1"]);
  });

  it("who begins to wait in a turn rides at its end, on a server with little left", () => {
    const { rig, held } = shared(1);
    const [server] = held as [FakeServer];
    rig.acquire("~a");
    rig.pool.released(server, 1);
    rig.acquire("~b");
    rig.acquire("~c");
    expect(riders(rig)).toEqual(["~a@s1"]);
    rig.pool.refill(1);
    expect(riders(rig)).toEqual(["~a@s1", "~b@s1", "~c@s1"]);
  });

  it("several servers with little left take equal parts", () => {
    const { rig, held } = shared(2);
    occupy(rig, held);
    for (const name of ["~c", "~d", "~e", "~f"]) rig.acquire(name);
    rig.pool.refill(1);
    expect(held.map(({ riders }) => riders)).toEqual([3, 3]);
  });

  it("one with nothing left comes before one that is still at work", () => {
    const { rig, held } = shared(2);
    occupy(rig, held);
    held[1]!.riders = 0;
    rig.acquire("~late");
    rig.pool.refill(1);
    expect(riders(rig).at(-1)).toBe("~late@s2");
  });

  it("a server with nothing left and nobody to take is free", () => {
    const { rig, held } = shared(1);
    rig.acquire("~a");
    rig.pool.released(held[0]!, 1);
    answered(rig, held[0]!, 1);
    expect(held[0]!.state).toBe("idle");
  });

  it("counts as the pool's own in the figures, and PAUSE waits for it", () => {
    const { rig, held } = shared(1);
    rig.acquire("~a");
    rig.pool.released(held[0]!, 1);
    expect(rig.pool.snapshot().active).toBe(1);
    rig.pool.pause(1);
    expect(rig.pool.settled).toBe(false);
    rig.acquire("~b");
    answered(rig, held[0]!, 1);
    expect([rig.pool.settled, riders(rig), rig.host.reasons]).toEqual([true, ["~a@s1"], ["pause mode"]]);
  });

  it("is off below a depth of two, and where a server is used once", () => {
    for (const changes of [{ shareDepth: 1 }, { lifetimeMs: 0 }]) {
      const { rig, held } = shared(1);
      Object.assign(rig.policy, changes);
      rig.acquire("~a");
      rig.acquire("~b");
      rig.pool.released(held[0]!, 1);
      expect(riders(rig)).toEqual([]);
    }
  });

  it("grows the pool as without it", () => {
    const rig = new Rig({ sizeMax: 2, shareDepth: 4, shareLowMark: 1 });
    rig.acquire("~a");
    rig.acquire("~b");
    rig.open();
    expect(riders(rig)).toEqual(["~a@s1", "~b@s1"]);
    rig.acquire("~c");
    rig.pool.refill(rig.now);
    expect(rig.host.slots).toHaveLength(1);
  });
});

describe("who needs a server alone", () => {
  it("has one sealed, and is not overtaken there by those who came later", () => {
    const { rig, held } = shared(1);
    const [server] = held as [FakeServer];
    rig.acquire("~a");
    rig.pool.released(server, 1);
    rig.acquire("alone");
    rig.acquire("~late");
    rig.pool.refill(1);
    expect([server.sealed, rig.host.seals[0]!.reason, riders(rig)]).toEqual([true, "alone", ["~a@s1"]]);
    answered(rig, server, 1);
    expect(rig.host.served.at(-1)).toEqual({ waiter: "alone", server });
    rig.pool.released(server, 2);
    expect(riders(rig).at(-1)).toBe("~late@s1");
  });

  it("seals one server for each, and the others go on", () => {
    const { rig, held } = shared(3);
    occupy(rig, held);
    rig.acquire("alone");
    for (const name of ["~d", "~e"]) rig.acquire(name);
    rig.pool.refill(1);
    expect(held.filter(({ sealed }) => sealed)).toHaveLength(1);
    expect(riders(rig)).toHaveLength(5);
  });

  it("waits behind those who came before it", () => {
    const { rig, held } = shared(1, { shareDepth: 2 });
    for (const name of ["~a", "~b", "~c"]) rig.acquire(name);
    rig.acquire("alone");
    rig.pool.released(held[0]!, 1);
    answered(rig, held[0]!, 1);
    expect(riders(rig)).toEqual(["~a@s1", "~b@s1", "~c@s1"]);
    expect(held[0]!.sealed).toBe(false);
    answered(rig, held[0]!, 1);
    expect(held[0]!.sealed).toBe(true);
  });

  it("under a flood of sharers it is served after what was under way", () => {
    const { rig, held } = shared(2);
    occupy(rig, held);
    rig.acquire("alone");
    let rounds = 0;
    while (rig.host.served.every(({ waiter }) => waiter !== "alone")) {
      if (++rounds > 8) throw new Error("it starves");
      for (let i = 0; i < 6; i++) rig.acquire(`~flood ${rounds}.${i}`);
      for (const server of held) answered(rig, server, Math.min(server.riders, 2));
    }
    expect(rounds).toBeLessThan(4);
  });
});

describe("servers that cannot take somebody", () => {
  it("one in another state is passed over, and after some of them it gets a server alone", () => {
    const { rig, held } = shared(1);
    const [server] = held as [FakeServer];
    rig.host.fits = (waiter) => (waiter === "~other" ? Fit.differs : Fit.rides);
    rig.acquire("~a");
    rig.pool.released(server, 1);
    rig.acquire("~other");
    for (let i = 0; i < 4; i++) {
      expect(server.sealed).toBe(false);
      rig.pool.refill(1);
    }
    rig.acquire("~d");
    rig.pool.refill(1);
    expect(server.sealed).toBe(true);
    answered(rig, server, 1);
    expect(rig.host.served.at(-1)!.waiter).toBe("~other");
  });

  it("the first of all is given an idle server alone if it does not fit", () => {
    const { rig, held } = shared(1);
    rig.host.fits = () => Fit.differs;
    rig.acquire("~a");
    rig.pool.released(held[0]!, 1);
    expect(rig.host.served.at(-1)).toEqual({ waiter: "~a", server: held[0] });
  });

  it("a full one ends the filling", () => {
    const { rig, held } = shared(1);
    rig.host.fits = (_, server) => (server.riders >= 2 ? Fit.full : Fit.rides);
    for (const name of ["~a", "~b", "~c"]) rig.acquire(name);
    rig.pool.released(held[0]!, 1);
    expect(riders(rig)).toEqual(["~a@s1", "~b@s1"]);
    expect(rig.waiting).toEqual(["~c"]);
  });
});

describe("what seals", () => {
  it.each([
    ["closing", (rig: Rig) => rig.pool.markCloseNeeded(1), "close_needed"],
    ["lifetime", (rig: Rig) => (rig.now = 3600 * SECOND), "server lifetime over"],
  ] as const)("%s", (reason, cause, closing) => {
    const { rig, held } = shared(1);
    const [server] = held as [FakeServer];
    rig.acquire("~a");
    rig.pool.released(server, 1);
    cause(rig);
    rig.acquire("~b");
    rig.pool.refill(rig.now);
    expect([rig.host.seals.map((seal) => seal.reason), riders(rig)]).toEqual([[reason], ["~a@s1"]]);
    answered(rig, server, 1);
    expect(rig.host.reasons).toEqual([closing]);
  });

  it("a place that is owed to another pool", () => {
    const budget = new Budget("database", () => 1);
    const rig = new Rig({ sizeMax: 1, shareDepth: 4, shareLowMark: 1 }, [budget]);
    const other = new Rig({ sizeMax: 1 }, [budget]);
    const [server] = rig.idle(1) as [FakeServer];
    rig.acquire("holder");
    rig.acquire("~a");
    rig.pool.released(server, 1);
    other.acquire("elsewhere");
    rig.pool.refill(1);
    expect(rig.host.seals.map(({ reason }) => reason)).toEqual(["owed"]);
  });

  it("nothing when nothing is wrong; and by the host, once", () => {
    const { rig, held } = shared(1);
    rig.acquire("~a");
    rig.pool.released(held[0]!, 1);
    rig.pool.refill(1);
    expect(rig.host.seals).toEqual([]);
    rig.pool.seal(held[0]!, "cancel");
    rig.pool.seal(held[0]!, "slow statement");
    expect(rig.host.seals.map(({ reason }) => reason)).toEqual(["cancel"]);
  });
});

describe("who is moved", () => {
  it("comes back to its old place, before all who came later", () => {
    const { rig, held } = shared(1);
    const [server] = held as [FakeServer];
    const moved = new Waiting("~moved");
    rig.pool.acquire(moved, 1);
    rig.pool.acquire(new Waiting("~behind"), 1);
    rig.pool.released(server, 1);
    rig.now = 1;
    rig.acquire("~late");
    rig.pool.seal(server, "slow statement");
    rig.pool.moveBack(moved, true, 5);
    expect(rig.waiting).toEqual(["~moved", "~late"]);
    answered(rig, server, 2);
    expect(riders(rig).slice(2)).toEqual(["~moved@s1", "~late@s1"]);
  });

  it("waits for a server alone if it has been moved often enough", () => {
    const { rig, held } = shared(1);
    const moved = new Waiting("~moved");
    rig.pool.acquire(moved, 1);
    rig.pool.released(held[0]!, 1);
    rig.pool.seal(held[0]!, "slow statement");
    rig.pool.moveBack(moved, false, 5);
    answered(rig, held[0]!, 1);
    expect(rig.host.served.at(-1)!.waiter).toBe("~moved");
  });
});
