/**
 * The states of a client that has logged in or waits for its login to be possible.
 *
 *              ┌──────────────▶ idle ◀─────────┐
 *    (login) ──┤                │  ▲           │ unit and transaction over
 *              └─▶ waiting ◀────┘  └── active ─┘
 *                   │ no server idle     ▲
 *                   └────────────────────┘ served; back again if its unit rode and was moved
 *
 * SHOW POOLS counts `active` and `idle` together as cl_active: a client that wants nothing is no burden to anybody.
 */
import type { StateTable } from "../pool/state-lists.ts";

export const ClientState = {
  /** Wants nothing. */
  idle: "idle",
  /** Wants a server (or the first login of its pool) and has none. */
  waiting: "waiting",
  /** Holds a server, or rides on one. */
  active: "active",
} as const;
export type ClientState = (typeof ClientState)[keyof typeof ClientState];

export const clientStateTable: StateTable<ClientState> = {
  entry: ["idle", "waiting"],
  moves: {
    idle: ["active", "waiting"],
    waiting: ["active", "idle"],
    active: ["idle", "waiting"],
  },
};
