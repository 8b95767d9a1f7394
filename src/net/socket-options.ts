/**
 * PgBouncer's `tcp_*` settings put on a socket, on both runtimes alike (PgBouncer: `tune_socket` in `util.c`,
 * `tune_accept` in `pooler.c`).
 *
 * TCP_NODELAY is not among them: it is always on and the transports set it. Options of a listener are inherited by the
 * connections it accepts (Linux), so an accepted connection needs a call only for `bufferBytes` (below) and after the settings
 * have changed.
 *
 * `bufferBytes` is not taken to the letter, where a connection would crawl for it:
 * - Neither runtime shows a socket before it connects, and a connection has promised its window already: a receive buffer
 *   that is made smaller then takes the promise back, and Linux on the other side waits for a timer before each packet
 *   (measured: 50 KB/s). So it is made smaller on listeners only.
 * - A send buffer that does not hold two segments lets one go and keeps the next back until that is acknowledged, which the
 *   other side does after 40 ms or with the second segment, whichever is first (measured on the loopback interface, where a
 *   segment has 64 KiB: 1.7 MB/s). So a connection's send buffer holds two.
 */
import {
  IPPROTO_TCP,
  SO_KEEPALIVE,
  SO_RCVBUF,
  SO_SNDBUF,
  SOL_SOCKET,
  TCP_DEFER_ACCEPT,
  TCP_KEEPCNT,
  TCP_KEEPIDLE,
  TCP_KEEPINTVL,
  TCP_MAXSEG,
  TCP_USER_TIMEOUT,
} from "./libc.ts";
import type { Libc } from "./libc.ts";
import type { SocketOptions } from "./world.ts";

/** Linux doubles the sizes of buffers that it is asked for (socket(7)). */
const BUFFER_FACTOR = 2;

/**
 * Sets what differs from the system's defaults on `fd`, a TCP socket; a listener's with `deferAccept`. Returns the PgBouncer
 * names of the settings that could not be set, empty when all were.
 */
export function setSocketOptions(libc: Libc, fd: number, options: SocketOptions): readonly string[] {
  const refused: string[] = [];
  const set = (name: string, level: number, option: number, value: number): void => {
    if (!libc.setOption(fd, level, option, value)) refused.push(name);
  };
  if (options.keepAlive) {
    set("tcp_keepalive", SOL_SOCKET, SO_KEEPALIVE, 1);
    if (options.keepCount > 0) set("tcp_keepcnt", IPPROTO_TCP, TCP_KEEPCNT, options.keepCount);
    if (options.keepIdleS > 0) set("tcp_keepidle", IPPROTO_TCP, TCP_KEEPIDLE, options.keepIdleS);
    if (options.keepIntervalS > 0) set("tcp_keepintvl", IPPROTO_TCP, TCP_KEEPINTVL, options.keepIntervalS);
  }
  if (options.bufferBytes > 0) {
    const isListener = options.deferAccept !== undefined;
    const segmentBytes = isListener ? 0 : (libc.option(fd, IPPROTO_TCP, TCP_MAXSEG) ?? 0);
    set("tcp_socket_buffer", SOL_SOCKET, SO_SNDBUF, Math.max(options.bufferBytes, 2 * segmentBytes));
    const grows = isListener || (libc.option(fd, SOL_SOCKET, SO_RCVBUF) ?? 0) < BUFFER_FACTOR * options.bufferBytes;
    if (refused.at(-1) !== "tcp_socket_buffer" && grows) {
      set("tcp_socket_buffer", SOL_SOCKET, SO_RCVBUF, options.bufferBytes);
    }
  }
  if (options.userTimeoutMs > 0) set("tcp_user_timeout", IPPROTO_TCP, TCP_USER_TIMEOUT, options.userTimeoutMs);
  // PgBouncer sets 1 (seconds) where its documentation says 45.
  if (options.deferAccept !== undefined) {
    set("tcp_defer_accept", IPPROTO_TCP, TCP_DEFER_ACCEPT, options.deferAccept ? 1 : 0);
  }
  return refused;
}
