/**
 * A limit on connections that several pools share: `max_db_connections` of a database, `max_user_connections` of a user. PgBouncer's
 * counterpart: `connection_count` of PgDatabase and PgGlobalUser, `evict_connection`, `evict_user_connection`.
 *
 * Counts and compares; it is `BudgetSlots` that acts. Servers are counted from the permission to connect until the socket has closed,
 * connections of cancel requests too; only the latter may carry `used` past the limit (or a limit that was lowered meanwhile).
 */
import { invariant } from "./invariant.ts";
import type { SlotAsker } from "./slot.ts";

/** One pool's part in a budget. */
export interface BudgetMember {
  readonly asker: SlotAsker;
  /** Its open request will be answered by servers that are closing already. */
  readonly promised: boolean;
  /** All its budgets have room. */
  readonly hasRoom: boolean;
  /** One server less in these budgets would help it: it waits for room in one of them, and for room in no other. */
  needs(budgets: readonly Budget[]): boolean;
  /** Its open request is answered with a slot. */
  answer(now: number): void;
}

export class Budget {
  readonly name: string;
  readonly members = new Set<BudgetMember>();
  /** The members with an open request. */
  readonly waiting = new Set<BudgetMember>();
  readonly #limit: () => number;
  #used = 0;
  #leaving = 0;

  /** `limit` is read at each decision; 0 = unlimited. `name` is for people. */
  constructor(name: string, limit: () => number) {
    this.name = name;
    this.#limit = limit;
  }

  get limit(): number {
    return this.#limit();
  }

  /** Connections that exist or may be opened at any moment. */
  get used(): number {
    return this.#used;
  }

  /** Those of them that were told to close. */
  get leaving(): number {
    return this.#leaving;
  }

  /** Those that were not: what PgBouncer shows as `current_connections`. */
  get staying(): number {
    return this.#used - this.#leaving;
  }

  get isFull(): boolean {
    const limit = this.#limit();
    return limit > 0 && this.#used >= limit;
  }

  take(): void {
    this.#used++;
  }

  markLeaving(): void {
    this.#leaving++;
    invariant(this.#leaving <= this.#used, "no more connections can be closing than there are");
  }

  giveBack(wasLeaving: boolean): void {
    invariant(this.#used > 0, "no more connections can be given back than were taken");
    this.#used--;
    if (wasLeaving) this.#leaving--;
  }

  /** How many servers have to be told to close so that `member` can have one, beyond those closing and not promised to who came before. */
  shortfall(member: BudgetMember): number {
    const limit = this.#limit();
    if (limit === 0) return 0;
    let promised = 0;
    const since = member.asker.waitingSince ?? Infinity;
    for (const other of this.waiting) {
      if (other !== member && other.promised && (other.asker.waitingSince ?? Infinity) <= since) promised++;
    }
    return Math.max(0, this.#used - this.#leaving + promised + 1 - limit);
  }

  /** The pool, other than `member`'s, whose spare server has been quiet for the longest time; null when none can spare one. */
  richest(member: BudgetMember): BudgetMember | null {
    let richest: BudgetMember | null = null;
    let since = Infinity;
    for (const other of this.members) {
      if (other === member) continue;
      const spared = other.asker.sparedSince;
      if (spared !== null && spared < since) {
        richest = other;
        since = spared;
      }
    }
    return richest;
  }
}
