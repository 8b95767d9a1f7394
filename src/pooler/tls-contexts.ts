/**
 * TLS settings made of the configuration: what we show clients (read at start and at each reload) and what we use towards
 * servers (files are read at each connect, so that new contents reach new connections without a reload).
 *
 * Counterpart: PgBouncer's `sbuf_tls_setup`. Texts of the errors are its own.
 */
import { AuthType, SslMode } from "../config/setting-words.ts";
import type { Settings } from "../config/settings.ts";
import { isLiteralAddress } from "../net/literal-address.ts";
import { findTlsProblem } from "../net/tls-material.ts";
import type { TlsSettings } from "../net/transport.ts";
import type { TlsContexts } from "../session/engine.ts";
import { parseTlsProtocols } from "./tls-protocols.ts";

/** Reads a file, or throws the system's error. */
export type ReadBytes = (path: string) => Uint8Array;

/** Words of PgBouncer's that mean the library's own list. */
const DEFAULT_CIPHERS: ReadonlySet<string> = new Set(["", "default", "secure", "normal", "fast"]);
/** Words for curves that mean the library's own choice. */
const DEFAULT_CURVES: ReadonlySet<string> = new Set(["", "auto", "none"]);

/** Where systems keep the authorities that they trust: Debian and Alpine, Red Hat, SUSE, BSD and macOS. */
const SYSTEM_AUTHORITIES: readonly string[] = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/ca-bundle.pem",
  "/etc/ssl/cert.pem",
];

/** Host names whose settings are kept; a configuration that names more is served too, only slower. */
const HOSTS_MAX = 256;

/** What a connection to PostgreSQL is made with, but for what is in the files. */
interface ServerTls {
  readonly mode: SslMode;
  /** Null: no TLS. */
  readonly words: TlsSettings | null;
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
}

export interface TlsReload {
  /** What is wrong, for the log; null if nothing is. */
  readonly problem: string | null;
  /** Servers that are connected are so by other rules than new ones will be. */
  readonly serversChanged: boolean;
}

export class ConfiguredTls implements TlsContexts {
  readonly #settings: Settings;
  readonly #readBytes: ReadBytes;
  readonly #runtime: string;
  #client: TlsSettings | null = null;
  #clientMode: SslMode = SslMode.disable;
  #server: ServerTls = { mode: SslMode.disable, words: null, caFile: "", certFile: "", keyFile: "" };
  /** By host, what its last connection was made with. */
  readonly #servers = new Map<string, TlsSettings>();

  constructor(settings: Settings, readBytes: ReadBytes, runtime: string) {
    this.#settings = settings;
    this.#readBytes = readBytes;
    this.#runtime = runtime;
  }

