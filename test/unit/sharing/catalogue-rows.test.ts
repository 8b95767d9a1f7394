/** The rows of the catalogue query become facts only if they are all there and could be its answer. */
import { describe, expect, test } from "vitest";
import { CATALOGUE_ROWS_MAX, CatalogueRows } from "../../../src/sharing/catalogue-query.ts";

type Row = readonly (string | null)[];

function factsOf(rows: readonly Row[]) {
  const gathered = new CatalogueRows();
  for (const row of rows) gathered.add(row);
  return gathered.facts();
}

describe("rows of a catalogue", () => {
  test("each kind has its place", () => {
    const facts = factsOf([
      ["f", "lower"],
      ["n", "v"],
      ["n", "lower"],
      ["o", "<+>"],
      ["r", "the cast b"],
      ["r", "the cast a"],
      ["e", ""],
    ]);
    expect(facts).toEqual({
      userFunctions: new Set(["lower"]),
      unsafeNames: new Set(["v", "lower"]),
      unsafeOperators: new Set(["<+>"]),
      refusesAll: "the cast a",
    });
  });

  test("nothing but the end is an answer", () => {
    expect(factsOf([["e", ""]])?.refusesAll).toBeNull();
  });

  test.each<[string, readonly Row[]]>([
    ["no row", []],
    ["no end", [["f", "a"]]],
    [
      "a row behind the end",
      [
        ["e", ""],
        ["f", "a"],
      ],
    ],
    [
      "two ends",
      [
        ["e", ""],
        ["e", ""],
      ],
    ],
    [
      "an unknown kind",
      [
        ["x", "a"],
        ["e", ""],
      ],
    ],
    [
      "no name",
      [
        ["f", null],
        ["e", ""],
      ],
    ],
    [
      "no kind",
      [
        [null, "a"],
        ["e", ""],
      ],
    ],
    ["another number of columns", [["f"], ["e", ""]]],
    [
      "one column more",
      [
        ["f", "a", "b"],
        ["e", ""],
      ],
    ],
    ["one column", [["1"]]],
    ["no column", [[]]],
  ])("%s is none", (_what, rows) => {
    expect(factsOf(rows)).toBeNull();
  });

  test("as many names as may be, and one more", () => {
    const names = (count: number): Row[] => Array.from({ length: count }, (_, i) => ["f", `f${i}`]);
    expect(factsOf([...names(CATALOGUE_ROWS_MAX), ["e", ""]])?.refusesAll).toBeNull();
    expect(factsOf([...names(CATALOGUE_ROWS_MAX + 1), ["e", ""]])?.refusesAll).toMatch(/^the catalogue is too large/);
  });

  test("more than the query can answer is not kept", () => {
    const gathered = new CatalogueRows();
    for (let i = 0; i < 3 * CATALOGUE_ROWS_MAX; i++) gathered.add(["f", `f${i}`]);
    expect(gathered.size).toBeLessThanOrEqual(CATALOGUE_ROWS_MAX + 1);
    gathered.add(["e", ""]);
    expect(gathered.facts()).toBeNull();
  });
});
