/**
 * The parts of Bun's socket API that this room uses, so that it can be type-checked and imported where Bun is not.
 *
 * Some of it works and is missing in Bun's own types: `fd` in the options, TLS versions as numbers, `initialData`. The
 * shared table of tests keeps them.
 */

/** A plain socket, or the TLS half that `upgradeTLS` returns. `Data` is whatever its owner put on it. */
export interface BunSocket<Data> {
  data: Data | null;
  readonly fd: number;
  readonly remoteAddress: string | undefined;
  readonly remotePort: number | undefined;
  readonly localAddress: string | undefined;
  readonly localPort: number | undefined;
  readonly alpnProtocol: string | false | null;
  /** How many bytes the kernel took; nothing is kept. −1 once closed. */
  write(bytes: Uint8Array, start?: number, length?: number): number;
  /** Sends FIN and goes on reading. */
  shutdown(): void;
  /** Closes at once; under TLS it waits for the peer's answer. */
  end(): void;
  /** Closes at once with a reset. */
  terminate(): void;
  pause(): void;
  resume(): void;
  setNoDelay(on: boolean): void;
  getTLSVersion(): string;
  getCipher(): { name: string | null };
  getPeerX509Certificate(): { raw: Uint8Array } | undefined;
  upgradeTLS(options: BunTlsUpgrade<Data>): [raw: BunSocket<Data>, tls: BunSocket<Data>];
}

export interface BunHandlers<Data> {
  open?(socket: BunSocket<Data>): void;
  data(socket: BunSocket<Data>, bytes: Uint8Array): void;
  drain(socket: BunSocket<Data>): void;
  /** The peer's FIN. */
  end(socket: BunSocket<Data>): void;
  close(socket: BunSocket<Data>, error?: Error): void;
  error(socket: BunSocket<Data>, error: Error): void;
  connectError?(socket: BunSocket<Data>, error: Error): void;
  handshake?(socket: BunSocket<Data>, trusted: boolean, error: (Error & { code?: string }) | null): void;
}

export interface BunTlsOptions {
  readonly ca?: Uint8Array;
  readonly cert?: Uint8Array;
  readonly key?: Uint8Array;
  readonly ciphers?: string;
  readonly ecdhCurve?: string;
  readonly serverName?: string;
  readonly minVersion: number;
  readonly maxVersion: number;
  readonly requestCert: boolean;
  readonly rejectUnauthorized: boolean;
  /** Names, each after its length in one byte. */
  readonly ALPNProtocols?: Uint8Array;
}

export interface BunTlsUpgrade<Data> {
  readonly isServer: boolean;
  readonly tls: BunTlsOptions;
  readonly data: Data;
  readonly socket: BunHandlers<Data>;
  /** Ciphertext that was received before. */
  readonly initialData?: Uint8Array;
}

export interface BunListener {
  readonly port?: number;
  readonly fd: number;
  stop(closeConnections: boolean): void;
}

type BunAddress = { hostname: string; port: number } | { unix: string } | { fd: number };

export interface BunRuntime {
  listen<Data>(
    options: BunAddress & {
      allowHalfOpen: boolean;
      reusePort?: boolean;
      ipv6Only?: boolean;
      socket: BunHandlers<Data>;
    },
  ): BunListener;
  connect<Data>(
    options: BunAddress & { allowHalfOpen: boolean; data: Data; socket: BunHandlers<Data> },
  ): Promise<unknown>;
}

/** Throws where there is no Bun. */
export function bunRuntime(): BunRuntime {
  const { Bun } = globalThis as { Bun?: BunRuntime };
  if (Bun === undefined) throw new Error("This transport needs Bun, and this process does not run on it.");
  return Bun;
}
