/**
 * How fast a pool may try to connect: so many attempts at once (PgBouncer: one), and after a failed one none until `server_login_retry`
 * has passed since the start of the last. PgBouncer's counterpart: `last_connect_time` and `last_connect_failed` of PgPool.
 */
import type { PoolPolicy } from "./pool-policy.ts";

export class LoginPace {
  #startedAt = -Infinity;
  #failed = false;

  /** The last attempt that ended has failed. */
  get failed(): boolean {
    return this.#failed;
  }

  /** When the last attempt began, monotonic ms; -Infinity before the first. */
  get startedAt(): number {
    return this.#startedAt;
  }

  /** `inProgress`: attempts that have begun and not ended. Never twice in one instant after a failure, even with no pause configured. */
  mayStart(policy: PoolPolicy, inProgress: number, now: number): boolean {
    if (inProgress >= policy.loginsAtOnceMax) return false;
    if (!this.#failed) return true;
    return now > this.#startedAt && now - this.#startedAt >= policy.loginRetryMs;
  }

  started(now: number): void {
    this.#startedAt = now;
  }

  succeeded(): void {
    this.#failed = false;
  }

  fail(): void {
    this.#failed = true;
  }
}
