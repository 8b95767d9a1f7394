/** Questions to the operating system about processes by id. Linux: answers come from /proc. */
import { readFileSync } from "node:fs";

/** Process ids of the direct children of `pid`. */
export function childrenOf(pid: number): number[] {
  const words = readTextIfThere(`/proc/${pid}/task/${pid}/children`).split(/\s+/);
  return words.filter((word) => word !== "").map(Number);
}

/** Does `pid` still run? One that has ended and waits for its parent to notice (a zombie) does not. */
export function isRunning(pid: number): boolean {
  const status = readTextIfThere(`/proc/${pid}/stat`);
  // The second field is the program's name in parentheses, which may hold anything; the state follows it.
  const state = status.slice(status.lastIndexOf(")") + 2, status.lastIndexOf(")") + 3);
  return status !== "" && state !== "Z" && state !== "X";
}

/** Sends a signal. False when the process does not exist any more. */
export function signalProcess(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
    throw error;
  }
}

/** The file's text, or "" when it does not exist (or its process ended while it was read). */
export function readTextIfThere(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ESRCH") return "";
    throw error;
  }
}
