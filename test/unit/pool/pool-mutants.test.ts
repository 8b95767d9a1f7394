/** Pools broken on purpose: the laws must catch each of them within a bounded number of runs, or they prove nothing. */
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Budget } from "../../../src/pool/budget.ts";
import { BudgetSlots } from "../../../src/pool/budget-slots.ts";
import { LoginPace } from "../../../src/pool/login-pace.ts";
import { Pool } from "../../../src/pool/pool.ts";
import { ServerState } from "../../../src/pool/server-state.ts";
import { StateLists } from "../../../src/pool/state-lists.ts";
import { Supply } from "../../../src/pool/supply.ts";
import { WaitQueue } from "../../../src/pool/wait-queue.ts";
import { lawsHold, runs } from "./pool-runs.ts";

const RUNS_MAX = 300;

// oxlint-disable-next-line typescript/no-explicit-any -- a broken method has whatever shape breaks it
type Broken = (this: any, ...given: any[]) => unknown;

interface Mutant {
  readonly of: { readonly prototype: object };
  readonly member: string;
  /** Gets the right method, gives the broken one; for a getter both take no arguments. */
  readonly break: (right: Broken) => Broken;
}

const mutants: Record<string, Mutant> = {
  "the last one who came is served first": {
    of: WaitQueue,
    member: "shift",
    break: () =>
      function (this: { [Symbol.iterator](): Iterator<unknown>; remove(w: unknown): void }) {
        const all = [...(this as Iterable<{ waiting: unknown }>)];
        const last = all.at(-1);
        if (last === undefined) return null;
        this.remove(last.waiting);
        return last;
      },
  },
  "a client that gives up keeps its place in the queue": { of: Pool, member: "leave", break: () => () => {} },
  "a released server is made idle, and the queue is forgotten": {
    of: Pool,
    member: "released",
    break: () =>
      function (server: { place: unknown }, now: number) {
        this.servers.move(server.place, ServerState.idle, now);
      },
  },
  "a server comes back ready for use although it must be closed": {
    of: Pool,
    member: "released",
    break: (right) =>
      function (server: { closeNeeded: boolean; dirty: boolean }, now: number) {
        server.closeNeeded = false;
        this.servers.move((server as unknown as { place: unknown }).place, ServerState.idle, now);
        return right;
      },
  },
  "PAUSE closes what is free and goes on giving servers out": {
    of: Pool,
    member: "pause",
    break: (right) =>
      function (now: number) {
        right.call(this, now);
        this.resume(now);
      },
  },
  "a server that was told to close stays in its list": {
    of: Supply,
    member: "retire",
    break: (right) =>
      function (server: { place: { state: number | null } }, reason: string) {
        const { state } = server.place;
        right.call(this, server, reason);
        if (server.place.state === null && state === ServerState.idle) server.place.state = state;
      },
  },
  "the slot of a server that closed is kept": {
    of: BudgetSlots,
    member: "giveBack",
    break: () => () => {},
  },
  "a slot that comes back is offered to nobody": {
    of: BudgetSlots,
    member: "giveBack",
    break: (right) =>
      function (...given: unknown[]) {
        const answer = BudgetSlots.prototype.answer;
        BudgetSlots.prototype.answer = function () {
          this.cancelRequest(this.asker);
        };
        try {
          right.apply(this, given);
        } finally {
          BudgetSlots.prototype.answer = answer;
        }
      },
  },
  "one budget forgets to count down": {
    of: Budget,
    member: "giveBack",
    break: (right) =>
      function (leaving: boolean) {
        if (this.name !== "budget 2") right.call(this, leaving);
      },
  },
  "a budget is never full": { of: Budget, member: "isFull", break: () => () => false },
  "a budget is full one too late": {
    of: Budget,
    member: "isFull",
    break: () =>
      function () {
        return this.limit > 0 && this.used > this.limit;
      },
  },
  "only the first budget is asked": {
    of: BudgetSlots,
    member: "hasRoom",
    break: () => {
      let asked = 0;
      return () => asked++ % 2 === 0;
    },
  },
  "servers are evicted though there is room": {
    of: Supply,
    member: "fill",
    break: (right) =>
      function (now: number) {
        this.evict();
        right.call(this, now);
      },
  },
  "nothing is ever evicted": { of: Budget, member: "richest", break: () => () => null },
  "maintenance sleeps": { of: Pool, member: "tick", break: () => () => {} },
  "who asks overtakes those who wait": { of: WaitQueue, member: "isFirst", break: () => () => true },
  "budgets are not told what is closing": { of: BudgetSlots, member: "leaving", break: () => () => {} },
  "a failed attempt keeps its slot": { of: Supply, member: "failed", break: () => () => {} },
  "a request for a slot is never withdrawn": { of: Supply, member: "withdraw", break: () => () => {} },
  "a check that has passed makes the server a client's": {
    of: Pool,
    member: "checked",
    break: () =>
      function (server: { place: unknown }, now: number) {
        this.servers.move(server.place, ServerState.idle, now);
        this.servers.move(server.place, ServerState.active, now);
      },
  },
  "what is closing is not counted in the pool's size": {
    of: Supply,
    member: "connections",
    break: (right) =>
      function () {
        return (right.call(this) as number) - this.outside.leaving;
      },
  },
  "cancel requests may be as many as they like": {
    of: Supply,
    member: "takeCancelSlot",
    break: () =>
      function () {
        return null;
      },
  },
  "logins follow each other without a pause": { of: LoginPace, member: "mayStart", break: () => () => true },
  "a login that was ended from outside counts as failed at once": {
    of: LoginPace,
    member: "interrupt",
    break: () =>
      function () {
        this.fail();
      },
  },
  "logins that are ended again and again follow each other without a pause": {
    of: LoginPace,
    member: "interrupt",
    break: () => () => {},
  },
  "a failed login is not noted": { of: LoginPace, member: "fail", break: () => () => {} },
  "the pool goes on asking for slots that nobody wants": {
    of: Supply,
    member: "dismantle",
    break: () => () => {},
  },
  "a server that was moved is still counted where it was": {
    of: StateLists,
    member: "count",
    break: (right) =>
      function (state: number) {
        return (right.call(this, state) as number) + (state === ServerState.idle && this.total > 2 ? 1 : 0);
      },
  },
  "no place is made for a client that wants a server of its own": {
    of: Supply,
    member: "shortOfPlaces",
    break: () => () => 0,
  },
  "places are made without end": {
    of: Supply,
    member: "shortOfPlaces",
    break: () => () => 1,
  },
  "a client's own server is free for all after its login": {
    of: Pool,
    member: "opened",
    break: (right) =>
      function (server: { dedicated: boolean; place: unknown }, now: number) {
        if (server.dedicated) this.servers.move(server.place, ServerState.idle, now);
        else right.call(this, server, now);
      },
  },
  "who wants a server of its own is forgotten when it leaves": {
    of: Pool,
    member: "leave",
    break: () =>
      function (waiting: unknown) {
        this.waiters.remove(waiting);
      },
  },
  "an active server is offered as idle": {
    of: StateLists,
    member: "newest",
    break: (right) =>
      function (state: number) {
        return right.call(this, state) ?? (state === ServerState.idle ? right.call(this, ServerState.active) : null);
      },
  },
};

function withMutant(mutant: Mutant, test: () => void): void {
  const { prototype } = mutant.of;
  const right = Object.getOwnPropertyDescriptor(prototype, mutant.member);
  if (right === undefined) throw new Error(`there is no ${mutant.member} to break`);
  const broken = mutant.break((right.get ?? right.value) as Broken);
  Object.defineProperty(
    prototype,
    mutant.member,
    right.get === undefined ? { ...right, value: broken } : { ...right, get: broken },
  );
  try {
    test();
  } finally {
    Object.defineProperty(prototype, mutant.member, right);
  }
}

/** Whether the laws are broken in one of the runs. */
function caught(): boolean {
  const property = fc.property(runs, (run) => {
    lawsHold(run);
  });
  return fc.check(property, { numRuns: RUNS_MAX, seed: 7, endOnFailure: true }).failed;
}

describe("the laws catch", () => {
  it.each(Object.entries(mutants))(
    "%s",
    (_name, mutant) => {
      withMutant(mutant, () => {
        expect(caught()).toBe(true);
      });
    },
    30_000,
  );

  it("nothing in a pool that is whole, in the same runs", () => {
    expect(caught()).toBe(false);
  }, 30_000);
});
