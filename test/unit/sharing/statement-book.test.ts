/** Finding the record of a text, telling texts with one hash apart, and forgetting within the bounds. */
import { describe, expect, test } from "vitest";
import { Fingerprint } from "../../../src/sharing/fingerprint.ts";
import { Refusal } from "../../../src/sharing/refusal.ts";
import { BOOK_BYTES_MAX, BOOK_RECORDS_MAX, StatementBook } from "../../../src/sharing/statement-book.ts";
import type { StatementRecord } from "../../../src/sharing/statement-record.ts";
import { HIDDEN_HAZARDS, NO_HAZARDS } from "./statement-texts.ts";

function recordOf(book: StatementBook, sql: string): StatementRecord {
  const bytes = new TextEncoder().encode(sql);
  const record = book.recordOf(bytes, 0, bytes.length, true);
  if (typeof record === "string") throw new Error(`${record}: ${sql}`);
  return record;
}

/** Writes down what the fingerprint does, with one hash for all. */
class OneHash extends Fingerprint {
  override write(memory: Uint8Array, start: number, end: number, multibyteSafe: boolean): Refusal | null {
    const refusal = super.write(memory, start, end, multibyteSafe);
    this.hash = 7;
    return refusal;
  }
}

describe("finding", () => {
  test("one statement has one record, others have others", () => {
    const book = new StatementBook();
    const record = recordOf(book, "select a from t where b = 1");
    expect(recordOf(book, "SELECT a FROM t WHERE b = 2; -- again")).toBe(record);
    expect(recordOf(book, "select a from t where c = 1")).not.toBe(record);
    expect(record.text).toBe("select a from t where b = 0");
    expect(book.count).toBe(2);
  });

  test("a text in the middle of a chunk", () => {
    const book = new StatementBook();
    const chunk = new TextEncoder().encode("xxselect 1yy");
    expect(book.recordOf(chunk, 2, 10, true)).toBe(recordOf(book, "select 1"));
  });

  test("a text that cannot be told from others has none", () => {
    const book = new StatementBook();
    const bytes = new TextEncoder().encode("select 'a\\'");
    expect(book.recordOf(bytes, 0, bytes.length, true)).toBe(Refusal.unreadable);
    expect(book.count).toBe(0);
  });

  test("statements with one hash are told apart", () => {
    const book = new StatementBook(new OneHash());
    const records = ["select a", "select b", "select ab", "delete from t"].map((sql) => recordOf(book, sql));
    expect(new Set(records).size).toBe(4);
    expect(recordOf(book, "select b")).toBe(records[1]);
    expect(records.map((record) => record.refusal(NO_HAZARDS))).toEqual([null, null, null, Refusal.notASelect]);
  });

  test("books share the place where texts are written down, not their records", () => {
    const fingerprint = new Fingerprint();
    const one = new StatementBook(fingerprint);
    const other = new StatementBook(fingerprint);
    const record = recordOf(one, "select a");
    recordOf(other, "select something else");
    expect(record.text).toBe("select a");
    expect(recordOf(other, "select a")).not.toBe(record);
  });
});

describe("verdicts", () => {
  test("follow the facts", () => {
    const record = recordOf(new StatementBook(), "select lower(a) from t");
    expect(record.refusal(NO_HAZARDS)).toBeNull();
    expect(record.refusal(HIDDEN_HAZARDS)).toBe(Refusal.userFunction);
    expect(record.refusal({ ...NO_HAZARDS })).toBeNull();
  });
});

describe("forgetting", () => {
  test("a full book keeps its bounds, and what is in use", () => {
    const book = new StatementBook();
    const kept = recordOf(book, "select 1 from kept");
    const lost = recordOf(book, "select 1 from lost");
    for (let i = 0; i < BOOK_RECORDS_MAX * 4; i++) {
      recordOf(book, `select 1 from t${i}`);
      expect(recordOf(book, "select 1 from kept")).toBe(kept);
    }
    expect(book.count).toBeLessThanOrEqual(BOOK_RECORDS_MAX);
    expect(book.count).toBeGreaterThan(BOOK_RECORDS_MAX / 2);
    expect([kept.isCurrent, lost.isCurrent]).toEqual([true, false]);
    expect(recordOf(book, "select 1 from lost")).not.toBe(lost);
  });

  test("one that is kept elsewhere and runs counts as used", () => {
    const book = new StatementBook(new OneHash());
    const kept = recordOf(book, "select kept");
    for (let i = 0; i < 100; i++) {
      kept.ran(1, 100);
      recordOf(book, `select t${i}`);
    }
    expect(kept.isCurrent).toBe(true);
    expect(book.count).toBe(8);
  });

  test("long statements are bounded by their bytes", () => {
    const book = new StatementBook();
    for (let i = 0; i < 300; i++) recordOf(book, `select a${i}${",abc".repeat(3000)}`);
    expect(book.sizeBytes).toBeLessThanOrEqual(BOOK_BYTES_MAX);
    expect(book.sizeBytes).toBeGreaterThan(BOOK_BYTES_MAX / 2);
    const sizes = Array.from({ length: book.count }, () => `select a1${",abc".repeat(3000)}`.length);
    expect(Math.abs(sizes.reduce((sum, size) => sum + size, 0) - book.sizeBytes)).toBeLessThan(book.count * 3);
  });

  test("a forgotten record still answers", () => {
    const book = new StatementBook(new OneHash());
    const record = recordOf(book, "select a");
    for (let i = 0; i < 50; i++) recordOf(book, `select t${i}`);
    expect(record.isCurrent).toBe(false);
    expect(record.refusal(NO_HAZARDS)).toBeNull();
    expect(record.text).toBe("select a");
  });
});
