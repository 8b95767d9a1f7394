import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { InvariantError } from "../../../src/pool/invariant.ts";
import { ServerState, serverStateTable } from "../../../src/pool/server-state.ts";
import { Place, StateLists } from "../../../src/pool/state-lists.ts";
import type { StateTable } from "../../../src/pool/state-lists.ts";
import { ClientState, clientStateTable } from "../../../src/session/client-state.ts";

const State = { a: 0, b: 1, c: 2 } as const;
type State = (typeof State)[keyof typeof State];
const { a, b, c } = State;
const names = ["a", "b", "c"];
const moves: StateTable<State>["moves"] = [
  [a, [b]],
  [b, [a, c]],
  [c, [c]],
];
const table: StateTable<State> = { names, entry: [a], moves };

function lists(): StateLists<State, string> {
  return new StateLists<State, string>(table);
}

describe("StateLists", () => {
  it("moves along the table and counts by state", () => {
    const all = lists();
    const one = new Place<State, string>("one");
    all.enter(one, a, 5);
    expect([one.state, one.since, all.count(a), all.total]).toEqual([a, 5, 1, 1]);
    all.move(one, b, 7);
    expect([one.state, one.since, all.count(a), all.count(b)]).toEqual([b, 7, 0, 1]);
    all.leave(one);
    expect([one.state, all.count(b), all.total]).toEqual([null, 0, 0]);
    all.enter(one, a, 9);
    expect(all.total).toBe(1);
  });

  it("walks every pair: what the table does not name is refused, with both states in the sentence, and nothing changes", () => {
    const roads: Record<State, State[]> = { [a]: [], [b]: [b], [c]: [b, c] };
    for (const [from, exits] of moves) {
      for (const to of Object.values(State)) {
        const all = lists();
        const one = new Place<State, string>("one");
        all.enter(one, a, 0);
        for (const step of roads[from]) all.move(one, step, 0);
        const allowed = exits.includes(to);
        let refusal: unknown = null;
        try {
          all.move(one, to, 1);
        } catch (error) {
          refusal = error;
        }
        expect(refusal).toEqual(
          allowed ? null : new InvariantError(`a connection in state "${names[from]}" cannot go to "${names[to]}"`),
        );
        const now = allowed ? to : from;
        expect([one.state, all.count(now), all.total]).toEqual([now, 1, 1]);
      }
    }
  });

  it("refuses to enter twice, to begin elsewhere, to move or leave from nowhere, and members of others", () => {
    const all = lists();
    const one = new Place<State, string>("one");
    expect(() => all.enter(one, b, 0)).toThrow(InvariantError);
    expect(() => all.move(one, a, 0)).toThrow(InvariantError);
    expect(() => all.leave(one)).toThrow(InvariantError);
    all.enter(one, a, 0);
    expect(() => all.enter(one, a, 0)).toThrow(InvariantError);
    const others = lists();
    expect(() => others.move(one, b, 0)).toThrow(InvariantError);
    expect(() => others.leave(one)).toThrow(InvariantError);
    expect([all.count(a), others.total]).toEqual([1, 0]);
  });

  it("orders a state by the time of entering it", () => {
    const all = lists();
    const [x, y, z] = ["x", "y", "z"].map((name) => new Place<State, string>(name)) as [
      Place<State, string>,
      Place<State, string>,
      Place<State, string>,
    ];
    for (const place of [x, y, z]) all.enter(place, a, 0);
    all.move(x, b, 1);
    all.move(x, a, 2);
    expect([...all.in(a)]).toEqual(["y", "z", "x"]);
    expect([all.oldest(a), all.newest(a), all.oldest(b)]).toEqual(["y", "x", null]);
    all.leave(z);
    expect([...all.in(a)]).toEqual(["y", "x"]);
  });

  it("can be walked while anything happens: who leaves is not visited later, who re-enters is not visited twice", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 8 }),
        fc.array(fc.tuple(fc.nat(7), fc.boolean()), { maxLength: 30 }),
        (count, given) => {
          const plan = [...given];
          const all = lists();
          const places = Array.from({ length: count }, (_, i) => new Place<State, string>(String(i)));
          for (const place of places) all.enter(place, a, 0);
          const visited: string[] = [];
          const gone = new Set<string>();
          for (const name of all.in(a)) {
            expect(gone.has(name)).toBe(false);
            visited.push(name);
            for (const [at, comesBack] of plan.splice(0, 3)) {
              const place = places[at % count]!;
              if (place.state === null) continue;
              all.leave(place);
              gone.add(place.owner);
              if (comesBack) all.enter(place, a, 0);
            }
          }
          expect(new Set(visited).size).toBe(visited.length);
          const stayed = places.map((place) => place.owner).filter((name) => !gone.has(name));
          expect(stayed.filter((name) => !visited.includes(name))).toEqual([]);
        },
      ),
    );
  });

  it("forgets a walk that was broken off", () => {
    const all = lists();
    const places = ["x", "y"].map((name) => new Place<State, string>(name));
    for (const place of places) all.enter(place, a, 0);
    for (const name of all.in(a)) if (name === "x") break;
    for (const place of places) all.leave(place);
    expect([...all.in(a)]).toEqual([]);
  });
});

describe.each([
  ["the server's", ServerState, serverStateTable],
  ["the client's", ClientState, clientStateTable],
] as const)("%s states", (_, states, { names, moves }) => {
  it("are numbered from 0, have a name and a row each, and no way leads to an unknown one", () => {
    const all: readonly number[] = Object.values(states);
    expect(all).toEqual(names.map((_name, i) => i));
    expect(moves.map(([from]) => from)).toEqual(all);
    for (const [, exits] of moves) for (const exit of exits) expect(all).toContain(exit);
  });
});
