/**
 * Sockets that a service manager opened for us and passed on (sd_listen_fds(3)): LISTEN_FDS of them, from descriptor 3,
 * when LISTEN_PID is this process.
 */
import type { InheritedSocket } from "../pooler/listeners.ts";

/** The first descriptor behind stdin, stdout and stderr. */
const FIRST_DESCRIPTOR = 3;
/** More descriptors than this are no socket activation. */
const COUNT_MAX = 1024;

export interface SocketFacts {
  /** What kind of socket a descriptor is; null when it is none. */
  socketFamily(fd: number): "unix" | "ipv4" | "ipv6" | null;
}

/** Empty when nothing was passed. Returns why the process cannot run when a descriptor is no socket that can be used. */
export function inheritedSockets(
  env: Readonly<Record<string, string | undefined>>,
  pid: number,
  facts: SocketFacts,
): readonly InheritedSocket[] | string {
  if (env["LISTEN_PID"] !== String(pid)) return [];
  const count = Number(env["LISTEN_FDS"]);
  if (!Number.isInteger(count) || count <= 0 || count > COUNT_MAX) return [];
  const sockets: InheritedSocket[] = [];
  for (let fd = FIRST_DESCRIPTOR; fd < FIRST_DESCRIPTOR + count; fd++) {
    const family = facts.socketFamily(fd);
    if (family === null) return `failed to set up socket passed from service manager (fd ${fd})`;
    sockets.push({ fd, isUnixSocket: family === "unix" });
  }
  return sockets;
}
