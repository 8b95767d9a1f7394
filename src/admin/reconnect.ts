/** RECONNECT: servers of now are replaced by new ones, each when its client is done with it. */
import { ConsoleLevel } from "../pooler/console-level.ts";
import type { ConsoleCommand } from "./console-command.ts";
import { logIssued, namedDatabase } from "./named-database.ts";

export const reconnectCommand: ConsoleCommand = {
  name: "RECONNECT",
  argument: "[db]",
  level: ConsoleLevel.admin,
  columns: [],
  doc: "Closes every server connection, of one database or of all, as soon as no client holds it. WAIT_CLOSE waits for the end of that.",
  run: (call) => {
    logIssued(call, "RECONNECT");
    const database = call.argument === "" ? null : namedDatabase(call, "cannot reconnect");
    if (call.hasEnded) return;
    call.pooler.operations.reconnect(database);
    call.done("RECONNECT");
  },
};
