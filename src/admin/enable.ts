/** ENABLE: the end of DISABLE. */
import { CONSOLE_DATABASE } from "../config/database-entry.ts";
import { ConsoleLevel } from "../pooler/console-level.ts";
import type { ConsoleCommand } from "./console-command.ts";
import { knownDatabase, logIssued } from "./named-database.ts";

export const enableCommand: ConsoleCommand = {
  name: "ENABLE",
  argument: "db",
  level: ConsoleLevel.admin,
  columns: [],
  doc: "Lets new clients in again after DISABLE.",
  run: (call) => {
    if (call.argument === "") return call.fail("a database is required");
    logIssued(call, "ENABLE");
    if (call.argument === CONSOLE_DATABASE) return call.fail(`cannot enable admin db: ${call.argument}`);
    const database = knownDatabase(call);
    if (database === null) return;
    database.disabled = false;
    call.done("ENABLE");
  },
};
