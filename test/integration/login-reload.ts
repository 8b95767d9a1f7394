/** Changing a running pooler's configuration by SIGHUP: for tests of logins, which ask nothing of the console. */
import { connect } from "node:net";
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

/**
 * `reloadBySignal`, and then until the reload is over: for who reads the log next, or changes files again. Who comes by TCP
 * and leaves without a word is noticed in a turn behind it, and in no log.
 */
export async function reloadToItsEnd(bouncer: Bouncer, changes: BouncerOptions): Promise<void> {
  await reloadBySignal(bouncer, changes);
  await new Promise<void>((resolve, reject) => {
    const socket = connect({ host: bouncer.host, port: bouncer.port }, () => socket.end());
    socket.on("error", reject);
    socket.on("close", () => resolve());
    socket.resume();
  });
}
