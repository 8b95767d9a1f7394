/** How many descriptors the process may have and how many it may come to use, for the line about it at start. */

export interface OpenFilesLimit {
  /** Numbers, or "unlimited". */
  readonly soft: string;
  readonly hard: string;
}

/** From the kernel's own account; null where there is none. */
export function openFilesLimit(readFile: (path: string) => Uint8Array): OpenFilesLimit | null {
  try {
    const text = Buffer.from(readFile("/proc/self/limits")).toString("utf8");
    const found = /^Max open files\s+(\S+)\s+(\S+)/m.exec(text);
    const [, soft, hard] = found ?? [];
    return soft === undefined || hard === undefined ? null : { soft, hard };
  } catch {
    // Not Linux.
    return null;
  }
}

/** What clients, and the pools of all databases, may come to. `users`: how many are known. */
export function expectedDescriptors(
  settings: { readonly maxClientConn: number; readonly defaultPoolSize: number },
  databases: Iterable<{ readonly user: string | null; readonly poolSize: number | null }>,
  users: number,
): number {
  let count = settings.maxClientConn + FIRST_FEW + CONSOLE_POOL_SIZE;
  for (const { user, poolSize } of databases) {
    count += (poolSize ?? settings.defaultPoolSize) * (user === null ? users : 1);
  }
  return count;
}

/** PgBouncer's own allowance for everything else. */
const FIRST_FEW = 10;
/** The pool of the console counts as well. */
const CONSOLE_POOL_SIZE = 2;
