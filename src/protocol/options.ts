/**
 * Takes the `options` startup parameter apart, as PgBouncer does (`set_startup_options`): only `-c key=val`,
 * `-ckey=val` and `--key=val`, nothing else of what `postgres` itself understands.
 *
 * Whether a key is allowed is not decided here. Replication clients' options go to PostgreSQL unread.
 */

export interface OptionSettings {
  /** What was read, in order, up to the error. The caller judges these before the error: that is PgBouncer's order. */
  readonly settings: readonly (readonly [key: string, value: string])[];
  /** PgBouncer's text for the client, or null. */
  readonly error: string | null;
}

const UNSUPPORTED = "unsupported options startup parameter: only '-c config=val' and '--config=val' are allowed";

/**
 * Tokens end at white space; a backslash takes the next character as it is. Between tokens only blanks are allowed, and
 * none behind the last one: PgBouncer then looks for another token and refuses.
 */
export function parseOptions(options: string): OptionSettings {
  const settings: (readonly [string, string])[] = [];
  let at = 0;
  while (at < options.length) {
    at = skipBlanks(options, at);
    if (options.startsWith("-c", at)) at = skipBlanks(options, at + 2);
    else if (options.startsWith("--", at)) at += 2;
    else return { settings, error: UNSUPPORTED };

    const [token, behind] = readToken(options, at);
    at = behind;
    const equals = token.indexOf("=");
    if (equals < 0) return { settings, error: UNSUPPORTED };
    settings.push([token.slice(0, equals), token.slice(equals + 1)]);
  }
  return { settings, error: null };
}

/** Tabs and line ends are no blanks here, although they end a token. */
function skipBlanks(text: string, at: number): number {
  while (text[at] === " ") at++;
  return at;
}

function readToken(text: string, from: number): [token: string, behind: number] {
  let token = "";
  let at = from;
  while (at < text.length) {
    let char = text[at] as string;
    if (char === "\\") {
      at++;
      if (at === text.length) break;
      char = text[at] as string;
    } else if (isSpace(char)) {
      break;
    }
    token += char;
    at++;
  }
  return [token, at];
}

/** C's `isspace` in the C locale. */
function isSpace(char: string): boolean {
  return char === " " || (char >= "\t" && char <= "\r");
}
