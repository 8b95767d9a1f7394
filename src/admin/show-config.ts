/** SHOW CONFIG: every setting with its value and default. */
import { showSettings } from "../config/settings.ts";
import { ConsoleLevel } from "../pooler/console-level.ts";
import type { ConsoleCommand } from "./console-command.ts";
import { textColumn } from "./result-table.ts";

export const showConfigCommand: ConsoleCommand = {
  name: "SHOW CONFIG",
  argument: "",
  level: ConsoleLevel.stats,
  columns: [textColumn("key"), textColumn("value"), textColumn("default"), textColumn("changeable")],
  doc: "The settings in effect, their defaults, and whether SET and RELOAD change them.",
  run: (call) => {
    for (const row of showSettings(call.pooler.settings)) call.row([row.key, row.value, row.default, row.changeable]);
    call.done("SHOW");
  },
};
