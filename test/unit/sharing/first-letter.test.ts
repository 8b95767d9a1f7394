/** A look at the first byte never calls a text a write that the verdict would let share. */
import { expect, test } from "vitest";
import { mayBeRead } from "../../../src/sharing/first-letter.ts";

function mayRead(text: string): boolean {
  const memory = Buffer.from(`s${text}s`);
  return mayBeRead(memory, 1, memory.length - 1);
}

test.each([
  "select 1",
  "  \n\tSELECT 1",
  "(select 1)",
  "values (1)",
  "Table t",
  "with a as (select 1) select 2",
  "-- a comment\nselect 1",
  "/* another */ select 1",
  ";select 1",
  "set a = 1",
  "vacuum",
  "",
  "   ",
  '"quoted"',
])("%j may be one", (text) => {
  expect(mayRead(text)).toBe(true);
});

test.each([
  "insert into t values (1)",
  " UPDATE t SET a = 1",
  "delete from t",
  "begin",
  "\ncommit",
  "merge into t",
  "ä",
  "_",
])("%j is none", (text) => {
  expect(mayRead(text)).toBe(false);
});
