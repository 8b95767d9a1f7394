/** How many descriptors the process may have, from the kernel's own account; null where there is none. */
export function openFilesLimit(readFile: (path: string) => Uint8Array): { soft: string; hard: string } | null {
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
