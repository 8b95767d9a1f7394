/**
 * Cuts a SQL text into PostgreSQL's tokens (src/backend/parser/scan.l), where they are, without making strings.
 *
 * Knows no keywords and no grammar. What PostgreSQL versions lex differently (`1x`, `0x1F`, `1_000`, `1..2`, vertical
 * tabs), and what never ends, is one token `broken`, which ends the text: whoever reads must be able to trust the others.
 * Two things are left to the reader. A plain string is read as with standard_conforming_strings on; `backslash` says that
 * another setting would read it otherwise. And string constants with nothing but a line break between them are one constant
 * to PostgreSQL: here they are two tokens.
 *
 * Bytes above 0x7f are letters. That is right for encodings whose multi-byte characters have no byte below 0x80 (UTF-8, the
 * EUC and ISO ones), not for SJIS, BIG5, GBK, UHC, JOHAB, GB18030: texts in those must not come here unless they are ASCII.
 */
import { BYTE_CLASSES, ByteClass, WORD_BYTES } from "./sql-byte-class.ts";

export const TokenKind = {
  end: 0,
  /** A keyword or an identifier without quotes. */
  word: 1,
  /** With its double quotes. */
  quotedName: 2,
  /** Decimal: integer, fraction, exponent. */
  number: 3,
  /** `'…'` */
  string: 4,
  /** `E'…'` */
  escapeString: 5,
  /** `B'…'`, `X'…'` */
  bitString: 6,
  /** `U&'…'`, `U&"…"`: up to its first quote only. */
  unicode: 7,
  /** `$tag$…$tag$` */
  dollarString: 8,
  /** `$1` */
  parameter: 9,
  operator: 10,
  /** One of `, ( ) [ ] ; . : :: :=` */
  punctuation: 11,
  /** No token, or one that not every version or setting reads alike. Nothing is read behind it. */
  broken: 12,
} as const;
export type TokenKind = (typeof TokenKind)[keyof typeof TokenKind];

const AMPERSAND = 0x26;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const DOLLAR = 0x24;
const DOT = 0x2e;
const EQUALS = 0x3d;
const LF = 0x0a;
const CR = 0x0d;
const MINUS = 0x2d;
const PLUS = 0x2b;
const QUOTE = 0x27;
const DOUBLE_QUOTE = 0x22;
const SLASH = 0x2f;
const STAR = 0x2a;
const LOWER = 0x20;
const LOWER_B = 0x62;
const LOWER_E = 0x65;
const LOWER_U = 0x75;
const LOWER_X = 0x78;

/** Operators that contain one of these may end in + or -. */
const BINDING_CHARACTERS = "~!@#^&|`?%";

const NO_TEXT = new Uint8Array(0);

/** A cursor: `next()` moves it to the token that follows. One serves any number of texts. */
export class SqlLexer {
  kind: TokenKind = TokenKind.end;
  /** The token is `memory[start, end)`. */
  start = 0;
  end = 0;
  /** Whether blanks or comments stand in front of the token. */
  spaced = false;
  /** Whether the string at the cursor contains a backslash. */
  backslash = false;
  #memory: Uint8Array = NO_TEXT;
  #limit = 0;

  /** Puts the cursor in front of the text `memory[start, limit)`, which has no terminating zero. */
  open(memory: Uint8Array, start: number, limit: number): void {
    this.#memory = memory;
    this.#limit = limit;
    this.start = start;
    this.end = start;
    this.kind = TokenKind.end;
  }

  /** Forgets the memory, so that the lexer does not keep it alive. */
  close(): void {
    this.#memory = NO_TEXT;
    this.#limit = 0;
  }

  /** Moves over blanks and comments to the next token and returns its kind; `end` or `broken` for ever at the end. */
  next(): TokenKind {
    if (this.kind === TokenKind.broken) return this.kind;
    const memory = this.#memory;
    const limit = this.#limit;
    let at = this.end;
    while (at < limit && BYTE_CLASSES[memory[at] as number] === ByteClass.space) at++;
    this.spaced = at > this.end;
    this.start = at;
    this.end = at;
    if (at >= limit) return (this.kind = TokenKind.end);
    return (this.kind = this.#read(at));
  }

  #read(at: number): TokenKind {
    const memory = this.#memory;
    const first = memory[at] as number;
    switch (BYTE_CLASSES[first]) {
      case ByteClass.letter:
        return this.#readWord(at);
      case ByteClass.punctuation:
        return this.#readPunctuation(at, first);
      case ByteClass.digit:
        return this.#readNumber(at);
      case ByteClass.operator:
        if (this.#beginsComment(at)) return this.#readBehindComment(at);
        return this.#readOperator(at);
      case ByteClass.quote:
        return this.#readString(at + 1, TokenKind.string);
      case ByteClass.doubleQuote:
        return this.#readQuotedName(at + 1);
      case ByteClass.dollar:
        return this.#readDollar(at);
      default:
        return this.#breakAt(at);
    }
  }

  #breakAt(at: number): TokenKind {
    this.end = at;
    return TokenKind.broken;
  }

