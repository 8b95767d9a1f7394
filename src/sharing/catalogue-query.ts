/**
 * The query that reads `CatalogueFacts` from a database, and the reader of its rows.
 *
 * Responsible for what counts as unsafe. Not for when and where it is asked (`session/catalogue-watch.ts`), nor for what a
 * text may do with a name (`statement-verdict.ts`).
 *
 * The query makes a graph: functions, relations, types and operators, and what each of them reaches. Some are unsafe by
 * themselves (`seed`); whoever reaches one is unsafe too (`unsafe`), through views over views and functions over functions.
 *
 *     view ──▶ function (body in SQL) ──▶ view ──▶ operator ──▶ function (volatile)
 *     table with row security ──▶ policy's function        domain ──▶ CHECK's function      foreign table
 *
 * - PostgreSQL records no dependencies on built-in objects, and none of a body that is text. So the oids are taken from stored
 *   node trees (rules, policies, checks, defaults, bodies of BEGIN ATOMIC), and bodies are cut into words, each of which may
 *   be any object of that name. Comments and literals count as well: a name too many costs sharing, one too few an answer.
 * - Built-in views are leaves: those over volatile functions are known by name, and their rules are not read.
 * - Procedures, trigger functions and handlers (of a language, of TABLESAMPLE) cannot be called by a SELECT and are left out. So
 *   are dictionaries, parsers and conversions, whose functions in C only a superuser can bring in.
 * - Functions in C are what they say they are, volatile or not, when an extension brings them or PostgreSQL has made them (the
 *   constructors of a range type).
 * - What a CHECK of a table, an index or a statistics object calls is not run for a read.
 * - Each table has a row type, and each type one of its arrays, whose own functions are PostgreSQL's and harmless. They are most of a large
 *   catalogue's types, so those functions are left out.
 *
 * Any user may run it: it reads catalogues that all may read, by an empty search_path and under limits of its own that end
 * with it. One Query message, hence one transaction. PostgreSQL 13 to 18.
 */
import { HAZARDOUS_FUNCTIONS, HAZARDOUS_VIEWS } from "./built-in-functions.ts";
import type { CatalogueFacts } from "./catalogue-facts.ts";

/** More names than this are not kept: the database does not share. */
export const CATALOGUE_ROWS_MAX = 20_000;

/** PostgreSQL gives up the query after this time. */
export const CATALOGUE_STATEMENT_MS = 9_000;

/** In a body: what locks, changes the session, or runs a text, under whatever name it may be called. POSIX, any case. */
const WATCH_WORDS = String.raw`advisory|set_config|nextval|setval|currval|lastval|setseed|notify|pg_sleep|dblink|\\mlo_|_to_xml|crosstab|connectby|xpath_table|ts_stat|\\mexecute\\M|u&"`;
/** Functions of extensions that call themselves stable and run a text that they are given. */
const EXTENSIONS_OPAQUE = "^(dblink|crosstab|connectby|xpath_table)";
/** What cannot stand in a name that is not quoted; the dollar sign is taken for a separator. \u0060: a backtick. */
const SEPARATORS = String.raw` -/:-@[-^\\u0060{-~\\s`;
/** Operators that SQL calls where none is written: by IN, BETWEEN, LIKE, CASE, DISTINCT, USING. */
const KEYWORD_OPERATORS = "'=', '<>', '<', '>', '<=', '>=', '~~', '!~~', '~~*', '!~~*', '~', '!~'";

// Nodes are one int8: the kind above, the oid below. Text constants are E'' so that standard_conforming_strings is no matter.
const FUNCTION = "1::int8 << 32 | ";
const RELATION = "2::int8 << 32 | ";
const TYPE = "3::int8 << 32 | ";
const OPERATOR = "4::int8 << 32 | ";
/** What functions return that no SELECT can call. */
const NOT_CALLABLE = `(${[
  "trigger",
  "event_trigger",
  "language_handler",
  "fdw_handler",
  "index_am_handler",
  "table_am_handler",
  "tsm_handler",
]
  .map((type) => `'${type}'::regtype`)
  .join(", ")})`;

