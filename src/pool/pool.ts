/**
 * The servers of one (database, user) pair and the clients that wait for one: who gets which server, and when.
 *
 * Decides from counts and a clock value (`now`, monotonic ms, in every call); knows no bytes, no sockets, no SQL. What it has decided the
 * host does (`pool-host.ts`, which also says what happens when a callback calls back). PgBouncer's counterpart: `find_server`,
 * `release_server`, `launch_new_connection`, `per_loop_activate`; the maintenance part is in `janitor.ts`.
 *
 * Invariants, between two calls:
 * - A server is in one state's list, or told to close; it has a slot in both cases. A slot belongs to a server, to an attempt that has not
 *   announced its server yet, or to a cancel request; together they are `connections`, and no server is opened past a limit.
 * - First come, first served. Nobody waits while an idle server could be given out.
 * - A retired server is never given to anybody, and keeps its slot until it has closed.
 *
 * The road acquire → serve → released allocates nothing.
 */
import type { Budget } from "./budget.ts";
import { BudgetSlots } from "./budget-slots.ts";
import { InvariantError, invariant } from "./invariant.ts";
import { sweep, wantsFilling } from "./janitor.ts";
import { Lifetime } from "./lifetime.ts";
import { LoginPace } from "./login-pace.ts";
import type { PoolHost, PoolServer } from "./pool-host.ts";
import type { PoolPolicy } from "./pool-policy.ts";
import type { PoolSnapshot } from "./pool-snapshot.ts";
import { ServerState, serverStateTable } from "./server-state.ts";
import { SlotRequest } from "./slot.ts";
import type { Slot, SlotAsker, SlotSource } from "./slot.ts";
import { StateLists } from "./state-lists.ts";
import { WaitQueue } from "./wait-queue.ts";
import type { Waiting } from "./wait-queue.ts";

export type { PoolHost, PoolServer } from "./pool-host.ts";
export type { PoolPolicy } from "./pool-policy.ts";

/** What the pool's own size says about one more server. */
const Room = { none: "none", pool: "pool", reserve: "reserve" } as const;
type Room = (typeof Room)[keyof typeof Room];

export class Pool<S extends PoolServer<S>, W> implements SlotAsker {
  readonly policy: PoolPolicy;
  readonly budgets: readonly Budget[];
  /** The servers by state. To be read; changed by the pool's methods alone. */
  readonly servers = new StateLists<ServerState, S>(serverStateTable);
  /** The clients that wait. To be read; changed by the pool's methods alone. */
  readonly waiters = new WaitQueue<W>();

  readonly #host: PoolHost<S, W>;
  readonly #slots: SlotSource;
  readonly #pace = new LoginPace();
  readonly #lifetime = new Lifetime();
  /** Slots handed to `host.open` whose servers have not been announced. */
  readonly #opening = new Set<Slot>();
  /** Servers that were told to close and have not closed. */
  readonly #leaving = new Set<S>();
  readonly #cancelSlots = new Set<Slot>();
  #paused = false;
  /** A request for a slot is open. */
  #asked = false;
  /** A server is wanted although nobody waits for it. */
  #warming = false;
  /** `#settle` or `acquire` is deciding further up the stack. */
  #deciding = false;
  /** Something has changed since that loop looked last. */
  #changed = false;
  #now = 0;

  /**
   * `policy` and the budgets' limits are read live. `budgets`: those this pool's connections count in (database, user), for `slots` inside
   * this process; another source of slots may be given instead.
   */
  constructor(policy: PoolPolicy, host: PoolHost<S, W>, budgets: readonly Budget[], slots: SlotSource = new BudgetSlots(budgets)) {
    this.policy = policy;
    this.budgets = budgets;
    this.#host = host;
    this.#slots = slots;
    slots.join(this);
  }

