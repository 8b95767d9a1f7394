/**
 * The other poolers of the group, as `[peers]` names them.
 *
 * A peer that no request was passed on to is an entry and nothing more; the first one makes its pool. An entry for the own
 * `peer_id` is never asked for. Counterpart: `find_peer` and `get_peer_pool` in PgBouncer's objects.c.
 */
import type { PeerEntry } from "../config/peer-entry.ts";
import type { Engine } from "../session/engine.ts";
import { PeerPool } from "../session/peer-pool.ts";

export class Peers {
  readonly #engine: Engine;
  #entries: ReadonlyMap<number, PeerEntry> = new Map();
  readonly #pools = new Map<number, PeerPool>();

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** The peer of that id; null when there is none. */
  find(id: number): PeerPool | null {
    const known = this.#pools.get(id);
    if (known !== undefined) return known;
    const entry = this.#entries.get(id);
    if (entry === undefined) return null;
    const pool = new PeerPool(this.#engine, entry);
    this.#pools.set(id, pool);
    return pool;
  }

  /** Takes over what `[peers]` says now. Requests for peers that it does not name any more end. */
  take(entries: ReadonlyMap<number, PeerEntry>): void {
    this.#entries = entries;
    for (const [id, pool] of this.#pools) {
      const entry = entries.get(id);
      if (entry === undefined) {
        this.#pools.delete(id);
        pool.close("peer removed");
      } else {
        pool.entry = entry;
        pool.start();
      }
    }
  }

  /** The pooler ends. */
  close(): void {
    for (const pool of this.#pools.values()) pool.close("server shutting down");
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Those that requests were passed on to, in the order of their ids. */
  get pools(): readonly PeerPool[] {
    return [...this.#pools.values()].sort((a, b) => a.id - b.id);
  }

  /** All, in the order of their ids. */
  get entries(): readonly PeerEntry[] {
    return [...this.#entries.values()].sort((a, b) => a.id - b.id);
  }
}
