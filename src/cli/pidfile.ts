/** The pidfile: one process for each, and a stale one is no obstacle. Texts are PgBouncer's. */
import { existsSync, readFileSync, unlinkSync, writeFileSync } from "node:fs";
import type { Logger } from "../log/logger.ts";

/** Why the process must not run, null when it may. A stale file is removed. */
export function checkPidfile(path: string, log: Logger): string | null {
  if (path === "" || !existsSync(path)) return null;
  const pid = Number.parseInt(readFileSync(path, "utf8"), 10);
  if (!Number.isInteger(pid) || pid <= 0 || isAlive(pid)) return `pidfile '${path}' exists, another instance running?`;
  log.log("stale pidfile, removing");
  unlinkSync(path);
  return null;
}

/** Throws the system's error. */
export function writePidfile(path: string): void {
  if (path !== "") writeFileSync(path, `${process.pid}\n`, { mode: 0o644 });
}

export function removePidfile(path: string): void {
  if (path !== "" && existsSync(path)) unlinkSync(path);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