  /**
   * Reads the files of `client_tls_*` again, and looks at the words of `server_tls_*`; files of `server_tls_*` may come later
   * than we do. When something is wrong all settings of before stay in force.
   */
  reload(): TlsReload {
    try {
      const client = this.#makeClient();
      const server = this.#makeServer();
      const problem = problemOf(client) ?? problemOf(server.words);
      if (problem !== null) return { problem, serversChanged: false };
      const serversChanged = !isSameTowardsServers(this.#server, server);
      this.#client = client;
      this.#clientMode = this.#settings.clientTlsSslmode;
      this.#server = server;
      return { problem: null, serversChanged };
    } catch (error) {
      return { problem: error instanceof Error ? error.message : String(error), serversChanged: false };
    }
  }

  get clientMode(): SslMode {
    return this.#clientMode;
  }

  get serverMode(): SslMode {
    return this.#server.mode;
  }

  client(): TlsSettings | null {
    return this.#client;
  }

  /** Throws what is wrong with a file, in words for the log. */
  server(host: string): TlsSettings {
    const { mode, words, caFile, certFile, keyFile } = this.#server;
    if (words === null) throw new Error("TLS towards servers is off");
    const verifies = mode === SslMode.verifyCa || mode === SslMode.verifyFull;
    const made: TlsSettings = {
      ...words,
      ...(verifies || caFile !== "" ? this.#authorities(caFile) : {}),
      ...this.#file("cert", certFile),
      ...this.#file("key", keyFile),
      ...(host !== "" && !isLiteralAddress(host) ? { serverName: host } : {}),
    };
    // The same object while nothing has changed: the runtime's work on certificates hangs on it.
    const known = this.#servers.get(host);
    if (known !== undefined && isSame(known, made)) return known;
    const problem = problemOf(made);
    if (problem !== null) throw new Error(problem);
    if (this.#servers.size >= HOSTS_MAX) this.#servers.clear();
    this.#servers.set(host, made);
    return made;
  }

  #makeServer(): ServerTls {
    const s = this.#settings;
    const mode = s.serverTlsSslmode;
    if (mode === SslMode.disable) return { mode, words: null, caFile: "", certFile: "", keyFile: "" };
    return {
      mode,
      words: this.#words("server"),
      caFile: s.serverTlsCaFile,
      certFile: s.serverTlsCertFile,
      keyFile: s.serverTlsKeyFile,
    };
  }

  #makeClient(): TlsSettings | null {
    const s = this.#settings;
    const mode = s.clientTlsSslmode;
    if (mode !== SslMode.disable && (s.clientTlsKeyFile === "" || s.clientTlsCertFile === "")) {
      throw new Error(
        "To allow TLS connections from clients, client_tls_key_file and client_tls_cert_file must be set.",
      );
    }
    if (s.authType === AuthType.cert) {
      if (mode !== SslMode.verifyFull)
        throw new Error("auth_type=cert requires client_tls_sslmode=SSLMODE_VERIFY_FULL");
      if (s.clientTlsCaFile === "") throw new Error("auth_type=cert requires client_tls_ca_file");
    } else if (mode === SslMode.verifyFull && s.clientTlsCaFile === "") {
      throw new Error("client_tls_sslmode requires client_tls_ca_file");
    }
    if (mode === SslMode.disable) return null;
    const verifies = mode === SslMode.verifyCa || mode === SslMode.verifyFull;
    return {
      ...this.#words("client"),
      ...this.#keyExchange(),
      ...(verifies || s.clientTlsCaFile !== "" ? this.#authorities(s.clientTlsCaFile) : {}),
      ...this.#file("cert", s.clientTlsCertFile),
      ...this.#file("key", s.clientTlsKeyFile),
      // A client is refused below for having none, so it has to be asked.
      requestCertificate: verifies || s.clientTlsCaFile !== "",
      alpn: "postgresql",
    };
  }

  /** What is chosen by words: versions and ciphers. */
  #words(side: "client" | "server"): TlsSettings {
    const s = this.#settings;
    const [protocols, ciphers, tls13] =
      side === "client"
        ? [s.clientTlsProtocols, s.clientTlsCiphers, s.clientTls13Ciphers]
        : [s.serverTlsProtocols, s.serverTlsCiphers, s.serverTls13Ciphers];
    if (tls13 !== null && tls13 !== "" && this.#runtime === "bun") {
      throw new Error(
        `${side}_tls13_ciphers cannot be set on this runtime: its TLS library does not let TLS 1.3 suites be chosen`,
      );
    }
    const versions = parseTlsProtocols(protocols);
    if (versions === null) throw new Error(`invalid ${side}_tls_protocols: ${protocols}`);
    const made: TlsSettings = {
      ...versions,
      ...(DEFAULT_CIPHERS.has(ciphers.toLowerCase()) ? {} : { ciphers }),
    };
    if (problemOf(made) !== null) throw new Error(`invalid ${side}_tls_ciphers: ${ciphers}`);
    return tls13 === null || tls13 === "" ? made : { ...made, tls13Ciphers: tls13 };
  }

  #keyExchange(): Partial<TlsSettings> {
    const { clientTlsDheparams: groups, clientTlsEcdhcurve: curve } = this.#settings;
    const word = groups.toLowerCase();
    if (word !== "" && word !== "none" && word !== "auto") throw new Error(`invalid client_tls_dheparams: ${groups}`);
    // Without finite-field groups in its library Bun does as "none" says, whatever the word.
    const finiteField = word === "auto" && this.#runtime !== "bun" ? { finiteField: true } : {};
    if (DEFAULT_CURVES.has(curve.toLowerCase())) return finiteField;
    if (problemOf({ minVersion: "TLSv1.2", maxVersion: "TLSv1.3", curve }) !== null) {
      throw new Error(`invalid client_tls_ecdhcurve: ${curve}`);
    }
    return { ...finiteField, curve };
  }

  /** The file's, or where none is named the system's. */
  #authorities(path: string): Partial<TlsSettings> {
    if (path !== "") return this.#file("ca", path);
    for (const usual of SYSTEM_AUTHORITIES) {
      try {
        return { ca: this.#readBytes(usual) };
      } catch {
        // The next system's place.
      }
    }
    throw new Error("failed to load CA: this system keeps its authorities in no known place; name a file of them");
  }

  #file(field: "ca" | "cert" | "key", path: string): Partial<TlsSettings> {
    if (path === "") return {};
    try {
      return { [field]: this.#readBytes(path) };
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      const why =
        code === "ENOENT" ? "No such file or directory" : code === "EACCES" ? "Permission denied" : String(code);
      throw new Error(`cannot load TLS file "${path}": ${why}`, { cause: error });
    }
  }
}

function problemOf(settings: TlsSettings | null): string | null {
  return settings === null ? null : findTlsProblem(settings);
}

function isSameTowardsServers(one: ServerTls, other: ServerTls): boolean {
  const names = ["mode", "caFile", "certFile", "keyFile"] as const;
  if (names.some((name) => one[name] !== other[name])) return false;
  return one.words === null || other.words === null ? one.words === other.words : isSame(one.words, other.words);
}

/** Files are compared by what is in them. */
function isSame(one: TlsSettings, other: TlsSettings): boolean {
  const keys = Object.keys(one) as (keyof TlsSettings)[];
  if (keys.length !== Object.keys(other).length) return false;
  return keys.every((key) => {
    const [a, b] = [one[key], other[key]];
    if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b) === 0;
    return a === b;
  });
}
