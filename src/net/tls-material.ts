/**
 * Can certificates, key and ciphers be used at all? Asked when they are loaded, so that a broken file is refused then, with
 * its reason, and not at each client's handshake. Whom a certificate is for is judged elsewhere (`tls-peer-name.ts`).
 */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";
import type { TlsSettings } from "./transport.ts";

/** All that TLS 1.3 has. The library would only complain of a list in which none is known. */
const TLS13_SUITES: ReadonlySet<string> = new Set([
  "TLS_AES_256_GCM_SHA384",
  "TLS_CHACHA20_POLY1305_SHA256",
  "TLS_AES_128_GCM_SHA256",
  "TLS_AES_128_CCM_SHA256",
  "TLS_AES_128_CCM_8_SHA256",
]);

/** Null, or what is wrong with `settings`, in words for the log; no content of a key is in them. */
export function findTlsProblem(settings: TlsSettings): string | null {
  const { ca, cert, key, ciphers, curve, tls13Ciphers } = settings;
  try {
    if (ca !== undefined) readCertificate("CA", ca);
    const certificate = cert === undefined ? null : readCertificate("certificate", cert);
    if (key !== undefined && certificate !== null && !certificate.checkPrivateKey(createKey(key))) {
      return "the key does not belong to the certificate";
    }
    const unknown = tls13Ciphers?.split(":").find((name) => !TLS13_SUITES.has(name));
    if (unknown !== undefined) return `failed to set the TLSv1.3 cipher suites: no cipher match for "${unknown}"`;
    if (ciphers !== undefined) createSecureContext({ ciphers });
    if (curve !== undefined) createSecureContext({ ecdhCurve: curve });
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}

function readCertificate(what: string, pem: Uint8Array): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (error) {
    throw new Error(`the ${what} file holds no certificate in PEM format`, { cause: error });
  }
}

function createKey(pem: Uint8Array): ReturnType<typeof createPrivateKey> {
  try {
    return createPrivateKey({ key: Buffer.from(pem), format: "pem" });
  } catch (error) {
    throw new Error("the key file holds no private key in PEM format that can be read without a passphrase", {
      cause: error,
    });
  }
}
