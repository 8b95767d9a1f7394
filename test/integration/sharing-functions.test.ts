/** The lists of PostgreSQL's functions and views that the judge of statements rests on, against a running PostgreSQL. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { functionQuery, type FunctionRow, viewQuery, type ViewRow } from "../../scripts/built-in-functions-query.ts";
import { EmbeddedPostgres } from "../../src/demo/embedded-postgres.ts";
import { HARMLESS_FUNCTIONS, HAZARDOUS_FUNCTIONS, HAZARDOUS_VIEWS } from "../../src/sharing/built-in-functions.ts";
import { CALLABLE_WORDS } from "../../src/sharing/syntax-words.ts";

/** Rests on the clock in version 13 only; the name is a column's too often. */
const KNOWN_HARMLESS = new Set(["timezone"]);

let cluster: EmbeddedPostgres;
let functions: FunctionRow[];

beforeAll(async () => {
  cluster = await EmbeddedPostgres.start();
  functions = (await cluster.query(functionQuery)).rows as FunctionRow[];
});

afterAll(async () => {
  await cluster?.stop();
});

describe("harmless functions", () => {
  test("are none that this PostgreSQL calls volatile, or that SQL cannot hold the values of", () => {
    expect(functions.length).toBeGreaterThan(2000);
    const wrong = functions.filter((row) => HARMLESS_FUNCTIONS.has(row.name) && (row.volatile || row.internal));
    expect(wrong).toEqual([]);
  });

  test("are none of the hazardous ones", () => {
    expect([...HARMLESS_FUNCTIONS].filter((name) => HAZARDOUS_FUNCTIONS.has(name))).toEqual([]);
  });

  test("are nearly all that the others are not", () => {
    const known = functions.filter((row) => !row.machinery && !row.volatile && !row.internal);
    expect(known.filter((row) => HARMLESS_FUNCTIONS.has(row.name)).length).toBeGreaterThan(known.length * 0.9);
  });
});

test("hazardous are all volatile functions that SQL can call", () => {
  const missing = functions.filter(
    (row) => row.volatile && row.callable && !HAZARDOUS_FUNCTIONS.has(row.name) && !KNOWN_HARMLESS.has(row.name),
  );
  expect(missing).toEqual([]);
});

test("a function in attribute notation is called: why the hazards must be known by name", async () => {
  await cluster.query("create sequence attribute_notation");
  const { rows } = await cluster.query("select ('attribute_notation'::regclass).nextval as n");
  expect(rows).toEqual([{ n: "1" }]);
});

test("words before a parenthesis are no function that could do harm", () => {
  expect(functions.filter((row) => CALLABLE_WORDS.has(row.name) && row.volatile)).toEqual([]);
});

test("views over hazardous functions are known", async () => {
  const rows = (await cluster.query(viewQuery)).rows as ViewRow[];
  expect(rows.length).toBeGreaterThan(100);
  const missing = rows.filter(
    (row) => row.function !== "set_config" && HAZARDOUS_FUNCTIONS.has(row.function) && !HAZARDOUS_VIEWS.has(row.view),
  );
  expect(missing).toEqual([]);
});
