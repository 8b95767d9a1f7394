/**
 * Answers from name servers that are asked directly, as a resolv.conf says it: no thread waits for them, so that a name
 * whose servers are dead delays no other one.
 *
 * In the order of c-ares, which PgBouncer uses for this: `localhost` is this machine (RFC 6761), then the hosts file, then
 * DNS with the search domains. Addresses of one family only: PostgreSQL is tried at each of them in turn, and a machine
 * that has only one family would fail every other time. IPv4 is preferred where this machine has it.
 */
import { networkInterfaces } from "node:os";
import type { DnsChannel, OpenChannel } from "./dns-channel.ts";
import { parseHostsFile } from "./dns-hosts-file.ts";
import type { ResolvConf } from "./dns-resolv-conf.ts";
import type { NameSource } from "./dns-source.ts";
import { isIpv6Address, isLiteralAddress } from "./literal-address.ts";
import { connectionError } from "./settled.ts";

export interface NameServersOptions {
  readonly conf: ResolvConf;
  /** The text of the hosts file, "" if there is none; read for each look-up. */
  readonly readHosts: () => string;
  readonly openChannel: OpenChannel;
  /** Whether this machine has an IPv4 address beside the loopback; by default it is looked at for each look-up. */
  readonly hasIpv4?: () => boolean;
}

/** The next domain may know a name of which a server says this. */
const NOT_HERE: ReadonlySet<string> = new Set(["ENOTFOUND", "ENODATA", "ESERVFAIL"]);
const LOCALHOST = ["127.0.0.1", "::1"];

export class NameServers implements NameSource {
  readonly #conf: ResolvConf;
  readonly #readHosts: () => string;
  readonly #hasIpv4: () => boolean;
  /** One for each server that can be the first to be asked; a single one without `rotate`. */
  readonly #channels: readonly DnsChannel[];
  #next = 0;

  constructor({ conf, readHosts, openChannel, hasIpv4 = hasIpv4Address }: NameServersOptions) {
    this.#conf = conf;
    this.#readHosts = readHosts;
    this.#hasIpv4 = hasIpv4;
    const firsts = conf.rotate ? conf.servers.keys() : [0];
    this.#channels = [...firsts].map((first) =>
      openChannel([...conf.servers.slice(first), ...conf.servers.slice(0, first)], conf),
    );
  }

  async resolve(host: string): Promise<readonly string[]> {
    if (isLiteralAddress(host)) return [host];
    const plain = host.replace(/\.$/, "").toLowerCase();
    if (plain === "localhost" || plain.endsWith(".localhost")) return this.#oneFamily(LOCALHOST);
    const known = parseHostsFile(this.#readHosts()).get(plain);
    if (known !== undefined) return this.#oneFamily(known);
    return this.#search(host);
  }

  async zoneSerial(zone: string): Promise<number> {
    return (await this.#channel().resolveSoa(zone)).serial;
  }

  async #search(host: string): Promise<readonly string[]> {
    let failure: unknown;
    for (const name of searched(host, this.#conf)) {
      try {
        return await this.#ask(name);
      } catch (error) {
        const { code } = error as { code?: string };
        // A name server that fails says less than one that knows nothing; the last word is the graver one.
        if (failure === undefined || code === "ESERVFAIL") failure = error;
        if (code === undefined || !NOT_HERE.has(code)) throw error;
      }
    }
    throw failure ?? connectionError("ENOTFOUND", `queryA ENOTFOUND ${host}`);
  }

  /** Both families are asked for together; the preferred one does not wait for the other. */
  async #ask(name: string): Promise<readonly string[]> {
    const channel = this.#channel();
    const four = settle(channel.resolve4(name));
    const six = settle(channel.resolve6(name));
    const [preferred, other] = this.#hasIpv4() ? [four, six] : [six, four];
    const first = await preferred;
    if ("addresses" in first && first.addresses.length > 0) return [...new Set(first.addresses)];
    const second = await other;
    if ("addresses" in second && second.addresses.length > 0) return [...new Set(second.addresses)];
    if ("error" in first) throw first.error;
    throw connectionError("ENODATA", `queryA ENODATA ${name}`);
  }

  #oneFamily(addresses: readonly string[]): readonly string[] {
    const six = addresses.filter(isIpv6Address);
    const four = addresses.filter((address) => !isIpv6Address(address));
    if (four.length === 0) return six;
    const loopback = four.every((address) => address.startsWith("127."));
    return six.length > 0 && !loopback && !this.#hasIpv4() ? six : four;
  }

  #channel(): DnsChannel {
    this.#next = (this.#next + 1) % this.#channels.length;
    return this.#channels[this.#next] as DnsChannel;
  }
}

type Settled = { readonly addresses: readonly string[] } | { readonly error: unknown };

function settle(answer: Promise<readonly string[]>): Promise<Settled> {
  return answer.then(
    (addresses) => ({ addresses }),
    (error: unknown) => ({ error }),
  );
}

/** The names to be asked for, in order: `ndots` decides whether the name as it is comes first or last. */
function searched(host: string, { search, ndots }: ResolvConf): readonly string[] {
  if (host.endsWith(".")) return [host];
  const within = search.map((domain) => `${host}.${domain}`);
  const dots = host.split(".").length - 1;
  return dots >= ndots ? [host, ...within] : [...within, host];
}

function hasIpv4Address(): boolean {
  return Object.values(networkInterfaces()).some((addresses) =>
    addresses?.some(({ family, internal }) => family === "IPv4" && !internal),
  );
}
