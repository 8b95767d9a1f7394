/**
 * What is known of one database's catalogue, and when it is read again.
 *
 *     null ──(asked for)──▶ reading ──▶ facts ──(DDL seen)──▶ null
 *                             │  ▲       │  ▲
 *             pause, growing ◀┘──┘       └──┘ read again while they are asked for, every 15 s
 *
 * DDL through this pooler is noticed at once (`noteDdl`), any other by reading again. Nobody waits for a reading: while nothing
 * is known nothing is shared. What failed is tried again, and no reading starts but because somebody asks. Where a reading takes
 * long, as in a catalogue of ten thousands of tables, the next comes later: readings have PostgreSQL busy for a twentieth of the time.
 *
 * The reading itself is `catalogue-read.ts`.
 */
import type { DatabaseEntry } from "../config/database-entry.ts";
import type { CatalogueFacts } from "../sharing/catalogue-facts.ts";
import { CatalogueRead } from "./catalogue-read.ts";
import type { ServerPool } from "./server-pool.ts";

/** Without DDL that we see they are read again after this time. */
const FRESH_MS = 15_000;
/** If that fails, they are believed for so long in all. */
const BELIEVED_MS = 60_000;
/** From one reading's start to the next one's, however much DDL there is. */
const READING_GAP_MS = 1_000;
/** From one reading's end to the next one's start it is so many times what the one took. */
const REST_FACTOR = 20;
const PAUSE_MAX_MS = 60_000;

export class CatalogueWatch {
  #facts: CatalogueFacts | null = null;
  /** When the reading that they came from began, monotonic ms. */
  #readAt = 0;
  /** The configuration that they were read under: another one may lead to another database. */
  #entry: DatabaseEntry | null = null;
  /** Counts what makes a reading that is under way worthless. */
  #changes = 0;
  #reading: CatalogueRead | null = null;
  #isWished = false;
  /** No reading begins before, monotonic ms. */
  #nextAt = Number.NEGATIVE_INFINITY;
  /** What the last reading has cost keeps the next one away for so long. */
  #restMs = 0;
  #pauseMs = READING_GAP_MS;
  #loggedFailure: string | null = null;

  /**
   * What is known now; null: nothing, and nothing may share. May note the wish to read, on a server of `pool`; does nothing
   * else, as it is called for client after client.
   */
  facts(pool: ServerPool): CatalogueFacts | null {
    const { now } = pool.engine.turn;
    if (this.#entry !== pool.database.entry) this.#forget(pool.database.entry);
    const ageMs = now - this.#readAt;
    if (this.#facts !== null && ageMs < FRESH_MS) return this.#facts;
    if (this.#reading === null && !this.#isWished && now >= this.#nextAt) {
      this.#isWished = true;
      pool.engine.world.afterTurn(() => this.#read(pool));
    }
    return ageMs < this.#believedMs ? this.#facts : null;
  }

  /** As `facts`, for who only looks: wishes for nothing. */
  peek(pool: ServerPool): CatalogueFacts | null {
    const isKnown = this.#entry === pool.database.entry && pool.engine.turn.now - this.#readAt < this.#believedMs;
    return isKnown ? this.#facts : null;
  }

  /** Why the last reading came to nothing; null if it did not fail. */
  get failure(): string | null {
    return this.#loggedFailure;
  }

  /**
   * A statement has changed names' meanings, as far as its tag tells: what is known is not true any more. To be called when its
   * CommandComplete comes, and again when the transaction that it ran in is over: others see the change only then.
   */
  noteDdl(): void {
    this.#facts = null;
    this.#changes += 1;
  }

  get #believedMs(): number {
    return BELIEVED_MS + this.#restMs;
  }

  #forget(entry: DatabaseEntry): void {
    this.#entry = entry;
    this.noteDdl();
  }

  #read(pool: ServerPool): void {
    this.#isWished = false;
    // A connection is not opened for it, nor for a client in its way: clients bring the pool to its size, and while it grows there is
    // little to share. Nor is there for who waits until a server has logged in or passed its check: nobody else uses one.
    if (isClosed(pool) || pool.core.loginFailing || pool.core.grows || !pool.core.inUse) return;
    const { now } = pool.engine.turn;
    const changes = this.#changes;
    this.#nextAt = now + READING_GAP_MS;
    const reading = new CatalogueRead(pool, (result) => {
      this.#reading = null;
      this.#rest(pool, reading.tookMs);
      if (result === null) return;
      if (typeof result === "string") this.#failed(pool, result);
      else if (changes === this.#changes) this.#learn(result, now);
    });
    this.#reading = reading;
    reading.start();
  }

  #rest(pool: ServerPool, tookMs: number): void {
    if (tookMs === 0) return;
    this.#restMs = REST_FACTOR * tookMs;
    this.#wait(pool, this.#restMs);
  }

  /** The next reading begins after `ms` at the earliest. */
  #wait(pool: ServerPool, ms: number): void {
    this.#nextAt = Math.max(this.#nextAt, pool.engine.turn.now + ms);
  }

  #learn(facts: CatalogueFacts, readAt: number): void {
    this.#facts = facts;
    this.#readAt = readAt;
    this.#pauseMs = READING_GAP_MS;
    this.#loggedFailure = null;
  }

  #failed(pool: ServerPool, reason: string): void {
    const { log } = pool.engine;
    this.#wait(pool, this.#pauseMs);
    this.#pauseMs = Math.min(2 * this.#pauseMs, PAUSE_MAX_MS);
    if (isClosed(pool) || reason === this.#loggedFailure) return;
    this.#loggedFailure = reason;
    log.warning(
      `${pool.database.name}/${pool.user.name}: catalogue cannot be read, statements do not share: ${reason}`,
    );
  }
}

/** By PAUSE or a shutdown: no server is given out. */
function isClosed(pool: ServerPool): boolean {
  return pool.core.paused || pool.engine.directory.serversClosedWith !== null;
}
