/** PAUSE: no server is handed out any more, and free ones are closed; answers when nobody holds one. */
import { ConsoleLevel } from "../pooler/console-level.ts";
import { PoolerState } from "../pooler/operations.ts";
import type { ConsoleCommand } from "./console-command.ts";
import { logIssued, namedDatabase } from "./named-database.ts";

export const pauseCommand: ConsoleCommand = {
  name: "PAUSE",
  argument: "[db]",
  level: ConsoleLevel.admin,
  columns: [],
  doc:
    "Gives out no server connections any more, of one database or of all, closes free ones, and answers when no client " +
    "holds one. Clients that want one wait for RESUME.",
  run: (call) => {
    const { operations } = call.pooler;
    if (operations.state !== PoolerState.active) return call.fail("already suspended/paused");
    logIssued(call, "PAUSE");
    const done = (): void => call.done("PAUSE");
    const resumed = (): void => call.cancelled();
    call.waits(() => operations.forget(done));
    if (call.argument === "") return operations.pause(done, resumed);
    const database = namedDatabase(call, "cannot pause");
    if (database !== null) operations.pauseDatabase(database, done, resumed);
  },
};
