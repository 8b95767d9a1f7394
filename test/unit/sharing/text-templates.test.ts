/** Texts known by their likeness to another: never one that a fingerprint would tell from it. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Fingerprint } from "../../../src/sharing/fingerprint.ts";
import { StatementBook } from "../../../src/sharing/statement-book.ts";
import { StatementRecord } from "../../../src/sharing/statement-record.ts";
import { TEMPLATE_BYTES_MAX, TextTemplates } from "../../../src/sharing/text-templates.ts";
import { SqlLexer } from "../../../src/state/sql-lexer.ts";

/** Null for a text that has none. */
function fingerprintOf(text: string): string | null {
  const fingerprint = new Fingerprint();
  const memory = Buffer.from(text);
  if (fingerprint.write(memory, 0, memory.length, true) !== null) return null;
  return Buffer.from(fingerprint.bytes.subarray(0, fingerprint.length)).toString();
}

function recordOf(text: string): StatementRecord {
  return new StatementRecord(Buffer.from(fingerprintOf(text) ?? ""), 1);
}

/** Knows `text` only. */
function templatesOf(text: string, record = recordOf(text)): TextTemplates {
  const templates = new TextTemplates();
  const memory = Buffer.from(`before ${text} behind`);
  templates.learn(memory, 7, 7 + Buffer.byteLength(text), record, new SqlLexer());
  return templates;
}

function isFound(templates: TextTemplates, text: string): boolean {
  const memory = Buffer.from(`xx${text}yy`);
  return templates.find(memory, 2, memory.length - 2) !== null;
}

/** Pieces that lexers disagree about, put together at random. */
const PIECE = fc.constantFrom(
  ..."a,b1,$1,$2,1,17,0,1.5,.5,5.,1e5,2E-7,1x,0x1F,1_0,'','x','it''s','a\\b','1',\"q\",\"1\",E'e',e'\\'',B'01',U&'u',$$d$$,$1$,--,/*,*/,(,),;,::,:=,..,+,-,@".split(
    ",",
  ),
  ",",
  " ",
  "\n",
  "-- 1\n",
  "/* 'x 1 */",
  "ä",
  "'ä'",
);
const PIECES = fc.array(PIECE, { minLength: 1, maxLength: 8 });
const CONSTANT = fc.constantFrom(
  "0",
  "7",
  "4711",
  "'",
  "''",
  "'x'",
  "'1'",
  "'x",
  "x'",
  "",
  " ",
  "1'",
  "'1",
  "\\",
  "--",
  "1e",
  "\n",
);

describe("texts that differ in constants alone", () => {
  test.each([
    ["select 1", "select 4711"],
    ["select a1, 1.5, .25, 6., 1e10 from t", "select a1, 22.0, .1, 0., 9e1 from t"],
    ["select * from t where a = 'x' and b = ''", "select * from t where a = '' and b = 'it is -- $1 /* \n 1'"],
    ["select 'a', 1 -- 1\n, 2;", "select '', 22 -- 1\n, 3;"],
  ])("%s is known when %s comes", (known, other) => {
    const templates = templatesOf(known);
    expect([isFound(templates, known), isFound(templates, other)]).toEqual([true, true]);
  });

  test.each([
    ["select 1", "select '1'"],
    ["select 1", "select 1 "],
    ["select 1", "select 1; drop table t"],
    ["select 1", "select 1.5"],
    ["select 1", "select "],
    ["select 1 from t", "select 1e from t"],
    ["select a1", "select a2"],
    ["select $1", "select $2"],
    ["select 'x'", "select 'x' from t where f() = ''"],
    ["select 'x'", "select 'x''y'"],
    ["select 'x'", "select 'x\\'"],
    ["select 'x'", "select 'x"],
    ["select 'x'", "select 'x\0'"],
    ["select 'x'5", "select 'x' from t where f() = 'x'"],
    ["select E'x'", "select E'y'"],
    ["select $$x$$", "select $$y$$"],
    ['select "1"', 'select "2"'],
    ["select 1 -- 1", "select 1 -- 2"],
    ["select 1 /* 'x' */", "select 1 /* 'y' */"],
  ])("%s is not taken for %s", (known, other) => {
    const templates = templatesOf(known);
    expect([isFound(templates, known), isFound(templates, other)]).toEqual([true, false]);
  });

  test("what is found has the same fingerprint, whatever the texts", () => {
    let found = 0;
    fc.assert(
      fc.property(PIECES, fc.constantFrom("", " "), fc.nat(7), CONSTANT, (pieces, between, at, constant) => {
        const known = `select ${pieces.join(between)}`;
        if (fingerprintOf(known) === null) return;
        const templates = templatesOf(known);
        const text = `select ${pieces.with(Math.min(at, pieces.length - 1), constant).join(between)}`;
        if (!isFound(templates, text)) return;
        if (text !== known) found++;
        expect(fingerprintOf(text)).toBe(fingerprintOf(known));
      }),
      { numRuns: 20_000 },
    );
    expect(found).toBeGreaterThan(100);
  });
});

describe("what is kept", () => {
  test("nothing of a record that the book has forgotten, and nothing that is too long", () => {
    const record = recordOf("select 1");
    const templates = templatesOf("select 1", record);
    expect(isFound(templates, "select 2")).toBe(true);
    record.isCurrent = false;
    expect(isFound(templates, "select 2")).toBe(false);
    const long = `select '${"x".repeat(TEMPLATE_BYTES_MAX)}'`;
    expect(isFound(templatesOf(long), long)).toBe(false);
  });

  test("a text keeps its place against those that come now and then, and loses it when it is not met any more", () => {
    const record = recordOf("select 1");
    const templates = templatesOf("select 1", record);
    const other = Buffer.from("select 1, 2");
    const learnOther = (): void => templates.learn(other, 0, other.length, recordOf("select 1, 2"), new SqlLexer());
    for (let i = 0; i < 100; i++) {
      learnOther();
      expect(isFound(templates, "select 5")).toBe(true);
    }
    for (let i = 0; i < 100; i++) learnOther();
    expect([isFound(templates, "select 5"), isFound(templates, "select 5, 6")]).toEqual([false, true]);
  });

  test("a book finds the same record by likeness as by fingerprint, in safe encodings only by likeness", () => {
    const book = new StatementBook();
    const find = (text: string, isSafe = true): unknown => {
      const memory = Buffer.from(text);
      return book.recordOf(memory, 0, memory.length, isSafe);
    };
    const first = find("select 1 from t");
    for (let i = 0; i < 20; i++) expect(find(`select ${i} from t`)).toBe(first);
    expect(find("SELECT  7 FROM t")).toBe(first);
    expect(find("select 7 from t", false)).toBe(first);
    expect(find("select 'ä' from t", true)).toBe(find("select '' from t", true));
    expect(find("select 'ä' from t", false)).toBe("unreadable");
  });
});
