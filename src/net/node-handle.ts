/**
 * What Node's sockets and servers know below their documented face. Everything this room uses of it is named here, and the
 * shared table of tests keeps it on each version of Node.
 *
 * Libuv's handle tells the descriptor (there is no other way to it), accepts connections without making a `net.Socket`
 * of its own, and remembers what OpenSSL said about the peer's chain.
 */
import type { Server, Socket } from "node:net";
import type { TLSSocket } from "node:tls";

export interface SocketHandle {
  readonly fd: number;
}

export interface ServerHandle {
  readonly fd: number;
  /** Called with 0 and the handle of a connection, or with an error of accept(2). */
  onconnection: (status: number, socketHandle: unknown) => void;
}

export interface TlsHandle {
  verifyError(): (Error & { code?: string }) | null | undefined;
}

/** Null before the socket has one and after it was closed. */
export function socketHandle(socket: Socket): SocketHandle | null {
  return (Reflect.get(socket, "_handle") as SocketHandle | null | undefined) ?? null;
}

/** Null before the server listens and after it was closed. */
export function serverHandle(server: Server): ServerHandle | null {
  return (Reflect.get(server, "_handle") as ServerHandle | null | undefined) ?? null;
}

/** Null after the socket was closed. */
export function tlsHandle(socket: TLSSocket): TlsHandle | null {
  return (Reflect.get(socket, "_handle") as TlsHandle | null | undefined) ?? null;
}
