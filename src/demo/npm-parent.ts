/**
 * When npm, which started our launcher, is killed in a way it cannot pass on (kill -9), the launcher stays, and the demo
 * would go on drawing on a terminal that has its prompt back, out of Ctrl-C's reach. So the launcher's parent is watched.
 *
 * Only below npm: who starts the launcher by itself with nohup, and leaves, wants it to go on.
 */
import { readTextIfThere } from "./processes.ts";

const lookMs = 500;

/** Calls `end` once when the launcher (our parent process) has lost its own parent. Does nothing without npm. */
export function endWithNpm(environment: Readonly<Record<string, string | undefined>>, end: () => void): void {
  if (environment["npm_lifecycle_event"] === undefined) return;
  const launcher = process.ppid;
  const npm = parentOf(launcher);
  if (npm === null) return;
  const looking = setInterval(() => {
    if (parentOf(launcher) === npm) return;
    clearInterval(looking);
    end();
  }, lookMs);
  looking.unref();
}

/** Null when the process does not exist, or the system has no /proc. */
function parentOf(pid: number): number | null {
  const status = readTextIfThere(`/proc/${pid}/stat`);
  // The second field is the program's name in parentheses, which may hold anything; state and parent follow it.
  const parent = status.slice(status.lastIndexOf(")") + 2).split(" ")[1];
  return parent === undefined ? null : Number(parent);
}
