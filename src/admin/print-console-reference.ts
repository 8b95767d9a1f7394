/**
 * The reference page of the console, `docs/console.md`, printed from the table of commands. A test compares the file
 * with what this prints; `scripts/print-docs.ts` writes it.
 */
import { ConsoleLevel } from "../pooler/console-level.ts";
import type { Column, ColumnType } from "../protocol/row-messages.ts";
import { ColumnTypes } from "../protocol/row-messages.ts";
import { COMMAND_TABLE } from "./command-table.ts";
import type { ConsoleCommand } from "./console-command.ts";

const TYPE_WORDS: readonly (readonly [type: ColumnType, word: string])[] = [
  [ColumnTypes.Text, "text"],
  [ColumnTypes.Int4, "integer"],
  [ColumnTypes.Int8, "bigint"],
  [ColumnTypes.Numeric, "numeric"],
  [ColumnTypes.Bytea, "bytea"],
];

const INTRODUCTION = `# Console

<!-- Printed from the table in src/admin by scripts/print-docs.ts. Change it there. -->

The console is the database \`pgbouncer\`. Connect to it with psql, a driver or an exporter:

\`\`\`
psql -h 127.0.0.1 -p 6432 -U admin pgbouncer
\`\`\`

- Users in \`admin_users\` may do everything; users in \`stats_users\` may look: SHOW, but not FDS and SHARED_STATEMENTS. A user
  \`pgbouncer\` that comes over the Unix socket from the system user of the process may do everything and needs no password.
- One command for each query, in any case, with or without a semicolon. Names with other characters than letters, digits
  and \`_\` stand in double quotes. \`SELECT x\` is another way to write \`SHOW x\`.
- Both the simple and the extended query protocol are answered; there are no parameters. Results are text; the extended
  protocol may ask for binary.
- An error is an ERROR and leaves the connection usable. It is logged.
- SHOW of \`client_encoding\`, \`default_transaction_isolation\`, \`standard_conforming_strings\`, \`datestyle\` and \`timezone\` has a
  fixed answer, and SET of them is ignored: some drivers insist on them.
`;

/** The page as Markdown. */
export function printConsoleReference(): string {
  const shows = COMMAND_TABLE.filter(({ name }) => name.startsWith("SHOW "));
  const others = COMMAND_TABLE.filter((command) => !shows.includes(command));
  const parts = [INTRODUCTION, "## Commands\n", commandsTable(others), "## SHOW\n"];
  for (const command of shows) parts.push(...showSection(command));
  return `${parts.join("\n").trimEnd()}\n`;
}

function commandsTable(commands: readonly ConsoleCommand[]): string {
  const rows = commands.map(({ name, argument, level, doc }) => {
    const written = argument === "" ? name : `${name} ${argument}`;
    return `| \`${written.replaceAll("|", "\\|")}\` | ${level === ConsoleLevel.admin ? "admin" : "all"} | ${doc} |`;
  });
  return `${["| Command | Who | What it does |", "| --- | --- | --- |", ...rows].join("\n")}\n`;
}

function showSection({ name, doc, columns }: ConsoleCommand): string[] {
  if (columns.length === 0) return [`### ${name}\n`, `${doc}\n`];
  return [`### ${name}\n`, `${doc}\n`, `${columns.map(columnText).join(", ")}\n`];
}

function columnText({ name, type }: Column): string {
  const word = TYPE_WORDS.find(([known]) => known === type)?.[1] ?? "text";
  return word === "text" ? `\`${name}\`` : `\`${name}\` (${word})`;
}
