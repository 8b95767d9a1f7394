/** SHOW CLIENTS: every client that has logged in, and every cancel request under way. */
import { CONSOLE_DATABASE } from "../config/database-entry.ts";
import { ConsoleLevel } from "../pooler/console-level.ts";
import type { PeerPool } from "../session/peer-pool.ts";
import type { ServerPool } from "../session/server-pool.ts";
import { activeClients, cancelClients, peerCancelClients, waitingClients } from "./socket-lists.ts";
import type { ConsoleCall } from "./console-call.ts";
import type { ConsoleCommand } from "./console-command.ts";
import { byText, consoleClients, poolsInOrder } from "./residents-in-order.ts";
import { SOCKET_COLUMNS, clientRow } from "./socket-row.ts";

export const showClientsCommand: ConsoleCommand = {
  name: "SHOW CLIENTS",
  argument: "",
  level: ConsoleLevel.stats,
  columns: SOCKET_COLUMNS,
  doc: "Client connections: who, from where, in which state, since when, and the server that each holds (`link`).",
  run: (call) => {
    const pools = poolsInOrder(call.pooler);
    const before = pools.filter((pool) => byText(pool.database.name, CONSOLE_DATABASE) < 0);
    for (const pool of before) showPool(call, pool);
    for (const client of consoleClients(call.pooler)) call.row(clientRow(call, client, "idle"));
    for (const pool of pools.slice(before.length)) showPool(call, pool);
    for (const peer of call.pooler.residents.peers.pools) showPeer(call, peer);
    call.done("SHOW");
  },
};

function showPool(call: ConsoleCall, pool: ServerPool): void {
  const { pooler } = call;
  for (const client of activeClients(pool)) {
    const isIdle = client.server === null && !client.isRiding && client.begin?.isPending !== true;
    call.row(clientRow(call, client, isIdle ? "idle" : "active"));
  }
  for (const client of waitingClients(pool)) call.row(clientRow(call, client, "waiting"));
  for (const client of cancelClients(pooler, pool, true)) call.row(clientRow(call, client, "active_cancel_req"));
  for (const client of cancelClients(pooler, pool, false)) call.row(clientRow(call, client, "waiting_cancel_req"));
}

function showPeer(call: ConsoleCall, peer: PeerPool): void {
  const { pooler } = call;
  for (const client of peerCancelClients(pooler, peer, true)) call.row(clientRow(call, client, "active_cancel_req"));
  for (const client of peerCancelClients(pooler, peer, false)) call.row(clientRow(call, client, "waiting_cancel_req"));
}
