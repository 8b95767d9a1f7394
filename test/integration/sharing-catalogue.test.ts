/**
 * What a catalogue says against sharing, as real PostgreSQL tells it: every way in which a plain read may reach something that is
 * not re-runnable is found, and what databases ordinarily hold is not taken for one. On the packaged PostgreSQL, and on the
 * system's PostgreSQL 15 where there is one.
 */
import { existsSync } from "node:fs";
import { Client, type QueryArrayResult } from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { describeBinaries } from "../../src/demo/postgres-binaries.ts";
import type { CatalogueFacts } from "../../src/sharing/catalogue-facts.ts";
import { CATALOGUE_QUERY, CatalogueRows } from "../../src/sharing/catalogue-query.ts";

const systemFolder = "/usr/lib/postgresql/15";

interface Hazard {
  readonly what: string;
  readonly sql: string;
  /** All names that are unsafe then, but for those of array types. */
  readonly names?: string;
  readonly operators?: string;
  readonly refuses?: RegExp;
  /** The first major version that knows it. */
  readonly since?: number;
}

/** What the cases below are made of. */
const volatile = "create function vol(int) returns int language plpgsql as 'begin return $1; end';";
const sequence = "create sequence s;";
const domain = `${volatile} create domain dom as int check (vol(value) > 0);`;
const composite = "create type comp as (a int, b int);";

