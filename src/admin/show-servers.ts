/** SHOW SERVERS: every connection to PostgreSQL, those that carry a cancel request too. */
import { ServerState, serverStateTable } from "../pool/server-state.ts";
import { ConsoleLevel } from "../pooler/console-level.ts";
import { serversIn } from "./socket-lists.ts";
import type { Server } from "../session/server.ts";
import type { ConsoleCommand } from "./console-command.ts";
import { poolsInOrder } from "./residents-in-order.ts";
import { SOCKET_COLUMNS, cancelRow, serverRow } from "./socket-row.ts";

/** In the order of the rows of one pool. */
const STATES: readonly ServerState[] = [
  ServerState.active,
  ServerState.shared,
  ServerState.idle,
  ServerState.used,
  ServerState.tested,
  ServerState.new,
  ServerState.beingCanceled,
];

/** What is free by now is idle, and what is shared is busy like any other. */
function shownState(server: Server, state: ServerState): string {
  if (state === ServerState.active || state === ServerState.shared) return server.holder === null ? "idle" : "active";
  return serverStateTable.names[state] ?? "";
}

export const showServersCommand: ConsoleCommand = {
  name: "SHOW SERVERS",
  argument: "",
  level: ConsoleLevel.stats,
  columns: SOCKET_COLUMNS,
  doc: "Server connections: to where, in which state, since when, and the client that holds each (`link`). `remote_pid` is the backend's process id.",
  run: (call) => {
    for (const pool of poolsInOrder(call.pooler)) {
      for (const state of STATES) {
        for (const server of serversIn(pool, state)) {
          call.row(serverRow(call, server, shownState(server, state)));
        }
      }
      for (const cancel of pool.cancels) call.row(cancelRow(call, cancel));
    }
    call.done("SHOW");
  },
};
