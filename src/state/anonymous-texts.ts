/**
 * Texts that clients of one pool parse again and again without a name, and which of them may be kept prepared on servers in
 * their place.
 *
 * Only one statement that reads or writes rows, and only where it means the same whenever it is parsed: 'now' or 'today' in a literal is a
 * moment that a kept statement would stand still at. What cannot be judged by its letters (an escape, several statements) is not kept.
 */
import type { PreparedStatement, StatementStore } from "./prepared-statement.ts";
import { latin1 } from "./prepared-statement.ts";

/** It is kept from this time on. */
const TIMES_MIN = 5;
/** Longer texts are not looked at. */
const BODY_BYTES_MAX = 8 * 1024;
/** How many texts are counted; with more all are forgotten, and those that matter come again. */
const TEXTS_MAX = 2000;

const ROWS = /^(?:\s|--[^\n\r]*[\n\r]|\/\*(?:[^*]|\*(?!\/))*\*\/)*(?:select|insert|update|delete|values|with)\b/i;
const READS = /^\W*(?:select|with)\b/i;
const INTO = /\binto\b/i;
/** A second statement, an escape that hides a word, or a comment in which letters mean nothing. */
const UNCLEAR = /\\|;\s*\S/;
/** As a literal, not as a function's name. */
const MOMENT = /\b(?:now(?!\s*\()|today|tomorrow|yesterday)/i;

interface Known {
  /** How often it has come; −1: it is never kept. */
  times: number;
  /** Kept for who parses it under the same settings next. */
  statement: PreparedStatement | null;
}

export class AnonymousTexts {
  readonly #store: StatementStore;
  readonly #known = new Map<string, Known>();

  constructor(store: StatementStore) {
    this.#store = store;
  }

  /**
   * A Parse without a name has come. `body`: what it carries behind the name, its text ending before `textBytes`. The statement that it is to be, in which the
   * caller has no share; null: it is parsed as it came.
   */
  statementFor(body: Uint8Array, textBytes: number, settings: string): PreparedStatement | null {
    if (body.length > BODY_BYTES_MAX) return null;
    const key = latin1(body, 0, body.length);
    const known = this.#known.get(key);
    if (known === undefined) {
      if (this.#known.size >= TEXTS_MAX) this.clear();
      this.#known.set(key, { times: isKeepable(key.slice(0, textBytes)) ? 1 : -1, statement: null });
      return null;
    }
    if (known.times < TIMES_MIN) {
      if (known.times < 0) return null;
      known.times += 1;
      if (known.times < TIMES_MIN) return null;
    }
    if (known.statement === null || known.statement.settings !== settings) {
      if (known.statement !== null) this.#store.giveBack(known.statement);
      known.statement = this.#store.take(body, settings);
    }
    return known.statement;
  }

  clear(): void {
    for (const { statement } of this.#known.values()) if (statement !== null) this.#store.giveBack(statement);
    this.#known.clear();
  }
}

/** Whether a text may be kept prepared for those who parse it without a name. */
export function isKeepable(text: string): boolean {
  if (!ROWS.test(text) || UNCLEAR.test(text) || MOMENT.test(text)) return false;
  return !(READS.test(text.replace(/--[^\n\r]*|\/\*(?:[^*]|\*(?!\/))*\*\//g, " ")) && INTO.test(text));
}
