/**
 * How connections come into a pool and go out of it: how many are wanted, whether size, reserve, pace and budgets allow one more, and what
 * becomes of the permission (`Slot`) of each. PgBouncer's counterpart: `launch_new_connection`, `disconnect_server`.
 *
 * Not for who is given a server; that is `Pool`, whose other half this is.
 *
 * Invariant: each slot that was taken belongs to exactly one of: a server in the lists, a server that was told to close (`#leaving`), an
 * attempt whose server has not been announced (`#opening`), a cancel request (`#cancelSlots`). Together they are `connections`, which is
 * what the pool's own size limits.
 */
import { invariant } from "./invariant.ts";
import { LoginPace } from "./login-pace.ts";
import type { PoolHost, PoolServer } from "./pool-host.ts";
import type { PoolPolicy } from "./pool-policy.ts";
import { ServerState } from "./server-state.ts";
import { SlotRequest } from "./slot.ts";
import type { Slot, SlotAsker, SlotSource } from "./slot.ts";
import type { StateLists } from "./state-lists.ts";
import type { WaitQueue } from "./wait-queue.ts";

/** What the pool's own size and pace say about one more server. */
const Room = { none: "none", pool: "pool", reserve: "reserve" } as const;
type Room = (typeof Room)[keyof typeof Room];

/** What the supply needs of its pool. */
export interface SupplyPool<S, W> {
  readonly policy: PoolPolicy;
  readonly servers: StateLists<ServerState, S>;
  readonly waiters: WaitQueue<W>;
  /** Those who want a server of their own. */
  readonly dedicated: WaitQueue<W>;
  readonly host: PoolHost<S, W>;
  isPaused(): boolean;
  /** The latest time that the pool was told. */
  latest(): number;
  /** There may be room for a server that was asked for in vain. */
  settle(now: number): void;
}

export class Supply<S extends PoolServer<S>, W> implements SlotAsker {
  readonly #pool: SupplyPool<S, W>;
  readonly #slots: SlotSource;
  readonly #pace = new LoginPace();
  /** With whether the server will be one client's own. */
  readonly #opening = new Map<Slot, boolean>();
  /** The servers in the lists that are one client's own. */
  readonly #dedicated = new Set<S>();
  readonly #leaving = new Set<S>();
  readonly #cancelSlots = new Set<Slot>();
  /** A request for a slot is open. */
  #asked = false;
  /** A server is wanted although nobody waits for it. */
  #warming = false;
  #warmingSince = 0;
  /** Also if there are others. */
  #another = false;

  constructor(pool: SupplyPool<S, W>, slots: SlotSource) {
    this.#pool = pool;
    this.#slots = slots;
    slots.join(this);
  }

  // ── figures ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** All that count against `sizeMax`. */
  get connections(): number {
    return this.#pool.servers.total + this.#opening.size + this.#leaving.size + this.#cancelSlots.size;
  }

