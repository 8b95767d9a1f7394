/** DISABLE: a database takes no new clients. */
import { ConsoleLevel } from "../pooler/console-level.ts";
import type { ConsoleCommand } from "./console-command.ts";
import { logIssued, namedDatabase } from "./named-database.ts";

export const disableCommand: ConsoleCommand = {
  name: "DISABLE",
  argument: "db",
  level: ConsoleLevel.admin,
  columns: [],
  doc: "Refuses new clients of a database. Those that are there stay.",
  run: (call) => {
    if (call.argument === "") return call.fail("a database is required");
    logIssued(call, "DISABLE");
    const database = namedDatabase(call, "cannot disable");
    if (database === null) return;
    database.disabled = true;
    call.done("DISABLE");
  },
};
