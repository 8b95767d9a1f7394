/** What a fingerprint keeps of a text and what not, and that it means the same to PostgreSQL. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Fingerprint, STATEMENT_BYTES_MAX } from "../../../src/sharing/fingerprint.ts";
import { Refusal } from "../../../src/sharing/refusal.ts";
import { parse, shapeOf } from "./oracle.ts";
import {
  DANGEROUS_EXPRESSIONS,
  DANGEROUS_TEXTS,
  HARMLESS_EXPRESSIONS,
  HIDDEN_EXPRESSIONS,
  ORDINARY_TEXTS,
  PLACES,
} from "./statement-texts.ts";

const RUNS = 2000;
const fingerprint = new Fingerprint();

/** The fingerprint as text, or the refusal behind a mark that no fingerprint begins with. */
function written(sql: string | Uint8Array, multibyteSafe = true): string {
  const bytes = typeof sql === "string" ? new TextEncoder().encode(sql) : sql;
  const refusal = fingerprint.write(bytes, 0, bytes.length, multibyteSafe);
  return refusal === null
    ? new TextDecoder().decode(fingerprint.bytes.subarray(0, fingerprint.length))
    : `refused: ${refusal}`;
}

const corpus = [
  ...ORDINARY_TEXTS,
  ...DANGEROUS_TEXTS,
  ...[...HARMLESS_EXPRESSIONS, ...DANGEROUS_EXPRESSIONS, ...HIDDEN_EXPRESSIONS].flatMap((expression) =>
    PLACES.map((place) => place(expression)),
  ),
];

describe("what is left of a text", () => {
  test.each([
    ["SELECT abalance FROM pgbench_accounts WHERE aid = 12345;", "select abalance from pgbench_accounts where aid = 0"],
    ["  select\t\n 1  ;; ; -- end", "select 0"],
    ["select 'it''s', 1.5e-3, $1, $a$ x $a$", "select '', 0, $1, ''"],
    ["select E'\\'', B'01', x'1F'", "select e'', b'', x''"],
    ['select "Quoted ""Name""", ÄÖ', 'select "Quoted ""Name""", ÄÖ'],
    ["select/* a /* b */ c */1--x\r+2", "select 0 +0"],
    ["select a.b::text", "select a.b::text"],
    ["select -1", "select -0"],
  ])("%s", (sql, expected) => {
    expect(written(sql)).toBe(expected);
  });

  test.each([
    ["", Refusal.empty],
    [" ; -- nothing\n ;", Refusal.empty],
    ["select 1; select 2", Refusal.severalStatements],
    ["; select 1", Refusal.severalStatements],
    ["select 'a\\'", Refusal.unreadable],
    ["select b'\\'", Refusal.unreadable],
    ["select 'a'\n'b'", Refusal.unreadable],
    ["select 'a' 'b'", Refusal.unreadable],
    ["select E'a' /* c */ 'b'", Refusal.unreadable],
    ["select $$a$$ 'b'", Refusal.unreadable],
    ["select U&'a'", Refusal.unreadable],
    ["select a.5", Refusal.unreadable],
    ["select $1.5", Refusal.unreadable],
    ["select 'a", Refusal.unreadable],
    ["select 1\0", Refusal.unreadable],
    ["select 'a\0'", Refusal.unreadable],
    [`select '${"x".repeat(STATEMENT_BYTES_MAX)}'`, Refusal.tooLong],
  ])("%s is refused", (sql, refusal) => {
    expect(written(sql)).toBe(`refused: ${refusal}`);
  });

  test("the longest text", () => {
    const sql = `select ${"a,".repeat((STATEMENT_BYTES_MAX - 8) / 2)}a`;
    expect(sql).toHaveLength(STATEMENT_BYTES_MAX);
    expect(written(sql)).toBe(sql);
  });

  test("an encoding whose characters may hide a backslash or a quote: ASCII only", () => {
    // The second byte of this character of SJIS is a backslash.
    const hidden = Uint8Array.from([...Buffer.from("select '"), 0x83, 0x5c, ...Buffer.from("'")]);
    expect(written(hidden, false)).toBe(`refused: ${Refusal.unreadable}`);
    expect(written("select 'ä'", false)).toBe(`refused: ${Refusal.unreadable}`);
    expect(written("select 'a'", false)).toBe("select ''");
    expect(written("select 'ä'", true)).toBe("select ''");
  });
});

describe("the same statement", () => {
  test("is the same tree to PostgreSQL, but for the values of constants", () => {
    let compared = 0;
    for (const sql of corpus) {
      const tree = parse(sql);
      const text = written(sql);
      // FETCH and others have numbers that are no constants in the tree.
      if (tree === null || text.startsWith("refused: ") || !/^\(*(select|values|table|with)/.test(text)) continue;
      const other = parse(text);
      expect({ sql, shape: shapeOf(other) }).toEqual({ sql, shape: shapeOf(tree) });
      compared++;
    }
    expect(compared).toBeGreaterThan(1500);
  });

  test("has one fingerprint whatever its constants, comments, blanks and case", () => {
    const gap = fc.constantFrom(" ", "\n", "\t ", "/* ; */", " -- x\n", "/**/ ");
    const number = fc.constantFrom("0", "42", "1.5", ".5", "1e9", "2.");
    const text = fc.constantFrom("''", "'a'", "'it''s'", "$$ it's $$", "$x$;$x$");
    const word = (value: string): fc.Arbitrary<string> =>
      fc.constantFrom(value, value.toUpperCase(), value[0]?.toUpperCase() + value.slice(1));
    const variant = fc
      .tuple(
        fc.array(gap, { minLength: 8, maxLength: 8 }),
        ...["select", "name", "from", "item"].map(word),
        number,
        text,
      )
      .map(([gaps, select, name, from, item, n, t]) =>
        [gaps[0], select, gaps[1], name, gaps[2], from, gaps[3], item, gaps[4], "where id =", gaps[5], n]
          .concat([gaps[6], "and kind in (", t, ",", t, ")", gaps[7], ";"])
          .join(""),
      );
    fc.assert(
      fc.property(variant, (sql) => {
        expect(written(sql)).toBe("select name from item where id = 0 and kind in ('','')");
      }),
      { numRuns: RUNS },
    );
  });

  test("written down again is itself", () => {
    for (const sql of corpus) {
      const once = written(sql);
      if (!once.startsWith("refused: ")) expect(written(once)).toBe(once);
    }
  });

  test("has the same hash", () => {
    written("SELECT 1 FROM t WHERE a = 'x'");
    const { hash } = fingerprint;
    written("select 2 from T where a = 'it''s' -- y");
    expect(fingerprint.hash).toBe(hash);
    written("select 2 from t where b = ''");
    expect(fingerprint.hash).not.toBe(hash);
  });
});
