/**
 * The clients that want a server of one pool and have none: first come, first served.
 *
 *     waiters ─┬─ alone:   A1 ── A4 ── A5         each needs a server for itself
 *              └─ sharing: S2 ── S3 ── S6 ── S7   each may ride on one with others
 *
 * Responsible for the order only: one queue in two lanes, so that those who may share are found without passing those who may not. The
 * order is that of arrival: who is put back keeps its old time and comes before everybody who arrived later, so an oldest waiter's time
 * is the pool's `maxwait`.
 */
import { invariant } from "./invariant.ts";
import { LinkedList } from "./linked-list.ts";
import type { Linked } from "./linked-list.ts";

function refuseQueued(waiting: Waiting<unknown>): void {
  invariant(!waiting.queued, "a client waits in one queue at a time");
}

/** A client's seat in a queue. Made once for each client; the fields are written by `WaitQueue` alone. */
export class Waiting<W> implements Linked<Waiting<W>> {
  readonly owner: W;
  list: LinkedList<Waiting<W>> | null = null;
  before: Waiting<W> | null = null;
  after: Waiting<W> | null = null;
  entry = 0;
  /** In this wait: how many shared servers could not take it. Written by the pool. */
  passedOver = 0;
  /** It takes what is there: no server is opened for it. */
  readonly isModest: boolean;
  #since = 0;
  #order = 0;

  constructor(owner: W, isModest = false) {
    this.owner = owner;
    this.isModest = isModest;
  }

  get queued(): boolean {
    return this.list !== null;
  }

  /** When it began to wait, monotonic ms. Keeps its value after the wait, so that the wait's length can be reckoned. */
  get since(): number {
    return this.#since;
  }

  /** Tells those apart who came at the same time; 0 before the first wait. */
  get order(): number {
    return this.#order;
  }

  /** For `WaitQueue`. */
  arrive(since: number, order: number): void {
    this.#since = since;
    this.#order = order;
  }

  comesBefore(other: Waiting<W>): boolean {
    return this.#since < other.#since || (this.#since === other.#since && this.#order < other.#order);
  }
}

export class WaitQueue<W> {
  readonly #alone = new LinkedList<Waiting<W>>();
  readonly #sharing = new LinkedList<Waiting<W>>();
  #arrivals = 0;
  #returns = 0;
  #modest = 0;

  get length(): number {
    return this.#alone.length + this.#sharing.length;
  }

  /** Those for whom servers are opened. */
  get demanding(): number {
    return this.length - this.#modest;
  }

  get aloneLength(): number {
    return this.#alone.length;
  }

  get sharingLength(): number {
    return this.#sharing.length;
  }

  /** Puts `waiting` at the end. `shares`: it may ride with others. Throws `InvariantError` when it already waits somewhere. */
  push(waiting: Waiting<W>, now: number, shares = false): void {
    (shares ? this.#sharing : this.#alone).insert(waiting, null);
    waiting.arrive(now, ++this.#arrivals);
    waiting.passedOver = 0;
    if (waiting.isModest) this.#modest++;
  }

  /** Puts in one that has waited since `since`: before everybody who arrived at that time or later. */
  pushFront(waiting: Waiting<W>, since: number): void {
    refuseQueued(waiting);
    waiting.arrive(since, --this.#returns);
    this.#place(waiting, this.#alone);
  }

  /** Puts one back where it stood when it waited last, as if it had never left. */
  putBack(waiting: Waiting<W>, shares: boolean): void {
    refuseQueued(waiting);
    this.#place(waiting, shares ? this.#sharing : this.#alone);
  }

  /** One of those who may share needs a server alone after all, and keeps its place in the order. */
  standAlone(waiting: Waiting<W>): void {
    this.#sharing.remove(waiting);
    // From the end: many may come over one after the other, in their order.
    let before = this.#alone.last;
    while (before !== null && waiting.comesBefore(before)) before = before.before;
    this.#alone.insert(waiting, before === null ? this.#alone.first : before.after);
    waiting.passedOver = 0;
  }

  #place(waiting: Waiting<W>, lane: LinkedList<Waiting<W>>): void {
    let successor = lane.first;
    while (successor?.comesBefore(waiting) === true) successor = successor.after;
    lane.insert(waiting, successor);
    waiting.passedOver = 0;
    if (waiting.isModest) this.#modest++;
  }

  /** Takes `waiting` out, wherever it stands. False when it is not in this queue. */
  remove(waiting: Waiting<W>): boolean {
    const { list } = waiting;
    if (list === null || (list !== this.#alone && list !== this.#sharing)) return false;
    list.remove(waiting);
    if (waiting.isModest) this.#modest--;
    return true;
  }

  /** Takes the first one out, null when nobody waits. */
  shift(): W | null {
    const first = this.#first();
    if (first === null) return null;
    this.remove(first);
    return first.owner;
  }

  first(): W | null {
    const first = this.#first();
    return first === null ? null : first.owner;
  }

  isFirst(waiting: Waiting<W>): boolean {
    return this.#first() === waiting;
  }

  /** The first of all may share. */
  get firstShares(): boolean {
    const first = this.#first();
    return first !== null && first.list === this.#sharing;
  }

  /** It waits here, and may ride. */
  isSharing(waiting: Waiting<W>): boolean {
    return waiting.list === this.#sharing;
  }

  /** The first of those who may share; `after` leads to the next. */
  get firstSharing(): Waiting<W> | null {
    return this.#sharing.first;
  }

  /** The one behind the first `passed` of those who need a server alone is there, and comes before all who may share. */
  isAloneFirst(passed: number): boolean {
    let alone = this.#alone.first;
    for (let i = 0; i < passed && alone !== null; i++) alone = alone.after;
    if (alone === null) return false;
    const sharing = this.#sharing.first;
    return sharing === null || alone.comesBefore(sharing);
  }

  /** Since when the first one waits, null when nobody does. */
  get oldestSince(): number | null {
    const first = this.#first();
    return first === null ? null : first.since;
  }

  /** From first to last in each lane; safe against any change meanwhile. */
  *[Symbol.iterator](): IterableIterator<W> {
    for (const waiting of this.#alone) yield waiting.owner;
    for (const waiting of this.#sharing) yield waiting.owner;
  }

  #first(): Waiting<W> | null {
    const alone = this.#alone.first;
    const sharing = this.#sharing.first;
    if (alone === null || sharing === null) return alone ?? sharing;
    return alone.comesBefore(sharing) ? alone : sharing;
  }
}
