/**
 * The statements of one pool: finds the record of a text by its fingerprint, and forgets those that are not used.
 *
 * A table of sets with eight places each. A fingerprint's hash says which set; there the bytes are compared, so that two
 * statements are never taken for one. A full set forgets a record that was not looked up again since the set was last looked
 * over, and so does the book as a whole when the fingerprints take too much memory. Nothing is linked, moved or
 * allocated when a record is found, and no text can make a look-up longer than eight places.
 */
import { Fingerprint } from "./fingerprint.ts";
import type { Refusal } from "./refusal.ts";
import { StatementRecord } from "./statement-record.ts";
import { TextTemplates } from "./text-templates.ts";

/** Records in a book. */
export const BOOK_RECORDS_MAX = 2048;
/** Bytes of all fingerprints in a book. */
export const BOOK_BYTES_MAX = 1_048_576;

const WAYS = 8;
const SET_MASK = BOOK_RECORDS_MAX / WAYS - 1;

export class StatementBook {
  #fingerprint: Fingerprint | null;
  readonly #templates = new TextTemplates();
  /** Made with the first record: most pools never need any. */
  #places: (StatementRecord | null)[] = [];
  /** Where the set that is full next is looked over first. */
  #turn = 0;
  /** Where the book is looked over next. */
  #hand = 0;
  #sizeBytes = 0;
  #count = 0;

  /** `fingerprint` is where texts are written down; all books of an event loop can use one. Null: its own, when it is needed. */
  constructor(fingerprint: Fingerprint | null = null) {
    this.#fingerprint = fingerprint;
  }

  /** How many statements it knows. */
  get count(): number {
    return this.#count;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** All that it knows, in no order. */
  *[Symbol.iterator](): IterableIterator<StatementRecord> {
    for (const record of this.#places) if (record !== null) yield record;
  }

  /**
   * The record of the SQL text `memory[start, end)`, which has no terminating zero; a new one if there is none. Texts that
   * cannot be told from others have none: the refusal says why. `multibyteSafe`: whether in the client's encoding a byte
   * below 0x80 is always an ASCII character (false for SJIS, BIG5, GBK, UHC, JOHAB, GB18030).
   */
  recordOf(memory: Uint8Array, start: number, end: number, multibyteSafe: boolean): StatementRecord | Refusal {
    const like = multibyteSafe ? this.#templates.find(memory, start, end) : null;
    if (like !== null) {
      like.wasUsed = true;
      return like;
    }
    const fingerprint = (this.#fingerprint ??= new Fingerprint());
    const refusal = fingerprint.write(memory, start, end, multibyteSafe);
    if (refusal !== null) return refusal;
    const { hash } = fingerprint;
    const first = setOf(hash);
    for (let i = first; i < first + WAYS; i++) {
      const record = this.#places[i] ?? null;
      if (record !== null && record.hash === hash && record.matches(fingerprint.bytes, fingerprint.length)) {
        record.wasUsed = true;
        if (multibyteSafe) this.#templates.learn(memory, start, end, record, fingerprint.lexer);
        return record;
      }
    }
    return this.#add(fingerprint, first);
  }

  #add({ bytes, length, hash }: Fingerprint, first: number): StatementRecord {
    if (this.#places.length === 0) this.#places = Array.from({ length: BOOK_RECORDS_MAX }, () => null);
    const record = new StatementRecord(bytes.slice(0, length), hash);
    const place = this.#makePlace(first);
    this.#makeRoom(length);
    this.#places[place] = record;
    this.#sizeBytes += length;
    this.#count++;
    return record;
  }

  /** A free place of the set, or one whose record was not used; if all were, any, and the others must be used anew. */
  #makePlace(first: number): number {
    // Not the same one each time: a statement that comes again must get the chance to.
    this.#turn = (this.#turn + 1) % WAYS;
    let chosen = -1;
    for (let i = 0; i < WAYS; i++) {
      const place = first + ((this.#turn + i) % WAYS);
      const record = this.#places[place] ?? null;
      if (record === null) return place;
      if (chosen < 0 && !record.wasUsed) chosen = place;
    }
    if (chosen < 0) {
      chosen = first + this.#turn;
      for (let i = first; i < first + WAYS; i++) (this.#places[i] as StatementRecord).wasUsed = false;
    }
    this.#forget(chosen);
    return chosen;
  }

  #makeRoom(bytes: number): void {
    while (this.#sizeBytes + bytes > BOOK_BYTES_MAX) {
      const record = this.#places[this.#hand];
      if (record !== null && record !== undefined) {
        if (record.wasUsed) record.wasUsed = false;
        else this.#forget(this.#hand);
      }
      this.#hand = (this.#hand + 1) % BOOK_RECORDS_MAX;
    }
  }

  #forget(place: number): void {
    const record = this.#places[place];
    if (record === null || record === undefined) return;
    record.isCurrent = false;
    this.#places[place] = null;
    this.#sizeBytes -= record.sizeBytes;
    this.#count--;
  }
}

/** The first place of a hash's set. The product spreads what differs in the last characters only. */
function setOf(hash: number): number {
  return ((hash ^ (hash >>> 15)) & SET_MASK) * WAYS;
}
