/**
 * Whether a statement may share, against PostgreSQL's own parser: whatever we let through, the tree of the text has nothing
 * against it. The other way round is not asked of nasty texts, but ordinary ones must get through.
 */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { CatalogueFacts } from "../../../src/sharing/catalogue-facts.ts";
import { Refusal } from "../../../src/sharing/refusal.ts";
import { StatementBook } from "../../../src/sharing/statement-book.ts";
import { hazardsIn, parse } from "./oracle.ts";
import {
  DANGEROUS_EXPRESSIONS,
  DANGEROUS_TEXTS,
  HARMLESS_EXPRESSIONS,
  HIDDEN_EXPRESSIONS,
  HIDDEN_HAZARDS,
  NO_HAZARDS,
  ORDINARY_TEXTS,
  PLACES,
} from "./statement-texts.ts";

const RUNS = 2000;
const book = new StatementBook();

function verdictOf(sql: string, facts: CatalogueFacts = NO_HAZARDS): Refusal | null {
  const bytes = new TextEncoder().encode(sql);
  const record = book.recordOf(bytes, 0, bytes.length, true);
  return typeof record === "string" ? record : record.refusal(facts);
}

/** What PostgreSQL's tree says against a text that we let through. */
function complaintsAbout(sql: string, facts: CatalogueFacts): string[] {
  if (verdictOf(sql, facts) !== null) return [];
  const tree = parse(sql);
  return tree === null ? [] : hazardsIn(tree, facts).map((hazard) => `${hazard} in: ${sql}`);
}

/** Texts whose verdict is not what it must be. */
function wrong(
  texts: readonly string[],
  facts: CatalogueFacts,
  isRight: (verdict: Refusal | null) => boolean,
): string[] {
  return texts.flatMap((sql) => {
    const verdict = verdictOf(sql, facts);
    return isRight(verdict) ? [] : [`${verdict}: ${sql}`];
  });
}

const inAllPlaces = (expressions: readonly string[]): string[] =>
  expressions.flatMap((expression) => PLACES.map((place) => place(expression)));

describe("what shares", () => {
  test("ordinary statements", () => {
    expect(wrong(ORDINARY_TEXTS, NO_HAZARDS, (verdict) => verdict === null)).toEqual([]);
  });

  test("harmless expressions anywhere", () => {
    expect(wrong(inAllPlaces(HARMLESS_EXPRESSIONS), NO_HAZARDS, (verdict) => verdict === null)).toEqual([]);
  });

  test("and all of these are SQL that PostgreSQL's parser finds nothing against", () => {
    const texts = [...ORDINARY_TEXTS, ...inAllPlaces(HARMLESS_EXPRESSIONS)];
    expect(texts.filter((sql) => parse(sql) === null)).toEqual([]);
    expect(texts.flatMap((sql) => complaintsAbout(sql, NO_HAZARDS))).toEqual([]);
  });

  test("hidden hazards elsewhere in the database are no reason", () => {
    expect(verdictOf("select upper(a) from t where b = 1", HIDDEN_HAZARDS)).toBeNull();
  });
});

describe("what does not", () => {
  test("dangerous texts", () => {
    expect(wrong(DANGEROUS_TEXTS, NO_HAZARDS, (verdict) => verdict !== null)).toEqual([]);
  });

  test("dangerous expressions anywhere", () => {
    expect(wrong(inAllPlaces(DANGEROUS_EXPRESSIONS), NO_HAZARDS, (verdict) => verdict !== null)).toEqual([]);
  });

  test("what the catalogue says is hidden, anywhere", () => {
    expect(wrong(inAllPlaces(HIDDEN_EXPRESSIONS), HIDDEN_HAZARDS, (verdict) => verdict !== null)).toEqual([]);
  });

  test("and the parser sees the danger too, where there is a tree", () => {
    const blind = inAllPlaces(DANGEROUS_EXPRESSIONS).filter((sql) => {
      const tree = parse(sql);
      return tree !== null && hazardsIn(tree, NO_HAZARDS).length === 0;
    });
    const hidden = inAllPlaces(HIDDEN_EXPRESSIONS).filter((sql) => {
      const tree = parse(sql);
      return tree !== null && hazardsIn(tree, HIDDEN_HAZARDS).length === 0;
    });
    expect([...blind, ...hidden]).toEqual([]);
  });

  test.each([
    ["update t set a = 1", Refusal.notASelect],
    ["with c as (delete from t returning a) select 1", Refusal.writes],
    ["select 1; select 2", Refusal.severalStatements],
    ["select a into b from t", Refusal.into],
    ["select a from t for no key update", Refusal.locking],
    ["select nextval('s')", Refusal.volatileFunction],
    ["select f(1)", Refusal.unknownFunction],
    ["select * from pg_locks", Refusal.watchedName],
    ["select 'a\\b'", Refusal.unreadable],
    [" ; ", Refusal.empty],
    [`select '${"x".repeat(20_000)}'`, Refusal.tooLong],
  ])("%s", (sql, refusal) => {
    expect(verdictOf(sql)).toBe(refusal);
  });

  test.each([
    ["select lower(a) from t", Refusal.userFunction],
    ["select * from watched_view", Refusal.watchedName],
    ["select a <-> b from t", Refusal.operator],
  ])("%s, by the catalogue", (sql, refusal) => {
    expect(verdictOf(sql)).not.toBe(refusal);
    expect(verdictOf(sql, HIDDEN_HAZARDS)).toBe(refusal);
  });

  test("anything, if the catalogue says so", () => {
    expect(verdictOf("select 1", { ...NO_HAZARDS, refusesAll: "a cast" })).toBe(Refusal.catalogue);
  });

  test("anything, if a comparison is not what it seems", () => {
    expect(verdictOf("select 1", { ...NO_HAZARDS, unsafeOperators: new Set(["="]) })).toBe(Refusal.operator);
  });

  test("!= is <>", () => {
    const facts = { ...NO_HAZARDS, unsafeOperators: new Set(["~"]) };
    expect(verdictOf("select a != b", { ...NO_HAZARDS, unsafeOperators: new Set(["<>"]) })).toBe(Refusal.operator);
    expect(verdictOf("select a similar to b", facts)).toBe(Refusal.operator);
    expect(verdictOf("select a != b", facts)).toBeNull();
  });

  test("names that PostgreSQL would fold or cut in ways that only it knows", () => {
    const facts = { ...NO_HAZARDS, unsafeNames: new Set(["größe"]) };
    expect(verdictOf("select a from Größe", facts)).toBe(Refusal.watchedName);
    expect(verdictOf('select a from "GRÖSSE"', facts)).toBe(Refusal.watchedName);
    expect(verdictOf("select a from Größe", HIDDEN_HAZARDS)).toBeNull();
    expect(verdictOf("select a from watched_vİew", HIDDEN_HAZARDS)).toBe(Refusal.watchedName);
    expect(verdictOf("select (a).schlüssel")).toBe(Refusal.unknownFunction);
    expect(verdictOf(`select ${"x".repeat(61)}é from t`)).toBe(Refusal.unreadable);
  });
});

