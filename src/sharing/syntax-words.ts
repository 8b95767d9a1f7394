/**
 * Words of the grammar that the judge of statements has to know. Not a list of keywords: what is not here is a name to it.
 */

/**
 * Those that may stand in front of a parenthesis without calling anything: `IN (`, `OVER (`, `numeric(10, 2)`. Some of them are
 * no reserved words, so a function may be called so; no function of PostgreSQL is that does more than the syntax.
 */
export const WORDS_BEFORE_PARENTHESIS: ReadonlySet<string> = new Set(
  `all and any array as asymmetric at between bit by case cast char character coalesce collation cross cube current_time
  current_timestamp dec decimal distinct else end escape except exists extract fetch filter first float following for from
  greatest group grouping groups having ilike in intersect interval is join lateral least like limit local localtime
  localtimestamp materialized nchar next normalize not nullif numeric offset on only operator or over overlaps overlay
  position range rollup row rows select sets similar some substring symmetric then time timestamp to trim union unique using
  values varchar varying when where with within zone`
    .trim()
    .split(/\s+/),
);

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
