/** Time limits of free servers, a lowered size, RECONNECT, PAUSE. */
import { describe, expect, it } from "vitest";
import { Rig, SECOND } from "./fake-host.ts";

describe("server_idle_timeout", () => {
  it("closes what was idle for longer, but spares the minimum", () => {
    const rig = new Rig({ idleTimeoutMs: 10 * SECOND, sizeMin: 1, checks: false });
    rig.idle(3);
    rig.tick(10 * SECOND);
    expect(rig.host.reasons).toEqual([]);
    rig.tick(10 * SECOND + 1);
    expect([rig.host.reasons, rig.pool.snapshot().idle]).toEqual([["server idle timeout", "server idle timeout"], 1]);
  });

  it("counts from the host's last word of the server, and is off with 0", () => {
    const rig = new Rig({ idleTimeoutMs: 10 * SECOND, checks: false });
    const [server] = rig.idle(1);
    server!.usedAt = 5 * SECOND;
    rig.tick(12 * SECOND);
    rig.policy.idleTimeoutMs = 0;
    rig.tick(500 * SECOND);
    expect(rig.host.reasons).toEqual([]);
  });
});

describe("server_lifetime", () => {
  it("closes servers one after another, lifetime / size apart", () => {
    const rig = new Rig({ lifetimeMs: 100 * SECOND, sizeMax: 4, checks: false });
    rig.idle(3);
    rig.tick(99 * SECOND);
    expect(rig.host.reasons).toEqual([]);
    rig.tick(100 * SECOND);
    rig.tick(124 * SECOND);
    expect(rig.host.reasons).toEqual(["server lifetime over"]);
    rig.tick(125 * SECOND);
    expect(rig.host.reasons.length).toBe(2);
  });

  it("is looked at on release too, with the same spacing", () => {
    const rig = new Rig({ lifetimeMs: 100 * SECOND, sizeMax: 2 });
    rig.acquire("a");
    const one = rig.open();
    rig.acquire("b");
    const two = rig.open();
    rig.pool.released(one, 100 * SECOND);
    rig.pool.released(two, 101 * SECOND);
    expect([rig.host.reasons, two.state]).toEqual([["server lifetime over"], "idle"]);
  });

  it("0 means: use once, then close", () => {
    const rig = new Rig({ lifetimeMs: 0 });
    rig.acquire("a");
    const server = rig.open();
    expect(server.state).toBe("active");
    rig.pool.released(server, 0);
    expect(rig.host.reasons).toEqual(["server lifetime over"]);
  });
});

describe("a lowered size", () => {
  it("closes what is too much, used servers first, the coldest first; active ones stay", () => {
    const rig = new Rig({ checkDelayMs: 10 * SECOND, reserveMax: 1 });
    const [a, b, c, d, e] = rig.idle(5);
    e!.usedAt = 5 * SECOND;
    for (const server of [b, c, d]) server!.usedAt = 8 * SECOND;
    expect(rig.acquire("x")).toBe(e);
    rig.tick(11 * SECOND);
    expect(a!.state).toBe("used");
    rig.policy.sizeMax = 1;
    rig.tick(11 * SECOND);
    expect(rig.host.retired.map(({ server, reason }) => [server, reason])).toEqual(
      [a, b, c].map((server) => [server, "too many servers in the pool"]),
    );
  });
});

describe("servers that got dirty", () => {
  it("are closed by the tick, with their state in the reason", () => {
    const rig = new Rig({ checkDelayMs: SECOND });
    const [one] = rig.idle(1);
    rig.tick(2 * SECOND);
    one!.dirty = true;
    rig.acquire("a"); // closes it: picked for a check
    expect(rig.host.reasons).toEqual(["idle server got dirty"]);
    const again = new Rig({ checkDelayMs: SECOND });
    const [idle, used] = again.idle(2);
    again.now = 2 * SECOND;
    idle!.usedAt = 2 * SECOND;
    again.tick();
    idle!.dirty = true;
    used!.dirty = true;
    again.tick();
    expect(again.host.reasons).toEqual(["SV_USED server got dirty", "SV_IDLE server got dirty"]);
  });
});

describe("RECONNECT", () => {
  it("closes idle ones at the next tick, new ones now, active ones when released", () => {
    const rig = new Rig();
    const [idle] = rig.idle(1);
    const active = rig.acquire("a");
    expect(active).toBe(idle);
    rig.acquire("b");
    const fresh = rig.announce();
    rig.pool.markCloseNeeded(1);
    expect(rig.host.retired).toEqual([{ server: fresh, reason: "connect string changed" }]);
    rig.pool.released(active!, 2);
    expect(rig.host.reasons).toEqual(["connect string changed", "close_needed"]);

    const quiet = new Rig();
    quiet.idle(2);
    quiet.pool.markCloseNeeded(1);
    expect(quiet.host.reasons).toEqual([]);
    quiet.tick(2);
    expect(quiet.host.reasons).toEqual(["database configuration changed", "database configuration changed"]);
  });
});

describe("PAUSE", () => {
  it("closes what is free or new, gives nothing out, and is settled when the last one is back", () => {
    const rig = new Rig({ checkDelayMs: SECOND });
    const [a, b, c] = rig.idle(3);
    a!.usedAt = -SECOND;
    rig.tick(1);
    expect([a!.state, rig.acquire("active")]).toEqual(["used", c]);
    rig.pool.testing(c!, 1);
    rig.acquire("gets b");
    rig.acquire("waits for c");
    rig.acquire("waits for a");
    expect([a, b, c].map((server) => server!.state)).toEqual(["tested", "active", "tested"]);
    rig.pool.pause(2);
    expect(rig.host.reasons).toEqual([]);
    rig.pool.released(b!, 3);
    rig.pool.released(c!, 3);
    expect([rig.host.reasons, rig.pool.settled, rig.acquire("later")]).toEqual([
      ["pause mode", "pause mode"],
      false,
      null,
    ]);
    rig.pool.checked(a!, 4);
    expect([rig.pool.settled, rig.pool.paused, rig.waiting.at(-1)]).toEqual([true, true, "later"]);
    rig.tick(100 * SECOND);
    expect(rig.host.slots.length).toBe(0);
    for (const { server } of rig.host.retired) rig.pool.closed(server, 101 * SECOND);
    rig.pool.resume(102 * SECOND);
    expect(rig.host.slots.length).toBe(1);
  });

  it("closes idle, used and new servers at once, and one that is announced later at the next tick", () => {
    const rig = new Rig({ checkDelayMs: SECOND, loginsAtOnceMax: 2 });
    const [used] = rig.idle(2);
    used!.usedAt = -SECOND;
    rig.tick(1);
    rig.pool.pause(2);
    expect([rig.host.reasons, rig.pool.settled]).toEqual([["pause mode", "pause mode"], true]);

    const late = new Rig();
    late.acquire("a");
    late.pool.pause(1);
    const server = late.announce();
    late.tick(2);
    expect(late.host.retired).toEqual([{ server, reason: "pause mode" }]);
  });
});
