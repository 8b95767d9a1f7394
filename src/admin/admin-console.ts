/** The console of a pooler: one session for each client that logs in to the database `pgbouncer`. */
import type { ConsoleLevel } from "../pooler/console-level.ts";
import type { Pooler } from "../pooler/pooler.ts";
import type { Console } from "../session/console.ts";
import { ConsoleSession } from "./console-session.ts";

/** `level`: what the client may do. */
export function createConsole(pooler: Pooler, level: ConsoleLevel): Console {
  return new ConsoleSession(pooler, level);
}
