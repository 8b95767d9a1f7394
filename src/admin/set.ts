/** SET: one setting is changed until the next reload. */
import { setSetting } from "../config/settings.ts";
import { ConsoleLevel } from "../pooler/console-level.ts";
import type { ConsoleCommand } from "./console-command.ts";

export const setCommand: ConsoleCommand = {
  name: "SET",
  argument: "key = value",
  level: ConsoleLevel.admin,
  columns: [],
  doc:
    "Changes a setting of `[pgbouncer]` until the next reload. Settings that are fixed at start are accepted and stay as " +
    "they are.",
  run: (call) => {
    const { argument: key, value, pooler } = call;
    const result = setSetting(pooler.settings, key, value);
    if (!result.ok) {
      pooler.engine.log.error(result.reason);
      return call.fail("SET failed");
    }
    if (pooler.refresh([result.name]) !== null) {
      call.notice("TLS settings could not be applied, still using old configuration");
    }
    call.done(`SET ${key}=${value}`);
  },
};
