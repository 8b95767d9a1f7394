/** SHOW SOCKETS and SHOW ACTIVE_SOCKETS: clients and servers together, with what their buffers hold. */
import { CONSOLE_DATABASE } from "../config/database-entry.ts";
import { ServerState } from "../pool/server-state.ts";
import { ConsoleLevel } from "../pooler/console-level.ts";
import type { Client } from "../session/client.ts";
import type { Server } from "../session/server.ts";
import type { ServerPool } from "../session/server-pool.ts";
import { activeClients, loginClients, serversIn, waitingClients } from "./socket-lists.ts";
import type { ConsoleCall } from "./console-call.ts";
import type { ConsoleCommand } from "./console-command.ts";
import { byText, consoleClients, poolsInOrder } from "./residents-in-order.ts";
import { BUFFER_COLUMNS, SOCKET_COLUMNS, bufferValues, clientRow, hasBufferedData, serverRow } from "./socket-row.ts";

const SERVER_STATES: readonly (readonly [state: ServerState, shown: string])[] = [
  [ServerState.active, "sv_active"],
  [ServerState.shared, "sv_active"],
  [ServerState.idle, "sv_idle"],
  [ServerState.used, "sv_used"],
  [ServerState.tested, "sv_tested"],
  [ServerState.new, "sv_login"],
];

export const showSocketsCommand: ConsoleCommand = {
  name: "SHOW SOCKETS",
  argument: "",
  level: ConsoleLevel.stats,
  columns: [...SOCKET_COLUMNS, ...BUFFER_COLUMNS],
  doc: "All connections, those still logging in too, with the state of their buffers in bytes.",
  run: (call) => showSockets(call, () => true),
};

export const showActiveSocketsCommand: ConsoleCommand = {
  name: "SHOW ACTIVE_SOCKETS",
  argument: "",
  level: ConsoleLevel.stats,
  columns: showSocketsCommand.columns,
  doc: "Those connections of SHOW SOCKETS whose buffers hold something.",
  run: (call) => showSockets(call, ({ framer, outbox }) => hasBufferedData(framer, outbox)),
};

type Wanted = (socket: Client | Server) => boolean;

function showSockets(call: ConsoleCall, wanted: Wanted): void {
  const pools = poolsInOrder(call.pooler);
  const before = pools.filter((pool) => byText(pool.database.name, CONSOLE_DATABASE) < 0);
  for (const pool of before) showPool(call, pool, wanted);
  showClients(call, consoleClients(call.pooler), "cl_active", wanted);
  for (const pool of pools.slice(before.length)) showPool(call, pool, wanted);
  showClients(call, loginClients(call.pooler), "cl_login", wanted);
  call.done("SHOW");
}

function showPool(call: ConsoleCall, pool: ServerPool, wanted: Wanted): void {
  showClients(call, activeClients(pool), "cl_active", wanted);
  showClients(call, waitingClients(pool), "cl_waiting", wanted);
  for (const [state, shown] of SERVER_STATES) {
    for (const server of serversIn(pool, state)) {
      if (wanted(server)) call.row([...serverRow(call, server, shown), ...bufferValues(server.framer, server.outbox)]);
    }
  }
}

function showClients(call: ConsoleCall, clients: readonly Client[], shown: string, wanted: Wanted): void {
  for (const client of clients) {
    if (wanted(client)) call.row([...clientRow(call, client, shown), ...bufferValues(client.framer, client.outbox)]);
  }
}
