/**
 * The reference page of the configuration, `docs/configuration.md`, printed from the tables. A test compares the file
 * with what this prints; `scripts/print-docs.ts` writes it.
 */
import { DATABASE_KEYS } from "./database-entry.ts";
import type { EntryKeyRow, EntryKeyType } from "./entry-keys.ts";
import { PEER_KEYS } from "./peer-entry.ts";
import type { SettingRow, SettingType } from "./setting-row.ts";
import { SETTING_THEMES } from "./settings-table.ts";
import { USER_KEYS } from "./user-entry.ts";

const TYPE_WORDS: Readonly<Record<SettingType, string>> = {
  int: "integer",
  count: "integer",
  uint: "integer",
  bool: "0 or 1",
  seconds: "seconds",
  wholeSeconds: "whole seconds",
  milliseconds: "milliseconds",
  enum: "word",
  string: "text",
  list: "list",
  secret: "text",
};

const KEY_TYPE_WORDS: Readonly<Record<EntryKeyType, string>> = {
  text: "text",
  secret: "text",
  number: "integer",
  hosts: "list",
  port: "integer",
  poolMode: "word",
  loadBalanceHosts: "word",
};

const INTRODUCTION = `# Configuration

<!-- Printed from the tables in src/config by scripts/print-docs.ts. Change it there. -->

pgcarpool reads PgBouncer's configuration files as they are.

## The file

\`\`\`ini
; a comment stands on a line of its own
[databases]
shop = host=db1.example.com port=5432 dbname=shop

[users]
reports = pool_mode=session max_user_connections=5

[pgbouncer]
listen_addr = 127.0.0.1
pool_mode = transaction
%include /etc/pgcarpool/more.ini
\`\`\`

- Sections are \`[pgbouncer]\`, which must be there, \`[databases]\`, \`[users]\` and \`[peers]\`. Their names and all keys are case-sensitive.
- A line that starts with \`;\` or \`#\` is a comment. Later in a line these characters mean nothing.
- A key with other characters than letters, digits and \`_ . - *\` stands in quotes: \`'my database' = …\`.
- A value is the rest of its line. It is not quoted and cannot go on in the next line.
- \`%include FILE\` reads another file at this place. Its path is relative to the folder the process runs in.
- Of a setting that is given twice the last one counts. A second header \`[pgbouncer]\` puts all settings back to their defaults.
- Numbers may be written in decimal, hexadecimal (\`0x1ff\`) or octal (\`0777\`). Words like \`on\` are no numbers: use 0 and 1.

Errors are all reported at once, each with its file and line. At start they end the process with exit code 1; at a reload
the running configuration stays as it is.

## Reload

SIGHUP and the console's \`RELOAD\` read the file again. Settings that the file no longer names go back to their default,
also those changed with \`SET\`; those without a default (none in the tables below) keep their value. Settings that are not
changeable keep theirs too, without a message. A database that is no longer in the file is dropped with its clients. The
servers of a database are renewed when its dbname, host, port, user, connect_query, auth_dbname, auth_query or
load_balance_hosts changed.

## [pgbouncer]

_Changeable_: takes effect at a reload or \`SET\`; the others are fixed at start. _Overrides_: the sections whose entries may
have a value of their own.
`;

const DATABASES = `## [databases]

Each line is \`NAME = key=value key=value …\`: NAME is what clients ask for, at most 63 bytes. The pairs are separated by
spaces. A value with spaces stands in single quotes, with \`''\` for a quote inside; it cannot be empty. The name \`*\` is the
pattern for databases that have no entry: their dbname is the name that was asked for. The name \`pgbouncer\` is the console's.
`;

const USERS = `## [users]

Each line is \`NAME = key=value …\`. Such a user still needs a secret in auth_file or from auth_query to log in.

What counts when several are given: pool_mode, pool_size, reserve_pool_size and query_wait_timeout are the user's, else the
database's, else the global ones; everything else is the user's or the database's, else the global one. For what concerns
servers, the user is the forced one of the database if it has one.
`;

const PEERS = `## [peers]

Each line is \`ID = host=… key=value\`, with an ID from 1 to 65535: another pooler of the same group, which this one passes
cancel requests on to when they are for its clients.
`;

/** The page as Markdown. */
export function printConfigurationReference(): string {
  const parts = [INTRODUCTION];
  for (const theme of SETTING_THEMES) parts.push(`### ${theme.title}\n`, settingsTable(theme.rows));
  parts.push(DATABASES, keysTable(DATABASE_KEYS), USERS, keysTable(USER_KEYS), PEERS, keysTable(PEER_KEYS));
  return parts.join("\n");
}

function settingsTable(rows: readonly SettingRow[]): string {
  return table(
    ["Name", "Type", "Default", "Changeable", "Overrides", "Meaning"],
    rows.map((row) => [
      code(row.name),
      TYPE_WORDS[row.type],
      row.default === null ? "none" : row.default === "" ? "empty" : code(row.default),
      row.reloadable === false ? "no" : "yes",
      overrides(row),
      row.values === undefined ? row.doc : `${row.doc} One of ${row.values.map(code).join(", ")}.`,
    ]),
  );
}

/** Where a setting may be overridden, with the key where it has another name there. */
function overrides(row: SettingRow): string {
  const place = (section: string, key: string | undefined): string[] =>
    key === undefined ? [] : [key === row.name ? section : `${section} (${code(key)})`];
  return [...place("databases", row.database), ...place("users", row.user)].join(", ");
}

function keysTable(rows: readonly EntryKeyRow[]): string {
  return table(
    ["Key", "Type", "Default", "Meaning"],
    rows.map((row) => [
      row.alias === undefined ? code(row.key) : `${code(row.key)} or ${code(row.alias)}`,
      KEY_TYPE_WORDS[row.type],
      row.default,
      row.doc,
    ]),
  );
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return `${[line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n")}\n`;
}

function code(text: string): string {
  return `\`${text}\``;
}
