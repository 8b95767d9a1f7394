/**
 * When a server has served long enough. Closings for that reason are spaced `server_lifetime / pool_size` apart, so that the servers of a
 * pool that were opened together are not all reopened together. PgBouncer's counterpart: `life_over` and `last_lifetime_disconnect`.
 */
import type { PoolPolicy } from "./pool-policy.ts";

export class Lifetime {
  #lastEndAt = -Infinity;

  /** True when a server opened at `openedAt` has to close now; then this closing counts as made. */
  ends(policy: PoolPolicy, openedAt: number, now: number): boolean {
    const ends = this.isDue(policy, openedAt, now);
    if (ends) this.#lastEndAt = now;
    return ends;
  }

  /** The same, asked of a server that cannot close yet. */
  isDue(policy: PoolPolicy, openedAt: number, now: number): boolean {
    if (now - openedAt < policy.lifetimeMs) return false;
    const spacingMs = policy.sizeMax > 0 ? policy.lifetimeMs / policy.sizeMax : 0;
    return now - this.#lastEndAt >= spacingMs;
  }
}
