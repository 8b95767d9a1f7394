/**
 * PostgreSQL and the pooler refuse to run as root. Demo and tests that are started as root run both as `nobody`, which
 * exists everywhere and needs no change to the machine; started by anyone else they run as that user.
 */
import { accessSync, constants, readFileSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";

export interface UnprivilegedUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** The user to become in child processes (`uid` and `gid` of `spawn`); null when we are not root and need none. */
export function unprivilegedUser(): UnprivilegedUser | null {
  if (process.getuid?.() !== 0) return null;
  for (const line of readFileSync("/etc/passwd", "utf8").split("\n")) {
    const [name, , uid, gid] = line.split(":");
    if (name === "nobody" && uid !== undefined && gid !== undefined)
      return { name, uid: Number(uid), gid: Number(gid) };
  }
  return { name: "nobody", uid: 65_534, gid: 65_534 };
}

/**
 * Can `user` (null: we ourselves) enter every folder down to `path` and read what is there? A clone below /root, which is
 * closed to all others, is the case that matters; the permission bits for others decide, as `nobody` owns nothing.
 */
export function isReachable(path: string, user: UnprivilegedUser | null): boolean {
  if (user === null) {
    try {
      accessSync(path, constants.R_OK);
      return true;
    } catch {
      return false;
    }
  }
  const othersRead = 0o4;
  const othersEnter = 0o1;
  const target = resolve(path);
  if ((statSync(target).mode & othersRead) === 0) return false;
  for (let folder = dirname(target); ; folder = dirname(folder)) {
    const { mode, uid } = statSync(folder);
    if ((mode & othersEnter) === 0 && uid !== user.uid) return false;
    if (folder === "/") return true;
  }
}
