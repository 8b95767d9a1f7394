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
  new: 0,
  /** Clean, free, heard of not long ago. */
  idle: 1,
  /** Clean and free, but quiet for so long that it must pass the check query before it is given to anybody. */
  used: 2,
  /** Running the check query or the reset query. */
  tested: 3,
  /** A client's. */
  active: 4,
  /** Several clients': statements of those who would have to wait else ride on it together (`Pool.refill`). */
  shared: 5,
  /** Free of its client, but a cancel request that was sent may still hit it. */
  beingCanceled: 6,
} as const;

export type ServerState = (typeof ServerState)[keyof typeof ServerState];

const { idle, used, tested, active, shared, beingCanceled } = ServerState;

export const serverStateTable: StateTable<ServerState> = {
  names: ["new", "idle", "used", "tested", "active", "shared", "being_canceled"],
  entry: [ServerState.new],
  moves: [
    [ServerState.new, [idle, active]],
    [idle, [active, shared, used]],
    [used, [idle, tested]],
    [tested, [idle]],
    [active, [idle, used, tested, beingCanceled]],
    [shared, [idle, used, tested, beingCanceled]],
    [beingCanceled, [idle, used, tested]],
  ],
};
