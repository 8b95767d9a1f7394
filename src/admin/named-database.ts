/** The database that a command names, or the refusal. */
import { CONSOLE_DATABASE } from "../config/database-entry.ts";
import type { Database } from "../session/database.ts";
import type { ConsoleCall } from "./console-call.ts";

/**
 * Null when there is none, or when it is the console's own: the call has failed then. `cannot`: the command in the words
 * "cannot pause". An auto-database is made if there is none of the name yet.
 */
export function namedDatabase(call: ConsoleCall, cannot: string): Database | null {
  const name = call.argument;
  if (name === CONSOLE_DATABASE) {
    call.fail(`${cannot} admin db: ${name}`);
    return null;
  }
  const database = call.pooler.residents.findDatabase(name);
  if (database === null) call.fail(`no such database: ${name}`);
  return database;
}

/** As `namedDatabase`, but a name that has no database gets none, and the console's is none either. */
export function knownDatabase(call: ConsoleCall): Database | null {
  const database = call.pooler.residents.databases.get(call.argument) ?? null;
  if (database === null) call.fail(`no such database: ${call.argument}`);
  return database;
}

/** "PAUSE command issued", "PAUSE 'db' command issued". */
export function logIssued(call: ConsoleCall, command: string): void {
  const what = call.argument === "" ? command : `${command} '${call.argument}'`;
  call.pooler.engine.log.log(`${what} command issued`);
}
