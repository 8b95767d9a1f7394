/**
 * Servers that statements of several clients ride on at once: who rides where, and who is not held up by that. The half of `Pool` that
 * decides about servers in the state `shared`.
 *
 *     idle ──share()──▶ shared ──refill()──▶ shared … ──▶ (nothing left, nobody to take) ──▶ free
 *                          └──seal()──▶ takes no more ──▶ (nothing left) ──────────────────▶ free
 *
 * *Refill, don't trickle*: waiters stay in the queue while a server is busy; when it has little left it takes several at once, so that it
 * never runs dry and is written to seldom. Not for: what may ride, and what is sent (`host`).
 *
 * Invariants:
 * - Sharing replaces waiting and nothing else: nobody rides while a server is idle.
 * - Who needs a server alone and has waited longer than those who would ride has one sealed for it, and nobody delays that one any more.
 * - On a server nobody rides who came later than somebody who could ride there and does not.
 */
import type { Lifetime } from "./lifetime.ts";
import { Fit, SealReason, isUsable } from "./pool-host.ts";
import type { PoolHost, PoolServer } from "./pool-host.ts";
import type { PoolPolicy } from "./pool-policy.ts";
import { ServerState } from "./server-state.ts";
import type { StateLists } from "./state-lists.ts";
import type { WaitQueue, Waiting } from "./wait-queue.ts";

/** A waiter that so many shared servers could not take, because they are in other states, gets one alone. */
const PASSED_OVER_MAX = 3;

/** What sharing needs of its pool. */
export interface SharingPool<S, W> {
  readonly policy: PoolPolicy;
  readonly servers: StateLists<ServerState, S>;
  readonly waiters: WaitQueue<W>;
  readonly host: PoolHost<S, W>;
  readonly lifetime: Lifetime;
  isPaused(): boolean;
  /** A server that becomes free has to make room: for another pool's, or for a client's own. */
  isPlaceOwed(now: number): boolean;
}

export class Sharing<S extends PoolServer<S>, W> {
  readonly #pool: SharingPool<S, W>;
  /** Of one refill; kept so that it is made once. */
  readonly #refilled: S[] = [];
  /** Sealed, and nobody knows how long what is at their heads goes on: such a server is not one that will be free soon. */
  readonly #heldUp = new WeakSet<S>();

  constructor(pool: SharingPool<S, W>) {
    this.#pool = pool;
  }

  /** The idle `server` becomes shared, if the first of those who wait can ride on it. */
  share(server: S, now: number): boolean {
    const { policy, waiters, servers, host } = this.#pool;
    const first = waiters.first();
    // A server that is to be used once is used by one.
    if (first === null || !waiters.firstShares || policy.shareDepth < 2 || policy.lifetimeMs === 0) return false;
    if (host.fit(first, server) !== Fit.rides) return false;
    const takers = servers.count(ServerState.idle);
    servers.move(server.place, ServerState.shared, now);
    server.usedAt = now;
    server.sealed = false;
    server.riders = 0;
    this.#heldUp.delete(server);
    this.#fill(server, this.#quota(takers));
    return true;
  }

  seal(server: S, reason: SealReason): void {
    if (server.place.state !== ServerState.shared) return;
    if (reason === SealReason.slow || reason === SealReason.reader) this.#heldUp.add(server);
    if (server.sealed) return;
    server.sealed = true;
    this.#pool.host.sealed(server, reason);
  }

  /**
   * The turn ends: servers that have little left take more, all at once and from all that came in this turn; those that have nothing left,
   * and get nothing, are free. The pool is to be settled behind it.
   */
  refill(now: number): void {
    const { servers, host } = this.#pool;
    const takers = this.#takers(now);
    // One that has nothing left is as good as idle: it comes before those that somebody would have to wait on.
    takers.sort((a, b) => a.riders - b.riders);
    for (const [i, server] of takers.entries()) this.#fill(server, this.#quota(takers.length - i));
    takers.length = 0;
    for (const server of servers.in(ServerState.shared)) if (server.riders === 0) host.free(server);
  }

  /** Seals what there is a reason to seal. Returns the servers that will take more. */
  #takers(now: number): S[] {
    const { servers, policy } = this.#pool;
    const takers = this.#refilled;
    let coming = servers.count(ServerState.tested);
    for (const server of servers.in(ServerState.shared)) {
      if (server.sealed && isUsable(server) && !this.#heldUp.has(server)) coming++;
    }
    for (const server of servers.in(ServerState.shared)) {
      if (server.sealed || server.riders > policy.shareLowMark) continue;
      const reason = this.#sealReason(server, coming, now);
      if (reason === null) takers.push(server);
      else this.seal(server, reason);
      if (reason === SealReason.alone) coming++;
    }
    return takers;
  }

  /** Why a shared server with little left takes no more; null when it does. `coming`: servers that will be free soon. */
  #sealReason(server: S, coming: number, now: number): SealReason | null {
    const pool = this.#pool;
    if (pool.isPaused()) return SealReason.paused;
    if (!isUsable(server)) return SealReason.closing;
    if (pool.lifetime.isDue(pool.policy, server.openedAt, now)) return SealReason.lifetime;
    if (pool.isPlaceOwed(now)) return SealReason.owed;
    // Those who need a server alone, come before all who would ride, and are more than the servers that are coming.
    return pool.waiters.isAloneFirst(coming) ? SealReason.alone : null;
  }

  /** Of so many servers that take more, each takes an equal part. */
  #quota(takers: number): number {
    return Math.ceil(this.#pool.waiters.sharingLength / Math.max(1, takers));
  }

  /** Those who have waited longest and fit, up to `quota` and the depth. */
  #fill(server: S, quota: number): void {
    const { waiters, policy, host } = this.#pool;
    let room = Math.min(quota, policy.shareDepth - server.riders);
    let waiting = waiters.firstSharing;
    while (room > 0 && waiting?.queued === true && server.place.state === ServerState.shared) {
      const next: Waiting<W> | null = waiting.after;
      const fit = host.fit(waiting.owner, server);
      if (fit === Fit.full) return;
      if (fit === Fit.rides) {
        room--;
        waiters.remove(waiting);
        host.ride(waiting.owner, server);
      } else if (fit === Fit.alone || ++waiting.passedOver > PASSED_OVER_MAX) {
        waiters.standAlone(waiting);
      }
      waiting = next;
    }
  }
}
