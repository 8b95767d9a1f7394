/** PgBouncer's line for the end of any connection: `closing because: REASON (age=Ns)`. */
import type { Engine } from "./engine.ts";

/** `subject`: the prefix of its lines; `since`: when it began, monotonic ms. */
export function logClosing(engine: Engine, subject: string, reason: string, since: number): void {
  const { log, settings, turn } = engine;
  if (!settings.logDisconnections) return;
  log.log(`${subject} closing because: ${reason} (age=${Math.max(0, Math.floor((turn.now - since) / 1000))}s)`);
}
