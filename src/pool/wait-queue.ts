/**
 * The clients that want a server of one pool and have none: first come, first served.
 *
 * Responsible for the order only. The queue is always ordered by time of arrival: who is put back (`pushFront`) keeps its old time and
 * comes before everybody who arrived later, so an oldest waiter's time is the pool's `maxwait`.
 */
import { LinkedList } from "./linked-list.ts";
import type { Linked } from "./linked-list.ts";

/** A client's seat in a queue. Made once for each client; the fields are written by `WaitQueue` alone. */
export class Waiting<W> implements Linked<Waiting<W>> {
  readonly owner: W;
  list: LinkedList<Waiting<W>> | null = null;
  before: Waiting<W> | null = null;
  after: Waiting<W> | null = null;
  entry = 0;
  #since = 0;

  constructor(owner: W) {
    this.owner = owner;
  }

  get queued(): boolean {
    return this.list !== null;
  }

  /** When it began to wait, monotonic ms. Keeps its value after the wait, so that the wait's length can be reckoned. */
  get since(): number {
    return this.#since;
  }

  /** For `WaitQueue`. */
  arrive(since: number): void {
    this.#since = since;
  }
}

export class WaitQueue<W> {
  readonly #members = new LinkedList<Waiting<W>>();

  get length(): number {
    return this.#members.length;
  }

  /** Puts `waiting` at the end. Throws `InvariantError` when it already waits somewhere. */
  push(waiting: Waiting<W>, now: number): void {
    this.#members.insert(waiting, null);
    waiting.arrive(now);
  }

  /** Puts back one that has waited since `since`: before everybody who arrived at that time or later. */
  pushFront(waiting: Waiting<W>, since: number): void {
    let successor = this.#members.first;
    while (successor !== null && successor.since < since) successor = successor.after;
    this.#members.insert(waiting, successor);
    waiting.arrive(since);
  }

  /** Takes `waiting` out, wherever it stands. False when it is not in this queue. */
  remove(waiting: Waiting<W>): boolean {
    if (waiting.list !== this.#members) return false;
    this.#members.remove(waiting);
    return true;
  }

  /** Takes the first one out, null when nobody waits. */
  shift(): W | null {
    const first = this.#members.first;
    if (first === null) return null;
    this.#members.remove(first);
    return first.owner;
  }

  first(): W | null {
    const first = this.#members.first;
    return first === null ? null : first.owner;
  }

  isFirst(waiting: Waiting<W>): boolean {
    return this.#members.first === waiting;
  }

  /** Since when the first one waits, null when nobody does. */
  get oldestSince(): number | null {
    const first = this.#members.first;
    return first === null ? null : first.since;
  }

  /** From first to last; safe against any change meanwhile. */
  *[Symbol.iterator](): IterableIterator<W> {
    for (const waiting of this.#members) yield waiting.owner;
  }
}
