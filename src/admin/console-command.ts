/** What every command of the console is: one row of the table in `command-table.ts`, in a file of its own or its family's. */
import type { Column } from "../protocol/row-messages.ts";
import type { ConsoleLevel } from "../pooler/console-level.ts";
import type { ConsoleCall } from "./console-call.ts";

export interface ConsoleCommand {
  /** As it is written: "PAUSE", "SHOW CLIENTS". */
  readonly name: string;
  /** How its argument is written in the help: "[db]"; empty for commands that take none. */
  readonly argument: string;
  /** Refuses arguments as an invalid command, before the level is looked at; absent: the command judges itself. */
  readonly accepts?: (argument: string) => boolean;
  /** Who may give it: `stats` is everybody on the console. */
  readonly level: ConsoleLevel;
  /** Of its result; empty when there are no rows. */
  readonly columns: readonly Column[];
  /** One sentence or two for the reference page. */
  readonly doc: string;
  /** Runs it. It ends with `call.done` or `call.fail`, now or later. */
  readonly run: (call: ConsoleCall) => void;
}

/** For `accepts`. */
export function takesNothing(argument: string): boolean {
  return argument === "";
}
