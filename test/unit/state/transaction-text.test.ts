/** Which texts begin or end a transaction and nothing else; whatever PostgreSQL could refuse, or would do more for, is none. */
import { describe, expect, test } from "vitest";
import { TransactionText, readTransactionText } from "../../../src/state/transaction-text.ts";

function read(text: string): TransactionText {
  const bytes = Buffer.from(`..${text}..`, "latin1");
  return readTransactionText(bytes, 2, bytes.length - 2);
}

const MODES = ["READ ONLY", "NOT DEFERRABLE", "ISOLATION LEVEL READ COMMITTED", "ISOLATION LEVEL REPEATABLE READ"];

describe("texts that are answered without a server", () => {
  test.each([
    "BEGIN",
    "begin",
    "Begin;",
    "  begin ; ",
    "BEGIN WORK",
    "BEGIN TRANSACTION;",
    "/* c /* nested */ */ begin -- x",
    "begin--x\n;--y",
    "begin\n\ttransaction\r\nread\fonly",
    "begin/**/work",
    "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY, NOT DEFERRABLE",
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    ...MODES.map((mode) => `BEGIN ${mode}`),
  ])("%j begins", (text) => {
    expect(read(text)).toBe(TransactionText.begin);
  });

  test.each(["START TRANSACTION", "start transaction;", ...MODES.map((mode) => `START TRANSACTION ${mode}`)])(
    "%j begins, and is called so",
    (text) => {
      expect(read(text)).toBe(TransactionText.startTransaction);
    },
  );

  test.each(["COMMIT", "commit work", "END", "end transaction;", "/**/commit"])("%j commits", (text) => {
    expect(read(text)).toBe(TransactionText.commit);
  });

  test.each(["ROLLBACK", "rollback work", "ABORT", "abort transaction ; -- x"])("%j rolls back", (text) => {
    expect(read(text)).toBe(TransactionText.rollback);
  });
});

test.each([
  "",
  ";",
  ";begin",
  "begin;;",
  "begin; select 1",
  "begin select 1",
  "BEGIN READ WRITE",
  "BEGIN DEFERRABLE",
  "BEGIN ISOLATION LEVEL SERIALIZABLE",
  "BEGIN ISOLATION LEVEL READ UNCOMMITTED",
  "BEGIN , READ ONLY",
  "BEGIN READ ONLY,",
  "BEGIN READ ONLY,, NOT DEFERRABLE",
  "BEGIN WORK TRANSACTION",
  "BEGINREAD ONLY",
  "begin1",
  '"begin"',
  "START",
  "START WORK",
  "start transaction read",
  "COMMIT AND CHAIN",
  "COMMIT AND NO CHAIN",
  "COMMIT PREPARED 'x'",
  "ROLLBACK TO a",
  "ROLLBACK TO SAVEPOINT a",
  "ROLLBACK AND CHAIN",
  "ABORT AND CHAIN",
  "begin /* not closed",
  "begin /* /* closed once */",
  "begin /* \xff */",
  "begin -- \xe4",
  "begin \x0b",
  "select 1",
  "set x = 1",
  `begin /*${"-".repeat(600)}*/`,
])("%j is none of them", (text) => {
  expect(read(text)).toBe(TransactionText.none);
});
