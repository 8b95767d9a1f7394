/**
 * One connection, one state, one door: every member is in exactly one named state, `enter`, `move` and `leave` are the only ways to
 * change it, and a change that the table does not allow is refused. A state's members form a list, oldest first by the time they entered
 * the state, so the figures of SHOW POOLS are list lengths and cannot drift.
 *
 * Used for servers (`server-state.ts`) and for clients. PgBouncer's counterpart: `change_client_state`, `change_server_state` and the
 * lists of `PgPool`. It decides nothing: who may change what, and when, is the callers' matter.
 */
import { InvariantError, invariant } from "./invariant.ts";
import { LinkedList } from "./linked-list.ts";
import type { Linked } from "./linked-list.ts";

/** The states, numbered from 0: which a member may begin in, and where it may go from each. Leaving is allowed from every state. */
export interface StateTable<State extends number> {
  /** By state, for people. */
  readonly names: readonly string[];
  readonly entry: readonly State[];
  readonly moves: readonly (readonly [from: State, to: readonly State[]])[];
}

/** A member's seat among the states. Made once for each connection; the fields are written by `StateLists` alone. */
export class Place<State extends number, T> implements Linked<Place<State, T>> {
  readonly owner: T;
  list: LinkedList<Place<State, T>> | null = null;
  before: Place<State, T> | null = null;
  after: Place<State, T> | null = null;
  entry = 0;
  #state: State | null = null;
  #since = 0;

  constructor(owner: T) {
    this.owner = owner;
  }

  /** The state it is in, null before `enter` and after `leave`. */
  get state(): State | null {
    return this.#state;
  }

  /** When it entered that state (or left the last one): monotonic ms. */
  get since(): number {
    return this.#since;
  }

  /** For `StateLists`, which keeps state and list in step. */
  settle(state: State | null, now: number): void {
    this.#state = state;
    this.#since = now;
  }
}

export class StateLists<State extends number, T> {
  readonly #names: readonly string[];
  /** By state. */
  readonly #lists: readonly LinkedList<Place<State, T>>[];
  /** By state: a bit for each that a member may go to from there. */
  readonly #exits: readonly number[];
  readonly #entry: ReadonlySet<State>;
  #total = 0;

  constructor({ names, entry, moves }: StateTable<State>) {
    this.#names = names;
    this.#entry = new Set(entry);
    this.#lists = names.map(() => new LinkedList());
    const exits = names.map(() => 0);
    for (const [from, to] of moves) for (const state of to) exits[from] = (exits[from] as number) | (1 << state);
    this.#exits = exits;
  }

  /** The state for people. */
  nameOf(state: State): string {
    return this.#names[state] ?? String(state);
  }

  /** How many members there are, whatever their state. */
  get total(): number {
    return this.#total;
  }

  /** A new member. Throws `InvariantError` when it already is in a state, or when nobody begins in this one. */
  enter(place: Place<State, T>, state: State, now: number): void {
    if (place.state !== null)
      throw new InvariantError(
        `a connection in state "${this.nameOf(place.state)}" cannot enter "${this.nameOf(state)}": it already is a member`,
      );
    if (!this.#entry.has(state)) throw new InvariantError(`a connection cannot begin in state "${this.nameOf(state)}"`);
    this.#list(state).insert(place, null);
    place.settle(state, now);
    this.#total++;
  }

  /** Puts a member into another state, as the newest there. Throws `InvariantError` when the table does not allow it. */
  move(place: Place<State, T>, state: State, now: number): void {
    const from = place.state;
    if (from === null || ((this.#exits[from] as number) & (1 << state)) === 0) this.#refuseMove(from, state);
    this.#list(from).remove(place);
    this.#list(state).insert(place, null);
    place.settle(state, now);
  }

  #refuseMove(from: State | null, to: State): never {
    const where = from === null ? "that is in no state" : `in state "${this.nameOf(from)}"`;
    throw new InvariantError(`a connection ${where} cannot go to "${this.nameOf(to)}"`);
  }

  /** The end of a membership, from any state. Throws `InvariantError` for what is no member. */
  leave(place: Place<State, T>): void {
    invariant(place.state !== null, "a connection that is in no state cannot leave");
    this.#list(place.state).remove(place);
    place.settle(null, place.since);
    this.#total--;
  }

  count(state: State): number {
    return this.#list(state).length;
  }

  /** The one that has been in `state` for the longest time, null when there is none. */
  oldest(state: State): T | null {
    const first = this.#list(state).first;
    return first === null ? null : first.owner;
  }

  /** The one that entered `state` last, null when there is none. */
  newest(state: State): T | null {
    const last = this.#list(state).last;
    return last === null ? null : last.owner;
  }

  /** The members in `state`, oldest first. Safe against any change while it is walked; who enters meanwhile is not visited. */
  *in(state: State): IterableIterator<T> {
    for (const place of this.#list(state)) yield place.owner;
  }

  #list(state: State): LinkedList<Place<State, T>> {
    return this.#lists[state] as LinkedList<Place<State, T>>;
  }
}
