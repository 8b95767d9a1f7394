/**
 * The reference transport: `node:net` and `node:tls`, on Node 20.19 and newer.
 *
 * Accepted sockets are made here and not by `net.Server`, whose sockets cannot read into shared memory (`onread`); the
 * server is there for listening only. Everything about one connection is in `node-connection.ts`.
 */
import { createServer, Socket, connect as connectSocket } from "node:net";
import type { ListenOptions as NodeListenOptions, OnReadOpts, Server, SocketConstructorOpts } from "node:net";
import { Rests } from "./bulk-pace.ts";
import { ChunkMemory } from "./chunk-memory.ts";
import { NodeConnection, READ_BYTES, receivedBy } from "./node-connection.ts";
import { DirectWrites } from "./node-direct-write.ts";
import { serverHandle } from "./node-handle.ts";
import type { ServerHandle } from "./node-handle.ts";
import { readOptions } from "./node-read-memory.ts";
import { NodeTlsContexts } from "./node-tls.ts";
import { asError, connectionError, warnOfThrow } from "./settled.ts";
import type { Address, Connection, ConnectionEvents, ListenOptions, Listener, Transport } from "./transport.ts";

/** What `struct sockaddr_un` takes on Linux, without the NUL at the end. */
const PATH_BYTES_MAX = 107;

export class NodeTransport implements Transport {
  readonly #contexts = new NodeTlsContexts();
  readonly #writes = new DirectWrites();
  readonly #rests: Rests;
  readonly #chunks = new ChunkMemory();
  readonly #onread: OnReadOpts = readOptions(READ_BYTES, this.#chunks, receivedBy);

  constructor(rests: Rests = new Rests()) {
    this.#rests = rests;
  }

  reuse(memory: Uint8Array): void {
    this.#chunks.giveBack(memory);
  }

  async listen(
    at: Address,
    options: ListenOptions,
    accept: (connection: Connection) => ConnectionEvents,
  ): Promise<Listener> {
    if (options.reusePort === true && !knowsReusePort()) {
      throw connectionError(
        "ENOTSUP",
        `several listeners on one port need Node 22.12 or newer, this is ${process.version}`,
      );
    }
    if ("path" in at) checkPath(at.path);
    const server = createServer();
    await listening(server, at, options);
    const handle = serverHandle(server);
    if (handle === null) throw new Error("a server that listens has no handle");
    // Replaces what net.Server does with a connection. An error (EMFILE, ECONNABORTED) concerns a client that is gone
    // already; the listener goes on.
    handle.onconnection = (status, socketHandle) => {
      if (status === 0) this.#accept(socketHandle, accept);
    };
    return new NodeListener(server, handle);
  }

  connect(to: Address, events: ConnectionEvents): Connection {
    let socket: Socket;
    try {
      socket = this.#open(to);
    } catch (error) {
      // An impossible port or descriptor: reported like any connect that failed.
      socket = new Socket({ allowHalfOpen: true });
      socket.destroy(asError(error));
    }
    const connection = new NodeConnection(socket, this.#contexts, this.#writes, this.#rests);
    connection.attach(events);
    if (socket.connecting) socket.once("connect", () => connection.opened());
    else if (!socket.destroyed) setImmediate(() => connection.opened());
    return connection;
  }

  #open(to: Address): Socket {
    const options = { allowHalfOpen: true, onread: this.#onread };
    if ("path" in to) {
      checkPath(to.path);
      return connectSocket({ ...options, path: to.path });
    }
    if ("host" in to) return connectSocket({ ...options, host: to.host, port: to.port, noDelay: true });
    const socket = new Socket({ ...options, fd: to.fd, readable: true, writable: true });
    socket.setNoDelay(true);
    return socket;
  }

  #accept(handle: unknown, accept: (connection: Connection) => ConnectionEvents): void {
    // `handle` is how net.Server itself makes its sockets; its types do not have it.
    const options: Omit<SocketConstructorOpts, "handle"> & { handle: unknown } = {
      handle,
      allowHalfOpen: true,
      readable: true,
      writable: true,
      onread: this.#onread,
    };
    const socket = new Socket(options as SocketConstructorOpts);
    socket.setNoDelay(true);
    const connection = new NodeConnection(socket, this.#contexts, this.#writes, this.#rests);
    try {
      connection.attach(accept(connection));
    } catch (error) {
      connection.destroy();
      warnOfThrow("accept", error);
    }
  }
}

class NodeListener implements Listener {
  readonly port: number;
  readonly #server: Server;
  readonly #handle: ServerHandle;
  #closed = false;

  constructor(server: Server, handle: ServerHandle) {
    const address = server.address();
    this.port = address !== null && typeof address === "object" ? address.port : 0;
    this.#server = server;
    this.#handle = handle;
  }

  get fd(): number {
    return this.#closed ? -1 : this.#handle.fd;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#server.close();
  }
}

function listening(server: Server, at: Address, options: ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(listenOptions(at, options), () => {
      server.off("error", reject);
      resolve();
    });
  });
}

function listenOptions(at: Address, options: ListenOptions): NodeListenOptions & { fd?: number } {
  // `exclusive`: never the shared listener of a cluster's parent.
  return {
    ...at,
    exclusive: true,
    ...(options.backlog === undefined ? {} : { backlog: options.backlog }),
    ...(options.reusePort === undefined ? {} : { reusePort: options.reusePort }),
    ...(options.ipv6Only === undefined ? {} : { ipv6Only: options.ipv6Only }),
  };
}

/** Node 20 cuts a name that is too long and goes on with another file. */
function checkPath(path: string): void {
  if (Buffer.byteLength(path) > PATH_BYTES_MAX) {
    throw connectionError("EINVAL", `the name of a Unix socket is longer than ${PATH_BYTES_MAX} bytes: ${path}`);
  }
}

function knowsReusePort(): boolean {
  const [major, minor] = process.versions.node.split(".").map(Number) as [number, number];
  return major > 22 || (major === 22 && minor >= 12);
}
