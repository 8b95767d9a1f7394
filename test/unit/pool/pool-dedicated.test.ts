/** Servers that are one client's own: opened for it, active from the login on, closed behind it, and counted like any other. */
import { describe, expect, it } from "vitest";
import { Budget } from "../../../src/pool/budget.ts";
import { InvariantError } from "../../../src/pool/invariant.ts";
import { ServerState } from "../../../src/pool/server-state.ts";
import type { FakeServer } from "./fake-host.ts";
import { Rig, SECOND } from "./fake-host.ts";

/** Whose own the servers are that the host was asked to open, in order; "" for a server that is anybody's. */
function asked(rig: Rig): string[] {
  return rig.host.slots.map((slot) => rig.host.owners.get(slot) ?? "");
}

/** All servers that were told to close have closed. */
function closeRetired(rig: Rig): void {
  for (const { server } of rig.host.retired.splice(0)) rig.pool.closed(server, rig.now);
}

describe("a client that wants a server of its own", () => {
  it("gets one opened although others are idle, active from its login on", () => {
    const rig = new Rig();
    const [idle] = rig.idle(1);
    rig.dedicate("own");
    expect([asked(rig), rig.host.served, idle!.state]).toEqual([["own"], [], "idle"]);
    const server = rig.open();
    expect([server.dedicated, server.state, rig.host.served]).toEqual([true, "active", []]);
    expect(rig.pool.snapshot()).toMatchObject({ active: 1, idle: 1, connections: 2, waiting: 0 });
  });

  it("leaves no server that goes to others: it cannot be released, tested, or kept for a cancel request", () => {
    const rig = new Rig();
    rig.dedicate("own");
    const server = rig.open();
    rig.acquire("other");
    for (const event of ["released", "testing", "cancelling", "checked"] as const) {
      expect(() => rig.pool[event](server, 1)).toThrow(InvariantError);
    }
    expect(server.state).toBe("active");
    rig.pool.retire(server, "gone", 1);
    expect([rig.host.reasons, rig.pool.snapshot().leaving]).toEqual([["gone"], 1]);
  });

  it("cannot be given a server that was opened for anybody, nor the other way round", () => {
    const rig = new Rig();
    rig.dedicate("own");
    rig.host.owners.clear();
    expect(() => rig.announce()).toThrow(InvariantError);
  });

  it("waits its turn with the others, by time of arrival", () => {
    const rig = new Rig();
    rig.acquire("first");
    rig.now = 10;
    rig.dedicate("second");
    rig.now = 20;
    rig.acquire("third");
    const order: string[] = [];
    for (let i = 0; i < 3; i++) {
      order.push(...asked(rig));
      rig.open();
    }
    expect([order, rig.host.served.map(({ waiter }) => waiter)]).toEqual([
      ["", "second", ""],
      ["first", "third"],
    ]);
  });

  it("counts as one that waits, for maxwait too, and leaves without a trace", () => {
    const rig = new Rig({ sizeMax: 1 });
    rig.acquire("holder");
    rig.open();
    rig.now = 5;
    const waiting = rig.dedicate("own");
    rig.now = 9;
    rig.acquire("later");
    expect(rig.pool.snapshot()).toMatchObject({ waiting: 2, waitingSince: 5 });
    rig.pool.leave(waiting);
    expect(rig.pool.snapshot()).toMatchObject({ waiting: 1, waitingSince: 9 });
  });

  it("comes back to its old place when the attempt has failed, and waits for the next time to try", () => {
    const rig = new Rig({ loginRetryMs: 15 * SECOND });
    rig.dedicate("own");
    const server = rig.announce();
    rig.now = SECOND;
    rig.acquire("later");
    rig.pool.openFailed(server, server.slot!, rig.now);
    rig.dedicate("own", 0);
    expect([asked(rig), rig.pool.snapshot().waitingSince]).toEqual([[], 0]);
    rig.tick(15 * SECOND);
    expect(asked(rig)).toEqual(["own"]);
  });

  it("is not in the way of the others' login state: what is retired is no failure, and no server that anybody could use", () => {
    const rig = new Rig();
    rig.dedicate("refused");
    rig.pool.retire(rig.announce(), "refused", 0);
    expect(rig.pool.loginFailing).toBe(false);
    rig.dedicate("own");
    rig.open();
    rig.acquire("other");
    const failing = rig.announce();
    rig.pool.openFailed(failing, failing.slot!, 1);
    expect([rig.pool.loginFailing, rig.pool.sharedCount]).toEqual([true, 0]);
  });

  it("does not stand for the server that the first welcome needs", () => {
    const rig = new Rig();
    rig.dedicate("own");
    rig.open();
    rig.pool.warm(1);
    expect(asked(rig)).toEqual([""]);
    rig.dedicate("another");
    rig.open();
    expect([asked(rig), rig.pool.sharedCount]).toEqual([["another"], 1]);
  });

  it("is not served under PAUSE, and is afterwards", () => {
    const rig = new Rig();
    rig.pool.pause(0);
    rig.dedicate("own");
    rig.tick();
    expect(asked(rig)).toEqual([]);
    rig.pool.resume(1);
    expect(asked(rig)).toEqual(["own"]);
    rig.open();
    expect(rig.pool.settled).toBe(false);
  });
});

