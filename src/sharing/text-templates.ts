/**
 * Texts that were taken apart, kept so that the next one that differs in its constants alone need not be: it is compared with one that
 * is known, byte for byte outside the constants.
 *
 *     known    SELECT a FROM t WHERE id = 17 AND b = 'x'
 *     other    SELECT a FROM t WHERE id = 4711 AND b = ''
 *              ───────── the same ────────┴──┴─ same ─┴┘     digits for digits, and between quotes anything that ends there
 *
 * PostgreSQL's lexer goes through both in the same steps: what surrounds a constant is the same in both, so it begins and ends at the
 * same places. Only what is simple counts as a constant here: digits, and what is between two quotes with no quote, backslash or zero byte
 * in it. Everything else is compared; a known string that is not so simple finds nothing.
 *
 * Few places, found by what stands before the first constant, and one text in each: another one takes it when the one that is there has
 * not been met for a while. What it spares: `docs/internals/performance.md`.
 */
import { TokenKind } from "../state/sql-lexer.ts";
import type { SqlLexer } from "../state/sql-lexer.ts";
import type { StatementRecord } from "./statement-record.ts";

/** Longer texts are taken apart each time. */
export const TEMPLATE_BYTES_MAX = 1024;

const PLACES = 128;
/** So many texts must have looked for a place in vain, one after the other, before one of them gets it. */
const MISSES_MAX = 16;
/** Numbers that stand for one constant in a template. */
const FIELDS = 3;
const DIGITS = 0;
const STRING = 1;
const QUOTE = 0x27;
const ZERO = 0x30;
const NINE = 0x39;
const BACKSLASH = 0x5c;
// FNV-1a.
const HASH_START = 0x811c9dc5 | 0;
const HASH_PRIME = 0x01000193;

/** One text, and where its constants are. */
interface Template {
  readonly bytes: Uint8Array;
  /** Three for each, in order: `DIGITS` or `STRING`, begin and end in `bytes`; of a string what is between its quotes. */
  readonly constants: readonly number[];
  readonly record: StatementRecord;
}

export class TextTemplates {
  /** Made with the first that is kept. */
  #places: (Template | null)[] = [];
  /** By place: how many have not found what they looked for, since one did. */
  #misses = new Uint8Array(0);

  /**
   * The record of the text `memory[start, end)`, if one is known that it equals but for constants; else null. In the client's encoding a byte
   * below 0x80 must always be an ASCII character.
   */
  find(memory: Uint8Array, start: number, end: number): StatementRecord | null {
    if (this.#places.length === 0) return null;
    const place = placeOf(memory, start, end);
    const template = this.#places[place] ?? null;
    if (template === null || !template.record.isCurrent || !isLike(template, memory, start, end)) return null;
    this.#misses[place] = 0;
    return template.record;
  }

  /** `find` did not know `memory[start, end)`. It is `record`'s: a fingerprint could be made of it. `lexer`: any. */
  learn(memory: Uint8Array, start: number, end: number, record: StatementRecord, lexer: SqlLexer): void {
    if (end - start > TEMPLATE_BYTES_MAX) return;
    if (this.#places.length === 0) {
      this.#places = Array.from({ length: PLACES }, () => null);
      this.#misses = new Uint8Array(PLACES);
    }
    const place = placeOf(memory, start, end);
    const isTaken = this.#places[place]?.record.isCurrent === true;
    this.#misses[place] = (this.#misses[place] as number) + 1;
    if (isTaken && this.#misses[place] < MISSES_MAX) return;
    this.#misses[place] = 0;
    const bytes = Uint8Array.prototype.slice.call(memory, start, end);
    this.#places[place] = { bytes, constants: constantsOf(bytes, lexer), record };
  }
}

function constantsOf(bytes: Uint8Array, lexer: SqlLexer): number[] {
  const constants: number[] = [];
  lexer.open(bytes, 0, bytes.length);
  for (let kind = lexer.next(); kind !== TokenKind.end && kind !== TokenKind.broken; kind = lexer.next()) {
    const { start, end } = lexer;
    if (kind === TokenKind.number) addDigits(constants, bytes, start, end);
    else if (kind === TokenKind.string) constants.push(STRING, start + 1, end - 1);
  }
  lexer.close();
  return constants;
}

/** Each run of digits in the number `bytes[start, end)`. */
function addDigits(constants: number[], bytes: Uint8Array, start: number, end: number): void {
  for (let at = start; at < end;) {
    const first = at;
    while (at < end && isDigit(bytes[at] as number)) at++;
    if (at > first) constants.push(DIGITS, first, at);
    else at++;
  }
}

function isLike(template: Template, memory: Uint8Array, start: number, end: number): boolean {
  const { bytes, constants } = template;
  let at = start;
  let from = 0;
  for (let i = 0; i < constants.length; i += FIELDS) {
    const to = constants[i + 1] as number;
    if (end - at < to - from || !areEqual(bytes, from, to, memory, at)) return false;
    at += to - from;
    from = constants[i + 2] as number;
    const behind = constants[i] === DIGITS ? skipDigits(memory, at, end) : skipString(memory, at, end);
    if (behind < 0) return false;
    at = behind;
  }
  return end - at === bytes.length - from && areEqual(bytes, from, bytes.length, memory, at);
}

function areEqual(bytes: Uint8Array, from: number, to: number, memory: Uint8Array, at: number): boolean {
  const shift = at - from;
  for (let i = from; i < to; i++) if (bytes[i] !== memory[i + shift]) return false;
  return true;
}

/** Where the digits at `at` end; -1 when there are none. */
function skipDigits(memory: Uint8Array, at: number, end: number): number {
  let behind = at;
  while (behind < end && isDigit(memory[behind] as number)) behind++;
  return behind === at ? -1 : behind;
}

/** Where the quote is that ends the string whose content begins at `at`; -1 when it is not a simple one. */
function skipString(memory: Uint8Array, at: number, end: number): number {
  for (let behind = at; behind < end; behind++) {
    const byte = memory[behind] as number;
    if (byte === QUOTE) return behind;
    if (!isPlainInString(byte)) return -1;
  }
  return -1;
}

function isPlainInString(byte: number): boolean {
  return byte !== BACKSLASH && byte !== 0;
}

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= NINE;
}

/** By the text up to its first digit or quote, constant or not: texts that are alike have that in common. */
function placeOf(memory: Uint8Array, start: number, end: number): number {
  let hash = HASH_START;
  for (let at = start; at < end; at++) {
    const byte = memory[at] as number;
    if (byte === QUOTE || isDigit(byte)) break;
    hash = Math.imul(hash ^ byte, HASH_PRIME);
  }
  return (hash ^ (hash >>> 15)) & (PLACES - 1);
}
