/** Whether a socket is read from: any of several reasons holds it, and it is read again when the last one is gone. */
import type { Connection } from "../net/transport.ts";

export const Hold = {
  /** What is to be written to this very peer waits. */
  ownBacklog: 1,
  /** The server does not take what the client sends. */
  serverBacklog: 2,
  /** It waits for a server and has sent enough. */
  waiting: 4,
  /** It has sent too many messages that are not answered. */
  steps: 8,
  /** SUSPEND. */
  suspended: 16,
} as const;

export class ReadHolds {
  readonly #connection: Connection;
  #reasons = 0;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  has(reason: number): boolean {
    return (this.#reasons & reason) !== 0;
  }

  hold(reason: number): void {
    if (this.#reasons === 0) this.#connection.pause();
    this.#reasons |= reason;
  }

  /** `reasons`: one or several. */
  release(reasons: number): void {
    if ((this.#reasons & reasons) === 0) return;
    this.#reasons &= ~reasons;
    if (this.#reasons === 0) this.#connection.resume();
  }
}
