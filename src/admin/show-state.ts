/** SHOW STATE: whether the pooler is paused or suspended as a whole. */
import { ConsoleLevel } from "../pooler/console-level.ts";
import { PoolerState } from "../pooler/operations.ts";
import type { ConsoleCommand } from "./console-command.ts";
import { textColumn } from "./result-table.ts";

export const showStateCommand: ConsoleCommand = {
  name: "SHOW STATE",
  argument: "",
  level: ConsoleLevel.stats,
  columns: [textColumn("key"), textColumn("value")],
  doc: "Whether the pooler is active, paused or suspended: one row each, yes or no.",
  run: (call) => {
    for (const state of Object.values(PoolerState)) {
      call.row([state, call.pooler.operations.state === state ? "yes" : "no"]);
    }
    call.done("SHOW");
  },
};
