/**
 * The fast transport: `Bun.listen` and `Bun.connect`, about a third of Node's user time per event.
 *
 * Can be imported anywhere; made only where Bun is. Everything about one connection is in `bun-connection.ts`.
 */
import { Rests } from "./bulk-pace.ts";
import { BunConnection, HANDLERS } from "./bun-connection.ts";
import { BunReadMemory } from "./bun-read-memory.ts";
import { bunRuntime } from "./bun-socket.ts";
import type { BunHandlers, BunListener, BunRuntime, BunSocket } from "./bun-socket.ts";
import type { Libc } from "./libc.ts";
import { asError, warnOfThrow } from "./settled.ts";
import type { Address, Connection, ConnectionEvents, ListenOptions, Listener, Transport } from "./transport.ts";

const CONNECT_HANDLERS: BunHandlers<BunConnection> = {
  ...HANDLERS,
  open(socket) {
    const connection = socket.data;
    if (connection === null) return;
    socket.setNoDelay(true);
    connection.opened(socket);
  },
  connectError: (socket, error) => socket.data?.closed(error),
};

export class BunTransport implements Transport {
  readonly #bun: BunRuntime = bunRuntime();
  readonly #libc: Libc;
  readonly #rests: Rests;
  readonly #memory = new BunReadMemory();

  /** `libc` sets the backlog, which Bun has no option for, and tells the port of an inherited listener. */
  constructor(libc: Libc, rests: Rests = new Rests()) {
    this.#libc = libc;
    this.#rests = rests;
  }

  reuse(memory: Uint8Array): void {
    this.#memory.giveBack(memory);
  }

  async listen(
    at: Address,
    options: ListenOptions,
    accept: (connection: Connection) => ConnectionEvents,
  ): Promise<Listener> {
    const listener = this.#bun.listen<BunConnection>({
      ...bunAddress(at),
      allowHalfOpen: true,
      ...(options.reusePort === undefined ? {} : { reusePort: options.reusePort }),
      ...(options.ipv6Only === undefined ? {} : { ipv6Only: options.ipv6Only }),
      socket: { ...HANDLERS, open: (socket) => this.#accept(socket, accept) },
    });
    if (options.backlog !== undefined) this.#libc.listen(listener.fd, options.backlog);
    // Bun does not look up the port of an inherited socket.
    const port = "fd" in at ? this.#libc.localPort(listener.fd) : (listener.port ?? 0);
    return new BunTransportListener(listener, port);
  }

  connect(to: Address, events: ConnectionEvents): Connection {
    const connection = new BunConnection(null, this.#rests, this.#memory);
    connection.attach(events);
    // Bun may report within the call, which must not happen here.
    queueMicrotask(() => this.#start(to, connection));
    return connection;
  }

  #accept(socket: BunSocket<BunConnection>, accept: (connection: Connection) => ConnectionEvents): void {
    const connection = new BunConnection(socket, this.#rests, this.#memory);
    socket.data = connection;
    socket.setNoDelay(true);
    try {
      connection.attach(accept(connection));
    } catch (error) {
      connection.destroy();
      warnOfThrow("accept", error);
    }
  }

  #start(to: Address, connection: BunConnection): void {
    if (connection.abandoned) return;
    try {
      this.#bun
        .connect<BunConnection>({ ...bunAddress(to), allowHalfOpen: true, data: connection, socket: CONNECT_HANDLERS })
        // What "connectError" reported already, or an address it never tried: `closed` takes the first of them.
        .catch((error: unknown) => connection.closed(asError(error)));
    } catch (error) {
      connection.closed(asError(error));
    }
  }
}

class BunTransportListener implements Listener {
  readonly port: number;
  readonly #listener: BunListener;
  #closed = false;

  constructor(listener: BunListener, port: number) {
    this.port = port;
    this.#listener = listener;
  }

  get fd(): number {
    return this.#closed ? -1 : this.#listener.fd;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#listener.stop(false);
  }
}

function bunAddress(at: Address): { hostname: string; port: number } | { unix: string } | { fd: number } {
  if ("path" in at) return { unix: at.path };
  if ("fd" in at) return { fd: at.fd };
  return { hostname: at.host, port: at.port };
}