const SETTINGS = `set local search_path = pg_catalog, pg_temp;
set local statement_timeout = ${CATALOGUE_STATEMENT_MS};
set local client_encoding = 'UTF8';
set local jit = off;
set local max_parallel_workers_per_gather = 0;
`;

/** The functions that are not PostgreSQL's own, and those of all that are unsafe by themselves. */
const FUNCTIONS = `
  language as materialized (
    select oid, lanname in ('sql', 'plpgsql') as is_text, lanname in ('c', 'internal') as is_compiled from pg_language),
  fn as materialized (
    select p.oid::int8 as oid, p.proname as name, p.prosrc as body, l.is_text, p.provolatile = 'v' as is_volatile,
        p.prokind = 'a' as is_aggregate,
        l.is_compiled and p.oid in (
          select objid from pg_depend where classid = 'pg_proc'::regclass and deptype in ('e', 'i')) as is_vouched_for,
        array[p.prorettype] || p.proargtypes::oid[] || p.proallargtypes as types,
        p.proargdefaults::text as defaults_tree,
        case when l.is_text and p.prosrc = '' then to_jsonb(p) ->> 'prosqlbody' end as body_tree
      from pg_proc p join language l on l.oid = p.prolang
      where (p.oid >= 16384 or p.pronamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace))
        and p.prokind <> 'p' and p.prorettype not in ${NOT_CALLABLE}),
  seed as materialized (
    select ${FUNCTION} oid::int8 as node from pg_proc
      where provolatile = 'v' and prokind <> 'p' and prorettype not in ${NOT_CALLABLE}
        or oid < 16384 and proname in (${quoted(HAZARDOUS_FUNCTIONS)})
    union all
    select ${FUNCTION} oid from fn
      where not is_aggregate
        and (not is_text and not is_vouched_for or name ~ '${EXTENSIONS_OPAQUE}' or is_text and body ~* E'${WATCH_WORDS}')
    union all
    select ${RELATION} oid::int8 from pg_class
      where relkind = 'f' or oid < 16384 and relname in (${quoted(HAZARDOUS_VIEWS)}))`;

/** What stored node trees name. A field is ":label oid" or ":label (o oid oid)"; a built-in function's oid may be short. */
const TREES = `
  tree as materialized (
    select ${RELATION} c.oid::int8 as node, r.ev_action::text as text
      from pg_rewrite r join pg_class c on c.oid = r.ev_class
      where r.ev_type = '1' and c.relkind = 'v' and c.oid >= 16384
    union all
    select ${RELATION} c.oid::int8, p.polqual::text
      from pg_policy p join pg_class c on c.oid = p.polrelid where c.relrowsecurity and p.polqual is not null
    union all
    select ${TYPE} contypid::int8, conbin::text
      from pg_constraint where contypid <> 0 and oid >= 16384 and conbin is not null
    union all
    select ${FUNCTION} oid, t
      from fn, unnest(array[body_tree, defaults_tree]) t where t is not null and not is_volatile),
  field as materialized (
    select distinct node, m[1] as label, m[2] as oids
      from tree, regexp_matches(text, E':(\\\\w+) (?:\\\\(o )?(\\\\d{5}[\\\\d ]*)', 'g') m
    union all
    select distinct node, m[1], m[2]
      from tree, regexp_matches(text, E':((?:op|hash|neg)?funcid|aggfnoid|winfnoid|tsmhandler) (\\\\d{1,4})\\\\M', 'g') m)`;

