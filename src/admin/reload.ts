/** RELOAD: the configuration is read again, as at SIGHUP. */
import { ConsoleLevel } from "../pooler/console-level.ts";
import type { ConsoleCommand } from "./console-command.ts";
import { takesNothing } from "./console-command.ts";
import { logIssued } from "./named-database.ts";

/** PostgreSQL's config_file_error. */
const CONFIG_FILE_ERROR = "F0000";

export const reloadCommand: ConsoleCommand = {
  name: "RELOAD",
  argument: "",
  accepts: takesNothing,
  level: ConsoleLevel.admin,
  columns: [],
  doc: "Reads the configuration, auth_file and TLS files again. With an error in the configuration nothing changes; the log says what is wrong, all of it.",
  run: (call) => {
    logIssued(call, "RELOAD");
    if (call.pooler.reload()) return call.done("RELOAD");
    call.pooler.engine.log.error("RELOAD Failed, see logs for more details");
    call.fail("RELOAD failed, see logs for additional details", CONFIG_FILE_ERROR);
  },
};
