/**
 * A doubly linked list whose links live in the members: putting in and taking out at any place is O(1) and allocates nothing.
 * `StateLists` and `WaitQueue` are built on it; nothing else should touch the link fields.
 *
 *     first ──▶ ┌────────┐ after ┌────────┐ after ┌────────┐ ◀── last
 *               │ member │ ────▶ │ member │ ────▶ │ member │
 *               └────────┘ ◀──── └────────┘ ◀──── └────────┘
 *                          before          before
 *
 * Invariants: a member is in one list at most (`list` says which); `length` is the number of members.
 *
 * Walking is safe whatever happens meanwhile: any member may be taken out (the walk's next step moves on), and members put in after the
 * walk began are not visited, so a walk that puts each visited member back at the end still ends.
 */
import { invariant } from "./invariant.ts";

/** What a member carries for its list. Written by `LinkedList` alone. */
export interface Linked<N extends Linked<N>> {
  list: LinkedList<N> | null;
  before: N | null;
  after: N | null;
  /** The how-manieth member this list ever took in; a walk uses it to know who came after it began. */
  entry: number;
}

interface Walk<N> {
  next: N | null;
}

export class LinkedList<N extends Linked<N>> {
  #first: N | null = null;
  #last: N | null = null;
  #length = 0;
  #entries = 0;
  readonly #walks: Walk<N>[] = [];

  get first(): N | null {
    return this.#first;
  }

  get last(): N | null {
    return this.#last;
  }

  get length(): number {
    return this.#length;
  }

  /** Puts `member` in front of `successor`, or at the end for null. */
  insert(member: N, successor: N | null): void {
    invariant(member.list === null, "a member of a list must leave it before it enters another");
    const before = successor === null ? this.#last : successor.before;
    member.list = this;
    member.entry = ++this.#entries;
    member.before = before;
    member.after = successor;
    if (before === null) this.#first = member;
    else before.after = member;
    if (successor === null) this.#last = member;
    else successor.before = member;
    this.#length++;
  }

  remove(member: N): void {
    invariant(member.list === this, "only the list that holds a member can remove it");
    const { before, after } = member;
    if (this.#walks.length > 0) {
      for (const walk of this.#walks) if (walk.next === member) walk.next = after;
    }
    if (before === null) this.#first = after;
    else before.after = after;
    if (after === null) this.#last = before;
    else after.before = before;
    member.list = null;
    member.before = null;
    member.after = null;
    this.#length--;
  }

  /** From first to last. Meant for `for … of`: an iterator that is neither finished nor closed keeps its place in the list for ever. */
  *[Symbol.iterator](): IterableIterator<N> {
    const walk: Walk<N> = { next: this.#first };
    const newest = this.#entries;
    this.#walks.push(walk);
    try {
      while (walk.next !== null) {
        const member: N = walk.next;
        walk.next = member.after;
        if (member.entry <= newest) yield member;
      }
    } finally {
      this.#walks.splice(this.#walks.indexOf(walk), 1);
    }
  }
}
