/**
 * What one client of the soak has written, as far as it was told.
 *
 * Each write is an entry with a number of its own and puts a known number of rows with that number into `journal`. An
 * entry is absent until its client has sent what makes it last; from then on it is in doubt; and it is there once
 * PostgreSQL has said so. At the end the table is compared: what was acknowledged is there once, what was refused is not,
 * and what is in doubt is there wholly or not at all.
 */
import { WrongAnswer } from "./wrong-answer.ts";

const EntryState = { absent: 0, doubtful: 1, there: 2 } as const;

const firstCapacity = 64;

export class Ledger {
  readonly client: number;
  #states = new Uint8Array(firstCapacity);
  #parts = new Uint8Array(firstCapacity);
  #size = 0;

  constructor(client: number) {
    this.client = client;
  }

  /** How many entries there are, of whatever state; their numbers are 0 to this. */
  get size(): number {
    return this.#size;
  }

  /** A new entry of so many rows (1 to 255); returns its number. */
  open(parts = 1): number {
    if (this.#size === this.#states.length) {
      this.#states = grown(this.#states);
      this.#parts = grown(this.#parts);
    }
    this.#parts[this.#size] = parts;
    return this.#size++;
  }

  /** What makes the entry last is about to be sent. */
  mayLast(entry: number): void {
    this.#states[entry] = EntryState.doubtful;
  }

  /** PostgreSQL has acknowledged the entry. */
  lasts(entry: number): void {
    this.#states[entry] = EntryState.there;
  }

  /** PostgreSQL has said that the entry is undone. */
  isUndone(entry: number): void {
    this.#states[entry] = EntryState.absent;
  }

  /** Entries by what is known of them. */
  counts(): { readonly there: number; readonly doubtful: number } {
    let there = 0;
    let doubtful = 0;
    for (let entry = 0; entry < this.#size; entry++) {
      if (this.#states[entry] === EntryState.there) there += 1;
      if (this.#states[entry] === EntryState.doubtful) doubtful += 1;
    }
    return { there, doubtful };
  }

  /** Throws `WrongAnswer` when the rows in `journal`, entry → number of rows, are not what this client was told. */
  check(rows: ReadonlyMap<number, number>): void {
    for (let entry = 0; entry < this.#size; entry++) {
      const found = rows.get(entry) ?? 0;
      const state = this.#states[entry];
      const whole = found === this.#parts[entry];
      const what = `entry ${entry} of client ${this.client} in the journal`;
      if (state === EntryState.there && !whole) throw new WrongAnswer(what, `${this.#parts[entry]} rows`, found);
      if (state === EntryState.absent && found > 0) throw new WrongAnswer(what, "no row", found);
      if (found > 0 && !whole) throw new WrongAnswer(what, `none or ${this.#parts[entry]} rows`, found);
    }
    for (const entry of rows.keys()) {
      if (entry >= this.#size) throw new WrongAnswer(`entries of client ${this.client}`, `below ${this.#size}`, entry);
    }
  }
}

function grown(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(bytes.length * 2);
  larger.set(bytes);
  return larger;
}
