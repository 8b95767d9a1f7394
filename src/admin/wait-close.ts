/** WAIT_CLOSE: answers when the servers that RECONNECT or RELOAD has doomed are closed. */
import { ConsoleLevel } from "../pooler/console-level.ts";
import type { ConsoleCommand } from "./console-command.ts";
import { logIssued, namedDatabase } from "./named-database.ts";

export const waitCloseCommand: ConsoleCommand = {
  name: "WAIT_CLOSE",
  argument: "[db]",
  level: ConsoleLevel.admin,
  columns: [],
  doc: "Answers when all server connections, of one database or of all, that have to be closed are closed.",
  run: (call) => {
    const { operations } = call.pooler;
    logIssued(call, "WAIT_CLOSE");
    const database = call.argument === "" ? null : namedDatabase(call, "cannot wait in");
    if (call.hasEnded) return;
    const done = (): void => call.done("WAIT_CLOSE");
    call.waits(() => operations.forget(done));
    operations.waitClose(database, done);
  },
};
