/**
 * Name resolution by the system's resolver (getaddrinfo), as PgBouncer does it: hosts file, search domains and all.
 *
 * The order of the answer is kept; choosing and caching are the callers' business.
 */
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";

/** Addresses of `host`, at least one. Rejects with the resolver's error (`code` ENOTFOUND, EAI_AGAIN …). */
export async function resolve(host: string): Promise<readonly string[]> {
  if (isIP(host) !== 0) return [host];
  const addresses = await lookup(host, { all: true, order: "verbatim" });
  return addresses.map(({ address }) => address);
}
