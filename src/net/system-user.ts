/**
 * The system's users: looking one up by name, and becoming one (PgBouncer: `change_user` in `util.c`, setting `user`).
 *
 * Names are looked up in the text of /etc/passwd and /etc/group, as both runtimes lack getpwnam; users that only a
 * directory service knows are not found. Whoever becomes another user loads libc first (`loadLibc`): the new user may not
 * be allowed to read the installation.
 */
import { readFileSync } from "node:fs";

export interface SystemUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** In the documentation of both runtimes, and missing in their types. */
interface UserCalls {
  readonly initgroups?: (name: string, extraGid: number) => void;
}

/** The user called `name`, null when there is none. `passwd` is the text of /etc/passwd. */
export function findUser(name: string, passwd: string = readFileSync("/etc/passwd", "utf8")): SystemUser | null {
  // name:password:uid:gid:comment:home:shell
  const [, , uid, gid] = lineOf(name, passwd) ?? [];
  const user = { name, uid: wholeNumber(uid), gid: wholeNumber(gid) };
  return user.uid === null || user.gid === null ? null : { name, uid: user.uid, gid: user.gid };
}

/** The name of user `uid`, null when it has none. */
export function userName(uid: number, passwd: string = readFileSync("/etc/passwd", "utf8")): string | null {
  for (const line of passwd.split("\n")) {
    const fields = line.split(":");
    if (wholeNumber(fields[2]) === uid) return fields[0] || null;
  }
  return null;
}

/** The gid of the group called `name`, null when there is none. `group` is the text of /etc/group. */
export function findGroup(name: string, group: string = readFileSync("/etc/group", "utf8")): number | null {
  // name:password:gid:members
  return wholeNumber(lineOf(name, group)?.[2]);
}

/**
 * Becomes `user` for good: its groups, its group, then the user itself, and makes sure that it holds.
 *
 * Throws when the system refuses (`code` EPERM …), and when the process is not that user afterwards.
 */
export function becomeUser(user: SystemUser): void {
  const { initgroups, setgid, setuid } = process as typeof process & UserCalls;
  if (initgroups === undefined || setgid === undefined || setuid === undefined) {
    throw Object.assign(new Error("this system has no users to become"), { code: "ENOTSUP" });
  }
  initgroups(user.name, user.gid);
  setgid(user.gid);
  setuid(user.uid);
  if (process.getuid?.() !== user.uid || process.geteuid?.() !== user.uid || process.getgid?.() !== user.gid) {
    throw Object.assign(new Error(`became another user than "${user.name}"`), { code: "EPERM" });
  }
}

function lineOf(name: string, table: string): string[] | null {
  for (const line of table.split("\n")) {
    const fields = line.split(":");
    if (name !== "" && fields[0] === name) return fields;
  }
  return null;
}

function wholeNumber(text: string | undefined): number | null {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : null;
}
