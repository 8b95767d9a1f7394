/**
 * Going into the background. A JavaScript runtime cannot fork itself, so the program is started again, detached and
 * without a terminal, and the one that was started by hand ends.
 */
import { spawn } from "node:child_process";

/** Tells the second process that it is the one. */
const MARK = "PGCARPOOL_DAEMON";

/** Returns in the background process; in the first one it exits. */
export function daemonize(): void {
  if (process.env[MARK] === "1") {
    delete process.env[MARK];
    return;
  }
  const [, ...args] = process.argv;
  const child = spawn(process.execPath, [...process.execArgv, ...args], {
    detached: true,
    stdio: "ignore",
    env: { ...process.env, [MARK]: "1" },
  });
  child.unref();
  process.exit(0);
}
