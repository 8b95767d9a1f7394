/** SHUTDOWN: the end of the process, at once or when everybody has left. */
import { ConsoleLevel } from "../pooler/console-level.ts";
import { ShutdownMode } from "../pooler/operations.ts";
import type { ConsoleCommand } from "./console-command.ts";

const WORDS: readonly string[] = ["", ShutdownMode.waitForServers, ShutdownMode.waitForClients];

export const shutdownCommand: ConsoleCommand = {
  name: "SHUTDOWN",
  argument: "[WAIT_FOR_SERVERS|WAIT_FOR_CLIENTS]",
  accepts: (argument) => WORDS.includes(argument.toUpperCase()),
  level: ConsoleLevel.admin,
  columns: [],
  doc:
    "Ends the process: at once, or when the last server connection or the last client is gone. In the waiting forms " +
    "nobody new comes in over TCP; the console stays reachable over the Unix socket.",
  run: (call) => {
    const { operations, engine } = call.pooler;
    const word = call.argument.toUpperCase();
    if (word === "") {
      engine.log.log("SHUTDOWN command issued");
      // Nobody is answered: the end of the connection is the answer.
      operations.shutdown(ShutdownMode.immediate);
      return;
    }
    engine.log.log(`SHUTDOWN ${word} command issued`);
    // Answered first: there may be nothing to wait for.
    call.done("SHUTDOWN");
    operations.shutdown(
      word === ShutdownMode.waitForServers ? ShutdownMode.waitForServers : ShutdownMode.waitForClients,
    );
  },
};
