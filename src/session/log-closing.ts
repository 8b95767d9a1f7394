/** What the log says of the end of a connection. */
import type { Engine } from "./engine.ts";

/** PgBouncer's line. `subject`: the prefix of the connection's lines; `since`: when it began, monotonic ms. */
export function logClosing(engine: Engine, subject: string, reason: string, since: number): void {
  const { log, settings, turn } = engine;
  if (!settings.logDisconnections) return;
  log.log(`${subject} closing because: ${reason} (age=${Math.max(0, Math.floor((turn.now - since) / 1000))}s)`);
}

/**
 * A connection was closed because code of ours threw (see `ConnectionEvents`): a defect, which cost this connection and
 * must not go unseen. Errors of the system and of TLS have a code of their own and are no defects.
 */
export function logDefect(engine: Engine, subject: string, error: (Error & { code?: unknown }) | null): void {
  if (error === null || (error.code !== undefined && error.code !== "INVARIANT")) return;
  engine.log.error(`${subject} broken invariant: ${error.stack ?? error.message}`);
}
