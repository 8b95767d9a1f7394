/**
 * What a pool is allowed and supposed to do: the effective values of PgBouncer's settings for one (database, user) pair. Who takes
 * precedence (user, database, global) has been decided before. Read live at each decision: the host changes the fields on RELOAD and SET.
 */
export interface PoolPolicy {
  /** `pool_size`: connections of any kind, those of cancel requests included; 0 = unlimited. */
  sizeMax: number;
  /** `min_pool_size`: so many servers are kept. */
  sizeMin: number;
  /** `reserve_pool_size`: connections beyond `sizeMax` for clients that have waited long; 0 = none. */
  reserveMax: number;
  /** `reserve_pool_timeout`: how long; 0 = the reserve is never used. */
  reserveTimeoutMs: number;
  /** `server_check_delay`: a server that was quiet for longer is checked before use; 0 = checked before each use. */
  checkDelayMs: number;
  /** A check query is configured (`server_check_query`). */
  checks: boolean;
  /** `server_idle_timeout`; 0 = off. */
  idleTimeoutMs: number;
  /** `server_lifetime`; 0 = use once, then close. */
  lifetimeMs: number;
  /** `server_login_retry`. */
  loginRetryMs: number;
  /** `server_round_robin`: the server that was idle for the longest time first, else the one that became idle last. */
  roundRobin: boolean;
  /** How many logins may be in progress at once, at least 1; PgBouncer's figure is 1. */
  loginsAtOnceMax: number;
  /** How many statements may be under way on a shared server; below 2 nothing is shared. */
  shareDepth: number;
  /** A shared server takes more when so many or fewer are left. */
  shareLowMark: number;
  /** The pool is filled to `sizeMin` even when it has no clients (databases with a forced user). */
  keepFilled: boolean;
}
