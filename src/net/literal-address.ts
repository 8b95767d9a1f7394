/** Telling addresses from names. */
import { isIP } from "node:net";

/** True for an IPv4 or IPv6 address, false for a name. */
export function isLiteralAddress(host: string): boolean {
  return isIP(host) !== 0;
}

/** True for an IPv6 address. */
export function isIpv6Address(host: string): boolean {
  return isIP(host) === 6;
}
