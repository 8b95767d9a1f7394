/**
 * The other end of the launcher's lifeline: when the launcher dies in a way it cannot pass on (kill -9), the descriptor it
 * left us reaches its end, and we end as if by SIGTERM. Nothing is left behind whatever is killed.
 */
import { Socket } from "node:net";

/**
 * Calls `end` (default: SIGTERM to this process) when the launcher is gone. Returns false without a launcher; true also
 * means that this process leads a process group of its own.
 */
export function endWithLauncher(end: () => void = () => process.kill(process.pid, "SIGTERM")): boolean {
  const given = process.env["PGCARPOOL_LIFELINE_FD"];
  if (given === undefined) return false;
  // What we start must not take the number for a descriptor of its own.
  delete process.env["PGCARPOOL_LIFELINE_FD"];
  const lifeline = new Socket({ fd: Number(given), readable: true, writable: false });
  lifeline.on("error", () => lifeline.destroy());
  lifeline.on("close", end);
  lifeline.resume();
  lifeline.unref();
  return true;
}