  #readWord(from: number): TokenKind {
    const memory = this.#memory;
    const limit = this.#limit;
    let at = from + 1;
    while (at < limit && WORD_BYTES[memory[at] as number] === 1) at++;
    this.end = at;
    // The letters that make another kind of string of what follows stand alone and touch the quote.
    if (at === from + 1 && at < limit) return this.#readPrefixed(at, memory[from] as number, memory[at] as number);
    return TokenKind.word;
  }

  #readPrefixed(at: number, letter: number, following: number): TokenKind {
    const lower = letter | LOWER;
    if (following === QUOTE) {
      if (lower === LOWER_E) return this.#readEscapeString(at + 1);
      if (lower === LOWER_B || lower === LOWER_X) return this.#readBitString(at + 1);
    }
    if (lower === LOWER_U && following === AMPERSAND && at + 1 < this.#limit) {
      const quote = this.#memory[at + 1];
      if (quote === QUOTE || quote === DOUBLE_QUOTE) {
        this.end = at + 2;
        return TokenKind.unicode;
      }
    }
    return TokenKind.word;
  }

  #readBehindComment(from: number): TokenKind {
    const memory = this.#memory;
    const limit = this.#limit;
    let at = from;
    while (at < limit) {
      if (BYTE_CLASSES[memory[at] as number] === ByteClass.space) {
        at++;
      } else if (this.#beginsComment(at)) {
        at = memory[at] === MINUS ? this.#endOfLineComment(at + 2) : this.#endOfBlockComment(at + 2);
        if (at < 0) return this.#breakAt(from);
      } else {
        break;
      }
    }
    this.spaced = true;
    this.start = at;
    this.end = at;
    return at >= limit ? TokenKind.end : this.#read(at);
  }

  #beginsComment(at: number): boolean {
    if (at + 1 >= this.#limit) return false;
    const first = this.#memory[at];
    const second = this.#memory[at + 1];
    return (first === MINUS && second === MINUS) || (first === SLASH && second === STAR);
  }

  /** -1 when there is a zero byte in it: a text ends there for PostgreSQL. */
  #endOfLineComment(from: number): number {
    for (let at = from; at < this.#limit; at++) {
      const byte = this.#memory[at];
      if (byte === LF || byte === CR) return at;
      if (byte === 0) return -1;
    }
    return this.#limit;
  }

  /** Comments nest. -1 when it does not end. */
  #endOfBlockComment(from: number): number {
    const memory = this.#memory;
    const last = this.#limit - 1;
    let depth = 1;
    for (let at = from; at < last; at++) {
      const byte = memory[at];
      if (byte === 0) return -1;
      if (byte === STAR && memory[at + 1] === SLASH) {
        at++;
        depth--;
        if (depth === 0) return at + 1;
      } else if (byte === SLASH && memory[at + 1] === STAR) {
        at++;
        depth++;
      }
    }
    return -1;
  }

  #readPunctuation(at: number, first: number): TokenKind {
    const second = at + 1 < this.#limit ? (this.#memory[at + 1] as number) : 0;
    this.end = at + 1;
    if (first === COLON && (second === COLON || second === EQUALS)) this.end = at + 2;
    if (first === DOT) {
      if (second === DOT) return this.#breakAt(at);
      if (BYTE_CLASSES[second] === ByteClass.digit) return this.#readNumber(at);
    }
    return TokenKind.punctuation;
  }

  #readNumber(from: number): TokenKind {
    const memory = this.#memory;
    const limit = this.#limit;
    let at = this.#skipDigits(from);
    if (at < limit && memory[at] === DOT) at = this.#skipDigits(at + 1);
    if (at < limit && ((memory[at] as number) | LOWER) === LOWER_E) {
      const sign = memory[at + 1];
      const digits = at + (sign === PLUS || sign === MINUS ? 2 : 1);
      const end = this.#skipDigits(digits);
      if (end === digits) return this.#breakAt(from);
      at = end;
    }
    // Until PostgreSQL 14 `1x` was `1` and `x`, then an error; `0x1F` and `1_000` have a meaning since 16.
    if (at < limit && (WORD_BYTES[memory[at] as number] === 1 || memory[at] === DOT)) return this.#breakAt(from);
    this.end = at;
    return TokenKind.number;
  }

  #skipDigits(from: number): number {
    let at = from;
    while (at < this.#limit && BYTE_CLASSES[this.#memory[at] as number] === ByteClass.digit) at++;
    return at;
  }

  /** The longest run of operator characters, but no comment in it, and no + or - at its end that is a sign. */
  #readOperator(from: number): TokenKind {
    const memory = this.#memory;
    let at = from + 1;
    while (at < this.#limit && BYTE_CLASSES[memory[at] as number] === ByteClass.operator && !this.#beginsComment(at))
      at++;
    if (at > from + 1 && isSign(memory[at - 1] as number) && !bindsSigns(memory, from, at - 1)) {
      do at--;
      while (at > from + 1 && isSign(memory[at - 1] as number));
    }
    this.end = at;
    return TokenKind.operator;
  }

  #readString(from: number, kind: TokenKind): TokenKind {
    const memory = this.#memory;
    const limit = this.#limit;
    this.backslash = false;
    for (let at = from; at < limit; at++) {
      const byte = memory[at] as number;
      if (byte === QUOTE) {
        if (at + 1 < limit && memory[at + 1] === QUOTE) {
          at++;
        } else {
          this.end = at + 1;
          return kind;
        }
      } else if (byte === BACKSLASH) {
        this.backslash = true;
      } else if (byte === 0) {
        break;
      }
    }
    return this.#breakAt(this.start);
  }

  /** The bytes behind a backslash matter only in that they may be a quote, and that PostgreSQL refuses `\u` without its digits. */
  #readEscapeString(from: number): TokenKind {
    const memory = this.#memory;
    const limit = this.#limit;
    this.backslash = false;
    for (let at = from; at < limit; at++) {
      const byte = memory[at] as number;
      if (byte === BACKSLASH) {
        this.backslash = true;
        at++;
        if (at < limit && (memory[at] === 0 || !this.#hasItsDigits(at))) break;
      } else if (byte === QUOTE) {
        if (at + 1 < limit && memory[at + 1] === QUOTE) {
          at++;
        } else {
          this.end = at + 1;
          return TokenKind.escapeString;
        }
      } else if (byte === 0) {
        break;
      }
    }
    return this.#breakAt(this.start);
  }

  /** False for a `u` without four hexadecimal digits behind it, and a `U` without eight. */
  #hasItsDigits(at: number): boolean {
    const letter = this.#memory[at];
    const count = letter === 0x75 ? 4 : letter === 0x55 ? 8 : 0;
    if (at + count >= this.#limit) return false;
    for (let i = at + 1; i <= at + count; i++) if (!isHexadecimal(this.#memory[i] as number)) return false;
    return true;
  }

  /** A doubled quote is no quote here: the constant ends at the first. */
  #readBitString(from: number): TokenKind {
    const memory = this.#memory;
    this.backslash = false;
    for (let at = from; at < this.#limit; at++) {
      const byte = memory[at];
      if (byte === 0) break;
      if (byte === BACKSLASH) this.backslash = true;
      if (byte === QUOTE) {
        this.end = at + 1;
        return TokenKind.bitString;
      }
    }
    return this.#breakAt(this.start);
  }

  #readQuotedName(from: number): TokenKind {
    const memory = this.#memory;
    const limit = this.#limit;
    for (let at = from; at < limit; at++) {
      const byte = memory[at];
      if (byte === 0) break;
      if (byte !== DOUBLE_QUOTE) continue;
      if (at + 1 < limit && memory[at + 1] === DOUBLE_QUOTE) {
        at++;
        continue;
      }
      // PostgreSQL refuses a name of no length.
      if (at === from) break;
      this.end = at + 1;
      return TokenKind.quotedName;
    }
    return this.#breakAt(this.start);
  }

  #readDollar(from: number): TokenKind {
    const memory = this.#memory;
    const limit = this.#limit;
    const digits = this.#skipDigits(from + 1);
    if (digits > from + 1) {
      const next = digits < limit ? (memory[digits] as number) : 0;
      if (BYTE_CLASSES[next] === ByteClass.letter) return this.#breakAt(from);
      this.end = digits;
      return TokenKind.parameter;
    }
    let at = from + 1;
    while (at < limit && memory[at] !== DOLLAR && WORD_BYTES[memory[at] as number] === 1) at++;
    if (at >= limit || memory[at] !== DOLLAR) return this.#breakAt(from);
    return this.#readDollarString(from, at + 1);
  }

  /** `memory[from, content)` is the tag with its dollars. */
  #readDollarString(from: number, content: number): TokenKind {
    const memory = this.#memory;
    const size = content - from;
    for (let at = content; at < this.#limit; at++) {
      const byte = memory[at];
      if (byte === 0) break;
      if (byte !== DOLLAR || at + size > this.#limit) continue;
      let same = 1;
      while (same < size && memory[at + same] === memory[from + same]) same++;
      if (same === size) {
        this.end = at + size;
        return TokenKind.dollarString;
      }
    }
    return this.#breakAt(from);
  }
}

function isHexadecimal(byte: number): boolean {
  const letter = byte | LOWER;
  return BYTE_CLASSES[byte] === ByteClass.digit || (letter >= 0x61 && letter <= 0x66);
}

function isSign(byte: number): boolean {
  return byte === PLUS || byte === MINUS;
}

function bindsSigns(memory: Uint8Array, from: number, end: number): boolean {
  for (let i = from; i < end; i++) {
    if (BINDING_CHARACTERS.includes(String.fromCharCode(memory[i] as number))) return true;
  }
  return false;
}
