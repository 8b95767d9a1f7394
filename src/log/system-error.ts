/**
 * The words for an error of the operating system, as C's strerror has them: what operators know and search for.
 * The runtimes wrap the system's error: `ENOENT: no such file or directory, open 'x'`.
 */

/** Where the runtimes' words differ from the C library's. */
const TEXTS: Readonly<Record<string, string>> = {
  ENOENT: "No such file or directory",
  ECONNREFUSED: "Connection refused",
  EADDRINUSE: "Address already in use",
  EADDRNOTAVAIL: "Cannot assign requested address",
  EACCES: "Permission denied",
  EISDIR: "Is a directory",
  ENOTDIR: "Not a directory",
  EMFILE: "Too many open files",
  ENOSPC: "No space left on device",
  EROFS: "Read-only file system",
};

/** The text of anything thrown by a system call, without path and call. */
export function systemErrorText(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = (error as { code?: unknown }).code;
  if (typeof code !== "string") return error.message;
  const text = TEXTS[code] ?? /^[A-Z0-9]+: (.+?)(?:, [a-z]+(?: '|$).*)?$/s.exec(error.message)?.[1] ?? error.message;
  return text.charAt(0).toUpperCase() + text.slice(1);
}
