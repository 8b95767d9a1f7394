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
  idle: 0,
  /** Wants a server (or the first login of its pool) and has none. */
  waiting: 1,
  /** Holds a server, or rides on one. */
  active: 2,
} as const;
export type ClientState = (typeof ClientState)[keyof typeof ClientState];

export const clientStateTable: StateTable<ClientState> = {
  names: ["idle", "waiting", "active"],
  entry: [ClientState.idle, ClientState.waiting],
  moves: [
    [ClientState.idle, [ClientState.active, ClientState.waiting]],
    [ClientState.waiting, [ClientState.active, ClientState.idle]],
    [ClientState.active, [ClientState.idle, ClientState.waiting]],
  ],
};
