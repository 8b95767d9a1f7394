/** Does a certificate belong to a host? For `verify-full`; libpq's rule: SAN, else CN; wildcards; IP addresses. */
import { X509Certificate } from "node:crypto";
import { isLiteralAddress } from "./literal-address.ts";

/** Null when `certificate` (DER) is for `host`, a name or a literal address; else why not, in words for the log. */
export function verifyPeerName(certificate: Uint8Array, host: string): string | null {
  let parsed: X509Certificate;
  try {
    parsed = new X509Certificate(certificate);
  } catch {
    return "the certificate cannot be read";
  }
  const matches = isLiteralAddress(host)
    ? parsed.checkIP(host) !== undefined
    : parsed.checkHost(host, { subject: "default" }) !== undefined;
  return matches ? null : `the certificate is not for host "${host}"`;
}