const hazards: readonly Hazard[] = [
  // Functions
  { what: "a function that is volatile by default", sql: volatile, names: "vol" },
  { what: "one in SQL", sql: "create function f() returns int language sql as 'select 1'", names: "f" },
  {
    what: "a stable one that locks",
    sql: "create function f() returns int stable language sql as 'select 1 from pg_advisory_lock(1)'",
    names: "f",
  },
  {
    what: "a watch word in any case",
    sql: "create function f() returns int stable language plpgsql as 'begin return NextVal(''s''); end'",
    names: "f",
  },
  {
    what: "a stable one that is built on a volatile one of PostgreSQL's",
    sql: "create function f() returns float stable language sql as 'select random()'",
    names: "f",
  },
  {
    what: "one that runs a text",
    sql: "create function f(q text) returns int stable language plpgsql as 'declare n int; begin execute q into n; return n; end'",
    names: "f",
  },
  {
    what: "one that reads a table by its name's text",
    sql: "create function f() returns xml stable language sql as 'select table_to_xml(''pg_class'', true, true, '''')'",
    names: "f",
  },
  {
    what: "functions over functions",
    sql: `${volatile} create function f(int) returns int immutable language sql as 'select vol($1)';
      create function g(int) returns int stable language plpgsql as 'begin return F($1); end';
      create function h(int) returns int stable language sql as 'select 1 + public.g ($1)';
      create function other(int) returns int stable language sql as 'select $1'`,
    names: "f g h vol",
  },
  {
    what: "a body that PostgreSQL has parsed",
    sql: `${sequence} create function f() returns bigint stable begin atomic select nextval('s'); end`,
    names: "f",
    since: 14,
  },
  {
    what: "a parsed body over a function over a view",
    sql: `create view v as select random() as r;
      create function f() returns float stable language sql as 'select r from v';
      create function g() returns float stable begin atomic select f() + 1; end`,
    names: "f g v",
    since: 14,
  },
  {
    what: "a default of an argument",
    sql: `${sequence} create function f(a bigint default nextval('s')) returns bigint stable language sql as 'select a'`,
    names: "f",
  },
  {
    what: "a body that uses an operator",
    sql: `${volatile} create operator <+> (rightarg = int, function = vol);
      create function f(int) returns int stable language sql as 'select <+>$1'`,
    names: "f vol",
    operators: "<+>",
  },
  {
    what: "a body that quotes",
    sql: `create function "Say ""No"" (now)"() returns int language sql as 'select 1';
      create function f() returns int stable language sql as 'select "Say ""No"" (now)"()'`,
    names: 'Say "No" (now) f',
  },
  {
    what: "names that are not ASCII",
    sql: `create function "größe"() returns int language sql as 'select 1';
      create function f() returns int stable language sql as 'select Größe() + 1'`,
    names: "f größe",
  },
  {
    what: "a body that spells a name in escapes",
    sql: `create function f() returns timestamptz stable language sql as 'select U&"\\006eow"()'`,
    names: "f",
  },
  {
    what: "an aggregate",
    sql: `create function step(int, int) returns int language plpgsql as 'begin return $1; end';
      create aggregate agg(int) (sfunc = step, stype = int)`,
    names: "agg step",
  },
  {
    what: "a built-in function under another name",
    sql: "create function f(bigint) returns void stable language internal as 'pg_advisory_lock_int8'",
    names: "f",
  },
  {
    what: "C that no extension vouches for",
    sql: "create function f(text) returns text[] stable language c as '$libdir/pg_trgm', 'show_trgm'",
    names: "f",
  },
  // Relations
  { what: "a view over a sequence", sql: `${sequence} create view v as select nextval('s')`, names: "v" },
  { what: "a view over something volatile", sql: "create view v as select 1 where random() > 2", names: "v" },
  {
    what: "a view over views",
    sql: `create view a as select random() as r; create view b as select 1 from (select * from a) x;
      create view c as select (select count(*) from b) from generate_series(1, 2)`,
    names: "a b c",
  },
  {
    what: "a view over a view of PostgreSQL's, and a body over it",
    sql: `create view v as select count(*) from pg_locks;
      create function f() returns bigint stable language sql as 'select count(*) from pg_settings'`,
    names: "f v",
  },
  {
    what: "a view over a stable function that reads what a text names",
    sql: "create view v as select table_to_xml('pg_class', true, true, '')",
    names: "v",
  },
  {
    what: "a view over an operator",
    sql: `${volatile} create operator <+> (rightarg = int, function = vol); create view v as select <+> 5`,
    names: "v vol",
    operators: "<+>",
  },
  {
    what: "a view over an aggregate, and one over it as a window function",
    sql: `create function step(int, int) returns int language plpgsql as 'begin return $1; end';
      create aggregate agg(int) (sfunc = step, stype = int); create view v as select agg(a) from generate_series(1, 2) a;
      create view w as select agg(a) over () from generate_series(1, 2) a`,
    names: "agg step v w",
  },
  {
    what: "a foreign table, its parent, and a view over that",
    sql: `create foreign data wrapper w; create server s foreign data wrapper w;
      create table parent (a int) partition by range (a);
      create foreign table part partition of parent for values from (1) to (2) server s;
      create table old (a int); create foreign table young () inherits (old) server s;
      create view v as select * from parent, (select 1) x`,
    names: "old parent part v young",
  },
  {
    what: "a policy",
    sql: `${volatile} create table t (a int); create policy p on t using (vol(a) > 0);
      alter table t enable row level security; create view v as select * from t`,
    names: "t v vol",
  },
  {
    what: "a policy that is not in force: its function, and not its table,",
    sql: `${volatile} create table t (a int); create policy p on t using (vol(a) > 0)`,
    names: "vol",
  },
  {
    what: "a policy that reads a view",
    sql: `create view v as select random() as r; create table t (a int);
      create policy p on t using (exists (select from v where r > a)); alter table t enable row level security`,
    names: "t v",
  },
  // Types
  { what: "a domain", sql: domain, names: "dom vol" },
  {
    what: "what is made of a domain",
    sql: `${domain} create domain more as dom; create type pair as (a more); create table t (p pair[]);
      create view v as select 5::dom as d; create function f(a dom) returns int stable language sql as 'select 1';
      create function g() returns int stable language sql as 'select 5::dom::int'`,
    names: "dom f g more pair t v vol",
  },
  {
    what: "a range type",
    sql: `create function diff(text, text) returns float immutable language sql as 'select 1.0 from pg_advisory_lock(1)';
      create type span as range (subtype = text, subtype_diff = diff, collation = "C")`,
    names: "diff span span_multirange",
    since: 14,
  },
  {
    what: "an explicit cast",
    sql: `${composite} create function make(int) returns comp language sql as 'select row($1, $1)::comp';
      create cast (int as comp) with function make(int)`,
    names: "comp make",
  },
  {
    what: "an implicit cast",
    sql: `${composite} create function make(int) returns comp language sql as 'select row($1, $1)::comp';
      create cast (int as comp) with function make(int) as implicit`,
    names: "comp make",
    refuses: /^the cast from integer to public\.comp calls public\.make\(integer\)$/,
  },
  {
    what: "an explicit cast between types of PostgreSQL's",
    sql: `create function make(point) returns int language sql as 'select 1';
      create cast (point as int) with function make(point)`,
    names: "make",
    refuses: /^the cast from point to integer calls public\.make\(point\)$/,
  },
  // Operators
  {
    what: "an operator over a function over a sequence, and its commutator",
    sql: `${sequence} create function f(int, int) returns boolean stable language sql as 'select nextval(''s'') > 0';
      create function g(int, int) returns boolean immutable language sql as 'select true';
      create operator <+> (leftarg = int, rightarg = int, function = g, commutator = +>);
      create operator +> (leftarg = int, rightarg = int, function = f, commutator = <+>);
      create operator %% (leftarg = int, rightarg = int, function = g)`,
    names: "f",
    operators: "+> <+>",
  },
  {
    what: "an operator that keywords stand for",
    sql: `${composite} create function alike(comp, comp) returns boolean language sql as 'select true';
      create operator ~~ (leftarg = comp, rightarg = comp, function = alike)`,
    names: "alike",
    operators: "~~",
    refuses: /^keywords stand for the operator public\.~~\(public\.comp,public\.comp\), which calls public\.alike$/,
  },
  {
    what: "an operator class",
    sql: `create function compare(point, point) returns int language sql as 'select 0';
      create function less(point, point) returns boolean immutable language sql as 'select false';
      create operator <<< (leftarg = point, rightarg = point, function = less);
      create operator class points default for type point using btree as operator 1 <<<, function 1 compare(point, point)`,
    names: "compare",
    refuses: /^an operator class for point calls public\.compare\(point,point\)$/,
  },
  {
    what: "an operator of an operator class",
    sql: `create function compare(point, point) returns int immutable language sql as 'select 0';
      create function less(point, point) returns boolean language sql as 'select false';
      create operator <<< (leftarg = point, rightarg = point, function = less);
      create operator class points default for type point using btree as operator 1 <<<, function 1 compare(point, point)`,
    names: "less",
    operators: "<<<",
    refuses: /^an operator class for point uses the operator public\.<<<\(point,point\)$/,
  },
];

