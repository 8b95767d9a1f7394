/**
 * A connected socket that this process was given, as a connection of a transport: takeover of another pooler's sessions.
 *
 * It is paused from its first moment. Bun's sockets are there a little later than they are asked for, and whoever is made
 * for one wants to know its addresses: so it is waited for, and gets its owner then.
 */
import type { Connection, ConnectionEvents, Transport } from "./transport.ts";

/** `attach`: its owner, in place of nobody. If it has closed before, its `fd` is -1 and nobody is told. */
export type AdoptedConnection = Connection & { attach(events: ConnectionEvents): void };

/**
 * The connection with the descriptor `fd`, which is the transport's from now on; null when it cannot be used, and then it is
 * closed where it can be. `transport`: one of the real ones.
 */
export async function adoptConnection(transport: Transport, fd: number): Promise<AdoptedConnection | null> {
  const connection = await new Promise<Connection | null>((resolve) => {
    const adopted: Connection = transport.connect(
      { fd },
      {
        onOpen: () => resolve(adopted),
        onClose: () => resolve(null),
        onData: () => {},
        onDrain: () => {},
        onSecure: () => {},
        onEnd: () => {},
      },
    );
    adopted.pause();
  });
  return connection !== null && "attach" in connection ? (connection as AdoptedConnection) : null;
}
