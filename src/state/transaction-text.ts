/**
 * Texts that do nothing but begin or end a transaction, in forms that PostgreSQL cannot refuse and that need no server to be answered.
 *
 *     BEGIN [WORK | TRANSACTION] [modes], START TRANSACTION [modes]        modes: READ ONLY, NOT DEFERRABLE,
 *     COMMIT | END | ROLLBACK | ABORT [WORK | TRANSACTION]                   ISOLATION LEVEL READ COMMITTED | REPEATABLE READ
 *
 * In any case, with comments, and with one semicolon. All else is none of them: READ WRITE and SERIALIZABLE may be refused on a standby,
 * AND CHAIN begins something, and a second statement would be lost. So may a comment that is not ASCII: its bytes may be no characters.
 */

export const TransactionText = {
  none: 0,
  begin: 1,
  startTransaction: 2,
  commit: 3,
  rollback: 4,
} as const;
export type TransactionText = (typeof TransactionText)[keyof typeof TransactionText];

/** Longer texts are none of them; a driver's comment has room. */
const TEXT_BYTES_MAX = 512;

// oxlint-disable-next-line no-control-regex -- bytes
const NOT_ASCII = /[^\x01-\x7f]/;
const MODE = "(?:read only|not deferrable|isolation level (?:read committed|repeatable read))";
const BEGIN = new RegExp(`^(?:begin(?: work| transaction)?|start transaction)(?: ${MODE}(?:(?: ,)? ${MODE})*)?$`);
const COMMIT = /^(?:commit|end)(?: work| transaction)?$/;
const ROLLBACK = /^(?:rollback|abort)(?: work| transaction)?$/;

/** What the text in [start, end) of `memory` is. */
export function readTransactionText(memory: Uint8Array, start: number, end: number): TransactionText {
  if (end - start > TEXT_BYTES_MAX || !mayBegin(memory, start, end)) return TransactionText.none;
  const text = String.fromCharCode(...memory.subarray(start, end));
  const words = NOT_ASCII.test(text) ? null : wordsOf(text);
  if (words === null) return TransactionText.none;
  if (BEGIN.test(words)) return words.startsWith("s") ? TransactionText.startTransaction : TransactionText.begin;
  if (COMMIT.test(words)) return TransactionText.commit;
  return ROLLBACK.test(words) ? TransactionText.rollback : TransactionText.none;
}

/** Most statements show in their first letters that they are something else. */
function mayBegin(memory: Uint8Array, start: number, end: number): boolean {
  if (start === end) return false;
  const first = (memory[start] as number) | 0x20;
  switch (first) {
    case 0x73: // s: start, and not select or set
      return ((memory[start + 1] as number) | 0x20) === 0x74;
    case 0x61: // a: abort
    case 0x62: // b: begin
    case 0x63: // c: commit
    case 0x65: // e: end
    case 0x72: // r: rollback
      return true;
    default:
      // A comment or space; letters that begin something else are done with here.
      return first < 0x61;
  }
}

/** The words in lower case with one space between, commas as words, without comments and the semicolon. Null: there is more. */
function wordsOf(text: string): string | null {
  let words = "";
  let isApart = false;
  let isOver = false;
  for (let at = 0; at < text.length;) {
    const letter = text[at] as string;
    if (" \t\r\n\f".includes(letter)) {
      isApart = true;
      at++;
      continue;
    }
    const behind = behindComment(text, at);
    if (behind < 0) return null;
    if (behind > at) {
      isApart = true;
      at = behind;
      continue;
    }
    if (isOver) return null;
    at++;
    if (letter === ";") {
      isOver = true;
      continue;
    }
    const isComma = letter === ",";
    if (!isComma && !((letter >= "a" && letter <= "z") || (letter >= "A" && letter <= "Z"))) return null;
    if ((isApart || isComma) && words !== "") words += " ";
    words += letter;
    isApart = isComma;
  }
  return words.toLowerCase();
}

/** Where a comment that begins at `at` ends; `at` when none does; −1 when it does not end. */
function behindComment(text: string, at: number): number {
  if (text.startsWith("--", at)) {
    let end = at + 2;
    while (end < text.length && text[end] !== "\n" && text[end] !== "\r") end++;
    return end;
  }
  if (!text.startsWith("/*", at)) return at;
  let depth = 1;
  let end = at + 2;
  while (depth > 0) {
    if (end >= text.length) return -1;
    if (text.startsWith("/*", end)) {
      depth++;
      end += 2;
    } else if (text.startsWith("*/", end)) {
      depth--;
      end += 2;
    } else {
      end++;
    }
  }
  return end;
}