  /** Those of them that are in no state's list. */
  get outside(): { readonly opening: number; readonly leaving: number; readonly cancels: number } {
    return { opening: this.#opening.size, leaving: this.#leaving.size, cancels: this.#cancelSlots.size };
  }

  /** Since when the first one in the queues waits, monotonic ms; null when nobody does. */
  get queueSince(): number | null {
    const { dedicated, waiters } = this.#pool;
    return this.dedicatedFirst ? dedicated.oldestSince : waiters.oldestSince;
  }

  get asked(): boolean {
    return this.#asked;
  }

  /** If an idle server were taken now, one would be opened for the next who asks. */
  get grows(): boolean {
    const { servers, policy } = this.#pool;
    if (servers.count(ServerState.idle) > 1 || this.#asked) return false;
    return policy.sizeMax === 0 || this.connections < policy.sizeMax;
  }

  get pace(): LoginPace {
    return this.#pace;
  }

  isLeaving(server: S): boolean {
    return this.#leaving.has(server);
  }

  /** Servers that are one client's own, logging in or active. */
  get dedicated(): ReadonlySet<S> {
    return this.#dedicated;
  }

  /** Servers that are logged in and nobody's own. */
  get sharedCount(): number {
    const { servers } = this.#pool;
    return servers.total - this.#dedicated.size - (servers.count(ServerState.new) - this.#dedicatedNew);
  }

  /** The place of a server that has become free is another pool's. */
  isOwed(now: number): boolean {
    return this.#slots.isOwed(now);
  }

  /** Those who wait for any server, beyond those that are free or will soon be: for them used servers are checked. */
  get unserved(): number {
    const { servers, waiters } = this.#pool;
    return waiters.length - servers.count(ServerState.idle) - servers.count(ServerState.tested);
  }

  /** Those of them for whom servers are opened too. */
  get unmet(): number {
    const { servers, waiters } = this.#pool;
    return waiters.demanding - servers.count(ServerState.idle) - servers.count(ServerState.tested);
  }

  /** How many more servers should be opened. */
  get wanted(): number {
    return Math.max(0, this.#sharedWanted) + this.#pool.dedicated.length;
  }

  get #sharedWanted(): number {
    const logins = this.#sharedLogins;
    const wanted = this.unmet - logins;
    if (wanted > 0 || !this.#warming) return wanted;
    return (this.#another ? 0 : this.sharedCount) + logins === 0 ? 1 : 0;
  }

  /**
   * How many of its own free servers the pool should close now, for clients that want servers of their own: its size has no place for
   * another, or its budgets have none and nobody else makes room.
   */
  shortOfPlaces(now: number): number {
    const { dedicated, policy } = this.#pool;
    const logins = this.#loginsInProgress;
    if (dedicated.length === 0 || !this.#pace.mayStart(policy, logins, now)) return 0;
    const leaving = this.#leaving.size;
    const startable = Math.min(dedicated.length, this.#pace.atOnceMax(policy) - logins);
    const ofSize = policy.sizeMax > 0 ? startable - (policy.sizeMax - (this.connections - leaving)) : 0;
    const ofBudgets = this.#asked && !this.#slots.promised ? 1 - leaving : 0;
    return Math.max(0, ofSize, ofBudgets);
  }

  /** The first of those who want a server of their own has waited longer than anybody else. */
  get dedicatedFirst(): boolean {
    const { dedicated, waiters } = this.#pool;
    const since = dedicated.oldestSince;
    return since !== null && (waiters.oldestSince === null || since < waiters.oldestSince);
  }

  // ── servers ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

  announce(server: S, slot: Slot, now: number): void {
    invariant(server.slot === null && !this.#leaving.has(server), "a server is announced once");
    const dedicated = this.#opening.get(slot);
    invariant(
      this.#opening.delete(slot),
      "a server can be opened only with a slot that was given to open() and not used yet",
    );
    invariant(server.dedicated === dedicated, "a server is one client's own if it was opened for that");
    if (dedicated) this.#dedicated.add(server);
    server.slot = slot;
    server.openedAt = now;
    server.usedAt = now;
    this.#pool.servers.enter(server.place, ServerState.new, now);
  }

  succeeded(server: S): void {
    this.#pace.succeeded();
    // Nobody can be given a server that is one client's own.
    if (!server.dedicated) this.#cool();
  }

  /** Another process has opened it and has given it to this one: new for a moment. */
  adopt(server: S, now: number): void {
    invariant(server.slot === null && !this.#leaving.has(server), "a server is adopted once");
    if (server.dedicated) this.#dedicated.add(server);
    server.slot = this.#slots.takeAdopted(this);
    server.usedAt = now;
    this.#pool.servers.enter(server.place, ServerState.new, now);
  }

  /** An attempt has failed, or was `interrupted`; `server` is still new, or null if it was not announced. */
  failed(server: S | null, slot: Slot, interrupted: boolean, now: number): void {
    if (server === null) {
      invariant(
        this.#opening.delete(slot),
        "an attempt can fail only with a slot that was given to open() and not used yet",
      );
    } else {
      invariant(server.slot === slot, "an attempt fails with its own slot");
      this.#remove(server);
      server.slot = null;
    }
    if (interrupted) this.#pace.interrupt();
    else this.#pace.fail();
    this.#cool();
    this.#returnSlot(slot, now);
  }

  retire(server: S, reason: string): void {
    const { slot } = server;
    invariant(slot !== null, "only a server of the pool can be retired by it");
    this.#remove(server);
    this.#leaving.add(server);
    this.#slots.leaving(slot);
    this.#pool.host.retire(server, reason);
  }

  closed(server: S, now: number): void {
    const { slot } = server;
    if (slot === null) return;
    if (!this.#leaving.delete(server)) {
      if (server.place.state === ServerState.new) {
        this.#pace.fail();
        this.#cool();
      }
      this.#remove(server);
    }
    server.slot = null;
    this.#returnSlot(slot, now);
  }

  #remove(server: S): void {
    this.#dedicated.delete(server);
    this.#pool.servers.leave(server.place);
  }

  // ── getting more ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Opens what is wanted and allowed. `renew`: a request that is open is made again, since more may be evictable now. */
  open(now: number, renew: boolean): void {
    let mayAsk = renew || !this.#asked;
    while (mayAsk && !this.#pool.isPaused() && this.wanted > 0 && this.#room(now, true) !== Room.none) {
      mayAsk = this.#request(SlotRequest.wait, now);
    }
    // Who could not use a slot does not stand in line for one.
    if (this.#asked && (this.wanted <= 0 || this.#room(now, true) === Room.none)) this.withdraw();
  }

  /** Opens one beyond what clients want, if that takes nothing from anybody. */
  fill(now: number): void {
    if (!this.#asked && this.#loginsInProgress === 0 && this.#room(now, false) !== Room.none)
      this.#request(SlotRequest.attempt, now);
  }

  warm(another: boolean, now: number): void {
    if (!this.#warming) this.#warmingSince = now;
    this.#warming = true;
    this.#another ||= another;
  }

  /** Nobody wants a server any more. */
  withdraw(): void {
    if (!this.#asked) return;
    this.#asked = false;
    this.#slots.cancelRequest(this);
  }

  dismantle(): void {
    invariant(this.connections === 0, "a pool that has connections cannot be taken away");
    this.withdraw();
    this.#slots.leave(this);
  }

  takeCancelSlot(): Slot | null {
    const { sizeMax, reserveMax } = this.#pool.policy;
    if (sizeMax > 0 && this.connections >= 2 * sizeMax + reserveMax) return null;
    const slot = this.#slots.takeCancelSlot(this);
    this.#cancelSlots.add(slot);
    return slot;
  }

  get #loginsInProgress(): number {
    return this.#pool.servers.count(ServerState.new) + this.#opening.size;
  }

  get #sharedLogins(): number {
    let count = this.#loginsInProgress - this.#dedicatedNew;
    for (const dedicated of this.#opening.values()) if (dedicated) count--;
    return count;
  }

  get #dedicatedNew(): number {
    let count = 0;
    for (const server of this.#dedicated) if (server.place.state === ServerState.new) count++;
    return count;
  }

  /** Whether pace and size allow one more server. `forWaiter`: the reserve counts, if somebody has waited for long enough. */
  #room(now: number, forWaiter: boolean): Room {
    const { policy } = this.#pool;
    const { connections } = this;
    const full = policy.sizeMax > 0 && connections >= policy.sizeMax;
    if (full) {
      if (!forWaiter || policy.reserveTimeoutMs === 0 || connections >= policy.sizeMax + policy.reserveMax)
        return Room.none;
      const since = this.queueSince;
      if (since === null || now - since < policy.reserveTimeoutMs) return Room.none;
    }
    if (!this.#pace.mayStart(policy, this.#loginsInProgress, now)) return Room.none;
    return full ? Room.reserve : Room.pool;
  }

  /** Asks for a slot and opens a server with it. False when there is none at once. */
  #request(request: SlotRequest, now: number): boolean {
    // Set before asking: the answer may come by granted() while we ask.
    if (request === SlotRequest.wait) this.#asked = true;
    const slot = this.#slots.request(this, request, now);
    if (slot === null) return false;
    this.#asked = false;
    this.#use(slot, this.#room(now, request === SlotRequest.wait), now);
    return true;
  }

  #use(slot: Slot, room: Room, now: number): void {
    const { dedicated, host } = this.#pool;
    if (room === Room.none || this.#pool.isPaused()) {
      this.#slots.giveBack(this, slot, now);
      return;
    }
    this.#pace.started(now);
    const waiter = this.#sharedWanted > 0 && !this.dedicatedFirst ? null : dedicated.shift();
    this.#opening.set(slot, waiter !== null);
    if (room === Room.reserve) host.log("WARNING", "taking connection from reserve_pool", null);
    host.open(slot, waiter);
  }

  #cool(): void {
    this.#warming = false;
    this.#another = false;
  }

  /** The pool stands in line itself before the slot is offered, so that its own clients are compared with those of others. */
  #returnSlot(slot: Slot, now: number): void {
    if (!this.#asked && !this.#pool.isPaused() && this.wanted > 0 && this.#room(now, true) !== Room.none) {
      this.#asked = true;
      this.#slots.request(this, SlotRequest.queue, now);
    }
    this.#slots.giveBack(this, slot, now);
    this.#pool.settle(now);
  }

  // ── as the source of slots sees it ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** Who waits for the pool's first login waits for a slot too. */
  get waitingSince(): number | null {
    return this.queueSince ?? (this.#warming ? this.#warmingSince : null);
  }

  get sparedSince(): number | null {
    const spare = this.#spare();
    return spare === null ? null : spare.usedAt;
  }

  evict(): void {
    const spare = this.#spare();
    if (spare !== null) this.retire(spare, "evicted");
  }

  granted(slot: Slot, now: number): void {
    this.#asked = false;
    this.#use(slot, this.wanted > 0 ? this.#room(now, true) : Room.none, now);
  }

  takeBack(slot: Slot, now: number | undefined): void {
    invariant(
      this.#cancelSlots.delete(slot) || this.#opening.delete(slot),
      "a slot goes back once, and a server's goes back by closed()",
    );
    this.#returnSlot(slot, now ?? this.#pool.latest());
  }

  /** What another pool could have: the longest quiet of the idle ones, and of the used and tested ones if nobody waits for them here. */
  #spare(): S | null {
    const { servers, waiters } = this.#pool;
    let spare = servers.oldest(ServerState.idle);
    if (waiters.length > 0) return spare;
    for (const state of [ServerState.used, ServerState.tested]) {
      const server = servers.oldest(state);
      if (server !== null && (spare === null || server.usedAt < spare.usedAt)) spare = server;
    }
    return spare;
  }
}
