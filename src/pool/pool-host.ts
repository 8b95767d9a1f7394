/**
 * What a pool decides about, and whom it tells: the server as the pool sees it, and the host that owns servers and clients and does what
 * the pool has decided.
 *
 * Re-entry. A host may call any method of any pool from inside any of these callbacks. What then happens:
 * - The called method changes the pool's state at once and completely; the lists and counts are right when it returns.
 * - Decisions that follow from it (serve, check, open) are not nested: if the pool is already deciding further up the stack, that loop
 *   goes on with the new state. So `serve` never recurses into `serve` of the same pool, however fast clients are done.
 * - `acquire` called in a callback obeys the queue: it never overtakes somebody who waits.
 * - Inside `acquire` itself `serve` is never called. If callbacks made there have freed servers for *other* waiters, those are served by
 *   the next call of any method, at the latest by `tick`.
 */
import type { Place } from "./state-lists.ts";
import type { ServerState } from "./server-state.ts";
import type { Slot } from "./slot.ts";

export interface PoolServer<S> {
  /**
   * It is one client's own, opened for it: given to nobody else, never idle, and closed behind that client. Set by the host with the
   * server, as `open` has said.
   */
  readonly dedicated: boolean;
  /** Its seat in the pool's lists, made by the host with the server: `new Place(server)`. */
  readonly place: Place<ServerState, S>;
  /** Its permission to be connected. Set by the pool from `opening` until it has closed; null otherwise. */
  slot: Slot | null;
  /** When the attempt to connect began, monotonic ms. Set by the pool. */
  openedAt: number;
  /** Last activity, monotonic ms: set by the pool when it changes hands, and by the host when PostgreSQL has answered. */
  usedAt: number;
  /** It must not be given to another client (RECONNECT, changed configuration). Set by the pool, or by the host for one server. */
  closeNeeded: boolean;
  /** It said something that nobody asked for while it was free. Set by the host; it is closed when next looked at. */
  dirty: boolean;
  /** While it is shared: how many statements it was sent and has not answered, whoever may still want the answers. Set by the host. */
  riders: number;
  /** While it is shared: it takes no more. Set by the pool, or by the host by `Pool.seal`. */
  sealed: boolean;
}

/** It may be given to another client. */
export function isUsable<S extends PoolServer<S>>(server: S): boolean {
  return !server.closeNeeded && !server.dirty;
}

/** What the host says of a waiter that may share and a server that others' statements ride on, or might. */
export const Fit = {
  /** It can go there now. */
  rides: "rides",
  /** The server has enough to do. */
  full: "full",
  /** Not on this server, which is in another state; maybe on another. */
  differs: "differs",
  /** It needs a server alone after all. */
  alone: "alone",
} as const;
export type Fit = (typeof Fit)[keyof typeof Fit];

/** Why a shared server takes no more. */
export const SealReason = {
  /** Somebody who needs a server alone has waited longer than those who would ride. */
  alone: "alone",
  /** The place of the connection is another pool's, or a replication client's. */
  owed: "owed",
  lifetime: "lifetime",
  /** RECONNECT, or a changed configuration. */
  closing: "closing",
  paused: "paused",
  /** Of the host: what is at its head has gone on for too long. */
  slow: "slow statement",
  /** Its client does not take the answer. */
  reader: "slow reader",
  /** A cancel request is on its way to it. */
  cancel: "cancel",
} as const;
export type SealReason = (typeof SealReason)[keyof typeof SealReason];

export interface PoolHost<S, W> {
  /**
   * Start a connection. The host makes the server and calls `opening(server, slot, now)` at once or later (after a name was resolved), or
   * `openFailed(null, slot, now)` if it does not come to that. `waiter`: the client whose own the server will be (`Pool.dedicate`); it has
   * left the queue, and if the attempt fails it is the host who asks again for it. Null: the server is for anybody.
   */
  open(slot: Slot, waiter: W | null): void;
  /** `waiter` has left the queue and has `server`, which is active. */
  serve(waiter: W, server: S): void;
  /** `waiter` is going to wait: whether it could ride on a server with others. Asked once a wait. */
  mayShare(waiter: W): boolean;
  /** Whether `waiter`, which may share, can ride on `server`, which is shared or idle. */
  fit(waiter: W, server: S): Fit;
  /** `waiter` has left the queue and rides on `server`, which is shared. The host counts it in `server.riders`. */
  ride(waiter: W, server: S): void;
  /** `server`, which is shared, has answered everything, and nobody rides on it any more: `released` follows, or another end. */
  free(server: S): void;
  /** `server`, which is shared, takes no more; `reason` for the figures. */
  sealed(server: S, reason: SealReason): void;
  /** Run the check query; `server` is in test. Ends with `checked`, or with `closed`. */
  check(server: S): void;
  /** Close `server` because of `reason`. It is in no list any more; it ends with `closed`, at once or later. */
  retire(server: S, reason: string): void;
  /** The pool has clients, waiting or not: a pool without any is not filled to `min_pool_size` (unless `keepFilled`). */
  hasClients(): boolean;
  /** A line for the log. `server`: the one it is about, if it is about one. */
  log(level: "WARNING" | "LOG", message: string, server: S | null): void;
}
