/**
 * A pool's maintenance, 3 times a second: which free servers have to close, which have been quiet for so long that they need a check, and
 * whether the pool is below its minimum. PgBouncer's counterpart: `check_unused_servers` and `check_pool_size` in janitor.c; the order of
 * the questions is the same.
 *
 * Not for time limits of queries, transactions and clients: a pool does not know those.
 */
import type { Lifetime } from "./lifetime.ts";
import type { PoolServer } from "./pool-host.ts";
import type { PoolPolicy } from "./pool-policy.ts";
import { ServerState } from "./server-state.ts";
import type { StateLists } from "./state-lists.ts";

type Retire<S> = (server: S, reason: string) => void;

/** Closes what has to be closed and marks idle servers that need a check as used. */
export function sweep<S extends PoolServer<S>>(
  servers: StateLists<ServerState, S>,
  policy: PoolPolicy,
  lifetime: Lifetime,
  now: number,
  retire: Retire<S>,
): void {
  // Idle ones last: those that become used now have been looked at.
  for (const state of [ServerState.used, ServerState.tested, ServerState.idle]) {
    for (const server of servers.in(state)) {
      const reason = endOf(server, state, connected(servers), policy, lifetime, now);
      if (reason !== null) retire(server, reason);
      else if (state === ServerState.idle && policy.checks && now - server.usedAt > policy.checkDelayMs) {
        servers.move(server.place, ServerState.used, now);
      }
    }
  }
  shrink(servers, policy, retire);
}

/**
 * Servers that are one client's own and must not be used any more: their clients may stay for weeks, so these are not waited for.
 */
export function closeObsolete<S extends PoolServer<S>>(dedicated: ReadonlySet<S>, retire: Retire<S>): void {
  for (const server of dedicated) {
    if (server.closeNeeded && server.place.state === ServerState.active)
      retire(server, "database configuration changed");
  }
}

/** Whether a pool of `count` servers, those logging in included, is below its minimum, with somebody to keep servers for. Opening obeys all limits and evicts nobody. */
export function wantsFilling(count: number, policy: PoolPolicy, host: { hasClients(): boolean }): boolean {
  if (count >= policy.sizeMin || (policy.sizeMax > 0 && count >= policy.sizeMax)) return false;
  return policy.keepFilled || host.hasClients();
}

/** Why a free server has to close, null when it has not. */
function endOf<S extends PoolServer<S>>(
  server: S,
  state: ServerState,
  count: number,
  policy: PoolPolicy,
  lifetime: Lifetime,
  now: number,
): string | null {
  if (server.closeNeeded) return "database configuration changed";
  if (server.dirty && state === ServerState.idle) return "SV_IDLE server got dirty";
  if (server.dirty && state === ServerState.used) return "SV_USED server got dirty";
  if (
    policy.idleTimeoutMs > 0 &&
    now - server.usedAt > policy.idleTimeoutMs &&
    (policy.sizeMin === 0 || count > policy.sizeMin)
  ) {
    return "server idle timeout";
  }
  return lifetime.ends(policy, server.openedAt, now) ? "server lifetime over" : null;
}

/** The size was lowered. The coldest go first. */
function shrink<S extends PoolServer<S>>(
  servers: StateLists<ServerState, S>,
  policy: PoolPolicy,
  retire: Retire<S>,
): void {
  if (policy.sizeMax === 0) return;
  for (let excess = connected(servers) - policy.sizeMax - policy.reserveMax; excess > 0; excess--) {
    const server = servers.oldest(ServerState.used) ?? servers.oldest(ServerState.idle);
    if (server === null) return;
    retire(server, "too many servers in the pool");
  }
}

/** Servers that are logged in. */
function connected<S>(servers: StateLists<ServerState, S>): number {
  return servers.total - servers.count(ServerState.new);
}
