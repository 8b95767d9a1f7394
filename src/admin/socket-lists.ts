/**
 * Clients and servers in the lists that PgBouncer keeps them in, which are the states of SHOW CLIENTS, SERVERS and
 * SOCKETS. Its active list holds the clients that want nothing, too.
 */
import { ClientState } from "../session/client-state.ts";
import type { Client } from "../session/client.ts";
import type { PeerPool } from "../session/peer-pool.ts";
import type { Server } from "../session/server.ts";
import type { ServerPool } from "../session/server-pool.ts";
import type { ServerState } from "../pool/server-state.ts";
import type { Pooler } from "../pooler/pooler.ts";

/** Holding a server or wanting none. */
export function activeClients(pool: ServerPool): Client[] {
  const { clients } = pool;
  return [...clients.in(ClientState.active), ...clients.in(ClientState.idle)].sort((a, b) => a.id - b.id);
}

/** Waiting for a server, or for the first login of their pool. */
export function waitingClients(pool: ServerPool): Client[] {
  return [...pool.clients.in(ClientState.waiting)];
}

/** Connections that carry a cancel request to a server of `pool`; `sent`: it is on its way. */
export function cancelClients(pooler: Pooler, pool: ServerPool, sent: boolean): Client[] {
  return [...pooler.residents.clients].filter(
    ({ startup }) => startup !== null && startup.cancelPool === pool && startup.isCancelSent === sent,
  );
}

/** Connections that carry a cancel request to `peer`; `sent`: it is on its way. */
export function peerCancelClients(pooler: Pooler, peer: PeerPool, sent: boolean): Client[] {
  return [...pooler.residents.clients].filter(
    ({ startup }) => startup !== null && startup.cancelPeer === peer && startup.isCancelSent === sent,
  );
}

/** Not logged in yet, and in no pool. */
export function loginClients(pooler: Pooler): Client[] {
  return [...pooler.residents.clients].filter(
    ({ startup }) => startup !== null && !startup.isGreeting && !startup.isCanceling,
  );
}

export function serversIn(pool: ServerPool, state: ServerState): Server[] {
  return [...pool.core.servers.in(state)];
}