/** Who reaches what, as far as PostgreSQL has it in oids. */
const EDGES = `
  recorded (src, dst) as materialized (
    select node, kind << 32 | target::int8
      from field, unnest(string_to_array(trim(oids), ' ')) target, lateral (select case
          when label ~ 'func|Func|fnoid$|handler$' then 1::int8
          when label = 'relid' then 2
          when label ~ 'typ(e|id|eid|eId)$' then 3
          when label ~ '^(opnos?|eqop|sortop|.*neop)$' then 4 end as kind) k
      where kind is not null
    union all
    select ${FUNCTION} aggfnoid::oid::int8, ${FUNCTION} called::oid::int8
      from pg_aggregate, unnest(array[aggtransfn, aggfinalfn, aggcombinefn, aggserialfn, aggdeserialfn, aggmtransfn,
        aggminvtransfn, aggmfinalfn]) called
      where aggfnoid::oid >= 16384 and called <> 0
    union all
    select ${FUNCTION} fn.oid, ${TYPE} type::int8 from fn, unnest(types) type where type >= 16384
    union all
    select ${OPERATOR} oid::int8, kind << 32 | target::int8
      from pg_operator, lateral (values (1::int8, oprcode::oid), (1, oprrest::oid), (1, oprjoin::oid), (4, oprnegate),
        (4, oprcom), (3, oprleft), (3, oprright)) t (kind, target)
      where oid >= 16384 and (target >= 16384 or kind = 1)
    union all
    select ${TYPE} oid::int8, kind << 32 | target::int8
      from pg_type, lateral (values (1::int8, typinput::oid), (1, typoutput::oid), (1, typreceive::oid),
        (1, typsend::oid), (1, typmodin::oid), (1, typmodout::oid), (3, typelem), (3, typbasetype), (2, typrelid)
        ) t (kind, target)
      where oid >= 16384 and (target >= 16384 or kind = 1 and typtype <> 'c' and typinput <> 'array_in'::regproc)
    union all
    select ${TYPE} rngtypid::int8, kind << 32 | target::int8
      from pg_range, lateral (values (1::int8, rngcanonical::oid), (1, rngsubdiff::oid), (3, rngsubtype)) t (kind, target)
      where rngtypid >= 16384 and (target >= 16384 or kind = 1)
    union all
    select ${TYPE} type::int8, ${FUNCTION} castfunc::int8
      from pg_cast, unnest(array[castsource, casttarget]) type
      where oid >= 16384 and type >= 16384 and castfunc <> 0
    union all
    select ${RELATION} attrelid::int8, ${TYPE} atttypid::int8
      from pg_attribute where atttypid >= 16384 and attnum > 0 and not attisdropped
    union all
    select ${RELATION} inhparent::int8, ${RELATION} inhrelid::int8 from pg_inherits)`;

/** What the bodies of functions name, and the whole. A name that has to be quoted, or an operator, is looked for as it is. */
const REACH = `
  candidate as materialized (
    select node, lower(name collate "C") as name, name ~ E'[${SEPARATORS}]' as is_odd
      from (select node from seed union select src from recorded union select ${FUNCTION} oid from fn) c, lateral (
        select proname::text as name from pg_proc where node >> 32 = 1 and oid = (node & 4294967295)::oid
        union all
        select relname from pg_class where node >> 32 = 2 and oid = (node & 4294967295)::oid
        union all
        select typname from pg_type where node >> 32 = 3 and oid = (node & 4294967295)::oid) n),
  body as materialized (
    select ${FUNCTION} oid as node, lower(body collate "C") as text from fn
      where is_text and body <> '' and ${FUNCTION} oid not in (select node from seed)),
  word as materialized (
    select distinct node, m[1] as word from body, regexp_matches(text, E'[^${SEPARATORS}]+', 'g') m),
  odd as materialized (
    select node, replace(name, '"', '""') as name from candidate where is_odd
    union all
    select ${OPERATOR} o.oid::int8, o.oprname
      from pg_operator o join fn on fn.oid = o.oprcode::oid::int8 where o.oid >= 16384 and not fn.is_vouched_for),
  edge as materialized (
    select src, dst from recorded
    union all
    select w.node, c.node from word w join candidate c on c.name = w.word where not c.is_odd
    union all
    select b.node, o.node from odd o join body b on position(o.name in b.text) > 0),
  unsafe as (
    select node from seed
    union
    select e.src from unsafe u join edge e on e.dst = u.node)`;

