/**
 * One line of an HBA file, a name file or an ident map, cut into tokens: words, quoted texts and commas. `#` starts a
 * comment, `""` inside quotes is one quote, and a zero ends the line as it ends a C string. What the tokens mean is the
 * readers'. PgBouncer's counterpart is `next_token` in `hba.c`.
 */

export const TokenKind = {
  word: "word",
  /** In quotes: never a keyword. */
  quoted: "quoted",
  comma: "comma",
  /** Quotes that are not closed. Nothing comes after it. */
  broken: "broken",
  end: "end",
} as const;
export type TokenKind = (typeof TokenKind)[keyof typeof TokenKind];

/** Of C's isspace(), but for the line feed that ends a line. */
const blanks = " \t\r\v\f";
const wordEnds = `${blanks},#"`;

/** Stands at a token from the start; `advance` moves on. */
export class HbaTokens {
  readonly #line: string;
  #at = 0;
  #kind: TokenKind = TokenKind.comma;
  #text = "";

  /** `line` without its line feed. */
  constructor(line: string) {
    const zero = line.indexOf("\0");
    this.#line = zero < 0 ? line : line.slice(0, zero);
    this.advance();
  }

  get kind(): TokenKind {
    return this.#kind;
  }

  /** The word or quoted text at hand; at any other token the last one before it, which messages quote. */
  get text(): string {
    return this.#text;
  }

  /** What stands behind the token at hand, comments included, without blanks around it. */
  get rest(): string {
    let from = this.#at;
    let to = this.#line.length;
    while (from < to && blanks.includes(this.#line[from] ?? "")) from++;
    while (from < to && blanks.includes(this.#line[to - 1] ?? "")) to--;
    return this.#line.slice(from, to);
  }

  advance(): void {
    if (this.#kind === TokenKind.end || this.#kind === TokenKind.broken) return;
    while (this.#at < this.#line.length && blanks.includes(this.#line[this.#at] ?? "")) this.#at++;
    const next = this.#line[this.#at];
    if (next === undefined || next === "#") {
      this.#kind = TokenKind.end;
    } else if (next === ",") {
      this.#at += 1;
      this.#kind = TokenKind.comma;
    } else if (next === '"') {
      this.#kind = this.#takeQuoted() ? TokenKind.quoted : TokenKind.broken;
    } else {
      const start = this.#at;
      while (this.#at < this.#line.length && !wordEnds.includes(this.#line[this.#at] ?? "")) this.#at++;
      this.#text = this.#line.slice(start, this.#at);
      this.#kind = TokenKind.word;
    }
  }

  /** Is the keyword at hand? Case counts. */
  isKeyword(keyword: string): boolean {
    return this.#kind === TokenKind.word && this.#text === keyword;
  }

  /** Passes over the keyword; false if it is not the one at hand. */
  takeKeyword(keyword: string): boolean {
    const found = this.isKeyword(keyword);
    if (found) this.advance();
    return found;
  }

  /** Nothing comes any more. */
  get isEnd(): boolean {
    return this.#kind === TokenKind.end;
  }

  /** A word or quoted text is at hand. */
  get isName(): boolean {
    return this.#kind === TokenKind.word || this.#kind === TokenKind.quoted;
  }

  /** False when no quote closes the one at hand. */
  #takeQuoted(): boolean {
    const open = this.#at;
    let close = this.#line.indexOf('"', open + 1);
    while (close >= 0 && this.#line[close + 1] === '"') close = this.#line.indexOf('"', close + 2);
    if (close < 0) return false;
    this.#text = this.#line.slice(open + 1, close).replaceAll('""', '"');
    this.#at = close + 1;
    return true;
  }
}
