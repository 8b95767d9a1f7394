/**
 * A look inside the pooler: its pools as SHOW POOLS counts them, and what does not fit together in them.
 */
import { ServerState } from "../../src/pool/server-state.ts";
import type { Pooler } from "../../src/pooler/pooler.ts";
import { Client } from "../../src/session/client.ts";
import { ClientState } from "../../src/session/client-state.ts";
import type { Server } from "../../src/session/server.ts";
import type { ServerPool } from "../../src/session/server-pool.ts";
import type { EngineView, PoolView, RiderView } from "./engine-under-test.ts";

export function viewPooler(pooler: Pooler): EngineView {
  const pools: PoolView[] = [];
  const problems: string[] = [];
  let heldBytes = 0;
  for (const pool of pooler.residents.pools()) pools.push(viewPool(pool));
  for (const database of pooler.residents.databases.values()) {
    let used = 0;
    for (const pool of database.pools.values()) used += pool.core.snapshot().connections;
    if (used !== database.connections.used) {
      problems.push(`database ${database.name} counts ${database.connections.used} server connections and has ${used}`);
    }
  }
  for (const server of pooler.residents.servers) heldBytes += server.outbox.backlog;
  for (const client of pooler.residents.clients) heldBytes += client.outbox.backlog;
  return { pools, heldBytes, problems };
}

/** A shared pipeline is in order with what is known of it, and no cancel request is under way while somebody rides behind the head. */
function rideProblems(server: Server): string[] {
  const { rides } = server;
  const problems: string[] = [];
  if (rides === null) return problems;
  if (server.holder !== rides) {
    if (rides.length > 0) problems.push(`server ${server.id} has ${rides.length} riders and another holder`);
    return problems;
  }
  const { sharingDepth } = server.engine.settings;
  if (rides.length > Math.max(1, sharingDepth))
    problems.push(`server ${server.id} has ${rides.length} riders, where sharing_depth is ${sharingDepth}`);
  if (server.riders !== rides.length)
    problems.push(`server ${server.id} counts ${server.riders} riders and has ${rides.length}`);
  if (rides.length === 0 && !server.pipeline.isEmpty)
    problems.push(`server ${server.id} has nobody's unanswered entries`);
  const riding = rides.riding;
  for (const ride of riding) {
    if (ride.rides !== rides)
      problems.push(`client ${ride.client.id} is on server ${server.id} and knows nothing of it`);
  }
  const behind = riding.filter((ride) => ride !== rides.head);
  if (behind.length > 0 && [...server.cancels].some((cancel) => cancel.isSent))
    problems.push(`server ${server.id} is sent a cancel request while ${behind.length} ride behind its head`);
  return problems;
}

function viewRiders(pool: ServerPool): Map<number, RiderView> {
  const riders = new Map<number, RiderView>();
  for (const { id, ride, waiting, source, clock } of pool.clients.in(ClientState.active)) {
    const rides = ride?.rides ?? null;
    if (ride === null || rides === null) continue;
    riders.set(id, {
      unitSinceMs: clock.queryStart,
      sinceMs: waiting.since,
      source,
      server: rides.server.id,
      isShared: rides.server.place.state === ServerState.shared,
      isBehind: rides.head !== ride,
    });
  }
  return riders;
}

function viewPool(pool: ServerPool): PoolView {
  const problems: string[] = [];
  const clients: Record<string, number> = {};
  for (const state of Object.values(ClientState)) clients[state] = pool.clients.count(state);
  const servers: Record<string, number> = {};
  for (const state of Object.values(ServerState)) {
    servers[state] = pool.core.servers.count(state);
    let walked = 0;
    for (const server of pool.core.servers.in(state)) {
      walked++;
      const client = server.holder;
      const linked = state === ServerState.active || state === ServerState.shared;
      problems.push(...rideProblems(server));
      if (linked !== (client !== null))
        problems.push(`server ${server.id} is ${state} ${client === null ? "without" : "with"} a client`);
      if (client instanceof Client && client.server !== server)
        problems.push(`server ${server.id} has client ${client.id}, which holds another`);
      if ((state === ServerState.idle || state === ServerState.used) && !server.pipeline.isEmpty) {
        problems.push(`server ${server.id} is ${state} with unanswered entries`);
      }
    }
    if (walked !== servers[state]) problems.push(`${walked} servers are ${state} and ${servers[state]} are counted`);
  }
  for (const state of Object.values(ClientState)) {
    for (const client of pool.clients.in(state)) {
      const { server } = client;
      const has = server !== null || client.isRiding;
      if ((state === ClientState.active) !== has) {
        problems.push(`client ${client.id} is ${state} ${has ? "with" : "without"} a server`);
      }
      if (server !== null && client.isRiding) problems.push(`client ${client.id} rides, and holds server ${server.id}`);
      if (client.isClosed) problems.push(`client ${client.id} is ${state} and closed`);
    }
  }
  return {
    database: pool.database.name,
    user: pool.user.name,
    clients,
    servers,
    waiters: [...pool.core.waiters].map(({ id, waiting, clock }) => {
      const isSharing = pool.core.waiters.isSharing(waiting);
      return {
        id,
        sinceMs: waiting.since,
        shares: isSharing && waiting.passedOver === 0,
        isAlone: !isSharing,
        unitSinceMs: clock?.queryStart ?? 0,
      };
    }),
    holders: new Set([...pool.clients.in(ClientState.active)].map((client) => client.id)),
    riders: viewRiders(pool),
    idle: new Set([...pool.core.servers.in(ServerState.idle)].map((server) => server.id)),
    shared: [...pool.core.servers.in(ServerState.shared)].map(({ id, sealed, rides }) => ({
      id,
      isSealed: sealed,
      headSinceMs: rides === null || rides.length === 0 ? null : rides.headSince,
    })),
    problems,
  };
}
