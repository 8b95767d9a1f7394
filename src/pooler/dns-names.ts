/**
 * Names of servers in one pooler: the cache and the zones that are watched, and what follows when a name has moved.
 *
 * Responsible for: joining them, `resolv_conf`, and tagging servers whose address is not one of their host's any more.
 * Not for: asking and remembering (`net/dns-*.ts`). Counterpart: PgBouncer's `tag_host_addr_dirty` and `adns_create_context`.
 */
import type { Settings } from "../config/settings.ts";
import { systemErrorText } from "../log/system-error.ts";
import type { Logger } from "../log/logger.ts";
import { NameCache } from "../net/dns-cache.ts";
import { parseResolvConf } from "../net/dns-resolv-conf.ts";
import { ZoneWatch } from "../net/dns-zones.ts";
import type { World } from "../net/world.ts";
import { ServerState } from "../pool/server-state.ts";
import type { ServerPool } from "../session/server-pool.ts";

export class ServerNames {
  readonly cache: NameCache;
  readonly zones: ZoneWatch;
  readonly #world: World;
  readonly #settings: Settings;

  constructor(world: World, settings: Settings, log: Logger) {
    this.#world = world;
    this.#settings = settings;
    const { clock } = world;
    this.cache = new NameCache({
      source: world,
      clock,
      afterTurn: (task) => world.afterTurn(task),
      times: settings,
      warn: (message) => log.warning(message),
    });
    this.zones = new ZoneWatch({
      cache: this.cache,
      clock,
      times: settings,
      log: (message) => log.log(message),
      debug: (message) => log.debug(message),
    });
    this.cache.onNewName = (name) => this.zones.addHost(name);
  }

  /** Look-ups under way, of hosts and of zones. */
  get running(): number {
    return this.cache.running + this.zones.running;
  }

  /** Takes over `resolv_conf`, which is read at start only. Returns why the process cannot run, null when it can. */
  open(readFile: (path: string) => Uint8Array): string | null {
    const path = this.#settings.resolvConf;
    if (path === "") return null;
    let text: string;
    try {
      text = Buffer.from(readFile(path)).toString("utf8");
    } catch (error) {
      return `could not open resolv_conf ${path}: ${systemErrorText(error)}`;
    }
    const { conf, problems } = parseResolvConf(text);
    if (problems.length > 0) {
      const list = problems.map(({ line, message }) => `${message} (${line === 0 ? path : `${path}:${line}`})`);
      return `resolv_conf: ${list.join("; ")}`;
    }
    this.cache.source = this.#world.nameServers(conf);
    return null;
  }

  /** The servers of which pools are tagged when a name has lost their address. */
  watch(pools: () => Iterable<ServerPool>): void {
    this.cache.onAddressGone = (name, address) => {
      for (const pool of pools()) if (pool.database.entry.host === name) tagServersAt(pool, address);
    };
  }
}

/** They are not given to another client: free ones close at the next maintenance, others when they are released. */
function tagServersAt(pool: ServerPool, address: string): void {
  for (const state of Object.values(ServerState)) {
    for (const server of pool.core.servers.in(state)) {
      if (server.connectedTo === address) server.closeNeeded = true;
    }
  }
}
