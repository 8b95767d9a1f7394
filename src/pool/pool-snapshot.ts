/** A pool's figures at one moment: for SHOW POOLS, for metrics, and for time-out messages that explain themselves. */
import type { Budget } from "./budget.ts";
import type { PoolPolicy } from "./pool-policy.ts";
import { ServerState } from "./server-state.ts";
import type { StateLists } from "./state-lists.ts";

export interface PoolSnapshot {
  /** Servers by state, as in SHOW POOLS (`sv_active` …); `new` includes attempts whose server has not been announced (`sv_login`). */
  readonly active: number;
  readonly beingCanceled: number;
  readonly idle: number;
  readonly used: number;
  readonly tested: number;
  readonly new: number;
  /** Servers that were told to close and have not closed. In no column of SHOW POOLS, but still counted in every limit. */
  readonly leaving: number;
  /** Connections that carry cancel requests (`sv_active_cancel`). */
  readonly cancels: number;
  /** The sum of all of the above: what `sizeMax` and `reserveMax` limit. */
  readonly connections: number;
  /** 0 = unlimited. */
  readonly sizeMax: number;
  readonly reserveMax: number;
  /** Clients that wait (`cl_waiting`), and since when the first one does, monotonic ms (`maxwait`); null when nobody does. */
  readonly waiting: number;
  readonly waitingSince: number | null;
  readonly paused: boolean;
  /** The last login failed and there is no server. */
  readonly loginFailing: boolean;
  /** The pool has asked for a slot and waits for it: one of the budgets is full. */
  readonly slotRequested: boolean;
  /** The budgets it counts in; limit 0 = unlimited. */
  readonly budgets: readonly { readonly name: string; readonly used: number; readonly limit: number }[];
}

/** What of a pool is counted. */
export interface CountedPool {
  readonly policy: PoolPolicy;
  readonly budgets: readonly Budget[];
  readonly servers: Pick<StateLists<ServerState, unknown>, "count">;
  readonly waiters: { readonly length: number };
  readonly dedicated: { readonly length: number };
  readonly connections: number;
  readonly paused: boolean;
  readonly loginFailing: boolean;
}

/** The same of its supply. */
export interface CountedSupply {
  readonly outside: { readonly opening: number; readonly leaving: number; readonly cancels: number };
  readonly queueSince: number | null;
  readonly asked: boolean;
}

export function snapshotOf(pool: CountedPool, supply: CountedSupply): PoolSnapshot {
  const { servers, waiters, dedicated, policy } = pool;
  const { opening, leaving, cancels } = supply.outside;
  return {
    active: servers.count(ServerState.active) + servers.count(ServerState.shared),
    beingCanceled: servers.count(ServerState.beingCanceled),
    idle: servers.count(ServerState.idle),
    used: servers.count(ServerState.used),
    tested: servers.count(ServerState.tested),
    new: servers.count(ServerState.new) + opening,
    leaving,
    cancels,
    connections: pool.connections,
    sizeMax: policy.sizeMax,
    reserveMax: policy.reserveMax,
    waiting: waiters.length + dedicated.length,
    waitingSince: supply.queueSince,
    paused: pool.paused,
    loginFailing: pool.loginFailing,
    slotRequested: supply.asked,
    budgets: pool.budgets.map(({ name, used, limit }) => ({ name, used, limit })),
  };
}
