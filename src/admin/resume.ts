/** RESUME: the end of PAUSE, SUSPEND and KILL. */
import { CONSOLE_DATABASE } from "../config/database-entry.ts";
import { ConsoleLevel } from "../pooler/console-level.ts";
import { PoolerState } from "../pooler/operations.ts";
import type { ConsoleCall } from "./console-call.ts";
import type { ConsoleCommand } from "./console-command.ts";
import { knownDatabase, logIssued } from "./named-database.ts";

export const resumeCommand: ConsoleCommand = {
  name: "RESUME",
  argument: "[db]",
  level: ConsoleLevel.admin,
  columns: [],
  doc: "Goes on after PAUSE, KILL or SUSPEND. Without a database it ends PAUSE and SUSPEND of the whole pooler only.",
  run: (call) => {
    logIssued(call, "RESUME");
    if (call.argument === "") resumeAll(call);
    else resumeDatabase(call);
  },
};

function resumeAll(call: ConsoleCall): void {
  const { operations } = call.pooler;
  if (operations.shutdownMode !== null) return call.fail("pooler is shutting down");
  if (operations.state === PoolerState.active) return call.fail("pooler is not paused/suspended");
  operations.resume();
  call.done("RESUME");
}

function resumeDatabase(call: ConsoleCall): void {
  // The console's own database exists and is never paused.
  const database = call.argument === CONSOLE_DATABASE ? null : knownDatabase(call);
  if (call.hasEnded) return;
  if (database === null || !database.paused) return call.fail(`database ${call.argument} is not paused`);
  call.pooler.operations.resumeDatabase(database);
  call.done("RESUME");
}
