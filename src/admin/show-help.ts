/** SHOW HELP: PgBouncer's commands, in a notice that is PgBouncer's to the letter. There are no rows. */
import { ConsoleLevel } from "../pooler/console-level.ts";
import type { ConsoleCommand } from "./console-command.ts";

const SHOW = "SHOW ";
/** What begins a line of its own. */
const LINE_STARTS: readonly string[] = ["HELP", "PEERS", "FDS", "DNS_HOSTS", "STATS"];
/** How PgBouncer writes what an argument is. */
const ARGUMENTS: Readonly<Record<string, string>> = {
  db: "<db>",
  "[db]": "[<db>]",
  id: "<client_id>",
  "key = value": "key = arg",
};

/** `others`: every other command that it lists, in its order. */
export function makeShowHelp(others: readonly ConsoleCommand[]): ConsoleCommand {
  const command: ConsoleCommand = {
    name: "SHOW HELP",
    argument: "",
    level: ConsoleLevel.stats,
    columns: [],
    doc: "The commands that PgBouncer has too, as a notice.",
    run: (call) => {
      call.notice("Console usage", helpText([command, ...others]));
      call.done("SHOW");
    },
  };
  return command;
}

/** Each line begins with a tab. */
function helpText(commands: readonly ConsoleCommand[]): string {
  const lines: string[] = [];
  for (const { name, argument } of commands) {
    if (!name.startsWith(SHOW)) {
      lines.push(...commandLines(name, argument));
      continue;
    }
    const what = name.slice(SHOW.length);
    if (LINE_STARTS.includes(what)) lines.push(name);
    else lines[lines.length - 1] += `|${what}`;
  }
  return lines.map((line) => `\n\t${line}`).join("");
}

function commandLines(name: string, argument: string): string[] {
  if (argument === "") return [name];
  // Words to choose from, or none of them.
  if (argument.includes("|")) return [name, `${name} ${argument.slice(1, -1)}`];
  return [`${name} ${ARGUMENTS[argument] ?? argument}`];
}
