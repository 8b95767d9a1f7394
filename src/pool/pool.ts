/**
 * The servers of one (database, user) pair and the clients that wait for one: who gets which server, and when.
 *
 * Decides from counts and a clock value (`now`, monotonic ms, in every call); knows no bytes, no sockets, no SQL. What it has decided the
 * host does (`pool-host.ts`, which also says what happens when a callback calls back). How connections come and go is `supply.ts`, who rides
 * with others is `sharing.ts`, the maintenance is `janitor.ts`. PgBouncer's counterpart: `find_server`, `release_server`, `per_loop_activate`, `per_loop_pause`.
 *
 * Invariants, between two calls:
 * - First come, first served. Nobody waits while an idle server could be given out.
 * - A server is in one state's list, or told to close; one that was told to close is never given to anybody.
 * - `connections` is within every limit that applies.
 *
 * The road acquire → serve → released allocates nothing.
 */
import type { Budget } from "./budget.ts";
import { BudgetSlots } from "./budget-slots.ts";
import { InvariantError, invariant } from "./invariant.ts";
import { closeObsolete, sweep, wantsFilling } from "./janitor.ts";
import { Lifetime } from "./lifetime.ts";
import { isUsable } from "./pool-host.ts";
import type { PoolHost, PoolServer, SealReason } from "./pool-host.ts";
import type { PoolPolicy } from "./pool-policy.ts";
import { snapshotOf } from "./pool-snapshot.ts";
import type { PoolSnapshot } from "./pool-snapshot.ts";
import { ServerState, serverStateTable } from "./server-state.ts";
import type { Slot, SlotSource } from "./slot.ts";
import { StateLists } from "./state-lists.ts";
import { Sharing } from "./sharing.ts";
import { Supply } from "./supply.ts";
import { WaitQueue } from "./wait-queue.ts";
import type { Waiting } from "./wait-queue.ts";

export type { PoolHost, PoolServer } from "./pool-host.ts";
export type { PoolPolicy } from "./pool-policy.ts";

export class Pool<S extends PoolServer<S>, W> {
  readonly policy: PoolPolicy;
  readonly budgets: readonly Budget[];
  /** The servers by state. To be read; changed by the pool's methods alone. */
  readonly servers = new StateLists<ServerState, S>(serverStateTable);
  /** The clients that wait. To be read; changed by the pool's methods alone. */
  readonly waiters = new WaitQueue<W>();
  /** Those who want a server of their own; likewise. */
  readonly dedicated = new WaitQueue<W>();

  readonly #host: PoolHost<S, W>;
  readonly #supply: Supply<S, W>;
  readonly #sharing: Sharing<S, W>;
  readonly #lifetime = new Lifetime();
  #paused = false;
  /** `#settle` or `acquire` is deciding further up the stack. */
  #deciding = false;
  /** Something has changed since that loop looked last. */
  #changed = false;
  /** An open request for a slot is to be made again. */
  #renew = false;
  #now = 0;

