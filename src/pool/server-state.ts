/**
 * The states of a server as its pool sees it, with PgBouncer's names for them (SHOW SERVERS, SHOW POOLS), and the allowed changes.
 *
 *      opening()
 *         │
 *         ▼
 *        new ──opened()──▶ idle ──acquire(), serve──▶ active ──cancelling()──▶ being_canceled
 *                          ▲  │                         │                            │
 *                          │  │ quiet for long          │ testing()  (reset query)   │
 *            check needed  │  ▼                         ▼                            │
 *            no more ──────┼─ used ──check()──────▶  tested ◀──────── testing() ─────┤
 *                          │  ▲                         │                            │
 *                          │  └── released(), checked before each use, after active or being_canceled
 *                          │                            │                            │
 *                          └──── released(), checked() ─┴──────── released() ────────┘
 *
 * A server that is one client's own goes from new to active, and nowhere else. `shared` stands where `active` does: it is entered from
 * idle, when the first of those who wait may share, and left by the same calls.
 *
 * From every state a server leaves when it is retired or has closed. A retired server is in no state, so that nobody can be given it,
 * but it keeps its slot until it has really closed.
 */
import type { StateTable } from "./state-lists.ts";

export const ServerState = {
  /** Connecting or logging in. */
  new: "new",
  /** Clean, free, heard of not long ago. */
  idle: "idle",
  /** Clean and free, but quiet for so long that it must pass the check query before it is given to anybody. */
  used: "used",
  /** Running the check query or the reset query. */
  tested: "tested",
  /** A client's. */
  active: "active",
  /** Several clients': statements of those who would have to wait else ride on it together (`Pool.refill`). */
  shared: "shared",
  /** Free of its client, but a cancel request that was sent may still hit it. */
  beingCanceled: "being_canceled",
} as const;

export type ServerState = (typeof ServerState)[keyof typeof ServerState];

export const serverStateTable: StateTable<ServerState> = {
  entry: ["new"],
  moves: {
    new: ["idle", "active"],
    idle: ["active", "shared", "used"],
    used: ["idle", "tested"],
    tested: ["idle"],
    active: ["idle", "used", "tested", "being_canceled"],
    shared: ["idle", "used", "tested", "being_canceled"],
    being_canceled: ["idle", "used", "tested"],
  },
};
