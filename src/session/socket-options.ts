/** Socket options of the `tcp_*` settings, and how long a socket may take to close. */
import type { Settings } from "../config/settings.ts";
import type { SocketOptions } from "../net/world.ts";

/** A peer that does not read what is left for it, or does not close its side, is cut off after this. */
export const LINGER_MS = 2000;

/** As they are now: they apply to sockets opened from here on. */
export function socketOptions(settings: Settings): SocketOptions {
  return {
    keepAlive: settings.tcpKeepalive,
    keepCount: settings.tcpKeepcnt,
    keepIdleS: settings.tcpKeepidle,
    keepIntervalS: settings.tcpKeepintvl,
    bufferBytes: settings.tcpSocketBuffer,
    userTimeoutMs: settings.tcpUserTimeoutMs,
  };
}
