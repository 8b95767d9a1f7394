/** KILL_CLIENT: drops one client, by its id in SHOW CLIENTS. */
import { ConsoleLevel } from "../pooler/console-level.ts";
import type { Client } from "../session/client.ts";
import { PoolerErrors, poolerError } from "../session/pooler-error.ts";
import type { ConsoleCall } from "./console-call.ts";
import type { ConsoleCommand } from "./console-command.ts";

export const killClientCommand: ConsoleCommand = {
  name: "KILL_CLIENT",
  argument: "id",
  level: ConsoleLevel.admin,
  columns: [],
  doc: "Drops one client connection. The id is that of SHOW CLIENTS.",
  run: (call) => {
    if (!/^[0-9]+$/.test(call.argument)) return call.fail("invalid client pointer supplied");
    const client = findClient(call, Number(call.argument));
    if (client === null) return call.fail("client not found");
    client.fail(poolerError(PoolerErrors.killed));
    call.done("KILL_CLIENT");
  },
};

/** Those of SHOW CLIENTS: who is logging in is not among them. */
function findClient(call: ConsoleCall, id: number): Client | null {
  for (const client of call.pooler.residents.clients) {
    if (client.id !== id) continue;
    const { startup } = client;
    return startup === null || startup.isGreeting || startup.isCanceling ? client : null;
  }
  return null;
}
