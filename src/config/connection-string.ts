/**
 * Connection strings: the `key=value` pairs of `[databases]`, `[users]` and `[peers]`.
 *
 * The dialect is PgBouncer's (loader.c), not libpq's: pairs are split by spaces only, a value in single quotes doubles
 * a quote inside, there is no backslash, and an empty value is an error even in quotes. Which keys are known is not
 * decided here.
 */
import { HIDDEN } from "./secret.ts";

/** One `key=value`. Of a key that comes twice the last one counts; that is the reader's business. */
export type ConnectionPair = readonly [key: string, value: string];

/** Reads a connection string; null on a syntax error. An empty string has no pairs. Never throws. */
export function parseConnectionString(text: string): ConnectionPair[] | null {
  const pairs: ConnectionPair[] = [];
  let at = skipSpaces(text, 0);
  while (at < text.length) {
    const keyStart = at;
    while (at < text.length && text[at] !== "=" && text[at] !== " ") at++;
    const key = text.slice(keyStart, at);
    at = skipSpaces(text, at);
    if (key === "" || text[at] !== "=") return null;
    at = skipSpaces(text, at + 1);
    const value = text[at] === "'" ? readQuoted(text, at) : readBare(text, at);
    if (value === null || value.text === "") return null;
    pairs.push([key, value.text]);
    at = skipSpaces(text, value.end);
  }
  return pairs;
}

/** Prints pairs so that they read back the same. Keys must be without spaces and `=`, values must not be empty. */
export function printConnectionString(pairs: Iterable<ConnectionPair>): string {
  const words: string[] = [];
  for (const [key, value] of pairs)
    words.push(`${key}=${/^'| /.test(value) ? `'${value.replaceAll("'", "''")}'` : value}`);
  return words.join(" ");
}

/** The string with the values of passwords hidden, for error messages. One that cannot be read is hidden whole if it may hold one. */
export function hidePasswords(text: string): string {
  if (!/passw/i.test(text)) return text;
  const pairs = parseConnectionString(text);
  if (pairs === null) return HIDDEN;
  return printConnectionString(pairs.map(([key, value]) => [key, /passw/i.test(key + value) ? HIDDEN : value]));
}

interface Token {
  readonly text: string;
  readonly end: number;
}

function readBare(text: string, start: number): Token {
  let end = start;
  while (end < text.length && text[end] !== " ") end++;
  return { text: text.slice(start, end), end };
}

/** From the opening quote on; null when the closing one is missing or something is glued to it. */
function readQuoted(text: string, start: number): Token | null {
  let value = "";
  let at = start + 1;
  for (;;) {
    const quote = text.indexOf("'", at);
    if (quote === -1) return null;
    value += text.slice(at, quote);
    if (text[quote + 1] !== "'") {
      const end = quote + 1;
      return end === text.length || text[end] === " " ? { text: value, end } : null;
    }
    value += "'";
    at = quote + 2;
  }
}

function skipSpaces(text: string, at: number): number {
  while (text[at] === " ") at++;
  return at;
}
