/** SHOW USERS: every user that the pooler knows, with what holds for it. */
import { CONSOLE_DATABASE } from "../config/database-entry.ts";
import { maxUserClientConnections, maxUserConnections } from "../config/precedence.ts";
import type { UserEntry } from "../config/user-entry.ts";
import { ConsoleLevel } from "../pooler/console-level.ts";
import type { ConsoleCall } from "./console-call.ts";
import type { ConsoleCommand } from "./console-command.ts";
import { byText, consoleClients } from "./residents-in-order.ts";
import { int4Column, textColumn } from "./result-table.ts";

/** PgBouncer prints sizes of users as text of this width, or as an empty one. */
const SIZE_WIDTH = 9;

export const showUsersCommand: ConsoleCommand = {
  name: "SHOW USERS",
  argument: "",
  level: ConsoleLevel.stats,
  columns: [
    textColumn("name"),
    textColumn("pool_size"),
    textColumn("reserve_pool_size"),
    textColumn("pool_mode"),
    int4Column("max_user_connections"),
    int4Column("current_connections"),
    int4Column("max_user_client_connections"),
    int4Column("current_client_connections"),
  ],
  doc: "The users that are known: from auth_file, `[users]`, forced users and auth_user. Sizes are empty where `[users]` gives none.",
  run: (call) => {
    const consoles = consoleClients(call.pooler);
    for (const name of userNames(call)) {
      const user = call.pooler.residents.users.get(name);
      const entry = user?.entry ?? null;
      const { settings } = call.pooler;
      // Who was asked for no name that is known came in as the console's own user.
      const unnamed = name === CONSOLE_DATABASE ? consoles.filter((client) => client.user === null).length : 0;
      call.row([
        name,
        size(entry, "poolSize"),
        size(entry, "reservePoolSize"),
        entry?.poolMode ?? null,
        maxUserConnections(settings, entry),
        user?.connections.staying ?? 0,
        maxUserClientConnections(settings, entry),
        (user?.clientCount ?? 0) + unnamed,
      ]);
    }
    call.done("SHOW");
  },
};

/** In order, the console's own among them. */
export function userNames(call: ConsoleCall): string[] {
  return [...new Set([...call.pooler.residents.users.keys(), CONSOLE_DATABASE])].sort(byText);
}

function size(entry: UserEntry | null, which: "poolSize" | "reservePoolSize"): string {
  const value = entry?.[which] ?? null;
  return value === null ? "" : String(value).padStart(SIZE_WIDTH);
}