describe("in a full pool", () => {
  it("an idle server is closed for it, the one that was idle for the longest time; then one that needs a check", () => {
    const rig = new Rig({ sizeMax: 2, checkDelayMs: SECOND });
    const servers = rig.idle(2);
    rig.dedicate("own");
    expect([asked(rig), rig.host.retired]).toEqual([[], [{ server: servers[0], reason: "evicted" }]]);
    rig.dedicate("another");
    expect(rig.host.retired.length).toBe(1);
    closeRetired(rig);
    expect(asked(rig)).toEqual(["own"]);
    rig.tick(2 * SECOND);
    expect(servers[1]!.state).toBe("used");
    rig.open();
    expect(rig.host.retired).toEqual([{ server: servers[1], reason: "evicted" }]);
    closeRetired(rig);
    rig.open();
    expect(rig.pool.snapshot()).toMatchObject({ active: 2, connections: 2, waiting: 0 });
  });

  it("nothing is closed for it while no attempt could be made", () => {
    const rig = new Rig({ sizeMax: 3, loginsAtOnceMax: 1 });
    const [, idle] = rig.idle(2);
    rig.acquire("a");
    rig.acquire("b");
    rig.acquire("c");
    rig.pool.released(idle!, 0);
    rig.pool.released(idle!, 0);
    expect(asked(rig)).toEqual([""]);
    rig.dedicate("own");
    expect(rig.host.retired).toEqual([]);
  });

  it("a server that is released goes to whoever has waited longest: closed for it, or given to another", () => {
    for (const ownFirst of [true, false]) {
      const rig = new Rig({ sizeMax: 1 });
      rig.acquire("holder");
      const server = rig.open();
      rig.host.served.length = 0;
      if (ownFirst) rig.dedicate("own", 1);
      rig.now = 2;
      rig.acquire("other");
      rig.now = 3;
      if (!ownFirst) rig.dedicate("own");
      rig.pool.released(server, 4);
      expect([rig.host.reasons, rig.host.served.length]).toEqual(ownFirst ? [["evicted"], 0] : [[], 1]);
    }
  });

  it("waits when nothing is idle, and takes the reserve after its time like the others", () => {
    const rig = new Rig({ sizeMax: 1, reserveMax: 1, reserveTimeoutMs: 5 * SECOND });
    rig.acquire("holder");
    rig.open();
    rig.dedicate("own");
    rig.tick(5 * SECOND - 1);
    expect(asked(rig)).toEqual([]);
    rig.tick(5 * SECOND);
    expect([asked(rig), rig.host.lines]).toEqual([["own"], ["WARNING taking connection from reserve_pool"]]);
  });
});

describe("in a full budget", () => {
  it("another pool's idle server is closed for it before one of its own, and one of its own if there is no other", () => {
    const database = new Budget("database", () => 2);
    const own = new Rig({}, [database]);
    const other = new Rig({}, [database]);
    const [ownIdle] = own.idle(1) as [FakeServer];
    const [otherIdle] = other.idle(1) as [FakeServer];
    own.dedicate("first");
    expect([own.host.retired, other.host.retired]).toEqual([[], [{ server: otherIdle, reason: "evicted" }]]);
    closeRetired(other);
    expect(asked(own)).toEqual(["first"]);
    own.open();
    own.dedicate("second");
    expect(own.host.retired).toEqual([{ server: ownIdle, reason: "evicted" }]);
    closeRetired(own);
    expect(asked(own)).toEqual(["second"]);
    own.open();
    own.dedicate("third");
    own.tick(SECOND);
    expect([own.host.slots.length, own.host.retired.length, database.used]).toEqual([0, 0, 2]);
  });

  it("a server of its own pool that becomes free is closed for it, not given to one who came later", () => {
    const database = new Budget("database", () => 1);
    const rig = new Rig({}, [database]);
    rig.acquire("holder");
    const server = rig.open();
    rig.host.served.length = 0;
    rig.dedicate("own");
    rig.now = 1;
    rig.acquire("later");
    rig.pool.released(server, 2);
    expect([rig.host.reasons, rig.host.served]).toEqual([["evicted"], []]);
    closeRetired(rig);
    expect(asked(rig)).toEqual(["own"]);
  });
});

describe("maintenance", () => {
  it("closes a server of one client when it must not be used any more, at the next tick; nobody else's in use", () => {
    const rig = new Rig();
    rig.acquire("other");
    const shared = rig.open();
    rig.dedicate("own");
    const server = rig.open();
    rig.pool.markCloseNeeded(1);
    expect(rig.host.retired).toEqual([]);
    rig.tick(2);
    expect(rig.host.retired).toEqual([{ server, reason: "database configuration changed" }]);
    expect(shared.state).toBe("active");
  });

  it("closes one that logs in at once, as any other", () => {
    const rig = new Rig();
    rig.dedicate("own");
    rig.announce();
    rig.pool.markCloseNeeded(1);
    expect(rig.host.reasons).toEqual(["connect string changed"]);
  });

  it("does not end it for its age, and does not take it apart with a client in the queue", () => {
    const rig = new Rig({ lifetimeMs: SECOND, idleTimeoutMs: SECOND, sizeMax: 1 });
    rig.dedicate("own");
    rig.open();
    const waiting = rig.dedicate("another");
    rig.tick(100 * SECOND);
    expect(rig.host.retired).toEqual([]);
    rig.pool.retire([...rig.pool.servers.in(ServerState.active)][0]!, "gone", rig.now);
    rig.pool.pause(rig.now);
    closeRetired(rig);
    expect(() => rig.pool.dismantle()).toThrow(InvariantError);
    rig.pool.leave(waiting);
    rig.pool.dismantle();
  });
});
