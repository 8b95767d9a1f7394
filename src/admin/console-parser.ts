/**
 * Reads one command of the console.
 *
 *     WORD [WORD] [;]        SET WORD = value [;]        SET WORD TO value [;]
 *
 * A word is letters, digits and `_`, or anything in double quotes (`""` is a quote); a value of SET may stand in single
 * quotes too (`''` is a quote). White space is free. The limits are those of PgBouncer's buffers and count what was
 * written, quotes included. Counterpart: `admin_parse_query` in admin.c.
 */
import { encodeText } from "../protocol/byte-text.ts";

export const COMMAND_BYTES_MAX = 15;
export const ARGUMENT_BYTES_MAX = 63;
export const VALUE_BYTES_MAX = 255;

export type ParsedQuery =
  | { readonly kind: "command"; readonly word: string; readonly argument: string }
  | { readonly kind: "set"; readonly key: string; readonly value: string }
  /** It is no command at all. */
  | { readonly kind: "invalid" }
  /** A part is too long, or the key is empty. */
  | { readonly kind: "badArguments" };

const WS0 = "[ \\t\\n\\r]*";
const WS1 = "[ \\t\\n\\r]+";
const WORD = '("(?:[^"]|"")*"|[0-9a-z_]+)';
const STRING = "('(?:[^']|'')*')";
const END = `${WS0}(?:;${WS0})?$`;

/** `to` does not stick to a bare key: where it may, a long text can be cut at every `to` in it, and each is tried. */
const ASSIGN = `(?:${WS0}=|(?:${WS1}|(?<="))to)${WS0}`;

const COMMAND = new RegExp(`^${WS0}${WORD}(?:${WS1}${WORD})?${END}`, "i");
const SET_STRING = new RegExp(`^${WS0}set${WS1}${WORD}${ASSIGN}${STRING}${END}`, "i");
const SET_WORD = new RegExp(`^${WS0}set${WS1}${WORD}${ASSIGN}${WORD}${END}`, "i");

/** Never throws. `argument` is empty where there is none; case is kept. */
export function parseConsoleQuery(text: string): ParsedQuery {
  const command = COMMAND.exec(text);
  if (command !== null) {
    const word = unquote(command[1], '"', COMMAND_BYTES_MAX);
    const argument = unquote(command[2], '"', ARGUMENT_BYTES_MAX);
    return word === null || argument === null ? { kind: "badArguments" } : { kind: "command", word, argument };
  }
  const setString = SET_STRING.exec(text);
  if (setString !== null) return readSet(setString, "'");
  const setWord = SET_WORD.exec(text);
  return setWord === null ? { kind: "invalid" } : readSet(setWord, '"');
}

function readSet(match: RegExpExecArray, quote: string): ParsedQuery {
  const key = unquote(match[1], '"', ARGUMENT_BYTES_MAX);
  const value = unquote(match[2], quote, VALUE_BYTES_MAX);
  return key === null || key === "" || value === null ? { kind: "badArguments" } : { kind: "set", key, value };
}

/** Null when it is too long. */
function unquote(written: string | undefined, quote: string, bytesMax: number): string | null {
  if (written === undefined) return "";
  if (encodeText(written).length > bytesMax) return null;
  return written.startsWith(quote) ? written.slice(1, -1).replaceAll(quote + quote, quote) : written;
}
