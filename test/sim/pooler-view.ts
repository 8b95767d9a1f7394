/**
 * A look inside the pooler: its pools as SHOW POOLS counts them, and what does not fit together in them.
 */
import { ServerState } from "../../src/pool/server-state.ts";
import type { Pooler } from "../../src/pooler/pooler.ts";
import { Client } from "../../src/session/client.ts";
import { ClientState } from "../../src/session/client-state.ts";
import type { ServerPool } from "../../src/session/server-pool.ts";
import type { EngineView, PoolView } from "./engine-under-test.ts";

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
      const linked = state === ServerState.active;
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
      if ((state === ClientState.active) !== (server !== null)) {
        problems.push(`client ${client.id} is ${state} ${server === null ? "without" : "with"} a server`);
      }
      if (client.isClosed) problems.push(`client ${client.id} is ${state} and closed`);
    }
  }
  return {
    database: pool.database.name,
    user: pool.user.name,
    clients,
    servers,
    waiters: [...pool.core.waiters].map(({ id, waiting }) => ({ id, sinceMs: waiting.since })),
    holders: new Set([...pool.clients.in(ClientState.active)].map((client) => client.id)),
    problems,
  };
}
