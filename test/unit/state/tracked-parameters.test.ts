/** Settings that follow a client: states are compared by reference, and no value becomes SQL. */
import { readFileSync } from "node:fs";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { literal, type ParameterValues, TrackedParameters } from "../../../src/state/tracked-parameters.ts";
import { PATHS, type SetTextLine, VALUES } from "./set-values.ts";

const LINES = readFileSync(new URL("set-texts.txt", import.meta.url), "utf8")
  .split("\n")
  .filter((line) => line !== "")
  .map((line) => JSON.parse(line) as SetTextLine);

function valuesOf(tracked: TrackedParameters, given: Readonly<Record<string, string>>): ParameterValues {
  let values = tracked.unknown;
  for (const [name, value] of Object.entries(given)) values = tracked.with(values, tracked.indexOf(name), value);
  return values;
}

describe("names", () => {
  test("PgBouncer's five first, in its order and spelling, then those configured, as configured", () => {
    const tracked = new TrackedParameters(["IntervalStyle", "search_path", "datestyle", "", "intervalstyle"]);
    expect(tracked.names).toEqual([
      "DateStyle",
      "client_encoding",
      "TimeZone",
      "standard_conforming_strings",
      "application_name",
      "IntervalStyle",
      "search_path",
    ]);
    expect(tracked.indexOf("INTERVALSTYLE")).toBe(5);
    expect(tracked.indexOf("datestyle")).toBe(0);
    expect(tracked.indexOf("work_mem")).toBe(-1);
    expect(tracked.unknown).toEqual(Array(7).fill(null));
  });
});

describe("states", () => {
  test("equal ones are the same array, whatever the way to them; a change makes another and leaves the old", () => {
    const tracked = new TrackedParameters([]);
    const change = fc.tuple(fc.nat(4), fc.constantFrom("", "a", "b", "-", "+", "a\u0001"));
    fc.assert(
      fc.property(fc.array(change, { maxLength: 12 }), (changes) => {
        let values = tracked.unknown;
        const plain: (string | null)[] = [...tracked.unknown];
        for (const [index, value] of changes) {
          const before = values;
          const copy = [...before];
          values = tracked.with(values, index, value);
          plain[index] = value;
          expect(before).toEqual(copy);
          expect(values).toEqual(plain);
        }
        const again = plain.reduce<ParameterValues>(
          (made, value, index) => (value === null ? made : tracked.with(made, index, value)),
          tracked.unknown,
        );
        expect(again).toBe(values);
      }),
    );
  });

  test("above the bound states are not kept, and still compare by content", () => {
    const tracked = new TrackedParameters([]);
    const first = valuesOf(tracked, { TimeZone: "0" });
    for (let i = 1; i < 10_050; i++) tracked.with(tracked.unknown, 2, `${i}`);
    const late = tracked.with(tracked.unknown, 2, "late");
    const other = tracked.with(tracked.unknown, 2, "late");
    expect(late).not.toBe(other);
    expect(late).toEqual(other);
    expect(tracked.differing(late, other)).toEqual([]);
    expect(tracked.with(tracked.unknown, 2, "0")).toBe(first);
  });

  test("what is not known is filled up, and what is known stays", () => {
    const tracked = new TrackedParameters([]);
    const client = valuesOf(tracked, { TimeZone: "UTC" });
    const defaults = valuesOf(tracked, { TimeZone: "Asia/Tokyo", DateStyle: "ISO" });
    const filled = tracked.filled(client, defaults);
    expect(filled).toBe(valuesOf(tracked, { DateStyle: "ISO", TimeZone: "UTC" }));
    const whole = valuesOf(tracked, Object.fromEntries(tracked.names.map((name) => [name, "x"])));
    expect(tracked.filled(whole, defaults)).toBe(whole);
  });

  test("those differ that both sides know, ignoring case", () => {
    const tracked = new TrackedParameters(["search_path"]);
    const client = valuesOf(tracked, { DateStyle: "iso, mdy", TimeZone: "UTC", application_name: "a" });
    const server = valuesOf(tracked, { DateStyle: "ISO, MDY", TimeZone: "GMT", search_path: "x" });
    expect(tracked.differing(client, server)).toEqual([tracked.indexOf("TimeZone")]);
    expect(tracked.differing(client, client)).toEqual([]);
  });
});

describe("the SET", () => {
  test("says all that differs in one Query", () => {
    const tracked = new TrackedParameters([]);
    const values = valuesOf(tracked, { TimeZone: "UTC", application_name: "it's" });
    expect(tracked.setText(values, [2, 4])).toBe("SET TimeZone='UTC';SET application_name='it''s';");
  });

  test("the recorded texts are those of today, and of all values", () => {
    const tracked = new TrackedParameters(["app.value", "search_path"]);
    const texts = LINES.map(({ name, value }) => {
      const index = tracked.indexOf(name);
      return tracked.setText(tracked.with(tracked.unknown, index, value), [index]);
    });
    expect(texts).toEqual(LINES.map(({ text }) => text));
    const recorded = (name: string): string[] => LINES.filter((line) => line.name === name).map(({ value }) => value);
    expect(recorded("app.value")).toEqual(VALUES);
    expect(recorded("search_path")).toEqual(PATHS);
  });

  test("PostgreSQL took each for one SET and nothing else, and had exactly the value then", () => {
    expect(LINES.filter(({ answers }) => answers !== "CZ")).toEqual([]);
    expect(LINES.filter(({ name, value, reported }) => name === "app.value" && value !== reported)).toEqual([]);
  });

  test("a search_path led where it would have as a startup parameter; no list of names led nowhere", () => {
    const paths = LINES.filter(({ name }) => name === "search_path");
    expect(paths.filter(({ meant, reported }) => (meant ?? "{}") !== reported)).toEqual([]);
  });

  test("a literal of any value is one literal to a reader of SQL, in any encoding", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom("'", "\\", "a", "x", "5", ";", "é", "あ", "\ud83d\ude00") }),
        (value) => {
          const text = literal(value);
          const escapes = text.startsWith("E");
          const inside = text.slice(escapes ? 2 : 1, -1);
          expect(text.endsWith("'")).toBe(true);
          // Quotes come in pairs, and a backslash is never in front of one, nor of another.
          expect(inside.replaceAll("''", "")).not.toContain("'");
          expect(inside.replaceAll("\\x5c", "")).not.toContain("\\");
          expect(escapes).toBe(value.includes("\\"));
          expect(inside.replaceAll("''", "'").replaceAll("\\x5c", "\\")).toBe(value);
        },
      ),
    );
  });
});
