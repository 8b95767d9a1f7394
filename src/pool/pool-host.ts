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
}

export interface PoolHost<S, W> {
  /**
   * Start a connection. The host makes the server and calls `opening(server, slot, now)` at once or later (after a name was resolved), or
   * `openFailed(null, slot, now)` if it does not come to that. `waiter`: the client whose own the server will be (`Pool.dedicate`); it has
   * left the queue, and if the attempt fails it is the host who asks again for it. Null: the server is for anybody.
   */
  open(slot: Slot, waiter: W | null): void;
  /** `waiter` has left the queue and has `server`, which is active. */
  serve(waiter: W, server: S): void;
  /** Run the check query; `server` is in test. Ends with `checked`, or with `closed`. */
  check(server: S): void;
  /** Close `server` because of `reason`. It is in no list any more; it ends with `closed`, at once or later. */
  retire(server: S, reason: string): void;
  /** The pool has clients, waiting or not: a pool without any is not filled to `min_pool_size` (unless `keepFilled`). */
  hasClients(): boolean;
  /** A line for the log. `server`: the one it is about, if it is about one. */
  log(level: "WARNING" | "LOG", message: string, server: S | null): void;
}