  /**
   * `policy` and the budgets' limits are read live. `budgets`: those this pool's connections count in (database, user), for `slots` inside
   * this process; another source of slots may be given instead.
   */
  constructor(
    policy: PoolPolicy,
    host: PoolHost<S, W>,
    budgets: readonly Budget[],
    slots: SlotSource = new BudgetSlots(budgets),
  ) {
    this.policy = policy;
    this.budgets = budgets;
    this.#host = host;
    const { servers, waiters, dedicated } = this;
    this.#supply = new Supply(
      {
        policy,
        servers,
        waiters,
        dedicated,
        host,
        isPaused: () => this.#paused,
        latest: () => this.#now,
        settle: (now) => this.#settle(now, true),
      },
      slots,
    );
    this.#sharing = new Sharing({
      policy,
      servers,
      waiters,
      host,
      lifetime: this.#lifetime,
      isPaused: () => this.#paused,
      isPlaceOwed: (now) => this.#supply.isOwed(now) || (dedicated.length > 0 && this.#supply.shortOfPlaces(now) > 0),
    });
  }

  // ── clients ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * A client wants a server. Gives it one, now active; or null: the client is queued, and ends by `host.serve`, `host.ride` or `leave`.
   * Throws `InvariantError` when it waits already. Who may share while servers are shared is seen to by `refill`.
   */
  acquire(waiting: Waiting<W>, now: number): S | null {
    this.#now = now;
    if (this.waiters.length === 0 && !this.#paused && !waiting.queued) {
      const server = this.#nextIdle();
      if (server !== null && isUsable(server)) return this.#take(server, now);
    }
    const shares = this.policy.shareDepth > 1 && !waiting.queued && this.#host.mayShare(waiting.owner);
    // Queued before any other callback, so that nobody who asks in one comes first.
    this.waiters.push(waiting, now, shares);
    if (shares && this.servers.count(ServerState.shared) > 0) return null;
    if (this.#deciding) {
      this.#changed = true;
      return null;
    }
    this.#decide(now, false);
    // There is an idle one now if a used server needed no check after all, or if the host has answered at once.
    if (this.#paused || !this.waiters.isFirst(waiting)) return null;
    const server = this.#nextIdle();
    if (server === null || !isUsable(server)) return null;
    this.waiters.remove(waiting);
    return this.#take(server, now);
  }

  /**
   * A client wants a server of its own: opened for it alone, active from its login on, and closed behind it. It is queued, and ends by
   * `host.open` or by `leave`; a full pool closes a free server for it ("evicted"), in its turn. `since`: when it began to wait, earlier
   * than `now` if an attempt for it has failed.
   */
  dedicate(waiting: Waiting<W>, since: number, now: number): void {
    if (since < now) this.dedicated.pushFront(waiting, since);
    else this.dedicated.push(waiting, now);
    this.#settle(now, false);
  }

  /** A client gives up waiting: timed out, cancelled, gone. No effect when it does not wait (it has been served). */
  leave(waiting: Waiting<W>): void {
    if (!this.waiters.remove(waiting) && !this.dedicated.remove(waiting)) return;
    if (this.waiters.demanding + this.dedicated.length === 0) this.#supply.withdraw();
  }

  // ── sharing ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** A client whose statement rode comes back to its old place; nobody is served before `refill`. `shares`: it may ride again. */
  moveBack(waiting: Waiting<W>, shares: boolean, now: number): void {
    this.#now = now;
    this.waiters.putBack(waiting, shares);
  }

  /** A shared server takes no more, and is free when it has answered everything. */
  seal(server: S, reason: SealReason): void {
    this.#sharing.seal(server, reason);
  }

  /** To be called when a turn of the event loop ends in which somebody has begun to wait or a shared server has answered: see `Sharing`. */
  refill(now: number): void {
    this.#now = now;
    this.#sharing.refill(now);
    this.#settle(now, false);
  }

  // ── a server's life ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The host has made the server for a slot that it got by `open`, and is connecting. */
  opening(server: S, slot: Slot, now: number): void {
    this.#now = now;
    this.#supply.announce(server, slot, now);
  }

  /** Logged in, and ready for a client: active if it is one client's own. */
  opened(server: S, now: number): void {
    if (server.place.state !== ServerState.new) refuse(server, "open");
    this.#supply.succeeded(server);
    server.usedAt = now;
    if (server.dedicated) this.servers.move(server.place, ServerState.active, now);
    else this.#placeFree(server, now);
    this.#settle(now, false);
  }

  /**
   * A server that another process has opened and logged in is this pool's from now on: idle, or active if somebody holds it. It
   * counts like any other, but no limit keeps it out. `server.openedAt`, monotonic ms, is the host's here.
   */
  adopt(server: S, isHeld: boolean, now: number): void {
    this.#now = now;
    this.#supply.adopt(server, now);
    this.servers.move(server.place, ServerState.idle, now);
    if (isHeld) this.servers.move(server.place, ServerState.active, now);
  }

  /**
   * An attempt to connect or to log in has failed, `server` null if it had not been announced. Gives the slot back: the host closes what is
   * left of the connection by itself, and a later `closed` has no effect. Nothing is tried again before `loginRetryMs` has passed; at once after
   * one that was `interrupted` (somebody has ended it, and it says nothing of the next), unless that has happened to the one before it too.
   */
  openFailed(server: S | null, slot: Slot, now: number, interrupted = false): void {
    this.#now = now;
    if (server !== null && this.#supply.isLeaving(server)) {
      this.closed(server, now);
      return;
    }
    if (server !== null && server.place.state !== ServerState.new) refuse(server, "fail to open");
    this.#supply.failed(server, slot, interrupted, now);
  }

  /** The reset query has been sent to a server that its client is done with: active or being_canceled → tested, until `released`. */
  testing(server: S, now: number): void {
    this.#now = now;
    if (!isClients(server)) refuse(server, "be reset");
    server.usedAt = now;
    this.servers.move(server.place, ServerState.tested, now);
  }

  /** Its client is done with it, but a cancel request that was sent may still hit it: active → being_canceled, until `released` or `testing`. */
  cancelling(server: S, now: number): void {
    this.#now = now;
    if (!isClients(server)) refuse(server, "be kept from others");
    this.servers.move(server.place, ServerState.beingCanceled, now);
  }

  /** Clean and free, after active, being_canceled or tested: it is closed if its time is over, else goes to the next client or becomes idle. */
  released(server: S, now: number): void {
    const afterClient = isClients(server);
    if (!afterClient && server.place.state !== ServerState.tested) refuse(server, "be released");
    this.#free(server, afterClient, now);
  }

  /** The check query has passed. */
  checked(server: S, now: number): void {
    if (server.place.state !== ServerState.tested) refuse(server, "pass its check");
    server.usedAt = now;
    this.#free(server, false, now);
  }

  /**
   * The connection is gone, in whatever state it was; its slot is free for others. While it was new, that counts as a failed attempt unless
   * the pool itself had told it to close. No effect the second time.
   */
  closed(server: S, now: number): void {
    this.#now = now;
    this.#supply.closed(server, now);
  }

  /** The host wants `server` closed, whatever state it is in: calls `host.retire` with `reason`. No effect when that has happened already. */
  retire(server: S, reason: string, now: number): void {
    if (this.#supply.isLeaving(server)) return;
    this.#supply.retire(server, reason);
    this.#settle(now, false);
  }

  // ── connections that carry a cancel request ───────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * The permission for one such connection: up to twice the pool's size and its reserve in all, counted in the budgets but not refused by them. Null when
   * there are too many. The holder gives it back with `slot.giveBack()`.
   */
  takeCancelSlot(): Slot | null {
    return this.#supply.takeCancelSlot();
  }

  // ── operation ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** PAUSE: free and new servers are closed now, others when they are released; nobody is given a server. */
  pause(now: number): void {
    this.#now = now;
    this.#paused = true;
    this.#supply.withdraw();
    this.#closeFree();
  }

  resume(now: number): void {
    this.#paused = false;
    this.#settle(now, false);
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** No server is a client's, in test, or exposed to a cancel request: PAUSE may answer. */
  get settled(): boolean {
    const { servers } = this;
    return (
      servers.count(ServerState.active) +
        servers.count(ServerState.shared) +
        servers.count(ServerState.tested) +
        servers.count(ServerState.beingCanceled) ===
      0
    );
  }

  /**
   * RECONNECT, or a changed configuration: no server of now is given to another client. New ones are closed at once; free ones at the next
   * tick or when picked; others when released.
   */
  markCloseNeeded(now: number): void {
    this.#supply.pace.begin();
    for (const state of Object.values(ServerState)) {
      for (const server of this.servers.in(state)) server.closeNeeded = true;
    }
    for (const server of this.servers.in(ServerState.new)) this.#supply.retire(server, "connect string changed");
    this.#settle(now, false);
  }

  /**
   * A server is wanted although nobody waits for it: the first login's welcome, a look whether PostgreSQL is back. Holds until an attempt
   * has ended, and may be repeated. `another`: also if there are servers, but none that is logging in.
   */
  warm(now: number, another = false): void {
    this.#supply.warm(another, now);
    this.#settle(now, false);
  }

  /** Maintenance, 3 times a second: time limits, sizes, requests for slots, the minimum. */
  tick(now: number): void {
    this.#settle(now, false);
    if (this.#paused) this.#closeFree();
    const retire = (server: S, reason: string): void => this.#supply.retire(server, reason);
    sweep(this.servers, this.policy, this.#lifetime, now, retire);
    closeObsolete(this.#supply.dedicated, retire);
    this.#settle(now, true);
    const count = this.servers.total + this.#supply.outside.opening;
    if (!this.#paused && wantsFilling(count, this.policy, this.#host)) this.#supply.fill(now);
  }

  /** The pool is taken out of its budgets. Throws `InvariantError` while it has connections or clients that wait. */
  dismantle(): void {
    invariant(this.waiters.length + this.dedicated.length === 0, "a pool for which clients wait cannot be taken away");
    this.#supply.dismantle();
  }

  // ── figures ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** All that count against `sizeMax`: servers in any state, those closing, attempts not announced yet, and cancel requests. */
  get connections(): number {
    return this.#supply.connections;
  }

  /** The last attempt to log in has failed and there is no server: waiting makes little sense (`server login has been failing`). */
  get loginFailing(): boolean {
    return this.#supply.pace.failed && this.#supply.sharedCount === 0;
  }

  /** Clients' statements occupy at least one server: who waits may be waiting for want of servers. */
  get inUse(): boolean {
    return this.servers.count(ServerState.active) + this.servers.count(ServerState.shared) > 0;
  }

  /** If an idle server were taken now, one would be opened for the next who asks. */
  get grows(): boolean {
    return this.#supply.grows;
  }

  /** Servers that are logged in and may be given to anybody, now or later. */
  get sharedCount(): number {
    return this.#supply.sharedCount;
  }

  /** When the last attempt to connect began, monotonic ms; -Infinity before the first. */
  get lastOpenAt(): number {
    return this.#supply.pace.startedAt;
  }

  snapshot(): PoolSnapshot {
    return snapshotOf(this, this.#supply);
  }

  // ── inside ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Where a free server goes; the order of the questions is PgBouncer's (`release_server`). */
  #free(server: S, afterClient: boolean, now: number): void {
    const { policy } = this;
    if (this.#lifetime.ends(policy, server.openedAt, now)) this.#supply.retire(server, "server lifetime over");
    else if (afterClient && policy.checks && policy.checkDelayMs === 0 && !this.#paused && !server.closeNeeded) {
      this.servers.move(server.place, ServerState.used, now);
    } else if (isUsable(server) && !this.#paused && this.#supply.isOwed(now)) this.#supply.retire(server, "evicted");
    else this.#placeFree(server, now);
    this.#settle(now, false);
  }

  #placeFree(server: S, now: number): void {
    if (server.closeNeeded) this.#supply.retire(server, "close_needed");
    else if (server.dirty) this.#supply.retire(server, "idle server got dirty");
    else if (this.#paused) this.#supply.retire(server, "pause mode");
    else this.servers.move(server.place, ServerState.idle, now);
  }

  #nextIdle(): S | null {
    return this.policy.roundRobin ? this.servers.oldest(ServerState.idle) : this.servers.newest(ServerState.idle);
  }

  #take(server: S, now: number): S {
    this.servers.move(server.place, ServerState.active, now);
    server.usedAt = now;
    return server;
  }

  /** A free server was picked and must not be used. */
  #closeUnusable(server: S): void {
    this.#supply.retire(server, server.closeNeeded ? "obsolete connection" : "idle server got dirty");
  }

  /** Something has changed: serves who can be served and gets servers for the others. Does not nest. */
  #settle(now: number, renew: boolean): void {
    this.#now = now;
    if (renew) this.#renew = true;
    if (this.#deciding) this.#changed = true;
    else this.#decide(now, true);
  }

  /** The one place where decisions are made after something has changed. */
  #decide(now: number, mayServe: boolean): void {
    this.#deciding = true;
    try {
      do {
        this.#changed = false;
        this.#serve(now, mayServe);
        this.#provide(now);
      } while (this.#changed);
    } finally {
      this.#deciding = false;
    }
  }

  /** Gives idle servers to those who wait. Without `mayServe` it stops at the first that could be given out. */
  #serve(now: number, mayServe: boolean): void {
    while (!this.#paused) {
      if (this.#supply.dedicatedFirst) this.#makePlaces(now);
      const server = this.waiters.length > 0 ? this.#nextIdle() : null;
      if (server === null) return;
      if (!isUsable(server)) {
        this.#closeUnusable(server);
        continue;
      }
      if (!mayServe) return;
      if (this.#sharing.share(server, now)) continue;
      const waiter = this.waiters.shift();
      invariant(waiter !== null, "a queue that is not empty has a first member");
      this.#host.serve(waiter, this.#take(server, now));
    }
  }

  /** Gets servers for those who wait: from the used ones, then by opening. */
  #provide(now: number): void {
    while (!this.#paused && this.#supply.unserved > 0) {
      const server = this.servers.newest(ServerState.used);
      if (server === null) break;
      this.#recheck(server, now);
    }
    const renew = this.#renew;
    this.#renew = false;
    this.#supply.open(now, renew);
    this.#makePlaces(now);
  }

  /** Closes free servers in favour of clients that can use none of them: the one that was idle for the longest time first. */
  #makePlaces(now: number): void {
    while (this.dedicated.length > 0 && !this.#paused && this.#supply.shortOfPlaces(now) > 0) {
      const server = this.servers.oldest(ServerState.idle) ?? this.servers.oldest(ServerState.used);
      if (server === null) return;
      this.#supply.retire(server, "evicted");
    }
  }

  #recheck(server: S, now: number): void {
    const { policy } = this;
    if (!isUsable(server)) this.#closeUnusable(server);
    else if (policy.checks && now - server.usedAt >= policy.checkDelayMs) {
      this.servers.move(server.place, ServerState.tested, now);
      server.usedAt = now; // being asked is activity: it must not be closed as idle while it answers
      this.#host.check(server);
    } else {
      this.servers.move(server.place, ServerState.idle, now);
      this.#changed = true;
    }
  }

  /** PAUSE: everything that is nobody's. Servers in test are closed when they come out of it. */
  #closeFree(): void {
    for (const state of [ServerState.idle, ServerState.used, ServerState.new]) {
      for (const server of this.servers.in(state)) this.#supply.retire(server, "pause mode");
    }
  }
}

/** The server is a client's, or was just now, and will be others'. */
function isClients<S extends PoolServer<S>>(server: S): boolean {
  const { state } = server.place;
  if (server.dedicated) return false;
  return state === ServerState.active || state === ServerState.shared || state === ServerState.beingCanceled;
}

function refuse<S extends PoolServer<S>>(server: S, event: string): never {
  const { state } = server.place;
  const name = state === null ? "none" : serverStateTable.names[state];
  throw new InvariantError(`a server in state "${name}" cannot ${event}`);
}
