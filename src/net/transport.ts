/**
 * The engine's only door to the network.
 *
 * Three implementations stand behind this interface: Node (`node:net`, `node:tls`), Bun (`Bun.listen`, `Bun.connect`)
 * and the simulator's network. They pass one shared table of tests (`test/transport`). The interface promises what all
 * of them can keep, and no more: no writev, no judgement about certificates, no name resolution.
 *
 * Gathering writes of one turn, bounds and back-pressure are the callers' business (`outbox.ts`).
 */

/** `host` is a literal address (names are resolved before this door); `fd` is inherited: socket activation, takeover. */
export type Address =
  | { readonly host: string; readonly port: number }
  | { readonly path: string }
  | { readonly fd: number };

export interface ListenOptions {
  readonly backlog?: number;
  readonly reusePort?: boolean;
  readonly ipv6Only?: boolean;
}

export interface Transport {
  /**
   * Rejects with an error whose `code` is EADDRINUSE, EADDRNOTAVAIL, EACCES … Port 0 is filled in by the listener.
   * `accept` is called once for each connection, with the connection already open (`onOpen` is not called for it).
   */
  listen(at: Address, options: ListenOptions, accept: (connection: Connection) => ConnectionEvents): Promise<Listener>;
  /** Never throws, and calls nothing back before it has returned. */
  connect(to: Address, events: ConnectionEvents): Connection;
  /**
   * `memory`, a whole chunk as `onData` of any of this transport's connections handed it out, is not referred to any
   * more and may be freed or used for another. A transport that has no use for it does not have this; memory that came from
   * elsewhere, and a part of a chunk, is ignored.
   */
  reuse?(memory: Uint8Array): void;
}

export interface Listener {
  /** 0 for a Unix socket. */
  readonly port: number;
  readonly fd: number;
  /** Accepts nothing more; open connections stay. */
  close(): void;
}

export interface Endpoint {
  /** A literal IP address, or "" for a Unix socket. */
  readonly address: string;
  readonly port: number;
}

export interface Connection {
  /** For socket options, SO_PEERCRED and SCM_RIGHTS; unchanged by TLS; -1 once closed. */
  readonly fd: number;
  readonly remote: Endpoint;
  readonly local: Endpoint;
  /**
   * Takes all of `bytes[start, end)`, or all of `bytes`. Returns how many bytes this process still holds for this connection: 0 means that all is in
   * the kernel and the memory is the caller's again; more means that the memory is the transport's until `onDrain`.
   * The caller bounds the figure. A write after `end`, `destroy` or the close is dropped and returns 0; one while
   * connecting is held until the connection is open. Under TLS on Node all is held for a while, so the answer is never 0.
   */
  write(bytes: Uint8Array, start?: number, end?: number): number;
  /**
   * No `onData` afterwards, except when the peer resets (Bun delivers what the kernel had). A FIN waits for `resume`, and
   * on Node a reset does too, or for the next write. Under TLS up to 64 KiB may have been read already; they and an end among
   * them are told all the same.
   */
  pause(): void;
  resume(): void;
  /**
   * With nothing held. `early` = the first bytes of a direct handshake, already received. `onSecure` or `onClose` follows,
   * the latter also for settings that cannot be used. A paused connection is resumed. What `settings` makes is kept as
   * long as the object: one object for many connections, a new one after a reload.
   * A handshake of a server role accepts any client certificate and reports it; the caller judges.
   */
  startTls(role: "server" | "client", settings: TlsSettings, early?: Uint8Array): void;
  /** Sends what is held, then FIN; still reads. `onClose` when the peer has ended too. The caller keeps the deadline. */
  end(): void;
  /** Closes now, also while connecting; drops what is held. `onClose` follows, never inside this call. */
  destroy(): void;
}

/** One object per connection: the session itself. A callback that throws costs its own connection only. */
export interface ConnectionEvents {
  /** An outgoing connection is established. */
  onOpen(): void;
  /** The memory is the callee's for good. */
  onData(bytes: Uint8Array): void;
  /** What `write` still held is gone. */
  onDrain(): void;
  onSecure(peer: TlsPeer): void;
  /** The peer's FIN. We may still write. */
  onEnd(): void;
  /** Exactly once and last, also for a connect that failed. Null after an orderly end or our own `destroy`. */
  onClose(error: (Error & { code?: string }) | null): void;
}

export type TlsVersion = "TLSv1" | "TLSv1.1" | "TLSv1.2" | "TLSv1.3";

/** Files are read by the caller; these are their contents. */
export interface TlsSettings {
  /** Absent = no chain is trusted: the runtime's own list of authorities has no say. */
  readonly ca?: Uint8Array;
  readonly cert?: Uint8Array;
  readonly key?: Uint8Array;
  /** OpenSSL cipher list for TLS 1.2 and below; absent = the runtime's default. */
  readonly ciphers?: string;
  /** Cipher suites for TLS 1.3. On Bun they cannot be chosen, and settings with them end in `onClose` (ENOTSUP). */
  readonly tls13Ciphers?: string;
  /** SNI; never an IP address. */
  readonly serverName?: string;
  readonly minVersion: TlsVersion;
  readonly maxVersion: TlsVersion;
  /** Server role: the one curve for key exchange, in the library's names; absent = the library's own choice. */
  readonly curve?: string;
  /** Server role: offer finite-field Diffie-Hellman too (TLS 1.2 and below). Not on Bun. */
  readonly finiteField?: boolean;
  /** Server role: ask for a client certificate. */
  readonly requestCertificate?: boolean;
  readonly alpn?: string;
}

/** What the handshake found. The transport reports and the caller judges. */
export interface TlsPeer {
  /** "TLSv1.3" */
  readonly version: string;
  /** OpenSSL or IANA name of the suite: "TLS_AES_256_GCM_SHA384" */
  readonly cipher: string;
  readonly alpn: string | null;
  /** Null when the peer's chain leads to `ca`, else OpenSSL's code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE". Meaningless without a certificate. */
  readonly chainError: string | null;
  /** The peer's certificate in DER, null when it sent none. */
  readonly certificate: Uint8Array | null;
}
