/**
 * One pool's slots out of the budgets it belongs to, all in this process: a slot is granted when every budget has room.
 *
 * Responsible for: counting in all budgets at once, making room by evicting, and who is next when room appears (the pool whose client has
 * waited longest, among those for whom there is room in all their budgets). Not for the pool's own size; `Pool` looks after that.
 *
 * Order of events when a slot comes back: it is uncounted everywhere first, then offered; an offer may be refused, which is a slot coming
 * back again. Callbacks find the counts in order, so they may call anything.
 */
import type { Budget, BudgetMember } from "./budget.ts";
import { invariant } from "./invariant.ts";
import { Slot, SlotRequest, SlotUse } from "./slot.ts";
import type { SlotAsker, SlotSource } from "./slot.ts";

/** Two pools that both have clients waiting do not take a server from each other more often than this. */
const CONTESTED_AFTER_MS = 100;

export class BudgetSlots implements SlotSource, BudgetMember {
  readonly #budgets: readonly Budget[];
  #asker: SlotAsker | null = null;
  #waiting = false;
  #promised = false;

  constructor(budgets: readonly Budget[]) {
    this.#budgets = budgets;
  }

  get asker(): SlotAsker {
    invariant(this.#asker !== null, "the slots of a pool can be asked for only while the pool exists");
    return this.#asker;
  }

  get promised(): boolean {
    return this.#promised;
  }

  get hasRoom(): boolean {
    for (const budget of this.#budgets) if (budget.isFull) return false;
    return true;
  }

  /** Somebody stands in line for one of its budgets. */
  get #hasLine(): boolean {
    for (const budget of this.#budgets) if (budget.waiting.size > 0) return true;
    return false;
  }

  isOwed(now: number): boolean {
    for (const budget of this.#budgets) {
      for (const member of budget.waiting) {
        if (member !== this && member.needs(this.#budgets) && this.#yieldsTo(member.asker, now)) return true;
      }
    }
    return false;
  }

  needs(budgets: readonly Budget[]): boolean {
    let needs = false;
    for (const budget of this.#budgets) {
      if (budget.shortfall(this) === 0) continue;
      if (!budgets.includes(budget)) return false;
      needs = true;
    }
    return needs;
  }

  /** Who waits here too keeps the server, unless the other has waited longer and has less. */
  #yieldsTo(other: SlotAsker, now: number): boolean {
    const { waitingSince, connections } = this.asker;
    const theirs = other.waitingSince;
    if (waitingSince === null || theirs === null) return theirs !== null;
    if (theirs >= waitingSince || now - theirs < CONTESTED_AFTER_MS) return false;
    return other.connections === 0 || other.connections + 1 < connections;
  }

  join(asker: SlotAsker): void {
    invariant(this.#asker === null, "each pool needs slots of its own");
    this.#asker = asker;
    for (const budget of this.#budgets) budget.members.add(this);
  }

  leave(asker: SlotAsker): void {
    this.#withdraw(asker);
    for (const budget of this.#budgets) budget.members.delete(this);
    this.#asker = null;
  }

  request(asker: SlotAsker, request: SlotRequest): Slot | null {
    if (request === SlotRequest.attempt) return this.hasRoom && !this.#hasLine ? this.#take(asker) : null;
    if (request === SlotRequest.wait && this.hasRoom) return this.#take(asker);
    if (!this.#waiting) {
      this.#waiting = true;
      for (const budget of this.#budgets) budget.waiting.add(this);
    }
    if (request === SlotRequest.queue) return null;
    this.#makeRoom();
    // A server that closed at once has given its slot back, and the offer may have come to this pool already.
    return this.#waiting && this.hasRoom ? this.#take(asker) : null;
  }

  cancelRequest(asker: SlotAsker): void {
    this.#withdraw(asker);
  }

  takeCancelSlot(asker: SlotAsker): Slot {
    for (const budget of this.#budgets) budget.take();
    return new Slot(SlotUse.cancel, asker);
  }

  takeAdopted(asker: SlotAsker): Slot {
    for (const budget of this.#budgets) budget.take();
    return new Slot(SlotUse.server, asker);
  }

  leaving(slot: Slot): void {
    slot.markLeaving();
    for (const budget of this.#budgets) budget.markLeaving();
  }

  giveBack(asker: SlotAsker, slot: Slot, now: number): void {
    invariant(asker === this.#asker, "a slot goes back to where it came from");
    slot.markReturned();
    for (const budget of this.#budgets) budget.giveBack(slot.leaving);
    for (let next = this.#next(); next !== null; next = this.#next()) next.answer(now);
  }

  answer(now: number): void {
    const asker = this.asker;
    asker.granted(this.#take(asker), now);
  }

  #take(asker: SlotAsker): Slot {
    this.#withdraw(asker);
    for (const budget of this.#budgets) budget.take();
    return new Slot(SlotUse.server, asker);
  }

  #withdraw(asker: SlotAsker): void {
    invariant(asker === this.#asker, "a request is withdrawn by the pool that made it");
    this.#promised = false;
    if (!this.#waiting) return;
    this.#waiting = false;
    for (const budget of this.#budgets) budget.waiting.delete(this);
  }

  /** Who is to have the room in these budgets: the longest waiting one that has room everywhere, null for nobody. */
  #next(): BudgetMember | null {
    let next: BudgetMember | null = this.#waiting && this.hasRoom ? this : null;
    let since = next === null ? Infinity : (next.asker.waitingSince ?? Infinity);
    for (const budget of this.#budgets) {
      if (budget.isFull) continue;
      for (const member of budget.waiting) {
        if (member === this || !member.hasRoom) continue;
        const waitingSince = member.asker.waitingSince ?? Infinity;
        if (next !== null && waitingSince >= since) continue;
        next = member;
        since = waitingSince;
      }
    }
    return next;
  }

  /** Tells as many servers of other pools to close as this request needs: none if one of the budgets cannot be helped. */
  #makeRoom(): void {
    this.#promised = false;
    for (const budget of this.#budgets) {
      if (budget.shortfall(this) > 0 && budget.richest(this) === null) return;
    }
    for (const budget of this.#budgets) {
      while (this.#waiting && budget.shortfall(this) > 0) {
        const richest = budget.richest(this);
        if (richest === null) return;
        richest.asker.evict();
      }
    }
    this.#promised = this.#waiting;
  }
}
