/** SHOW VERSION: the first line of `--version`. */
import { ConsoleLevel } from "../pooler/console-level.ts";
import type { ConsoleCommand } from "./console-command.ts";
import { textColumn } from "./result-table.ts";
import { versionLine } from "./version.ts";

export const showVersionCommand: ConsoleCommand = {
  name: "SHOW VERSION",
  argument: "",
  level: ConsoleLevel.stats,
  columns: [textColumn("version")],
  doc: "The release of PgBouncer that is followed, and our own.",
  run: (call) => {
    call.row([versionLine()]);
    call.done("SHOW");
  },
};