/** Nothing of this may stand against sharing. */
const harmless: readonly { readonly what: string; readonly sql: string; readonly since?: number }[] = [
  {
    what: "stable and immutable functions in SQL and PL/pgSQL",
    sql: `create table log (id serial primary key, at timestamptz default clock_timestamp());
      create function f(n int) returns setof log stable language plpgsql as
        'declare r log; begin for r in select * from log where id > n loop return next r; end loop; end';
      create function g(a int, b int default 2) returns int immutable language sql as 'select a + b';
      create function h() returns bigint stable language sql as 'select count(*) + g(1, 2) from f(3)'`,
  },
  {
    what: "bodies with words that name a handler",
    sql: `create table system (a int);
      create function f() returns bigint stable language sql as 'select count(*) from system tablesample bernoulli (5)'`,
  },
  {
    what: "a parsed body",
    sql: "create function f(a int) returns int immutable begin atomic select a + 1; end",
    since: 14,
  },
  {
    what: "views",
    sql: `create table t (a int, b text, c timestamptz default now());
      create view v as select a, count(*) over (partition by b) as n, now() - c as age from t where b like 'x%' or a in (1, 2);
      create view w as select a, max(n), array_agg(age order by age) from v where exists (select from t) group by a
        union all select 1, 2, null`,
  },
  {
    what: "views over what PostgreSQL tells of itself",
    sql: "create view v as select * from pg_stat_activity; create view w as select t.tablename from pg_tables t, pg_stats",
  },
  {
    what: "a materialized view over anything",
    sql: "create materialized view m as select random() as r; create view v as select * from m",
  },
  {
    what: "triggers and procedures",
    sql: `${sequence} create table t (a int);
      create function note() returns trigger language plpgsql as 'begin perform pg_notify(''a'', ''b''); return new; end';
      create trigger g before insert on t for each row execute function note();
      create procedure p() language sql as 'select nextval(''s'')'`,
  },
  {
    what: "policies over settings and who one is",
    sql: `create table t (owner name, tenant text);
      create policy p on t using (owner = current_user and tenant = current_setting('app.tenant', true));
      alter table t enable row level security; create view v as select * from t`,
  },
  {
    what: "tables with checks, defaults, indexes, partitions, children",
    sql: `create table t (a int primary key, b text check (length(b) > 1)) partition by hash (a);
      create table p partition of t for values with (modulus 1, remainder 0); create index on t (lower(b)); create table old (a int);
      create table young (check (a > 0)) inherits (old)`,
  },
  {
    what: "domains, enums, ranges, composite types",
    sql: `create domain positive as int check (value > 0); create type mood as enum ('a', 'b'); create type pair as (a positive, m mood);
      create type span as range (subtype = float8, subtype_diff = float8mi);
      create table t (p pair[], s span); create view v as select (p[1]).m, 5::positive from t`,
  },
  {
    what: "casts and operators",
    sql: `${composite} create function add(comp, comp) returns comp immutable language sql as 'select row($1.a + $2.a, $1.b + $2.b)::comp';
      create operator + (leftarg = comp, rightarg = comp, function = add);
      create function same(comp, comp) returns boolean immutable language sql as 'select $1.a = $2.a';
      create operator = (leftarg = comp, rightarg = comp, function = same);
      create function make(int) returns comp immutable language sql as 'select row($1, $1)::comp';
      create cast (int as comp) with function make(int) as implicit; create view v as select 1::comp + 2::comp`,
  },
];