describe("any text", () => {
  const facts = fc.constantFrom(NO_HAZARDS, HIDDEN_HAZARDS);
  const pieces = [
    ..."select from where with as values table union all distinct on ( ) ( ) [ ] , . ; :: * = <> + - -- /* */ ' \" $$".split(
      " ",
    ),
    ..."into for update share no key insert delete merge returning operator recursive lateral materialized over filter within group by".split(
      " ",
    ),
    ..."nextval pg_sleep count lower touch watched_view evil_type like not in any exists case when then end array row cast".split(
      " ",
    ),
    ..."limit offset fetch first rows only tablesample system window order using join natural cross t a u &' e' b' x' U&' n' 1 .5 1. $1".split(
      " ",
    ),
    "'text'",
    '"Name"',
    '"Touch"',
    "$a$ x $a$",
    "-- c\n",
    "/* c */",
    "\n",
    "\t",
    "''",
    "E'\\''",
    "pg_catalog.",
    "=== ",
    "~~",
    "é",
    "1e5",
    "a.b",
  ];
  const soup = fc
    .array(fc.tuple(fc.constantFrom(...pieces), fc.constantFrom(" ", " ", "")), { maxLength: 25 })
    .map((list) => list.map(([piece, gap]) => piece + gap).join(""));
  const wholes = [
    ...ORDINARY_TEXTS,
    ...DANGEROUS_TEXTS,
    ...inAllPlaces(["nextval('s')", "t.touch", "count(*)", "a like 'x'"]),
  ];
  const edited = fc
    .tuple(
      fc.constantFrom(...wholes),
      fc.array(fc.tuple(fc.nat(), fc.nat({ max: 6 }), fc.constantFrom(...pieces, "", "")), {
        minLength: 1,
        maxLength: 4,
      }),
    )
    .map(([text, edits]) =>
      edits.reduce((sql, [at, drop, piece]) => {
        const from = at % (sql.length + 1);
        return sql.slice(0, from) + piece + sql.slice(from + drop);
      }, text),
    );
  const spliced = fc
    .tuple(fc.constantFrom(...wholes), fc.constantFrom(...wholes), fc.nat(), fc.nat())
    .map(([left, right, from, to]) => left.slice(0, from % (left.length + 1)) + right.slice(to % (right.length + 1)));

  test.each([
    [
      "of pieces of grammar",
      fc.tuple(fc.constantFrom("select ", "with a as (", "values (", ""), soup).map((two) => two.join("")),
    ],
    ["a known one with edits", edited],
    ["of two known ones", spliced],
  ])("%s is let through only if the parser has nothing against it", (_name, texts) => {
    fc.assert(
      fc.property(texts, facts, (sql, known) => {
        expect(complaintsAbout(sql, known)).toEqual([]);
      }),
      { numRuns: RUNS },
    );
  });

  test("of random bytes is judged without an exception", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (bytes, multibyteSafe) => {
        const record = book.recordOf(bytes, 0, bytes.length, multibyteSafe);
        if (typeof record !== "string") record.refusal(HIDDEN_HAZARDS);
      }),
      { numRuns: RUNS },
    );
  });

  test("and enough of them get through for this to mean something", () => {
    const texts = fc.sample(fc.oneof(edited, spliced), 2000);
    const passed = texts.filter((sql) => verdictOf(sql) === null && parse(sql) !== null);
    expect(passed.length).toBeGreaterThan(50);
  });
});
