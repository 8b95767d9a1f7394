/**
 * The parameters of a client's startup packet: what it asks for, which settings it brings along, and what is refused.
 *
 * Counterpart: PgBouncer's `decide_startup_pool` and `set_startup_options`.
 */
import { hostname } from "node:os";
import type { ErrorToSend } from "../protocol/error-messages.ts";
import { parseOptions } from "../protocol/options.ts";
import type { Client } from "./client.ts";
import { Dedication } from "./dedication.ts";
import { PoolerErrors, poolerError } from "./pooler-error.ts";
import { Replication, replicationOf } from "./replication.ts";

/**
 * Takes over what `client` brings along: names, tracked parameters, replication. Returns why it cannot come in, null when
 * nothing is wrong with them.
 */
export function takeStartupParameters(client: Client, given: ReadonlyMap<string, string>): ErrorToSend | null {
  const { settings, parameters: tracked } = client.engine;
  const ignored = settings.ignoreStartupParameters;
  const chosen: Chosen = new Map();
  client.replication = replicationOf(given.get("replication") ?? "");
  if (client.replication !== Replication.no) client.dedication = new Dedication(client, given.get("options") ?? null);
  for (const [name, value] of given) {
    if (name === "user" || name === "database" || name === "replication" || name.startsWith("_pq_.")) continue;
    // A server that is opened for this client alone gets them as they are.
    if (name === "options" && client.dedication !== null) continue;
    if (name === "options") {
      const refusal = takeOptions(client, value, chosen);
      if (refusal !== null) return refusal;
      continue;
    }
    const index = tracked.indexOf(name);
    if (index >= 0) chosen.set(index, value);
    else if (!ignored.has(name)) {
      client.engine.log.warning(`${client} unsupported startup parameter: ${name}=${value}`);
      return poolerError(PoolerErrors.unsupportedParameter, name);
    }
  }
  for (const [index, value] of chosen) client.parameters = tracked.with(client.parameters, index, value);
  if (settings.applicationNameAddHost) addHost(client);
  return null;
}

/** Values by their place among the tracked ones. A packet may name one thousands of times; the last time counts. */
type Chosen = Map<number, string>;

function takeOptions(client: Client, options: string, chosen: Chosen): ErrorToSend | null {
  const { settings, parameters: tracked } = client.engine;
  const ignored = settings.ignoreStartupParameters;
  const { settings: pairs, error } = parseOptions(options);
  if (ignored.has("options") && error !== null) return null;
  for (const [name, value] of pairs) {
    const index = tracked.indexOf(name);
    if (index >= 0) chosen.set(index, value);
    else if (!ignored.has(name) && !ignored.has("options")) {
      client.engine.log.warning(`${client} unsupported startup parameter in options: ${name}=${value}`);
      return poolerError(PoolerErrors.unsupportedOption, name);
    }
  }
  return error === null ? null : poolerError(PoolerErrors.unsupportedOptions);
}

/** `application_name_add_host`: where the client is, for whoever looks at pg_stat_activity. */
function addHost(client: Client): void {
  const { parameters: tracked } = client.engine;
  const index = tracked.indexOf("application_name");
  const name = client.parameters[index] ?? "app";
  // Behind a Unix socket everybody is on this host; the name tells several poolers' clients apart.
  const source = client.startup?.isUnixSocket === true ? client.source.replace(")", `@${hostname()})`) : client.source;
  client.parameters = tracked.with(client.parameters, index, `${name} - ${source}`);
}
