/** SHOW HELP: the commands, in a notice. There are no rows, as in PgBouncer. */
import { ConsoleLevel } from "../pooler/console-level.ts";
import type { ConsoleCommand } from "./console-command.ts";

const SHOW = "SHOW ";
const NAMES_PER_LINE = 7;

/** `others`: every other command, in the order of the help. */
export function makeShowHelp(others: readonly ConsoleCommand[]): ConsoleCommand {
  const command: ConsoleCommand = {
    name: "SHOW HELP",
    argument: "",
    level: ConsoleLevel.stats,
    columns: [],
    doc: "This list, as a notice.",
    run: (call) => {
      call.notice("Console usage", helpText([command, ...others]));
      call.done("SHOW");
    },
  };
  return command;
}

/** One line for each command, but several for a line of SHOW; each begins with a tab. */
function helpText(commands: readonly ConsoleCommand[]): string {
  const shown = commands.filter(({ name }) => name.startsWith(SHOW)).map(({ name }) => name.slice(SHOW.length));
  const lines: string[] = [];
  for (let at = 0; at < shown.length; at += NAMES_PER_LINE) {
    lines.push(`${SHOW}${shown.slice(at, at + NAMES_PER_LINE).join("|")}`);
  }
  for (const { name, argument } of commands) {
    if (!name.startsWith(SHOW)) lines.push(argument === "" ? name : `${name} ${argument}`);
  }
  return lines.map((line) => `\n\t${line}`).join("");
}
