/**
 * TLS on Bun (BoringSSL): settings become `upgradeTLS` options, a finished handshake becomes a report.
 *
 * Nothing is judged here, as in `node-tls.ts`. What BoringSSL cannot do is refused instead of ignored.
 */
import type { BunSocket, BunTlsOptions } from "./bun-socket.ts";
import { connectionError } from "./settled.ts";
import type { TlsPeer, TlsSettings, TlsVersion } from "./transport.ts";

const VERSION_NUMBERS: Readonly<Record<TlsVersion, number>> = {
  TLSv1: 0x301,
  "TLSv1.1": 0x302,
  "TLSv1.2": 0x303,
  "TLSv1.3": 0x304,
};

/** Throws where Bun cannot do what the settings ask for. */
export function bunTlsOptions(role: "server" | "client", settings: TlsSettings): BunTlsOptions {
  if (settings.tls13Ciphers !== undefined) {
    throw connectionError("ENOTSUP", "the TLS 1.3 cipher suites cannot be chosen on Bun (BoringSSL)");
  }
  if (settings.finiteField === true) {
    throw connectionError("ENOTSUP", "there is no finite-field Diffie-Hellman on Bun (BoringSSL)");
  }
  return {
    ...(settings.ca === undefined ? {} : { ca: settings.ca }),
    ...(settings.cert === undefined ? {} : { cert: settings.cert }),
    ...(settings.key === undefined ? {} : { key: settings.key }),
    ...(settings.ciphers === undefined ? {} : { ciphers: settings.ciphers }),
    ...(settings.serverName === undefined ? {} : { serverName: settings.serverName }),
    ...(settings.alpn === undefined ? {} : { ALPNProtocols: lengthPrefixed(settings.alpn) }),
    ...(settings.curve === undefined ? {} : { ecdhCurve: settings.curve }),
    minVersion: VERSION_NUMBERS[settings.minVersion],
    maxVersion: VERSION_NUMBERS[settings.maxVersion],
    requestCert: role === "client" || settings.requestCertificate === true,
    rejectUnauthorized: false,
  };
}

/**
 * Reads a handshake that is over. Null when it failed: Bun calls the same handler for a failed handshake and for an
 * untrusted certificate, and only the missing cipher tells them apart.
 */
export function bunTlsPeer(
  socket: BunSocket<unknown>,
  hasAuthority: boolean,
  error: (Error & { code?: string }) | null,
): TlsPeer | null {
  // Null after most failures; when the peer went in the middle there is not even an object.
  const cipher = (socket.getCipher() as { name: string | null } | undefined)?.name ?? null;
  if (cipher === null) return null;
  const certificate = socket.getPeerX509Certificate()?.raw ?? null;
  return {
    version: socket.getTLSVersion(),
    cipher,
    alpn: socket.alpnProtocol || null,
    chainError: certificate === null ? null : chainError(hasAuthority, error?.code),
    certificate,
  };
}

function chainError(hasAuthority: boolean, code: string | undefined): string | null {
  // A wrong name is looked at after the chain was found good, and names are the caller's business.
  if (code !== undefined && code !== "ERR_TLS_CERT_ALTNAME_INVALID") return code;
  // Without a `ca` Bun asks its own list of authorities, which has no say here.
  return hasAuthority ? null : "UNABLE_TO_VERIFY_LEAF_SIGNATURE";
}

function lengthPrefixed(name: string): Uint8Array {
  const bytes = Buffer.from(name, "latin1");
  return Buffer.concat([Buffer.from([bytes.length]), bytes]);
}
