/**
 * How fast a pool may try to connect. The first login of a generation (at the start, after a failure, after RECONNECT or a changed
 * configuration) goes alone: what it meets, the others would meet too. After a success several may be under way at once (PgBouncer: one).
 * After a failure none is tried until `server_login_retry` has passed since the start of the last. One that somebody ended (an administrator's
 * pg_terminate_backend of all there are) is no failure: the next goes alone, and at once. If that one is ended too, it is. PgBouncer's counterpart: `last_connect_time` and `last_connect_failed` of PgPool.
 */
import type { PoolPolicy } from "./pool-policy.ts";

export class LoginPace {
  #startedAt = -Infinity;
  #failed = false;
  /** A login of this generation has succeeded. */
  #proven = false;
  /** None has succeeded since one was interrupted. */
  #interrupted = false;

  /** The last attempt that ended has failed. */
  get failed(): boolean {
    return this.#failed;
  }

  /** When the last attempt began, monotonic ms; -Infinity before the first. */
  get startedAt(): number {
    return this.#startedAt;
  }

  /** How many may be under way at the same time. */
  atOnceMax(policy: PoolPolicy): number {
    return this.#proven ? policy.loginsAtOnceMax : 1;
  }

  /** `inProgress`: attempts that have begun and not ended. Never twice in one instant after a failure, even with no pause configured. */
  mayStart(policy: PoolPolicy, inProgress: number, now: number): boolean {
    if (inProgress >= this.atOnceMax(policy)) return false;
    if (!this.#failed) return true;
    return now > this.#startedAt && now - this.#startedAt >= policy.loginRetryMs;
  }

  started(now: number): void {
    this.#startedAt = now;
  }

  succeeded(): void {
    this.#failed = false;
    this.#proven = true;
    this.#interrupted = false;
  }

  fail(): void {
    this.#failed = true;
    this.#proven = false;
  }

  /** The attempt was ended from outside, which says nothing of how others will end: the first time. */
  interrupt(): void {
    if (this.#interrupted) this.#failed = true;
    this.#interrupted = true;
    this.#proven = false;
  }

  /** A new generation: nothing is known of how a login ends now. */
  begin(): void {
    this.#proven = false;
  }
}