/** Those that applications use, and that the build of PostgreSQL brings. */
const extensions =
  "btree_gin btree_gist citext cube earthdistance fuzzystrmatch hstore intarray isn ltree pg_trgm pgcrypto seg unaccent uuid-ossp".split(
    " ",
  );

const versions: readonly (readonly [string, string | null])[] = [
  ["packaged", null],
  ...(existsSync(`${systemFolder}/bin/postgres`) ? [["15", systemFolder] as const] : []),
];

describe.each(versions)("PostgreSQL, %s", (_name, folder) => {
  let cluster: EmbeddedPostgres;
  let admin: Client;

  beforeAll(async () => {
    cluster = await EmbeddedPostgres.start({
      databases: ["extended"],
      roles: [{ name: "plain" }],
      ...(folder === null ? {} : { binaries: describeBinaries(folder) }),
    });
    admin = new Client({ connectionString: cluster.url() });
    await admin.connect();
  });

  afterAll(async () => {
    await admin?.end();
    await cluster?.stop();
  });

  async function read(client: Client): Promise<CatalogueFacts> {
    const results = (await client.query({ text: CATALOGUE_QUERY, rowMode: "array" })) as unknown as QueryArrayResult[];
    const rows = new CatalogueRows();
    for (const row of results.at(-1)?.rows ?? []) rows.add(row as string[]);
    const facts = rows.facts();
    if (facts === null) throw new Error("not an answer to the query");
    return facts;
  }

  /** What is known when `sql` has been run, which is taken back. */
  async function readAfter(sql: string): Promise<CatalogueFacts> {
    await admin.query("begin");
    try {
      await admin.query(sql);
      return await read(admin);
    } finally {
      await admin.query("rollback");
    }
  }

  const inOrder = (names: ReadonlySet<string>): string =>
    [...names]
      .filter((name) => !name.startsWith("_"))
      .sort()
      .join(" ");

  test.each(hazards.map((hazard) => [hazard.what, hazard] as const))("%s is found", async (_what, hazard) => {
    if (hazard.since !== undefined && cluster.binaries.major < hazard.since) return;
    const facts = await readAfter(hazard.sql);
    expect(inOrder(facts.unsafeNames)).toBe(hazard.names ?? "");
    expect(inOrder(facts.unsafeOperators)).toBe(hazard.operators ?? "");
    if (hazard.refuses === undefined) expect(facts.refusesAll).toBeNull();
    else expect(facts.refusesAll).toMatch(hazard.refuses);
  });

  test.each(harmless.map((thing) => [thing.what, thing] as const))("%s: harmless", async (_what, thing) => {
    if (thing.since !== undefined && cluster.binaries.major < thing.since) return;
    const facts = await readAfter(thing.sql);
    expect(inOrder(facts.unsafeNames)).toBe("");
    expect(inOrder(facts.unsafeOperators)).toBe("");
    expect(facts.refusesAll).toBeNull();
  });

  test("an empty database has nothing", async () => {
    const facts = await readAfter("select 1");
    expect(facts).toEqual({
      userFunctions: new Set(),
      unsafeNames: new Set(),
      unsafeOperators: new Set(),
      refusesAll: null,
    });
  });

  test("functions that are not PostgreSQL's own are named, in any schema, whatever they are", async () => {
    const facts = await readAfter(`create schema other;
      create function other.count(int) returns int immutable language sql as 'select 1';
      create aggregate "My Sum" (int) (sfunc = int4pl, stype = int)`);
    expect(inOrder(facts.userFunctions)).toBe("My Sum count");
  });

  test("ordinary extensions leave a database as shareable as it was", async () => {
    const client = new Client({ connectionString: cluster.url("extended") });
    await client.connect();
    try {
      for (const name of extensions) await client.query(`create extension "${name}"`);
      await client.query(`create table people (id serial, name citext, tags hstore, path ltree, at timestamptz);
        create view found as select upper(name::text), tags -> 'a' as a, digest(name::text, 'sha1'), similarity(name::text, 'x')
          from people where name = 'x' and path ~ 'a.*' and tags @> 'a=>1' order by name`);
      const facts = await read(client);
      expect(facts.refusesAll).toBeNull();
      expect(inOrder(facts.unsafeOperators)).toBe("");
      expect(facts.userFunctions.size).toBeGreaterThan(300);
      for (const name of [
        "found",
        "people",
        "citext",
        "hstore",
        "ltree",
        "similarity",
        "digest",
        "crypt",
        "akeys",
        "unaccent",
      ])
        expect([name, facts.unsafeNames.has(name)]).toEqual([name, false]);
      for (const name of ["gen_random_bytes", "uuid_generate_v4", "set_limit"])
        expect([name, facts.unsafeNames.has(name)]).toEqual([name, true]);
    } finally {
      await client.end();
    }
  });

  test("any user may read, whatever its session is like, and its session stays so", async () => {
    const client = new Client({ connectionString: cluster.url("postgres", "plain") });
    await client.connect();
    try {
      await cluster.query(`create schema hostile; grant usage on schema hostile to public;
        create function hostile.equal(oid, oid) returns boolean immutable language sql as 'select false';
        create operator hostile.= (leftarg = oid, rightarg = oid, function = hostile.equal);
        create function hostile.secret() returns int language sql as 'select 1'; revoke all on function hostile.secret from public`);
      await client.query(
        "set search_path = hostile, pg_catalog; set standard_conforming_strings = off; set row_security = off",
      );
      await client.query(
        "set default_transaction_read_only = on; set client_encoding = 'LATIN1'; set statement_timeout = 60000",
      );
      const facts = await read(client);
      expect(inOrder(facts.userFunctions)).toBe("equal secret");
      expect(inOrder(facts.unsafeNames)).toBe("secret");
      const { rows } = await client.query(
        "select current_setting('search_path') as path, current_setting('statement_timeout') as ms, current_setting('client_encoding') as enc",
      );
      expect(rows).toEqual([{ path: "hostile, pg_catalog", ms: "1min", enc: "LATIN1" }]);
    } finally {
      await client.end();
      await cluster.query("drop schema hostile cascade");
    }
  });
});
