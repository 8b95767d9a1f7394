/**
 * Writes a SQL text down without what differs from one run to the next: constants, comments, blanks, case.
 *
 * The fingerprint is SQL again, and has the same tokens to PostgreSQL as every text that it stands for: a number becomes
 * `0`, a string `''`, blanks and comments one blank, words are in lower case, and what ends the text is dropped. A verdict
 * about a fingerprint is therefore one about all its texts. What PostgreSQL's settings or the client's encoding could make it
 * read in another way is refused.
 *
 * This runs for every statement that waits for a server: one pass, nothing allocated.
 */
import { LOWER_BYTES } from "../state/sql-byte-class.ts";
import { SqlLexer, TokenKind } from "../state/sql-lexer.ts";
import { Refusal } from "./refusal.ts";

/** Longer texts are not looked at. */
export const STATEMENT_BYTES_MAX = 16_384;

const SPACE = 0x20;
const QUOTE = 0x27;
const DOT = 0x2e;
const ZERO = 0x30;
const SEMICOLON = 0x3b;

// FNV-1a.
const HASH_START = 0x811c9dc5 | 0;
const HASH_PRIME = 0x01000193;

/** The fingerprint written last. One serves any number of texts, one after the other. */
export class Fingerprint {
  /** `bytes[0, length)`; overwritten by the next text. */
  readonly bytes: Uint8Array = new Uint8Array(STATEMENT_BYTES_MAX);
  length = 0;
  /** 32 bits. */
  hash = 0;
  readonly lexer = new SqlLexer();

  /**
   * Takes the text `memory[start, end)`, which has no terminating zero. `multibyteSafe`: no character of the client's
   * encoding has a byte below 0x80 beside others. Returns null if the fingerprint is written, else why it is not.
   */
  write(memory: Uint8Array, start: number, end: number, multibyteSafe: boolean): Refusal | null {
    if (end - start > STATEMENT_BYTES_MAX) return Refusal.tooLong;
    if (!multibyteSafe && !isAscii(memory, start, end)) return Refusal.unreadable;
    this.lexer.open(memory, start, end);
    const refusal = this.#writeTokens(memory);
    this.lexer.close();
    return refusal;
  }

  #writeTokens(memory: Uint8Array): Refusal | null {
    const lexer = this.lexer;
    const bytes = this.bytes;
    let length = 0;
    let hash = HASH_START;
    let before: TokenKind = TokenKind.end;
    let isOver = false;
    for (;;) {
      const kind = lexer.next();
      if (kind === TokenKind.end) break;
      const from = lexer.start;
      if (kind === TokenKind.punctuation && memory[from] === SEMICOLON) {
        isOver = true;
        continue;
      }
      if (isOver) return kind === TokenKind.broken ? Refusal.unreadable : Refusal.severalStatements;
      if (lexer.spaced && length > 0) {
        bytes[length++] = SPACE;
        hash = Math.imul(hash ^ SPACE, HASH_PRIME);
      }
      const end = lexer.end;
      switch (kind) {
        case TokenKind.word:
          for (let i = from; i < end; i++) {
            const byte = LOWER_BYTES[memory[i] as number] as number;
            bytes[length++] = byte;
            hash = Math.imul(hash ^ byte, HASH_PRIME);
          }
          break;
        case TokenKind.number:
          // `a.5` is no name with a dot: what stands before the point must not grow together with the placeholder.
          if (memory[from] === DOT && !lexer.spaced && !separates(before)) return Refusal.unreadable;
          bytes[length++] = ZERO;
          hash = Math.imul(hash ^ ZERO, HASH_PRIME);
          break;
        case TokenKind.string:
        case TokenKind.escapeString:
        case TokenKind.bitString:
        case TokenKind.dollarString: {
          // With a line break between them, two are one for PostgreSQL, of the first one's kind.
          if (isText(before)) return Refusal.unreadable;
          if (lexer.backslash && (kind === TokenKind.string || kind === TokenKind.bitString)) return Refusal.unreadable;
          if (kind === TokenKind.escapeString || kind === TokenKind.bitString) {
            const letter = LOWER_BYTES[memory[from] as number] as number;
            bytes[length++] = letter;
            hash = Math.imul(hash ^ letter, HASH_PRIME);
          }
          bytes[length++] = QUOTE;
          bytes[length++] = QUOTE;
          hash = Math.imul(Math.imul(hash ^ QUOTE, HASH_PRIME) ^ QUOTE, HASH_PRIME);
          break;
        }
        case TokenKind.quotedName:
        case TokenKind.parameter:
        case TokenKind.operator:
        case TokenKind.punctuation:
          for (let i = from; i < end; i++) {
            const byte = memory[i] as number;
            bytes[length++] = byte;
            hash = Math.imul(hash ^ byte, HASH_PRIME);
          }
          break;
        default:
          return Refusal.unreadable;
      }
      before = kind;
    }
    if (length === 0) return Refusal.empty;
    this.length = length;
    this.hash = hash;
    return null;
  }
}

function isText(kind: TokenKind): boolean {
  return (
    kind === TokenKind.string ||
    kind === TokenKind.escapeString ||
    kind === TokenKind.bitString ||
    kind === TokenKind.dollarString
  );
}

function separates(kind: TokenKind): boolean {
  return kind === TokenKind.end || kind === TokenKind.operator || kind === TokenKind.punctuation;
}

function isAscii(memory: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) {
    if ((memory[i] as number) >= 0x80) return false;
  }
  return true;
}
