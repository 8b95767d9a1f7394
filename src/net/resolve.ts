/**
 * Names as the system resolves them (getaddrinfo): hosts file, search domains, name services and all. The order of the
 * answer is kept; choosing and caching are `dns-cache.ts`'s business.
 *
 * getaddrinfo keeps a thread for as long as it takes, ten seconds and more for a name whose servers are dead, and there are
 * few: libuv lends such calls half of its four, Bun has one or two more than the machine has cores, and PBKDF2 runs on
 * them too. A name that finds no thread free for it does not wait for strangers: after a moment the name servers of the
 * system's resolv.conf are asked directly, which takes no thread. If those do not know it, it may be known elsewhere
 * (another name service): then it waits for a thread after all.
 */
import { readFileSync } from "node:fs";
import { lookup } from "node:dns/promises";
import type { OpenChannel } from "./dns-channel.ts";
import { NameServers } from "./dns-name-servers.ts";
import type { NameSource } from "./dns-source.ts";
import { parseResolvConf } from "./dns-resolv-conf.ts";
import { isLiteralAddress } from "./literal-address.ts";

export interface SystemNamesOptions {
  /** getaddrinfo; by default the runtime's. */
  readonly lookUp?: (host: string) => Promise<readonly string[]>;
  /** The system's name servers, asked directly: `systemNameServers`. */
  readonly nameServers: () => NameSource;
  /** How many getaddrinfo calls may run at once, so that a thread is left for everything else. */
  readonly lookUpsAtOnceMax: number;
  /** How long a name waits for one of them before it is asked for directly. */
  readonly patienceMs?: number;
}

const RESOLV_CONF = "/etc/resolv.conf";
const HOSTS = "/etc/hosts";
const PATIENCE_MS = 100;
/** libuv's default, and the most it takes from UV_THREADPOOL_SIZE. */
const THREADS = 4;
const THREADS_MAX = 1024;

/** A name that waits for a thread, and is asked for directly meanwhile. */
interface Waiter {
  readonly host: string;
  readonly resolve: (addresses: readonly string[]) => void;
  readonly reject: (error: unknown) => void;
}

export class SystemNames implements NameSource {
  readonly #lookUp: (host: string) => Promise<readonly string[]>;
  readonly #nameServers: () => NameSource;
  readonly #atOnceMax: number;
  readonly #patienceMs: number;
  readonly #waiting = new Set<Waiter>();
  #running = 0;

  constructor(options: SystemNamesOptions) {
    this.#lookUp = options.lookUp ?? resolve;
    this.#nameServers = options.nameServers;
    this.#atOnceMax = options.lookUpsAtOnceMax;
    this.#patienceMs = options.patienceMs ?? PATIENCE_MS;
  }

  resolve(host: string): Promise<readonly string[]> {
    if (isLiteralAddress(host)) return Promise.resolve([host]);
    return new Promise((resolve, reject) => {
      const waiter: Waiter = { host, resolve, reject };
      if (this.#running < this.#atOnceMax) this.#start(waiter);
      else this.#wait(waiter);
    });
  }

  async zoneSerial(zone: string): Promise<number> {
    return this.#nameServers().zoneSerial(zone);
  }

  #start({ host, resolve, reject }: Waiter): void {
    this.#running += 1;
    this.#lookUp(host)
      .then(resolve, reject)
      .finally(() => {
        this.#running -= 1;
        for (const waiter of this.#waiting) {
          if (this.#running >= this.#atOnceMax) return;
          this.#waiting.delete(waiter);
          this.#start(waiter);
        }
      });
  }

  #wait(waiter: Waiter): void {
    this.#waiting.add(waiter);
    const timer = setTimeout(() => {
      if (!this.#waiting.has(waiter)) return;
      this.#nameServers()
        .resolve(waiter.host)
        .then(
          (addresses) => {
            // Nothing happens if a thread has become free meanwhile and was faster.
            this.#waiting.delete(waiter);
            waiter.resolve(addresses);
          },
          () => {
            // Its turn will come.
          },
        );
    }, this.#patienceMs);
    timer.unref();
  }
}

/** One getaddrinfo call, for who has no world: at least one address, or the resolver's error. */
export async function resolve(host: string): Promise<readonly string[]> {
  if (isLiteralAddress(host)) return [host];
  const addresses = await lookup(host, { all: true, order: "verbatim" });
  return addresses.map(({ address }) => address);
}

/** How many getaddrinfo calls libuv runs at once: half of its threads, rounded up. The other half stays free for the rest. */
export function libuvLookUpsAtOnce(threadPoolSize = process.env["UV_THREADPOOL_SIZE"]): number {
  const threads = Math.trunc(Number(threadPoolSize ?? THREADS)) || 1;
  return Math.floor((Math.min(Math.max(threads, 1), THREADS_MAX) + 1) / 2);
}

/** The name servers of /etc/resolv.conf as it is now: the same object as long as the file does not change. */
export function systemNameServers(openChannel: OpenChannel): () => NameSource {
  let text: string | null = null;
  let servers: NameServers | null = null;
  return () => {
    const now = readIfThere(RESOLV_CONF);
    if (servers === null || now !== text) {
      text = now;
      const { conf } = parseResolvConf(now);
      // As every resolver takes it: without a name server there is one on this machine.
      const usable = conf.servers.length > 0 ? conf : { ...conf, servers: ["127.0.0.1"] };
      servers = new NameServers({ conf: usable, readHosts: readHostsFile, openChannel });
    }
    return servers;
  };
}

/** The text of the system's hosts file. */
export function readHostsFile(): string {
  return readIfThere(HOSTS);
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
