/**
 * TLS on Node: settings become a secure context, a finished handshake becomes a report.
 *
 * Nothing is judged here: every certificate is accepted and reported, the caller applies sslmode, names and maps.
 */
import { createSecureContext, DEFAULT_CIPHERS } from "node:tls";
import type { SecureContext, TLSSocket } from "node:tls";
import { tlsHandle } from "./node-handle.ts";
import type { TlsPeer, TlsSettings } from "./transport.ts";

/** Reading a key costs far more than a handshake's bookkeeping: one context for each settings object. */
export class NodeTlsContexts {
  readonly #contexts = new WeakMap<TlsSettings, SecureContext>();

  /** Throws what OpenSSL says about certificates, keys and ciphers it cannot use. */
  of(settings: TlsSettings): SecureContext {
    let context = this.#contexts.get(settings);
    if (context === undefined) {
      context = createSecureContext({
        // Without a `ca` no chain is trusted; the runtime's own list of authorities has no say.
        ca: settings.ca === undefined ? [] : [buffer(settings.ca)],
        ...(settings.cert === undefined ? {} : { cert: buffer(settings.cert) }),
        ...(settings.key === undefined ? {} : { key: buffer(settings.key) }),
        ...cipherOption(settings),
        ...(settings.curve === undefined ? {} : { ecdhCurve: settings.curve }),
        ...(settings.finiteField === true ? { dhparam: "auto" } : {}),
        minVersion: settings.minVersion,
        maxVersion: settings.maxVersion,
      });
      this.#contexts.set(settings, context);
    }
    return context;
  }
}

/** Reads a finished handshake. */
export function tlsPeerOf(socket: TLSSocket): TlsPeer {
  const certificate = socket.getPeerX509Certificate()?.raw ?? null;
  // Without a certificate the verification "fails" as well: it means nothing then.
  const chainError = certificate === null ? null : (tlsHandle(socket)?.verifyError() ?? null);
  return {
    version: socket.getProtocol() ?? "",
    cipher: socket.getCipher()?.name ?? "",
    alpn: socket.alpnProtocol || null,
    chainError: chainError === null ? null : (chainError.code ?? chainError.message),
    certificate,
  };
}

/** Node takes suites of TLS 1.3 and ciphers of older versions in one list. */
function cipherOption(settings: TlsSettings): { ciphers?: string } {
  const { ciphers, tls13Ciphers } = settings;
  if (tls13Ciphers === undefined) return ciphers === undefined ? {} : { ciphers };
  const older =
    ciphers ??
    DEFAULT_CIPHERS.split(":")
      .filter((name) => !name.startsWith("TLS_"))
      .join(":");
  return { ciphers: `${tls13Ciphers}:${older}` };
}

function buffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
