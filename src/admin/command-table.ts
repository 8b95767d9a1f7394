/**
 * The table of all commands of the console, in the order of the help, and the way from a text to one of them.
 *
 * One row is one truth: the parser's words, who may give them, SHOW HELP and `docs/console.md` come from here. SHOW HELP is PgBouncer's to
 * the letter and leaves out what only we have.
 * Counterpart: `cmd_list` and `show_map` in PgBouncer's admin.c.
 */
import type { ConsoleCommand } from "./console-command.ts";
import { invalidCommand } from "./console-call.ts";
import { parseConsoleQuery } from "./console-parser.ts";
import { disableCommand } from "./disable.ts";
import { driverSetCommand, driverShowCommands, isDriverParameter } from "./driver-parameters.ts";
import { enableCommand } from "./enable.ts";
import { killClientCommand } from "./kill-client.ts";
import { killCommand } from "./kill.ts";
import { pauseCommand } from "./pause.ts";
import { reconnectCommand } from "./reconnect.ts";
import { reloadCommand } from "./reload.ts";
import { resumeCommand } from "./resume.ts";
import { setCommand } from "./set.ts";
import { showClientsCommand } from "./show-clients.ts";
import { showConfigCommand } from "./show-config.ts";
import { showDatabasesCommand } from "./show-databases.ts";
import { showDnsHostsCommand, showDnsZonesCommand } from "./show-dns.ts";
import { showFdsCommand } from "./show-fds.ts";
import { makeShowHelp } from "./show-help.ts";
import { showListsCommand } from "./show-lists.ts";
import { showMemCommand } from "./show-mem.ts";
import { showPeerPoolsCommand, showPeersCommand } from "./show-peers.ts";
import { showPoolsCommand } from "./show-pools.ts";
import { showServersCommand } from "./show-servers.ts";
import { showActiveSocketsCommand, showSocketsCommand } from "./show-sockets.ts";
import { showSharedStatementsCommand, showSharingCommand } from "./show-sharing.ts";
import { showStateCommand } from "./show-state.ts";
import { showStatsAveragesCommand, showStatsCommand, showStatsTotalsCommand } from "./show-stats.ts";
import { showTotalsCommand } from "./show-totals.ts";
import { showUsersCommand } from "./show-users.ts";
import { showVersionCommand } from "./show-version.ts";
import { shutdownCommand } from "./shutdown.ts";
import { suspendCommand } from "./suspend.ts";
import { waitCloseCommand } from "./wait-close.ts";

/** PgBouncer's. */
const LISTED: readonly ConsoleCommand[] = [
  showConfigCommand,
  showDatabasesCommand,
  showPoolsCommand,
  showClientsCommand,
  showServersCommand,
  showUsersCommand,
  showVersionCommand,
  showPeersCommand,
  showPeerPoolsCommand,
  showFdsCommand,
  showSocketsCommand,
  showActiveSocketsCommand,
  showListsCommand,
  showMemCommand,
  showStateCommand,
  showDnsHostsCommand,
  showDnsZonesCommand,
  showStatsCommand,
  showStatsTotalsCommand,
  showStatsAveragesCommand,
  showTotalsCommand,
  setCommand,
  reloadCommand,
  pauseCommand,
  resumeCommand,
  disableCommand,
  enableCommand,
  reconnectCommand,
  killCommand,
  killClientCommand,
  suspendCommand,
  shutdownCommand,
  waitCloseCommand,
];

/** Those that PgBouncer does not have. */
export const OWN_COMMANDS: readonly ConsoleCommand[] = Object.freeze([showSharingCommand, showSharedStatementsCommand]);

/** Every command, once, that the reference page names. */
export const COMMAND_TABLE: readonly ConsoleCommand[] = Object.freeze([
  makeShowHelp(LISTED),
  ...LISTED,
  ...OWN_COMMANDS,
]);

const BY_NAME: ReadonlyMap<string, ConsoleCommand> = new Map(
  [...COMMAND_TABLE, ...driverShowCommands].map((command) => [command.name.toLowerCase(), command]),
);

/** A text that was understood. */
export interface ConsoleStatement {
  readonly command: ConsoleCommand;
  readonly text: string;
  readonly argument: string;
  /** For SET. */
  readonly value: string;
}

export type FoundStatement =
  | { readonly ok: true; readonly statement: ConsoleStatement }
  | { readonly ok: false; readonly message: string };

/** The command that `text` gives, with what it is given; or PgBouncer's words for a text that gives none. */
export function findStatement(text: string): FoundStatement {
  const parsed = parseConsoleQuery(text);
  if (parsed.kind === "command") return findCommand(text, parsed.word.toLowerCase(), parsed.argument);
  if (parsed.kind === "set") {
    const command = isDriverParameter(parsed.key) ? driverSetCommand : setCommand;
    return { ok: true, statement: { command, text, argument: parsed.key, value: parsed.value } };
  }
  return { ok: false, message: parsed.kind === "invalid" ? invalidCommand(text) : "bad arguments" };
}

function findCommand(text: string, word: string, argument: string): FoundStatement {
  // SELECT is another word for SHOW; what is shown is part of the command's name.
  const shows = word === "show" || word === "select";
  const command = BY_NAME.get(shows ? `show ${argument.toLowerCase()}` : word);
  // SET is a command only with a key and a value.
  if (command === undefined || command === setCommand) return { ok: false, message: invalidCommand(text) };
  const own = shows ? "" : argument;
  if (command.accepts?.(own) === false) return { ok: false, message: invalidCommand(text) };
  return { ok: true, statement: { command, text, argument: own, value: "" } };
}
