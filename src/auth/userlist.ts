/**
 * The text of PgBouncer's `auth_file` (userlist.txt) → users and their secrets.
 *
 *   ; a comment
 *   "user" "secret" anything more is ignored
 *
 * `""` inside a field is one quote; a field may hold line breaks. A malformed line stops the reading, and the entries
 * before it stay (PgBouncer's `load_auth_file`). Narrower than PgBouncer in one point: both fields must start on one
 * line, where PgBouncer takes the next line's user for a forgotten secret.
 *
 * Reading the file, watching it and blanking the users it no longer names are the pooler's.
 */
import { passwordBytesMax } from "./password-message.ts";
import { StoredSecret } from "./stored-secret.ts";

/** Longest user name in bytes of UTF-8: PgBouncer's MAX_USERNAME − 1. */
export const userNameBytesMax = 127;

export interface UserlistError {
  /** Of the line on which the reading stopped, from 1. */
  readonly line: number;
  /** PgBouncer's words. */
  readonly message: string;
}

export interface Userlist {
  /** Of two entries for one user the later counts. */
  readonly users: Map<string, StoredSecret>;
  readonly error: UserlistError | null;
}

/** `text`: the whole file, decoded from UTF-8. Never throws. */
export function parseUserlist(text: string): Userlist {
  const users = new Map<string, StoredSecret>();
  // A zero ends a C string, so PgBouncer reads no further.
  const zero = text.indexOf("\0");
  const end = zero < 0 ? text.length : zero;
  const body = text.slice(0, end);

  let at = skipBlanks(body, 0);
  while (at < body.length) {
    if (body[at] !== ";") {
      const entry = readEntry(body, at);
      if (typeof entry === "string") return { users, error: { line: lineOf(body, at), message: entry } };
      users.set(unquote(entry.user), new StoredSecret(unquote(entry.secret)));
      at = entry.end;
    }
    const lineEnd = body.indexOf("\n", at);
    at = lineEnd < 0 ? body.length : skipBlanks(body, lineEnd);
  }
  return { users, error: null };
}

/** Fields as they stand in the file, without the outer quotes. */
interface Entry {
  readonly user: string;
  readonly secret: string;
  /** Index behind the secret's closing quote. */
  readonly end: number;
}

/** The entry that starts at `start`, or what is wrong with it. */
function readEntry(text: string, start: number): Entry | string {
  if (text[start] !== '"') return "broken auth file";
  const userEnd = closingQuote(text, start);
  if (userEnd < 0) return "broken auth file";
  const user = text.slice(start + 1, userEnd);
  // PgBouncer measures fields before it unquotes them.
  if (Buffer.byteLength(user, "utf8") > userNameBytesMax) return "username too long in auth file";

  const secretStart = text.indexOf('"', userEnd + 1);
  if (secretStart < 0 || text.slice(userEnd + 1, secretStart).includes("\n")) return "broken auth file";
  const secretEnd = closingQuote(text, secretStart);
  if (secretEnd < 0) return "broken auth file";
  const secret = text.slice(secretStart + 1, secretEnd);
  if (Buffer.byteLength(secret, "utf8") > passwordBytesMax) return "password too long in auth file";
  return { user, secret, end: secretEnd + 1 };
}

/** Index of the quote that closes the one at `open`, passing over doubled ones; −1 if there is none. */
function closingQuote(text: string, open: number): number {
  let at = text.indexOf('"', open + 1);
  while (at >= 0 && text[at + 1] === '"') at = text.indexOf('"', at + 2);
  return at;
}

/** Index of the first character from `at` on that C's isspace() does not know. */
function skipBlanks(text: string, at: number): number {
  let next = at;
  while (next < text.length && " \t\r\n\v\f".includes(text[next] ?? "")) next++;
  return next;
}

function lineOf(text: string, at: number): number {
  return text.slice(0, at).split("\n").length;
}

function unquote(field: string): string {
  return field.replaceAll('""', '"');
}
