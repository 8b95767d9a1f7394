/** A pool's figures at one moment: for SHOW POOLS, for metrics, and for time-out messages that explain themselves. */
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
