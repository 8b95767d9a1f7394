/** Every state of a server × everything that can happen to it: what is not allowed is refused and changes nothing. */
import { describe, expect, it } from "vitest";
import { InvariantError } from "../../../src/pool/invariant.ts";
import type { PoolSnapshot } from "../../../src/pool/pool-snapshot.ts";
import type { FakeServer } from "./fake-host.ts";
import { Rig, SECOND } from "./fake-host.ts";

type Where = "new" | "idle" | "used" | "tested" | "active" | "being_canceled" | "leaving" | "closed";

/** A pool with one server in that state. */
function rigIn(where: Where): { rig: Rig; server: FakeServer } {
  const rig = new Rig({ checkDelayMs: SECOND, sizeMax: 1 });
  rig.acquire("client");
  const server = rig.announce();
  const { pool } = rig;
  if (where !== "new") pool.opened(server, 0);
  if (where === "idle" || where === "used") pool.released(server, 0);
  if (where === "used") rig.tick(2 * SECOND);
  if (where === "tested") pool.testing(server, 0);
  if (where === "being_canceled") pool.cancelling(server, 0);
  if (where === "leaving") pool.retire(server, "test", 0);
  if (where === "closed") pool.closed(server, 0);
  expect(server.state).toBe(where === "leaving" || where === "closed" ? null : where);
  rig.host.retired.length = 0;
  return { rig, server };
}

const events: Record<string, (rig: Rig, server: FakeServer) => void> = {
  opening: (rig, server) => rig.pool.opening(server, server.slot!, rig.now),
  opened: (rig, server) => rig.pool.opened(server, rig.now),
  openFailed: (rig, server) => rig.pool.openFailed(server, server.slot!, rig.now),
  testing: (rig, server) => rig.pool.testing(server, rig.now),
  cancelling: (rig, server) => rig.pool.cancelling(server, rig.now),
  released: (rig, server) => rig.pool.released(server, rig.now),
  checked: (rig, server) => rig.pool.checked(server, rig.now),
  closed: (rig, server) => rig.pool.closed(server, rig.now),
  retire: (rig, server) => rig.pool.retire(server, "test", rig.now),
};

/** What state each allowed event leads to; "gone" = closed, slot given back; "same" = allowed, without effect. What is not here is refused. */
const table: Record<Where, Record<string, string>> = {
  new: { opened: "active", openFailed: "gone", closed: "gone", retire: "leaving" },
  idle: { closed: "gone", retire: "leaving" },
  used: { closed: "gone", retire: "leaving" },
  tested: { released: "idle", checked: "idle", closed: "gone", retire: "leaving" },
  active: { testing: "tested", cancelling: "being_canceled", released: "idle", closed: "gone", retire: "leaving" },
  being_canceled: { testing: "tested", released: "idle", closed: "gone", retire: "leaving" },
  leaving: { openFailed: "gone", closed: "gone", retire: "same" },
  closed: { closed: "same" },
};

/** How the figures differ afterwards. */
function outcome(to: string | undefined, before: PoolSnapshot): object {
  switch (to) {
    case undefined:
    case "same":
      return { figures: before };
    case "gone":
      return { state: null, slot: null, held: false, connections: 0, leaving: 0 };
    case "leaving":
      return { state: null, reasons: ["test"], leaving: 1 };
    default:
      return { state: to };
  }
}

describe("a server's state × what happens to it", () => {
  for (const where of Object.keys(table) as Where[]) {
    for (const event of Object.keys(events)) {
      const to = table[where][event];
      it(`${where} × ${event}: ${to ?? "refused"}`, () => {
        const { rig, server } = rigIn(where);
        const before = rig.pool.snapshot();
        const { slot } = server;
        const state = server.state;
        let refused = false;
        try {
          events[event]!(rig, server);
        } catch (error) {
          if (!(error instanceof InvariantError)) throw error;
          refused = true;
        }
        const after = rig.pool.snapshot();
        const found = {
          refused,
          state: server.state,
          slot: server.slot,
          held: slot?.held,
          reasons: rig.host.reasons,
          connections: after.connections,
          leaving: after.leaving,
          figures: to === undefined || to === "same" ? after : null,
        };
        const unchanged = {
          state,
          slot,
          held: slot?.held,
          reasons: [],
          connections: before.connections,
          leaving: before.leaving,
        };
        expect(found).toEqual({ refused: to === undefined, ...unchanged, figures: null, ...outcome(to, before) });
      });
    }
  }

  it("refuses servers and slots of another pool", () => {
    const { server } = rigIn("active");
    const other = new Rig();
    expect(() => other.pool.released(server, 0)).toThrow(InvariantError);
    expect(() => other.pool.closed(server, 0)).toThrow(InvariantError);
    expect(() => other.pool.retire(server, "test", 0)).toThrow(InvariantError);
    expect(other.pool.connections).toBe(0);
    expect(server.state).toBe("active");
  });
});
