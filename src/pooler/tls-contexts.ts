/**
 * TLS settings made of the configuration: what we show clients (read at start and at each reload) and what we use towards
 * servers (files are read at each connect, so that new contents reach new connections without a reload).
 *
 * Counterpart: PgBouncer's `sbuf_tls_setup`. Texts of the errors are its own.
 */
import { SslMode } from "../config/setting-words.ts";
import type { Settings } from "../config/settings.ts";
import { isLiteralAddress } from "../net/literal-address.ts";
import { findTlsProblem } from "../net/tls-material.ts";
import type { TlsSettings, TlsVersion } from "../net/transport.ts";
import type { TlsContexts } from "../session/engine.ts";

/** Reads a file, or throws the system's error. */
export type ReadBytes = (path: string) => Uint8Array;

const VERSIONS: readonly TlsVersion[] = ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"];
const VERSION_WORDS: Readonly<Record<string, readonly TlsVersion[]>> = {
  "tlsv1.0": ["TLSv1"],
  "tlsv1.1": ["TLSv1.1"],
  "tlsv1.2": ["TLSv1.2"],
  "tlsv1.3": ["TLSv1.3"],
  tlsv1: VERSIONS,
  all: VERSIONS,
  legacy: VERSIONS,
  secure: ["TLSv1.2", "TLSv1.3"],
  default: ["TLSv1.2", "TLSv1.3"],
};
/** Words of PgBouncer's that mean the library's own list. */
const DEFAULT_CIPHERS: ReadonlySet<string> = new Set(["", "default", "secure", "normal", "fast"]);

export class ConfiguredTls implements TlsContexts {
  readonly #settings: Settings;
  readonly #readBytes: ReadBytes;
  readonly #runtime: string;
  #client: TlsSettings | null = null;

  constructor(settings: Settings, readBytes: ReadBytes, runtime: string) {
    this.#settings = settings;
    this.#readBytes = readBytes;
    this.#runtime = runtime;
  }

  /**
   * Reads the files of `client_tls_*` again, and looks at those of `server_tls_*`. Returns what is wrong, null if nothing;
   * then the settings of before stay in force.
   */
  reload(): string | null {
    try {
      const client = this.#makeClient();
      const server = this.#settings.serverTlsSslmode === SslMode.disable ? null : this.server("");
      const problem = problemOf(client) ?? problemOf(server);
      if (problem === null) this.#client = client;
      return problem;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  client(): TlsSettings | null {
    return this.#client;
  }

  server(host: string): TlsSettings {
    const s = this.#settings;
    const base = this.#common(s.serverTlsProtocols, s.serverTlsCiphers, s.serverTls13Ciphers, "server_tls13_ciphers");
    return {
      ...base,
      ...this.#file("ca", s.serverTlsCaFile),
      ...this.#file("cert", s.serverTlsCertFile),
      ...this.#file("key", s.serverTlsKeyFile),
      ...(host !== "" && !isLiteralAddress(host) ? { serverName: host } : {}),
    };
  }

  #makeClient(): TlsSettings | null {
    const s = this.#settings;
    if (s.clientTlsSslmode === SslMode.disable) return null;
    if (s.clientTlsKeyFile === "" || s.clientTlsCertFile === "") {
      throw new Error(
        "To allow TLS connections from clients, client_tls_key_file and client_tls_cert_file must be set.",
      );
    }
    if (s.clientTlsSslmode === SslMode.verifyFull && s.clientTlsCaFile === "") {
      throw new Error("client_tls_sslmode requires client_tls_ca_file");
    }
    return {
      ...this.#common(s.clientTlsProtocols, s.clientTlsCiphers, s.clientTls13Ciphers, "client_tls13_ciphers"),
      ...this.#file("ca", s.clientTlsCaFile),
      ...this.#file("cert", s.clientTlsCertFile),
      ...this.#file("key", s.clientTlsKeyFile),
      // A client is refused below for having none, so it has to be asked.
      requestCertificate: s.clientTlsCaFile !== "" || s.clientTlsSslmode === SslMode.verifyCa,
      alpn: "postgresql",
    };
  }

  #common(protocols: string, ciphers: string, tls13: string | null, tls13Name: string): TlsSettings {
    if (tls13 !== null && tls13 !== "" && this.#runtime === "bun") {
      throw new Error(
        `${tls13Name} cannot be set on this runtime: its TLS library does not let TLS 1.3 suites be chosen`,
      );
    }
    return {
      ...versionRange(protocols),
      ...(DEFAULT_CIPHERS.has(ciphers) ? {} : { ciphers }),
      ...(tls13 === null || tls13 === "" ? {} : { tls13Ciphers: tls13 }),
    };
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

/** A list of words (`,` or `:` between, `!x` removes) as the range of versions that the runtimes take. */
function versionRange(words: string): { minVersion: TlsVersion; maxVersion: TlsVersion } {
  const chosen = new Set<TlsVersion>();
  for (const word of words
    .toLowerCase()
    .split(/[,:]/)
    .map((part) => part.trim())) {
    const removes = word.startsWith("!");
    const versions = VERSION_WORDS[removes ? word.slice(1) : word];
    if (versions === undefined) throw new Error(`invalid TLS protocols: "${words}"`);
    for (const version of versions) {
      if (removes) chosen.delete(version);
      else chosen.add(version);
    }
  }
  const inOrder = VERSIONS.filter((version) => chosen.has(version));
  const minVersion = inOrder[0];
  const maxVersion = inOrder.at(-1);
  if (minVersion === undefined || maxVersion === undefined) throw new Error(`invalid TLS protocols: "${words}"`);
  return { minVersion, maxVersion };
}
