/** The pidfile: one process for each, and a stale one is no obstacle. Texts are PgBouncer's. */
import { readFileSync, unlinkSync, writeFileSync } from "node:fs";
import type { Logger } from "../log/logger.ts";
import { systemErrorText } from "../log/system-error.ts";

/** Why the process must not run, null when it may. A stale file is removed. */
export function checkPidfile(path: string, log: Logger): string | null {
  if (path === "") return null;
  let text: string;
  try {
    text = readFileSync(path, "latin1");
  } catch (error) {
    if (codeOf(error) === "ENOENT") return null;
    return `could not open pidfile '${path}': ${systemErrorText(error)}`;
  }
  const pid = Number.parseInt(text, 10);
  if (!Number.isInteger(pid) || pid <= 0 || isAlive(pid)) return `pidfile '${path}' exists, another instance running?`;
  log.log("stale pidfile, removing");
  try {
    unlinkSync(path);
  } catch (error) {
    return `could not remove stale pidfile: ${systemErrorText(error)}`;
  }
  return null;
}

/**
 * Writes it, and has it removed when the process ends, however it does. Why it cannot be written, null when it was: it
 * must not be there yet, or somebody else was quicker.
 */
export function writePidfile(path: string): string | null {
  if (path === "") return null;
  try {
    writeFileSync(path, `${process.pid}\n`, { mode: 0o644, flag: "wx" });
  } catch (error) {
    return `could not open pidfile '${path}': ${systemErrorText(error)}`;
  }
  process.once("exit", () => {
    try {
      unlinkSync(path);
    } catch {
      // Somebody has removed it: what we wanted.
    }
  });
  return null;
}

/** A process that we may not signal is alive too. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) !== "ESRCH";
  }
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}
