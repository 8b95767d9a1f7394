/**
 * Brings a server into the state of the client that it was given to: the tracked parameters that differ are set before
 * anything of the client's is sent.
 *
 * Counterpart: PgBouncer's `varcache_apply` and `varcache_set_canonical`; log texts are its own.
 */
import type { Engine } from "./engine.ts";
import type { Server } from "./server.ts";
import type { ServerHolder } from "./server-holder.ts";
import { Task } from "./task.ts";

/**
 * False when the server is in the client's state already. Else SETs run on it, and `done` is called when they have: with
 * what PostgreSQL said against them, or null. Not called when the server dies before.
 */
export function setParameters(
  engine: Engine,
  client: ServerHolder,
  server: Server,
  done: (failure: string | null) => void,
): boolean {
  if (client.parameters === server.parameters) return false;
  const { log, parameters: tracked } = engine;
  const differing = tracked.differing(client.parameters, server.parameters);
  if (differing.length === 0) return false;
  const text = tracked.setText(client.parameters, differing);
  log.debug(`${server} varcache_apply: ${text}`);
  server.run(
    new Task(text, (error) => {
      if (error === null) takeCanonical(engine, client, server, differing);
      done(error === null ? null : (error.message ?? "unknown error"));
    }),
  );
  return true;
}

/** The server's spelling of what was set, so that it is not set again for being spelled otherwise. */
function takeCanonical(engine: Engine, client: ServerHolder, server: Server, indexes: readonly number[]): void {
  const { log, parameters: tracked } = engine;
  for (const index of indexes) {
    const value = server.parameters[index];
    const before = client.parameters[index];
    if (value === null || value === undefined || value === before) continue;
    log.debug(
      `${String(client)} varcache_set_canonical: setting ${tracked.names[index]} to its canonical version ${before} -> ${value}`,
    );
    client.parameters = tracked.with(client.parameters, index, value);
  }
}
