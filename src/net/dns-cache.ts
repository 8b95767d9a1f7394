/**
 * What is remembered of host names: the addresses of the last answer, and for how long they count.
 *
 * One look-up is under way for a name however many want it. A good answer counts for `dns_max_ttl`, a failure for
 * `dns_nxdomain_ttl`; the record's own TTL is not known. When the time is over nothing happens until somebody wants the
 * name; who does waits for the new answer, as in PgBouncer: an old address is not handed out again. The addresses of an
 * answer are used in turn, going on where the last answer left off, so that one that is dead does not come first
 * each time.
 *
 * Better than PgBouncer: an address that turned out bad (`suspect`) does not have to be believed until its time is over.
 * A failover that moves a name is followed at the next attempt.
 *
 * Names come from the configuration, so there are no more than entries have named since the start. Counterpart:
 * PgBouncer's `dnslookup.c`.
 */
import type { NameSource } from "./dns-source.ts";
import { warnOfThrow } from "./settled.ts";
import type { Clock } from "./world.ts";

/** Live: read whenever they matter. */
export interface CacheTimes {
  readonly dnsMaxTtlMs: number;
  readonly dnsNxdomainTtlMs: number;
}

export interface NameCacheOptions {
  readonly source: NameSource;
  readonly clock: Clock;
  readonly afterTurn: (task: () => void) => void;
  readonly times: CacheTimes;
  /** A line for the log. */
  readonly warn: (message: string) => void;
}

/** A name as SHOW DNS_HOSTS tells of it. */
export interface KnownName {
  readonly name: string;
  /** Empty while the first answer is awaited, and when the last look-up failed. */
  readonly addresses: readonly string[];
  /** How long that counts still; 0 when it is over. */
  readonly ttlMs: number;
}

type Found = (address: string | null) => void;

/** An address that is suspected is believed this long after its answer nevertheless: many servers may die at once. */
const BELIEVED_MIN_MS = 1000;

class Entry {
  readonly name: string;
  /** Of the last good answer. */
  addresses: readonly string[] = [];
  /** Whether the last answer was one. */
  good = false;
  answeredAt = -Infinity;
  suspected = false;
  running = false;
  /** Which address is next. */
  turn = 0;
  waiting: Found[] = [];

  constructor(name: string) {
    this.name = name;
  }

  nextAddress(): string | null {
    if (!this.good) return null;
    return this.addresses[this.turn++ % this.addresses.length] ?? null;
  }
}

export class NameCache {
  readonly #options: NameCacheOptions;
  readonly #entries = new Map<string, Entry>();
  #source: NameSource;
  #running = 0;
  /** Is told of each name that is looked up for the first time. */
  onNewName: (name: string) => void = () => {};
  /** Is told of each address that a good answer lacks and the last good answer before it had. */
  onAddressGone: (name: string, address: string) => void = () => {};

  constructor(options: NameCacheOptions) {
    this.#options = options;
    this.#source = options.source;
  }

  /** Whom to ask from now on. */
  set source(source: NameSource) {
    this.#source = source;
  }

  get source(): NameSource {
    return this.#source;
  }

  /** Names that were ever looked up. */
  get size(): number {
    return this.#entries.size;
  }

  /** Look-ups under way. */
  get running(): number {
    return this.#running;
  }

  /**
   * The address to connect to next for `name`, which is no literal address: `found` is called once, after this call has
   * returned, with null when the name cannot be resolved.
   */
  lookUp(name: string, found: Found): void {
    let entry = this.#entries.get(name);
    if (entry === undefined) {
      entry = new Entry(name);
      this.#entries.set(name, entry);
      this.onNewName(name);
    }
    if (!entry.running && this.#remainingMs(entry) > 0) {
      const address = entry.nextAddress();
      this.#options.afterTurn(() => found(address));
      return;
    }
    entry.waiting.push(found);
    if (!entry.running) this.#ask(entry);
  }

  /** A connection to one of its addresses failed or was lost: the next who wants the name gets a new answer. */
  suspect(name: string): void {
    const entry = this.#entries.get(name);
    if (entry !== undefined && entry.good) entry.suspected = true;
  }

  /** Looks a known name up again although its answer still counts; who wants it meanwhile waits. */
  refresh(name: string): void {
    const entry = this.#entries.get(name);
    if (entry !== undefined && !entry.running) this.#ask(entry);
  }

  /** In the order of names. */
  names(): readonly KnownName[] {
    return [...this.#entries.values()]
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .map((entry) => ({
        name: entry.name,
        addresses: entry.good ? entry.addresses : [],
        ttlMs: entry.running ? 0 : Math.max(0, this.#remainingMs(entry)),
      }));
  }

  #remainingMs(entry: Entry): number {
    const { clock, times } = this.#options;
    const ttlMs = entry.good ? times.dnsMaxTtlMs : times.dnsNxdomainTtlMs;
    const believedMs = entry.suspected ? Math.min(ttlMs, BELIEVED_MIN_MS) : ttlMs;
    return entry.answeredAt + believedMs - clock.now();
  }

  #ask(entry: Entry): void {
    entry.running = true;
    this.#running += 1;
    this.#source.resolve(entry.name).then(
      (addresses) => {
        this.#answered(entry, addresses);
      },
      (error: unknown) => {
        const { code, message } = error as Error & { code?: string };
        this.#options.warn(`DNS lookup failed: ${entry.name}: ${code ?? message}`);
        this.#answered(entry, []);
      },
    );
  }

  #answered(entry: Entry, addresses: readonly string[]): void {
    this.#running -= 1;
    entry.running = false;
    entry.suspected = false;
    entry.answeredAt = this.#options.clock.now();
    entry.good = addresses.length > 0;
    if (entry.good) {
      const before = entry.addresses;
      entry.addresses = addresses;
      for (const address of before) if (!addresses.includes(address)) this.#tell(entry, address);
    }
    const { waiting } = entry;
    entry.waiting = [];
    for (const found of waiting) {
      const address = entry.nextAddress();
      this.#guard(() => found(address));
    }
  }

  #tell(entry: Entry, address: string): void {
    this.#guard(() => this.onAddressGone(entry.name, address));
  }

  /** A defect of one who waits must not be the others'. */
  #guard(task: () => void): void {
    try {
      task();
    } catch (error) {
      warnOfThrow("whoever waited for a name", error);
    }
  }
}
