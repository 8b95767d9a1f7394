/**
 * The laws about statements that share servers, as far as a look at the pools after each turn shows them (design, section 8).
 *
 * - Sharing replaces waiting and nothing else: nobody is sent behind another while a server is idle.
 * - Who needs a server alone is not overtaken for ever: once it comes before all who would ride, a server is held back for it, and until
 *   there is one, only a bounded number of those who came later go first.
 * - Who is moved waits again where it stood.
 *
 * What runs on a shared server the audit judges, and whether a shared pipeline is in order the look inside (`pooler-view.ts`).
 */
import type { PoolView, RiderView } from "./engine-under-test.ts";
import type { LawContext } from "./laws.ts";

/** What is remembered of a pool from turn to turn. */
export interface SharingMemory {
  readonly riders: ReadonlyMap<number, RiderView>;
  readonly idle: ReadonlySet<number>;
  /** How many who came later went before the one that waits alone, while nothing was held back for it. */
  readonly overtaken: { readonly id: number; readonly sinceMs: number; count: number } | null;
}

/** What of a wait is needed here. */
interface Waiter {
  readonly id: number;
  readonly sinceMs: number;
  readonly isAlone: boolean;
}

export function checkSharing(context: LawContext, pool: PoolView): void {
  const { world, memories } = context;
  const key = `${pool.database}/${pool.user}`;
  const before = memories.get(key);
  if (before === undefined && pool.shared.length === 0) return;
  const come = [...pool.riders].filter(([id, rider]) => rider.isShared && !isSame(before?.riders.get(id), rider));
  const behind = come.find(([, rider]) => rider.isBehind);
  // One that became idle in this turn may have done so later.
  if (behind !== undefined && before !== undefined && [...pool.idle].some((id) => before.idle.has(id))) {
    world.chronicle.violate(`pool ${key} has an idle server, and client ${behind[0]} was sent behind another`);
  }
  for (const { id, sinceMs, unitSinceMs } of pool.waiters) {
    const rider = before?.riders.get(id);
    if (rider?.unitSinceMs === unitSinceMs && sinceMs > rider.sinceMs)
      world.chronicle.violate(`pool ${key} took client ${id} back, and to a later place than it had waited in`);
  }
  const overtaken = overtakenIn(context, pool, before, come);
  if (overtaken !== null && overtaken.count > overtakingMax(context, pool)) {
    world.chronicle.violate(
      `pool ${key} holds no server back for client ${overtaken.id}, which needs one alone and was overtaken ${overtaken.count} times`,
    );
  }
  if (pool.shared.length > 0) memories.set(key, { riders: pool.riders, idle: pool.idle, overtaken });
  else memories.delete(key);
}

function isSame(before: RiderView | undefined, now: RiderView): boolean {
  return before !== undefined && before.server === now.server && before.sinceMs === now.sinceMs;
}

function overtakenIn(
  { scenario, world }: LawContext,
  pool: PoolView,
  before: SharingMemory | undefined,
  come: readonly (readonly [number, RiderView])[],
): SharingMemory["overtaken"] {
  const first = earliest(pool.waiters, (waiter) => waiter.isAlone);
  if (first === null) return null;
  const known = before?.overtaken;
  const overtaken = known?.id === first.id && known.sinceMs === first.sinceMs ? known : { ...first, count: 0 };
  const sharing = earliest(pool.waiters, (waiter) => !waiter.isAlone);
  // Those who came earlier go first, and take with them whom there is room for.
  if (sharing !== null && sharing.sinceMs <= first.sinceMs) return overtaken;
  if (come.some(([, { sinceMs }]) => sinceMs <= first.sinceMs)) return overtaken;
  const shortMs = Number(scenario.settings["sharing_short_time"] ?? 50);
  // It was to be noticed by then that the head is not short: what is behind it is not waited for.
  const slowSinceMs = world.nowMs - 2 * (shortMs + scenario.turnMaxMs) - SLACK_MS;
  const held = pool.shared.filter(({ isSealed, headSinceMs }) => isSealed && (headSinceMs ?? Infinity) >= slowSinceMs);
  if (held.length + (pool.servers["tested"] ?? 0) === 0) overtaken.count += come.length;
  return overtaken;
}

/** Timers fire late: that of the look at heads may do so twice. */
const SLACK_MS = 45;

function earliest(waiters: readonly Waiter[], counts: (waiter: Waiter) => boolean): Waiter | null {
  let found: Waiter | null = null;
  for (const waiter of waiters) {
    if (counts(waiter) && (found === null || waiter.sinceMs < found.sinceMs)) found = waiter;
  }
  return found;
}

/** Each server may be filled once before it is looked at again; how many are shared changes while somebody waits. */
function overtakingMax({ scenario }: LawContext, pool: PoolView): number {
  return Number(scenario.settings["sharing_depth"] ?? 16) * Math.max(1, sum(Object.values(pool.servers)));
}

function sum(counts: readonly number[]): number {
  let total = 0;
  for (const count of counts) total += count;
  return total;
}
