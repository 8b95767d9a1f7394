/**
 * One peer: the cancel requests that are on their way to another pooler of the group, and those that wait for their turn.
 *
 * At most `pool_size` connections to a peer are open at a time. Not for: what a request does on its connection
 * (`peer-forward.ts`), which peers there are (`pooler/peers.ts`).
 *
 * Counterpart: PgBouncer's peer pools (`get_peer_pool`, `kill_peer_pool`).
 */
import type { PeerEntry } from "../config/peer-entry.ts";
import type { Engine } from "./engine.ts";
import type { PeerForward } from "./peer-forward.ts";

export class PeerPool {
  readonly engine: Engine;
  /** Where the peer is. What is on its way goes where it was sent. */
  entry: PeerEntry;
  readonly #waiting = new Set<PeerForward>();
  /** Those that take a place: from before the connect until the socket has closed. */
  readonly #open = new Set<PeerForward>();

  constructor(engine: Engine, entry: PeerEntry) {
    this.engine = engine;
    this.entry = entry;
  }

  get id(): number {
    return this.entry.id;
  }

  /** Connections at a time; 0 = as many as there are requests. */
  get sizeMax(): number {
    return this.entry.poolSize ?? this.engine.settings.defaultPoolSize;
  }

  /** Requests whose connection is not open yet, with and without a place. */
  get connecting(): number {
    let count = 0;
    for (const forward of this.#open) if (!forward.isSent && !forward.isOver) count += 1;
    return count;
  }

  /** Requests that the peer has and has not answered yet. */
  get sent(): number {
    let count = 0;
    for (const forward of this.#open) if (forward.isSent && !forward.isOver) count += 1;
    return count;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** `forward` connects as soon as there is a place. */
  add(forward: PeerForward): void {
    this.#waiting.add(forward);
    this.start();
  }

  /** It does not want a place any more, or gives its place back. */
  left(forward: PeerForward): void {
    this.#waiting.delete(forward);
    if (this.#open.delete(forward)) this.start();
  }

  /** Gives out the places that are free: after a reload there may be more. */
  start(): void {
    for (const forward of this.#waiting) {
      if (this.sizeMax > 0 && this.#open.size >= this.sizeMax) return;
      this.#waiting.delete(forward);
      this.#open.add(forward);
      forward.open();
    }
  }

  /** There is no such peer any more, or no pooler: all that is under way ends. */
  close(reason: string): void {
    for (const forward of this.#waiting) forward.end(reason);
    for (const forward of this.#open) forward.end(reason);
  }
}
