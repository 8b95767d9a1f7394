/** Changing a running pooler's configuration by SIGHUP: for tests of logins, which ask nothing of the console. */
import type { Bouncer, BouncerOptions } from "../support/bouncer.ts";
import { waitFor } from "../support/wait-for.ts";

/**
 * Rewrites parts of the configuration and returns when it is in force. The line in the log is written first and the rest
 * happens in the same turn, so that whoever connects after it meets the new configuration.
 */
export async function reloadBySignal(bouncer: Bouncer, changes: BouncerOptions): Promise<void> {
  const before = bouncer.logCount(/got SIGHUP, re-reading config/);
  bouncer.rewrite(changes);
  bouncer.signal("SIGHUP");
  await waitFor("the reload", () => bouncer.logCount(/got SIGHUP, re-reading config/) > before);
}