  // ── clients ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * A client wants a server. Gives it one, now active; or null: the client is queued, and ends by `host.serve` or by `leave`.
   * Throws `InvariantError` when it waits already.
   */
  acquire(waiting: Waiting<W>, now: number): S | null {
    this.#now = now;
    if (this.waiters.length === 0 && !this.#paused) {
      const server = this.#takeIdle(now);
      if (server !== null) return server;
    }
    this.waiters.push(waiting, now);
    if (this.#paused) return null;
    if (this.#deciding) {
      this.#changed = true;
      return null;
    }
    this.#deciding = true;
    try {
      do {
        this.#changed = false;
        this.#provide(now, false);
      } while (this.#changed);
    } finally {
      this.#deciding = false;
    }
    // A server that needed no check after all, or a host that answers at once.
    if (this.#paused || !this.waiters.isFirst(waiting)) return null;
    const server = this.#takeIdle(now);
    if (server !== null) this.waiters.remove(waiting);
    return server;
  }

  /** A client gives up waiting: timed out, cancelled, gone. No effect when it does not wait (it has been served). */
  leave(waiting: Waiting<W>): void {
    if (this.waiters.remove(waiting) && this.waiters.length === 0) this.#withdraw();
  }

  /**
   * A client that was given a server goes back to where it stood: its unit has to run elsewhere. `since`: when it began to wait, monotonic
   * ms; it comes before everybody who arrived later. May call `serve` for it at once.
   */
  requeue(waiting: Waiting<W>, since: number, now: number): void {
    this.waiters.pushFront(waiting, since);
    this.#settle(now);
  }

  // ── a server's life ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The host has made the server for a slot that it got by `open`, and is connecting. */
  opening(server: S, slot: Slot, now: number): void {
    this.#now = now;
    invariant(server.slot === null && !this.#leaving.has(server), "a server is announced once");
    invariant(this.#opening.delete(slot), "a server can be opened only with a slot that was given to open() and not used yet");
    server.slot = slot;
    server.openedAt = now;
    server.usedAt = now;
    this.servers.enter(server.place, ServerState.new, now);
  }

  /** Logged in, and ready for a client. */
  opened(server: S, now: number): void {
    this.#expect(server, ServerState.new, "opened");
    this.#pace.succeeded();
    this.#warming = false;
    server.usedAt = now;
    if (server.closeNeeded) this.#retire(server, "close_needed");
    else if (server.dirty) this.#retire(server, "idle server got dirty");
    else if (this.#paused) this.#retire(server, "pause mode");
    else this.servers.move(server.place, ServerState.idle, now);
    this.#settle(now);
  }

  /**
   * An attempt to connect or to log in has failed, `server` null if it had not been announced. Gives the slot back: the host closes what is
   * left of the connection by itself, and a later `closed` has no effect. Nothing is tried again before `loginRetryMs` has passed.
   */
  openFailed(server: S | null, slot: Slot, now: number): void {
    this.#now = now;
    if (server !== null && this.#leaving.has(server)) {
      this.closed(server, now);
      return;
    }
    if (server === null) {
      invariant(this.#opening.delete(slot), "an attempt can fail only with a slot that was given to open() and not used yet");
    } else {
      this.#expect(server, ServerState.new, "failed to open");
      invariant(server.slot === slot, "an attempt fails with its own slot");
      this.servers.leave(server.place);
      server.slot = null;
    }
    this.#pace.fail();
    this.#warming = false;
    this.#slots.giveBack(this, slot, now);
  }

  /** The reset query has been sent to a server that its client is done with: active or being_canceled → tested, until `released`. */
  testing(server: S, now: number): void {
    this.#now = now;
    server.usedAt = now;
    this.servers.move(server.place, ServerState.tested, now);
  }

  /** Its client is done with it, but a cancel request that was sent may still hit it: active → being_canceled, until `released` or `testing`. */
  cancelling(server: S, now: number): void {
    this.#now = now;
    this.servers.move(server.place, ServerState.beingCanceled, now);
  }

  /** Clean and free, after active, being_canceled or tested: it is closed if its time is over, else goes to the next client or becomes idle. */
  released(server: S, now: number): void {
    const state = server.place.state;
    const afterClient = state === ServerState.active || state === ServerState.beingCanceled;
    if (!afterClient && state !== ServerState.tested) this.#refuse(server, "released");
    this.#free(server, afterClient, now);
  }

  /** The check query has passed. */
  checked(server: S, now: number): void {
    this.#expect(server, ServerState.tested, "checked");
    server.usedAt = now;
    this.#free(server, false, now);
  }

  /**
   * The connection is gone, in whatever state it was; its slot is free for others. While it was new, that counts as a failed attempt unless
   * the pool itself had told it to close. No effect the second time.
   */
  closed(server: S, now: number): void {
    this.#now = now;
    const slot = server.slot;
    if (slot === null) return;
    if (!this.#leaving.delete(server)) {
      if (server.place.state === ServerState.new) {
        this.#pace.fail();
        this.#warming = false;
      }
      this.servers.leave(server.place);
    }
    server.slot = null;
    this.#returnSlot(slot, now);
  }

  /** The host wants `server` closed, whatever state it is in: calls `host.retire` with `reason`. No effect when that has happened already. */
  retire(server: S, reason: string, now: number): void {
    if (this.#leaving.has(server)) return;
    this.#retire(server, reason);
    this.#settle(now);
  }

  // ── connections that carry a cancel request ──────────────────────────────────────────────────────────────────────────────────────────

  /**
   * The permission for one such connection: up to twice the pool's size in all, counted in the budgets but not refused by them. Null when
   * there are too many. The holder gives it back with `slot.giveBack()`.
   */
  takeCancelSlot(): Slot | null {
    const { sizeMax } = this.policy;
    if (sizeMax > 0 && this.connections >= 2 * sizeMax) return null;
    const slot = this.#slots.takeCancelSlot(this);
    this.#cancelSlots.add(slot);
    return slot;
  }

  // ── operation ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** PAUSE: free and new servers are closed now, others when they are released; nobody is given a server. */
  pause(now: number): void {
    this.#now = now;
    this.#paused = true;
    this.#withdraw();
    this.#closeFree();
  }

  resume(now: number): void {
    this.#paused = false;
    this.#settle(now);
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** No server is a client's, in test, or exposed to a cancel request: PAUSE may answer. */
  get settled(): boolean {
    const { servers } = this;
    return servers.count(ServerState.active) + servers.count(ServerState.tested) + servers.count(ServerState.beingCanceled) === 0;
  }

  /**
   * RECONNECT, or a changed configuration: no server of now is given to another client. New ones are closed at once; free ones at the next
   * tick or when picked; others when released.
   */
  markCloseNeeded(now: number): void {
    for (const state of Object.values(ServerState)) {
      for (const server of this.servers.in(state)) server.closeNeeded = true;
    }
    for (const server of this.servers.in(ServerState.new)) this.#retire(server, "connect string changed");
    this.#settle(now);
  }

  /** A server is wanted although nobody waits for it (the first login's welcome, a look whether PostgreSQL is back). May be repeated. */
  warm(now: number): void {
    this.#warming = true;
    this.#settle(now);
  }

  /** Maintenance, 3 times a second: time limits, sizes, requests for slots, the minimum. */
  tick(now: number): void {
    this.#settle(now);
    if (this.#paused) this.#closeFree();
    sweep(this.servers, this.policy, this.#lifetime, now, (server, reason) => this.#retire(server, reason));
    this.#settle(now, true);
    if (!this.#paused && wantsFilling(this.servers, this.policy, this.#host) && this.#room(now, false) !== Room.none) {
      this.#request(SlotRequest.attempt, now);
    }
  }

  /** The pool is taken out of its budgets. Throws `InvariantError` while it has connections or clients that wait. */
  dismantle(): void {
    invariant(this.connections === 0 && this.waiters.length === 0, "a pool that is in use cannot be taken away");
    this.#withdraw();
    this.#slots.leave(this);
  }

  // ── figures ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** All that count against `sizeMax`: servers in any state, those closing, attempts not announced yet, and cancel requests. */
  get connections(): number {
    return this.servers.total + this.#opening.size + this.#leaving.size + this.#cancelSlots.size;
  }

  /** The last attempt to log in has failed and there is no server: waiting makes little sense (`server login has been failing`). */
  get loginFailing(): boolean {
    return this.#pace.failed && this.servers.total === this.servers.count(ServerState.new);
  }

  /** When the last attempt to connect began, monotonic ms; -Infinity before the first. */
  get lastOpenAt(): number {
    return this.#pace.startedAt;
  }

  snapshot(): PoolSnapshot {
    const { servers } = this;
    return {
      active: servers.count(ServerState.active),
      beingCanceled: servers.count(ServerState.beingCanceled),
      idle: servers.count(ServerState.idle),
      used: servers.count(ServerState.used),
      tested: servers.count(ServerState.tested),
      new: servers.count(ServerState.new) + this.#opening.size,
      leaving: this.#leaving.size,
      cancels: this.#cancelSlots.size,
      connections: this.connections,
      sizeMax: this.policy.sizeMax,
      reserveMax: this.policy.reserveMax,
      waiting: this.waiters.length,
      waitingSince: this.waiters.oldestSince,
      paused: this.#paused,
      loginFailing: this.loginFailing,
      slotRequested: this.#asked,
      budgets: this.budgets.map(({ name, used, limit }) => ({ name, used, limit })),
    };
  }

  // ── for the source of slots ──────────────────────────────────────────────────────────────────────────────────────────────────────────

  get waitingSince(): number | null {
    return this.waiters.oldestSince;
  }

  get sparedSince(): number | null {
    const spare = this.#spare();
    return spare === null ? null : spare.usedAt;
  }

  evict(now: number): void {
    this.#now = now;
    const spare = this.#spare();
    if (spare !== null) this.#retire(spare, "evicted");
  }

  granted(slot: Slot, now: number): void {
    this.#asked = false;
    const room = this.#wanted() > 0 ? this.#room(now, true) : Room.none;
    if (this.#paused || room === Room.none) this.#slots.giveBack(this, slot, now);
    else this.#open(slot, room, now);
  }

  takeBack(slot: Slot, now: number | undefined): void {
    invariant(this.#cancelSlots.delete(slot) || this.#opening.delete(slot), "a slot goes back once, and a server's goes back by closed()");
    this.#returnSlot(slot, now ?? this.#now);
  }

  // ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Where every free server goes; the order of the questions is PgBouncer's (`release_server`). */
  #free(server: S, afterClient: boolean, now: number): void {
    const { policy } = this;
    if (this.#lifetime.ends(policy, server.openedAt, now)) this.#retire(server, "server lifetime over");
    else if (server.closeNeeded) this.#retire(server, "close_needed");
    else if (server.dirty) this.#retire(server, "idle server got dirty");
    else if (this.#paused) this.#retire(server, "pause mode");
    else if (afterClient && policy.checks && policy.checkDelayMs === 0) this.servers.move(server.place, ServerState.used, now);
    else this.servers.move(server.place, ServerState.idle, now);
    this.#settle(now);
  }

  /** Takes the idle server that is next by the policy and makes it active; closes those that must not be used. Null when there is none. */
  #takeIdle(now: number): S | null {
    const { servers } = this;
    for (;;) {
      const server = this.policy.roundRobin ? servers.oldest(ServerState.idle) : servers.newest(ServerState.idle);
      if (server === null) return null;
      if (server.closeNeeded) this.#retire(server, "obsolete connection");
      else if (server.dirty) this.#retire(server, "idle server got dirty");
      else {
        servers.move(server.place, ServerState.active, now);
        server.usedAt = now;
        return server;
      }
    }
  }

  /** Serves who can be served and gets servers for the others. The one place where decisions are made after something has changed. */
  #settle(now: number, renew = false): void {
    this.#now = now;
    if (this.#deciding) {
      this.#changed = true;
      return;
    }
    this.#deciding = true;
    try {
      do {
        this.#changed = false;
        this.#serve(now);
        this.#provide(now, renew);
      } while (this.#changed);
    } finally {
      this.#deciding = false;
    }
  }

  #serve(now: number): void {
    while (this.waiters.length > 0 && !this.#paused) {
      const server = this.#takeIdle(now);
      if (server === null) return;
      const waiter = this.waiters.shift();
      if (waiter === null) {
        // Closing an unusable server on the way has made the last waiter leave.
        this.servers.move(server.place, ServerState.idle, now);
        return;
      }
      this.#host.serve(waiter, server);
    }
  }

  /** Gets servers for those who wait: out of test soon, from the used ones, by opening. `renew`: an open request is made again. */
  #provide(now: number, renew: boolean): void {
    if (this.#paused || (this.waiters.length === 0 && !this.#warming)) {
      if (this.#asked) this.#withdraw();
      return;
    }
    while (this.#unmet() > 0) {
      const server = this.servers.newest(ServerState.used);
      if (server === null) break;
      this.#recheck(server, now);
    }
    let mayAsk = renew || !this.#asked;
    while (mayAsk && !this.#paused && this.#wanted() > 0 && this.#room(now, true) !== Room.none) {
      mayAsk = this.#request(SlotRequest.wait, now);
    }
    if (this.#asked && this.#wanted() <= 0) this.#withdraw();
  }

  /** Clients that wait, beyond the servers that are free or will soon be. */
  #unmet(): number {
    const { servers } = this;
    return this.waiters.length - servers.count(ServerState.idle) - servers.count(ServerState.tested);
  }

  /** How many more servers should be opened. */
  #wanted(): number {
    const inProgress = this.#loginsInProgress;
    const wanted = this.#unmet() - inProgress;
    if (wanted > 0 || !this.#warming) return wanted;
    return this.servers.total - this.servers.count(ServerState.new) + inProgress === 0 ? 1 : 0;
  }

  get #loginsInProgress(): number {
    return this.servers.count(ServerState.new) + this.#opening.size;
  }

  #recheck(server: S, now: number): void {
    const { policy } = this;
    if (server.closeNeeded) this.#retire(server, "obsolete connection");
    else if (server.dirty) this.#retire(server, "idle server got dirty");
    else if (policy.checks && now - server.usedAt >= policy.checkDelayMs) {
      this.servers.move(server.place, ServerState.tested, now);
      this.#host.check(server);
    } else {
      this.servers.move(server.place, ServerState.idle, now);
      this.#changed = true;
    }
  }

  /** Whether the pool's pace and size allow one more server. `forWaiter`: the reserve counts if somebody has waited for long. */
  #room(now: number, forWaiter: boolean): Room {
    const { policy } = this;
    if (!this.#pace.mayStart(policy, this.#loginsInProgress, now)) return Room.none;
    const { connections } = this;
    if (policy.sizeMax === 0 || connections < policy.sizeMax) return Room.pool;
    if (!forWaiter || policy.reserveTimeoutMs === 0 || connections >= policy.sizeMax + policy.reserveMax) return Room.none;
    const since = this.waiters.oldestSince;
    return since !== null && now - since >= policy.reserveTimeoutMs ? Room.reserve : Room.none;
  }

  /** Asks for a slot and opens a server with it. False when there is none at once. */
  #request(request: SlotRequest, now: number): boolean {
    const asked = this.#asked;
    if (request === SlotRequest.wait) this.#asked = true; // before asking: the answer may come by granted() while we ask
    const slot = this.#slots.request(this, request, now);
    if (slot === null) return false;
    this.#asked = request === SlotRequest.wait ? false : asked;
    const room = this.#room(now, request === SlotRequest.wait);
    if (this.#paused || room === Room.none) this.#slots.giveBack(this, slot, now);
    else this.#open(slot, room, now);
    return true;
  }

  #open(slot: Slot, room: Room, now: number): void {
    this.#pace.started(now);
    this.#opening.add(slot);
    if (room === Room.reserve) this.#host.log("WARNING", "taking connection from reserve_pool", null);
    this.#host.open(slot);
  }

  #withdraw(): void {
    if (!this.#asked) return;
    this.#asked = false;
    this.#slots.cancelRequest(this);
  }

  #retire(server: S, reason: string): void {
    const { slot } = server;
    invariant(slot !== null, "only a server of the pool can be retired by it");
    this.servers.leave(server.place);
    this.#leaving.add(server);
    this.#slots.leaving(slot);
    this.#host.retire(server, reason);
  }

  /** PAUSE: everything that is nobody's. Servers in test are closed when they come out of it. */
  #closeFree(): void {
    for (const state of [ServerState.idle, ServerState.used, ServerState.new]) {
      for (const server of this.servers.in(state)) this.#retire(server, "pause mode");
    }
  }

  /** What another pool could have: the longest quiet of the idle ones, and of the used and tested ones if nobody waits for them here. */
  #spare(): S | null {
    const { servers } = this;
    let spare = servers.oldest(ServerState.idle);
    if (this.waiters.length > 0) return spare;
    for (const state of [ServerState.used, ServerState.tested]) {
      const server = servers.oldest(state);
      if (server !== null && (spare === null || server.usedAt < spare.usedAt)) spare = server;
    }
    return spare;
  }

  /** The pool stands in line itself before the slot is offered, so that its own clients are compared with those of others. */
  #returnSlot(slot: Slot, now: number): void {
    if (!this.#asked && !this.#paused && this.#wanted() > 0 && this.#room(now, true) !== Room.none) {
      this.#asked = true;
      this.#slots.request(this, SlotRequest.queue, now);
    }
    this.#slots.giveBack(this, slot, now);
    this.#settle(now, true);
  }

  #expect(server: S, state: ServerState, event: string): void {
    if (server.place.state !== state) this.#refuse(server, event);
  }

  #refuse(server: S, event: string): never {
    throw new InvariantError(`a server in state "${server.place.state ?? "none"}" cannot have ${event}`);
  }
}
