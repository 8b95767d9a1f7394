/**
 * Words of the grammar that the judge of statements has to know. Not a list of keywords: what is not here is a name to it.
 */

/** Those that may stand in front of a parenthesis, `IN (`, `numeric(10, 2)`, and that no function can be called. */
const RESERVED = `all and any array as asymmetric between bit case cast char character coalesce current_time current_timestamp dec decimal
  distinct else except exists extract float for from greatest group grouping having in intersect interval lateral least limit
  localtime localtimestamp nchar normalize not nullif numeric offset on only or overlay position row select some substring
  symmetric then time timestamp to trim union using values varchar when where with`;

/** The same for words that a function can be called: PostgreSQL has none that does harm, and the judge asks after the user's. */
const UNRESERVED =
  "by cube escape filter first ilike join like materialized next operator over overlaps rollup sets unique varying within zone";

/** All words that may stand in front of a parenthesis without calling anything. */
export const WORDS_BEFORE_PARENTHESIS: ReadonlySet<string> = new Set(`${RESERVED} ${UNRESERVED}`.split(/\s+/));

/** Those of them that a user's function may be called. */
export const CALLABLE_WORDS: ReadonlySet<string> = new Set(UNRESERVED.split(" "));

export const FIRST_WORDS: ReadonlySet<string> = new Set(["select", "values", "table", "with"]);

export const WRITING_WORDS: ReadonlySet<string> = new Set(["insert", "update", "delete", "merge"]);

/** Behind FOR. */
export const LOCKING_WORDS: ReadonlySet<string> = new Set(["update", "share", "no", "key"]);

/** Operators that words stand for, by the word. */
export const OPERATORS_OF_WORDS: ReadonlyMap<string, readonly string[]> = new Map([
  ["like", ["~~", "!~~"]],
  ["ilike", ["~~*", "!~~*"]],
  ["similar", ["~", "!~"]],
]);

/** Operators that IN, BETWEEN, NULLIF, CASE, USING, NATURAL, DISTINCT and more stand for: they cannot be kept out. */
export const OPERATORS_EVERYWHERE: readonly string[] = ["=", "<>", "<", "<=", ">", ">="];
