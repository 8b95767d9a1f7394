/**
 * Zones whose serial numbers are looked at every `dns_zone_check_period`: when one has grown, all its hosts are looked up
 * again, so that a changed address is known before `dns_max_ttl` is over, or before anybody connects.
 *
 * The zone of a host is what stands behind its first dot, as in PgBouncer: a host whose zone is cut higher up is not
 * covered. All zones are asked at once; one whose servers are dead does not hold up the others. The first serial counts
 * as a change, because a host may have changed since it was looked up.
 */
import type { NameCache } from "./dns-cache.ts";
import type { Clock } from "./world.ts";

export interface ZoneWatchOptions {
  readonly cache: NameCache;
  readonly clock: Clock;
  /** Live; 0 = zones are remembered and not asked for. */
  readonly times: { readonly dnsZoneCheckPeriodMs: number };
  readonly log: (message: string) => void;
  readonly debug: (message: string) => void;
}

/** A zone as SHOW DNS_ZONES tells of it. */
export interface KnownZone {
  readonly name: string;
  /** 0 until one is known. */
  readonly serial: number;
  /** Hosts in it that were looked up. */
  readonly hostCount: number;
}

interface Zone {
  readonly name: string;
  readonly hosts: string[];
  serial: number | null;
}

export class ZoneWatch {
  readonly #options: ZoneWatchOptions;
  /** By their names in lower case. */
  readonly #zones = new Map<string, Zone>();
  #running = 0;
  /** When the period began that is running; null while there is nothing to do. */
  #since: number | null = null;

  constructor(options: ZoneWatchOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#zones.size;
  }

  /** Serial numbers asked for and not answered. */
  get running(): number {
    return this.#running;
  }

  /** `host` is looked up for the first time. */
  addHost(host: string): void {
    const name = zoneOf(host);
    if (name === null) return;
    const key = name.toLowerCase();
    const zone = this.#zones.get(key);
    if (zone === undefined) this.#zones.set(key, { name, hosts: [host], serial: null });
    else zone.hosts.push(host);
  }

  /** Maintenance, a few times a second: asks when a period is over. The next begins when all have answered. */
  tick(): void {
    const { clock, times } = this.#options;
    if (times.dnsZoneCheckPeriodMs === 0 || this.#zones.size === 0) {
      this.#since = null;
      return;
    }
    if (this.#running > 0) return;
    const now = clock.now();
    this.#since ??= now;
    if (now - this.#since < times.dnsZoneCheckPeriodMs) return;
    for (const zone of this.#zones.values()) this.#ask(zone);
  }

  /** In the order of their names. */
  zones(): readonly KnownZone[] {
    return [...this.#zones.entries()]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, { name, hosts, serial }]) => ({ name, serial: serial ?? 0, hostCount: hosts.length }));
  }

  #ask(zone: Zone): void {
    const { cache, debug } = this.#options;
    this.#running += 1;
    cache.source.zoneSerial(zone.name).then(
      (serial) => {
        this.#ended();
        this.#answered(zone, serial);
      },
      () => {
        this.#ended();
        debug(`failure to get zone '${zone.name}' serial`);
      },
    );
  }

  #ended(): void {
    this.#running -= 1;
    if (this.#running === 0) this.#since = this.#options.clock.now();
  }

  #answered(zone: Zone, serial: number): void {
    const { cache, log, debug } = this.#options;
    if (zone.serial !== null && !isLater(serial, zone.serial)) {
      debug(`zone '${zone.name}' unchanged: serial=${serial}`);
      return;
    }
    log(`zone '${zone.name}' serial changed: old=${zone.serial ?? 0} new=${serial}`);
    zone.serial = serial;
    for (const host of zone.hosts) cache.refresh(host);
  }
}

/** What stands behind the first dot; null where nothing does. */
export function zoneOf(host: string): string | null {
  const dot = host.indexOf(".");
  return dot < 0 || dot === host.length - 1 ? null : host.slice(dot + 1);
}

/** Serial numbers go round (RFC 1982): the later one is less than half of the numbers ahead. */
function isLater(serial: number, than: number): boolean {
  return ((serial - than) | 0) > 0;
}
