/** SUSPEND: nothing is read from clients any more; answers when everything that was read has been passed on. */
import { ConsoleLevel } from "../pooler/console-level.ts";
import { PoolerState } from "../pooler/operations.ts";
import type { ConsoleCommand } from "./console-command.ts";
import { takesNothing } from "./console-command.ts";
import { logIssued } from "./named-database.ts";
import { isHeirOf } from "./show-fds.ts";

export const suspendCommand: ConsoleCommand = {
  name: "SUSPEND",
  argument: "",
  accepts: takesNothing,
  level: ConsoleLevel.admin,
  columns: [],
  doc:
    "Stops accepting, reads nothing from clients and servers any more, passes on what was read, and answers when that is done, " +
    "after suspend_timeout at the latest. RESUME goes on; so does the end of the last connection to the console.",
  run: (call) => {
    const { operations, residents } = call.pooler;
    if (operations.state !== PoolerState.active) return call.fail("already suspended/paused");
    for (const database of residents.databases.values()) {
      if (database.paused) return call.fail("cannot suspend with paused databases");
    }
    logIssued(call, "SUSPEND");
    const done = (): void => call.done("SUSPEND");
    call.waits(() => operations.forget(done));
    operations.suspend(done, () => call.cancelled(), isHeirOf(call.pooler, call.client));
  },
};
