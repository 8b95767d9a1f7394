/** KILL: drops everybody in a database, clients and servers. */
import { ConsoleLevel } from "../pooler/console-level.ts";
import { PoolerState } from "../pooler/operations.ts";
import type { ConsoleCommand } from "./console-command.ts";
import { logIssued, namedDatabase } from "./named-database.ts";

export const killCommand: ConsoleCommand = {
  name: "KILL",
  argument: "[db]",
  level: ConsoleLevel.admin,
  columns: [],
  doc:
    "Drops all client and server connections at once, of one database or of all that are in use, and leaves each of " +
    "these databases paused. RESUME db opens it again.",
  run: (call) => {
    const { operations, residents } = call.pooler;
    if (operations.state !== PoolerState.active) return call.fail("already suspended/paused");
    logIssued(call, "KILL");
    if (call.argument === "") {
      for (const database of residents.databases.values()) if (database.pools.size > 0) operations.kill(database);
    } else {
      const database = namedDatabase(call, "cannot kill");
      if (database === null) return;
      operations.kill(database);
    }
    call.done("KILL");
  },
};
