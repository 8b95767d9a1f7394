/**
 * The language that the scripted PostgreSQL understands: a few statements that look like SQL and say what they answer.
 *
 *     SELECT rows(3,20) pause(5) <c7:12>        three rows of 20 bytes after 5 ms, asked by client 7 as its 12th statement
 *     SELECT rows(3,20), $1                     the same; who asks is said by the first parameter
 *     SELECT 'rows(3,20) pause(5)'              the same, as a constant: to the pooler it is a read like any other
 *     SELECT 'rows(1,20) tell(DateStyle)' AS k1 the same; its rows say what that setting is, and it is one of a family
 *     SELECT 'FAIL'                             a read that fails
 *     SELECT 'rows(1,20)' FOR UPDATE            like a read, and none: what stands behind the constant makes it one of a kind
 *     SELECT rows(9,20) stream(3,2)             rests 2 ms after each third row
 *     INSERT, CREATE, FAIL, BEGIN, START TRANSACTION, COMMIT, END, ROLLBACK, ROLLBACK TO (there is no savepoint), SET name = 'value', SHOW name, DISCARD ALL, DEALLOCATE ALL
 *     COPY t FROM STDIN [fail(2)|refused]       fails at the second CopyData, or before any
 *     COPY t TO STDOUT rows(3,20)
 *
 * Identities (drawn in angle brackets) stand in C comments. `pause` and `notice` go with every statement. Every answer carries the identity of the asker, so that a misdelivered byte shows.
 */
export type Verb =
  | "select"
  | "insert"
  | "create"
  | "fail"
  | "begin"
  | "commit"
  | "rollback"
  | "rollbackTo"
  | "set"
  | "show"
  | "copyIn"
  | "copyOut"
  | "discard"
  | "deallocate"
  | "empty"
  | "unknown";

export interface Statement {
  readonly verb: Verb;
  readonly rows: number;
  readonly bytes: number;
  readonly pauseMs: number;
  /** After how many rows a rest, and how long; 0 = none. */
  readonly streamEvery: number;
  readonly streamMs: number;
  readonly notice: boolean;
  /** At which CopyData it fails; 0 = never, -1 = before the copy begins. */
  readonly failAt: number;
  /** For SET and SHOW; of a BEGIN its first word. */
  readonly name: string;
  readonly value: string;
  /** "c7:12", or null when a parameter says it or nobody does. */
  readonly identity: string | null;
  /** The setting that its rows tell of; "" for none. */
  readonly tells: string;
  readonly takesParameter: boolean;
  /** It may share a server, and be run more than once: to the pooler too it is plainly a read. */
  readonly isRead: boolean;
  /** It cannot be kept prepared for long. */
  readonly isFragile: boolean;
}

/** One constant, a parameter perhaps, and a name for its family: no other text is plainly a read. */
const READ = /^SELECT '[^']*'(?:, \$1)?(?: AS \w+)?$/;

const COMMENTS = /\/\*.*?\*\//g;

const VERBS: readonly (readonly [RegExp, Verb])[] = [
  [/^SELECT 'FAIL/, "fail"],
  [/^(SELECT|select)\b/, "select"],
  [/^INSERT\b/, "insert"],
  [/^CREATE\b/, "create"],
  [/^FAIL\b/, "fail"],
  [/^(BEGIN|begin|START TRANSACTION)\b/, "begin"],
  [/^(COMMIT|END)\b/, "commit"],
  [/^ROLLBACK TO\b/, "rollbackTo"],
  [/^ROLLBACK\b/, "rollback"],
  [/^SET\b/i, "set"],
  [/^SHOW\b/, "show"],
  [/^COPY t FROM STDIN\b/, "copyIn"],
  [/^COPY t TO STDOUT\b/, "copyOut"],
  [/^DISCARD ALL\b/i, "discard"],
  [/^DEALLOCATE ALL\b/i, "deallocate"],
];

/** The statements of a text, in order. A text without any is one empty statement. */
export function parseStatements(text: string): Statement[] {
  // Values of SET may hold anything but a semicolon.
  const parts = text.split(";").filter((part) => part.replace(COMMENTS, "").trim() !== "");
  if (parts.length === 0) parts.push(text.replaceAll(";", ""));
  return parts.map((part) => parseStatement(part.trim(), parts.length === 1));
}

function parseStatement(text: string, isAlone: boolean): Statement {
  const identity = /\/\*(c\d+:\d+)\*\//.exec(text)?.[1] ?? null;
  const words = text.replace(COMMENTS, "").trim();
  let verb: Verb = words === "" ? "empty" : "unknown";
  for (const [pattern, name] of VERBS) {
    if (!pattern.test(words)) continue;
    verb = name;
    break;
  }
  const rows = /rows\((\d+),(\d+)\)/.exec(words);
  const stream = /stream\((\d+),(\d+)\)/.exec(words);
  const set = verb === "set" ? /^SET (?:SESSION )?"?(\w+)"?\s*(?:=|TO)\s*'(.*)'/i.exec(words) : null;
  return {
    verb,
    rows: Number(rows?.[1] ?? 1),
    bytes: Number(rows?.[2] ?? 16),
    pauseMs: Number(/pause\((\d+)\)/.exec(words)?.[1] ?? 0),
    streamEvery: Number(stream?.[1] ?? 0),
    streamMs: Number(stream?.[2] ?? 0),
    notice: words.includes("notice"),
    failAt: words.includes("refused") ? -1 : Number(/fail\((\d+)\)/.exec(words)?.[1] ?? 0),
    name: verb === "show" || verb === "begin" ? (words.split(/\s+/)[verb === "show" ? 1 : 0] ?? "") : (set?.[1] ?? ""),
    value: (set?.[2] ?? "").replaceAll("''", "'"),
    identity,
    takesParameter: words.includes("$1"),
    tells: /tell\((\w+)\)/.exec(words)?.[1] ?? "",
    isRead: isAlone && READ.test(words),
    isFragile: words.includes("fragile"),
  };
}

/** Which client an identity belongs to, and its serial number. */
export function identityParts(identity: string): { readonly client: number; readonly serial: number } {
  const colon = identity.indexOf(":");
  return { client: Number(identity.slice(1, colon)), serial: Number(identity.slice(colon + 1)) };
}
