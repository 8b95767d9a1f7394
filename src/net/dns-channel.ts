/**
 * How name servers are reached: the runtime's c-ares. A runtime chooses the way that suits its build of it.
 */
import { Resolver } from "node:dns/promises";
import type { ResolvConf } from "./dns-resolv-conf.ts";

/** What is asked of name servers; rejects with an error whose `code` is c-ares's. */
export interface DnsChannel {
  resolve4(name: string): Promise<readonly string[]>;
  resolve6(name: string): Promise<readonly string[]>;
  resolveSoa(name: string): Promise<{ readonly serial: number }>;
}

/** A channel to `servers`, which are asked in this order. */
export type OpenChannel = (servers: readonly string[], conf: ResolvConf) => DnsChannel;

/** One for good: it remembers which servers failed, and asks them last. For Node, which switches c-ares's memory of answers off. */
export const openChannel: OpenChannel = (servers, conf) => {
  const resolver = new Resolver({ timeout: conf.timeoutMs, tries: conf.attempts });
  resolver.setServers(servers);
  return resolver;
};

/**
 * A new one for each question: what c-ares remembers, for up to an hour if the record says so, is forgotten. For Bun, which
 * leaves that memory on: `dns_max_ttl` and a zone's new serial would mean nothing.
 */
export const openForgetfulChannel: OpenChannel = (servers, conf) => ({
  resolve4: (name) => openChannel(servers, conf).resolve4(name),
  resolve6: (name) => openChannel(servers, conf).resolve6(name),
  resolveSoa: (name) => openChannel(servers, conf).resolveSoa(name),
});
