/**
 * A folder of one's own, below the machine's temporary folder, for a cluster or a pooler: short enough that a Unix socket
 * fits in (107 bytes in all), and owned by the user that will use it, who can then remove it too.
 */
import { chownSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isReachable, type UnprivilegedUser } from "./unprivileged-user.ts";

const baseBytesMax = 60;

/**
 * Makes the folder and returns its path. `user` is who will own it; null: we ourselves. The caller removes it.
 * `parent`: where it is made if that is short enough and within the user's reach; default the machine's.
 */
export function makeTemporaryFolder(prefix: string, user: UnprivilegedUser | null, parent = tmpdir()): string {
  const folder = mkdtempSync(join(temporaryBase(user, parent), prefix));
  if (user !== null) chownSync(folder, user.uid, user.gid);
  return folder;
}

/** `parent`, or /tmp where that is too long for sockets or out of the user's reach. */
export function temporaryBase(user: UnprivilegedUser | null, parent = tmpdir()): string {
  return Buffer.byteLength(parent) > baseBytesMax || !isReachable(parent, user) ? "/tmp" : parent;
}