/** The rows: a kind and a name, or a sentence. */
const ROWS = `
  found (kind, name) as (
    select 'f', name::text from fn
    union
    select 'n', name::text from fn where ${FUNCTION} oid in (select node from unsafe)
    union
    select 'n', relname from pg_class where oid >= 16384 and ${RELATION} oid::int8 in (select node from unsafe)
    union
    select 'n', typname from pg_type where oid >= 16384 and ${TYPE} oid::int8 in (select node from unsafe)
    union
    select 'o', oprname from pg_operator where oid >= 16384 and ${OPERATOR} oid::int8 in (select node from unsafe)
    union
    select 'r', 'keywords stand for the operator ' || oid::regoperator::text || ', which calls ' || oprcode::text
      from pg_operator
      where oid >= 16384 and ${OPERATOR} oid::int8 in (select node from unsafe) and oprname in (${KEYWORD_OPERATORS})
    union
    select 'r', 'the cast from ' || format_type(castsource, null) || ' to ' || format_type(casttarget, null)
        || ' calls ' || castfunc::regprocedure::text
      from pg_cast
      where oid >= 16384 and ${FUNCTION} castfunc::int8 in (select node from unsafe)
        and (castcontext = 'i' or castsource < 16384 and casttarget < 16384)
    union
    select 'r', 'an operator class for ' || format_type(amproclefttype, null)
        || ' calls ' || amproc::oid::regprocedure::text
      from pg_amproc where oid >= 16384 and ${FUNCTION} amproc::oid::int8 in (select node from unsafe)
    union
    select 'r', 'an operator class for ' || format_type(amoplefttype, null)
        || ' uses the operator ' || amopopr::regoperator::text
      from pg_amop where oid >= 16384 and ${OPERATOR} amopopr::int8 in (select node from unsafe))
(select kind, name from found limit ${CATALOGUE_ROWS_MAX + 1}) union all select 'e', ''`;

/** For one Query message. Its rows go to `CatalogueRows`. */
export const CATALOGUE_QUERY = `${SETTINGS}with recursive${[FUNCTIONS, TREES, EDGES, REACH, ROWS].join(",")}`;

function quoted(names: ReadonlySet<string>): string {
  return [...names].map((name) => `'${name}'`).join(", ");
}

/** Gathers the rows of one reading. */
export class CatalogueRows {
  readonly #userFunctions = new Set<string>();
  readonly #unsafeNames = new Set<string>();
  readonly #unsafeOperators = new Set<string>();
  #refusal: string | null = null;
  #count = 0;
  #isWhole = false;
  #isStrange = false;

  /** Of the names that are kept. */
  get size(): number {
    return this.#userFunctions.size + this.#unsafeNames.size + this.#unsafeOperators.size;
  }

  /** One row as it came. What this query cannot have answered makes the reading worthless. */
  add(row: readonly (string | null)[]): void {
    const [kind, name] = row;
    const isStrange = row.length !== 2 || typeof name !== "string" || this.#isWhole;
    if (isStrange || (kind !== "e" && this.#count > CATALOGUE_ROWS_MAX)) this.#isStrange = true;
    else if (kind === "e") this.#isWhole = true;
    else this.#keep(kind, name);
  }

  #keep(kind: string | null | undefined, name: string): void {
    this.#count += 1;
    if (kind === "f") this.#userFunctions.add(name);
    else if (kind === "n") this.#unsafeNames.add(name);
    else if (kind === "o") this.#unsafeOperators.add(name);
    else if (kind === "r") this.#refuse(name);
    else this.#isStrange = true;
  }

  /** Of several reasons the first in order, so that two readings say the same. */
  #refuse(reason: string): void {
    if (this.#refusal === null || reason < this.#refusal) this.#refusal = reason;
  }

  /** Null when the rows are not a whole answer to `CATALOGUE_QUERY`. */
  facts(): CatalogueFacts | null {
    if (this.#isStrange || !this.#isWhole) return null;
    const isTooLarge = this.#count > CATALOGUE_ROWS_MAX;
    return {
      userFunctions: this.#userFunctions,
      unsafeNames: this.#unsafeNames,
      unsafeOperators: this.#unsafeOperators,
      refusesAll: isTooLarge
        ? `the catalogue is too large: more than ${CATALOGUE_ROWS_MAX} names to look at`
        : this.#refusal,
    };
  }
}
