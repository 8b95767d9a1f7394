/**
 * The permission to connect, as a value that is counted: whoever holds a slot may have one connection to PostgreSQL open, and every open
 * connection has one, from before its first packet until its socket has closed.
 *
 * Here is what a pool knows of slots: it asks a `SlotSource`, which answers at once or later. Inside one process `BudgetSlots` answers from
 * counts; a source that asks somebody else (several workers, one budget) fits the same interface.
 *
 *     pool ── request() ─────────▶ source        a slot at once, or null
 *     pool ◀───────── granted() ── source        later, if there is room then
 *     pool ── leaving(), giveBack() ─▶ source
 */
import { invariant } from "./invariant.ts";

export const SlotUse = {
  /** For a server. */
  server: "server",
  /** For a connection that carries one cancel request. */
  cancel: "cancel",
} as const;

export type SlotUse = (typeof SlotUse)[keyof typeof SlotUse];

export class Slot {
  readonly use: SlotUse;
  readonly #asker: SlotAsker;
  #held = true;
  #leaving = false;

  constructor(use: SlotUse, asker: SlotAsker) {
    this.use = use;
    this.#asker = asker;
  }

  /** It has not been given back. */
  get held(): boolean {
    return this.#held;
  }

  /** Its server was told to close: the slot will soon be free. */
  get leaving(): boolean {
    return this.#leaving;
  }

  /**
   * Gives the permission back. For the slots of cancel requests, when their connection has closed, and for a slot handed to `open` for
   * which no server was announced and no attempt was made; a server's slot goes back by itself with `closed` and `openFailed`.
   * `now`: monotonic ms; without it the latest time that the pool has been told. Throws `InvariantError` the second time.
   */
  giveBack(now?: number): void {
    this.#asker.takeBack(this, now);
  }

  /** For the slot's pool: it told the server to close. */
  markLeaving(): void {
    this.#leaving = true;
  }

  /** For the slot's source. */
  markReturned(): void {
    invariant(this.#held, "a slot must be given back once");
    this.#held = false;
  }
}

/** Who asks for slots: a pool, as its source sees it. */
export interface SlotAsker {
  /** Since when its oldest client waits, monotonic ms; null when nobody does. */
  readonly waitingSince: number | null;
  /** Since when the server that it could best do without has been quiet, monotonic ms; null when it can spare none. */
  readonly sparedSince: number | null;
  /** How many slots it holds. */
  readonly connections: number;
  /** Closes that server ("evicted"). Its slot comes back at once or later. */
  evict(): void;
  /** The answer to a `request` that got null; the request is no longer open. Who does not want the slot any more gives it back at once. */
  granted(slot: Slot, now: number): void;
  /** The holder of one of its slots returns it. */
  takeBack(slot: Slot, now: number | undefined): void;
}

export const SlotRequest = {
  /** Room is made by evicting, and if there is none yet the answer comes later by `granted`. */
  wait: "wait",
  /** The answer comes by `granted`, when a slot is given back; nothing is evicted. */
  queue: "queue",
  /** Now or never; nothing is evicted, and nothing is taken that others stand in line for. */
  attempt: "attempt",
} as const;

export type SlotRequest = (typeof SlotRequest)[keyof typeof SlotRequest];

/** Who counts the slots of one pool or of several. */
export interface SlotSource {
  /** A pool begins to exist: its servers can be evicted for others from now on. */
  join(asker: SlotAsker): void;
  /** The pool is gone; it holds no slot and has no open request. */
  leave(asker: SlotAsker): void;
  /**
   * Asks for a slot for a server. Null: none now; see `SlotRequest` for what happens then. A pool has one open request at most: asking
   * again renews it (and evicts again, if what can be evicted has changed), and a slot answers it.
   */
  request(asker: SlotAsker, request: SlotRequest, now: number): Slot | null;
  /** The open request will be answered by servers that are closing already. */
  readonly promised: boolean;
  /**
   * A server of this pool has become free. True: its place is another pool's, that waits and has none or far fewer; the server is to be
   * closed. Nobody else waits at all, usually, and this costs nothing then.
   */
  isOwed(now: number): boolean;
  /** The open request, if there is one, is withdrawn. A slot that is already under way may still be granted. */
  cancelRequest(asker: SlotAsker): void;
  /** A slot for a cancel request: counted, never refused (a full database is where a cancel is needed most). */
  takeCancelSlot(asker: SlotAsker): Slot;
  /** A slot for a server that is connected already, by another process: counted, never refused. */
  takeAdopted(asker: SlotAsker): Slot;
  /** The slot's server was told to close. */
  leaving(slot: Slot): void;
  /** Uncounts the slot and offers the room to those who wait for it, `asker` among them if it asked. */
  giveBack(asker: SlotAsker, slot: Slot, now: number): void;
}
