/**
 * Judges whether a statement may share a server: from its fingerprint and from what the catalogue hides.
 *
 * It may if it is one SELECT, VALUES or TABLE that locks nothing and calls only functions that are known to be harmless; then
 * it can be run twice, or on another server, and nobody notices (docs: design of sharing, rule 3). This is no parser. It
 * walks the tokens and looks for what must not be, by words that PostgreSQL's grammar has no other way to say: there is no
 * row lock without FOR, no INTO without the word. What only looks like it (a column called `update`) is refused as well. A
 * text that is no SQL at all may pass: PostgreSQL refuses it, to its sender alone.
 *
 * Three things take more than a word:
 *
 * - Calls. A name before a parenthesis is called, unless the place says that it is an alias or a type.
 * - `(x).f`, `t.f`, `$1.f` call the function `f` where there is no such column. A name behind a dot must not be a hazard.
 * - Names behind which the catalogue has something unsafe (`CatalogueFacts`): any identifier counts, whatever it names here.
 */
import { decodeText } from "../protocol/byte-text.ts";
import { SqlLexer, TokenKind } from "../state/sql-lexer.ts";
import { HARMLESS_FUNCTIONS, HAZARDOUS_FUNCTIONS, HAZARDOUS_VIEWS } from "./built-in-functions.ts";
import type { CatalogueFacts } from "./catalogue-facts.ts";
import { Refusal } from "./refusal.ts";
import {
  FIRST_WORDS,
  LOCKING_WORDS,
  OPERATORS_EVERYWHERE,
  OPERATORS_OF_WORDS,
  WORDS_BEFORE_PARENTHESIS,
  WRITING_WORDS,
} from "./syntax-words.ts";

/** PostgreSQL cuts longer names off, and then they are other names. */
const NAME_BYTES_MAX = 63;
/** A cut goes through no character: what is left of a name that is longer may be without its last ones. */
const WIDE_NAME_BYTES_MAX = 59;

/**
 * A database with one byte a character folds by its locale, in which these may become `i` and `k`: dotted capital I, the
 * Kelvin sign, and bytes that are no UTF-8.
 */
const MAY_FOLD_TO_ASCII = /[\u0130\u212a\udc80-\udcff]/;

/** A token as the rules need it. */
interface Token {
  readonly kind: TokenKind;
  /** Of a name: what it says, without quotes. Of operators and punctuation: the characters. Of others: empty. */
  readonly text: string;
  /** Without quotes, and not behind a dot: it may be a keyword. */
  readonly isWord: boolean;
  readonly isName: boolean;
}

const NOTHING: Token = { kind: TokenKind.end, text: "", isWord: false, isName: false };

/** Null if the statement `fingerprint` may share, else why it may not. */
export function judgeStatement(fingerprint: Uint8Array, facts: CatalogueFacts): Refusal | null {
  if (facts.refusesAll !== null) return Refusal.catalogue;
  if (OPERATORS_EVERYWHERE.some((operator) => facts.unsafeOperators.has(operator))) return Refusal.operator;
  return new StatementJudge(fingerprint, facts).judge();
}

/** One walk over one statement. `#before[0]` is the token in front of the current one, `#before[1]` the one in front of that. */
class StatementJudge {
  readonly #memory: Uint8Array;
  readonly #facts: CatalogueFacts;
  readonly #lexer = new SqlLexer();
  readonly #before: [Token, Token, Token] = [NOTHING, NOTHING, NOTHING];
  #hasBegun = false;
  /** After DISTINCT ON (…) and OPERATOR(…) a name may follow the parenthesis and be no alias. */
  #mayCallBehindParenthesis = false;

  constructor(fingerprint: Uint8Array, facts: CatalogueFacts) {
    this.#memory = fingerprint;
    this.#facts = facts;
    this.#lexer.open(fingerprint, 0, fingerprint.length);
  }

  judge(): Refusal | null {
    for (;;) {
      const kind = this.#lexer.next();
      if (kind === TokenKind.end) return this.#hasBegun ? null : Refusal.notASelect;
      if (kind === TokenKind.broken || kind === TokenKind.unicode) return Refusal.unreadable;
      const token = this.#tokenOf(kind);
      const refusal = this.#judgeToken(token);
      if (refusal !== null) return refusal;
      this.#before[2] = this.#before[1];
      this.#before[1] = this.#before[0];
      this.#before[0] = token;
    }
  }

