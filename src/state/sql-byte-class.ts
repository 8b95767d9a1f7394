/**
 * What a byte means to PostgreSQL's lexer (src/backend/parser/scan.l) where a token begins or goes on. Knows no tokens.
 */

export const ByteClass = {
  /** Begins nothing that is valid: control characters, `\`, `{`, `}`. */
  none: 0,
  /** Blank in every version: not the vertical tab, which is blank since PostgreSQL 16 only. */
  space: 1,
  /** A letter, `_`, or any byte of a character outside ASCII. */
  letter: 2,
  digit: 3,
  operator: 4,
  punctuation: 5,
  quote: 6,
  doubleQuote: 7,
  dollar: 8,
} as const;

/** The class of each byte. Read only. */
export const BYTE_CLASSES: Uint8Array = classesOfBytes();

/** 1 for each byte with which a word goes on: letters, digits, `$`. Read only. */
export const WORD_BYTES: Uint8Array = BYTE_CLASSES.map((value) =>
  value === ByteClass.letter || value === ByteClass.digit || value === ByteClass.dollar ? 1 : 0,
);

/** Each byte, ASCII letters in lower case. Read only. */
export const LOWER_BYTES: Uint8Array = new Uint8Array(256).map((_, byte) =>
  byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte,
);

function classesOfBytes(): Uint8Array {
  const classes = new Uint8Array(256);
  const setAll = (characters: string, value: number): void => {
    for (let i = 0; i < characters.length; i++) classes[characters.charCodeAt(i)] = value;
  };
  setAll(" \t\n\r\f", ByteClass.space);
  setAll("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_", ByteClass.letter);
  classes.fill(ByteClass.letter, 0x80);
  setAll("0123456789", ByteClass.digit);
  setAll("~!@#^&|`?+-*/%<>=", ByteClass.operator);
  setAll(",()[].;:", ByteClass.punctuation);
  setAll("'", ByteClass.quote);
  setAll('"', ByteClass.doubleQuote);
  setAll("$", ByteClass.dollar);
  return classes;
}
