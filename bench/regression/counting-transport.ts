/**
 * A runtime's real transport, with a count of the chunks that it brought and of the writes that it was given, apart for the
 * connections that were accepted and those that were made.
 */
import type { Connection, ConnectionEvents, Transport } from "../../src/net/transport.ts";

export interface TransportCounts {
  clientReads: number;
  clientWrites: number;
  serverReads: number;
  serverWrites: number;
}

type Side = "client" | "server";

export function countTransport(inner: Transport, counts: TransportCounts): Transport {
  const outer: Transport = {
    listen: (at, options, accept) =>
      inner.listen(at, options, (connection) => {
        countWrites(connection, counts, "client");
        return countReads(accept(connection), counts, "client");
      }),
    connect: (to, events) => {
      const connection = inner.connect(to, countReads(events, counts, "server"));
      countWrites(connection, counts, "server");
      return connection;
    },
  };
  if (inner.reuse !== undefined) outer.reuse = (memory) => inner.reuse?.(memory);
  return outer;
}

/** In place: the engine may compare connections, and tells them apart by what they are. */
function countWrites(connection: Connection, counts: TransportCounts, side: Side): void {
  const write = connection.write.bind(connection);
  connection.write = (bytes, start, end) => {
    counts[`${side}Writes`]++;
    return write(bytes, start, end);
  };
}

function countReads(events: ConnectionEvents, counts: TransportCounts, side: Side): ConnectionEvents {
  return {
    onOpen: () => events.onOpen(),
    onData: (bytes) => {
      counts[`${side}Reads`]++;
      events.onData(bytes);
    },
    onDrain: () => events.onDrain(),
    onSecure: (peer) => events.onSecure(peer),
    onEnd: () => events.onEnd(),
    onClose: (error) => events.onClose(error),
  };
}
