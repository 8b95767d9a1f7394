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

/** Which states a member may begin in, and where it may go from each. Leaving is allowed from every state. */
export interface StateTable<State extends string> {
  readonly entry: readonly State[];
  readonly moves: Readonly<Record<State, readonly State[]>>;
}

/** A member's seat among the states. Made once for each connection; the fields are written by `StateLists` alone. */
export class Place<State extends string, T> implements Linked<Place<State, T>> {
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

interface StateList<State extends string, T> {
  readonly members: LinkedList<Place<State, T>>;
  /** The lists that a member may go to from here. */
  readonly exits: Map<State, StateList<State, T>>;
}

export class StateLists<State extends string, T> {
  readonly #lists = new Map<State, StateList<State, T>>();
  readonly #entry: ReadonlySet<State>;
  #total = 0;

  constructor(table: StateTable<State>) {
    this.#entry = new Set(table.entry);
    const states = Object.keys(table.moves) as State[];
    for (const state of states) this.#lists.set(state, { members: new LinkedList(), exits: new Map() });
    for (const state of states) {
      for (const exit of table.moves[state]) this.#list(state).exits.set(exit, this.#list(exit));
    }
    for (const state of table.entry) this.#list(state);
  }

  /** How many members there are, whatever their state. */
  get total(): number {
    return this.#total;
  }

  /** A new member. Throws `InvariantError` when it already is in a state, or when nobody begins in this one. */
  enter(place: Place<State, T>, state: State, now: number): void {
    if (place.state !== null)
      throw new InvariantError(
        `a connection in state "${place.state}" cannot enter "${state}": it already is a member`,
      );
    if (!this.#entry.has(state)) throw new InvariantError(`a connection cannot begin in state "${state}"`);
    this.#list(state).members.insert(place, null);
    place.settle(state, now);
    this.#total++;
  }

  /** Puts a member into another state, as the newest there. Throws `InvariantError` when the table does not allow it. */
  move(place: Place<State, T>, state: State, now: number): void {
    const from = place.state;
    if (from === null) throw new InvariantError(`a connection that is in no state cannot go to "${state}"`);
    const list = this.#list(from);
    const to = list.exits.get(state);
    if (to === undefined) throw new InvariantError(`a connection in state "${from}" cannot go to "${state}"`);
    list.members.remove(place);
    to.members.insert(place, null);
    place.settle(state, now);
  }

  /** The end of a membership, from any state. Throws `InvariantError` for what is no member. */
  leave(place: Place<State, T>): void {
    invariant(place.state !== null, "a connection that is in no state cannot leave");
    this.#list(place.state).members.remove(place);
    place.settle(null, place.since);
    this.#total--;
  }

  count(state: State): number {
    return this.#list(state).members.length;
  }

  /** The one that has been in `state` for the longest time, null when there is none. */
  oldest(state: State): T | null {
    const first = this.#list(state).members.first;
    return first === null ? null : first.owner;
  }

  /** The one that entered `state` last, null when there is none. */
  newest(state: State): T | null {
    const last = this.#list(state).members.last;
    return last === null ? null : last.owner;
  }

  /** The members in `state`, oldest first. Safe against any change while it is walked; who enters meanwhile is not visited. */
  *in(state: State): IterableIterator<T> {
    for (const place of this.#list(state).members) yield place.owner;
  }

  #list(state: State): StateList<State, T> {
    const list = this.#lists.get(state);
    if (list === undefined) throw new InvariantError(`"${state}" is not a state of this table`);
    return list;
  }
}