  #tokenOf(kind: TokenKind): Token {
    const { start, end } = this.#lexer;
    switch (kind) {
      case TokenKind.word: {
        const isWord = this.#before[0].text !== "." || this.#before[0].isName;
        return { kind, text: decodeText(this.#memory, start, end), isWord, isName: true };
      }
      case TokenKind.quotedName: {
        const text = decodeText(this.#memory, start + 1, end - 1).replaceAll('""', '"');
        return { kind, text, isWord: false, isName: true };
      }
      case TokenKind.operator:
      case TokenKind.punctuation:
        return { kind, text: decodeText(this.#memory, start, end), isWord: false, isName: false };
      default:
        return { kind, text: "", isWord: false, isName: false };
    }
  }

  #judgeToken(token: Token): Refusal | null {
    if (!this.#hasBegun) {
      if (isPunctuation(token, "(")) return null;
      if (!token.isWord || !FIRST_WORDS.has(token.text)) return Refusal.notASelect;
      this.#hasBegun = true;
    }
    if (token.isName) return this.#judgeName(token) ?? (token.isWord ? this.#judgeWord(token.text) : null);
    if (token.kind === TokenKind.operator) return this.#judgeOperator(token.text);
    if (isPunctuation(token, "(")) return this.#judgeParenthesis();
    return isPunctuation(token, ";") ? Refusal.severalStatements : null;
  }

  #judgeName(token: Token): Refusal | null {
    const { start, end } = this.#lexer;
    const size = end - start - (token.kind === TokenKind.quotedName ? 2 : 0);
    const isWide = hasWideCharacter(token.text);
    if (size > NAME_BYTES_MAX || (isWide && size > WIDE_NAME_BYTES_MAX)) return Refusal.unreadable;
    const { unsafeNames } = this.#facts;
    // What it is in the catalogue's encoding is not known here.
    if (isWide && unsafeNames.size > 0 && (MAY_FOLD_TO_ASCII.test(token.text) || hasWideName(unsafeNames))) {
      return Refusal.watchedName;
    }
    if (unsafeNames.has(token.text) || HAZARDOUS_VIEWS.has(token.text)) return Refusal.watchedName;
    return isPunctuation(this.#before[0], ".") ? this.#judgeNameBehindDot(token, isWide) : null;
  }

  #judgeNameBehindDot(token: Token, isWide: boolean): Refusal | null {
    if (HAZARDOUS_FUNCTIONS.has(token.text)) return Refusal.volatileFunction;
    // Behind an expression it is a field of a composite value or a function, which a newer PostgreSQL may have more of.
    if (!this.#before[1].isName && (isWide || token.text.startsWith("pg_"))) return Refusal.unknownFunction;
    return null;
  }

  #judgeWord(word: string): Refusal | null {
    const before = this.#before[0];
    if (before.isWord && before.text === "for" && LOCKING_WORDS.has(word)) return Refusal.locking;
    if (WRITING_WORDS.has(word)) return Refusal.writes;
    if (word === "into") return Refusal.into;
    if (word === "operator" || (word === "on" && before.isWord && before.text === "distinct")) {
      this.#mayCallBehindParenthesis = true;
    }
    const operators = OPERATORS_OF_WORDS.get(word);
    return operators?.some((operator) => this.#facts.unsafeOperators.has(operator)) ? Refusal.operator : null;
  }

  #judgeOperator(text: string): Refusal | null {
    return this.#facts.unsafeOperators.has(text === "!=" ? "<>" : text) ? Refusal.operator : null;
  }

  /** Whether the name in front of a parenthesis, if there is one, may stand there. */
  #judgeParenthesis(): Refusal | null {
    const called = this.#before[0];
    if (!called.isName) return null;
    if (this.#facts.userFunctions.has(called.text)) return Refusal.userFunction;
    if (called.isWord && called.kind === TokenKind.word && WORDS_BEFORE_PARENTHESIS.has(called.text)) return null;
    if (HARMLESS_FUNCTIONS.has(called.text)) return null;
    if (HAZARDOUS_FUNCTIONS.has(called.text)) return Refusal.volatileFunction;
    return this.#isAlias() ? null : Refusal.unknownFunction;
  }

  /** Whether the name in front of the parenthesis is an alias with its columns, a CTE's name, or a type with its modifiers. */
  #isAlias(): boolean {
    const [, before, beforeThat] = this.#before;
    if (isPunctuation(before, ")")) return !this.#mayCallBehindParenthesis;
    if (!before.isWord) return false;
    if (before.text === "as" || before.text === "with") return true;
    return before.text === "recursive" && beforeThat.isWord && beforeThat.text === "with";
  }
}

function isPunctuation(token: Token, text: string): boolean {
  return token.kind === TokenKind.punctuation && token.text === text;
}

function hasWideCharacter(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) >= 0x80) return true;
  }
  return false;
}

function hasWideName(names: ReadonlySet<string>): boolean {
  for (const name of names) {
    if (hasWideCharacter(name)) return true;
  }
  return false;
}
