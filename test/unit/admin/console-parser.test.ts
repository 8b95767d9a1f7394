/** The console's parser: PgBouncer's grammar, its limits, and that no text at all makes it stumble. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  ARGUMENT_BYTES_MAX,
  COMMAND_BYTES_MAX,
  VALUE_BYTES_MAX,
  parseConsoleQuery,
} from "../../../src/admin/console-parser.ts";

describe("commands", () => {
  test.each([
    ["show pools", "show", "pools"],
    ["  SHOW\t\r\n POOLS ; ", "SHOW", "POOLS"],
    ["pause;", "pause", ""],
    ["PAUSE", "PAUSE", ""],
    ['pause "My DB"', "pause", "My DB"],
    ['pause "a""b"', "pause", 'a"b'],
    ['pause ""', "pause", ""],
    ['"PAUSE" x', "PAUSE", "x"],
    ["kill_client 17", "kill_client", "17"],
    ["set x", "set", "x"],
    ["5 6", "5", "6"],
  ])("%j", (text, word, argument) => {
    expect(parseConsoleQuery(text)).toEqual({ kind: "command", word, argument });
  });

  test.each([
    "",
    ";",
    " ",
    "show pools; show pools",
    "show pools ;;",
    "show pools clients",
    "pause my-db",
    "pause 'db'",
    'pause "db',
    "show;pools",
    "select 'a'",
    "-- show pools",
    "show pools -- now",
    "ſhow pools",
    "show\u00a0pools",
    "set x y z",
    "set x = ",
    "set = 1",
    "set x = a b",
    "set x = 'a",
    "set x == 1",
    "setx = 1",
    "set footo 5",
  ])("%j is none", (text) => {
    expect(parseConsoleQuery(text)).toEqual({ kind: "invalid" });
  });
});

describe("SET", () => {
  test.each([
    ["set verbose=1", "verbose", "1"],
    ["SET verbose TO 1;", "verbose", "1"],
    ["set pool_mode = 'session'", "pool_mode", "session"],
    ['set pool_mode = "session"', "pool_mode", "session"],
    ["set server_reset_query = 'it''s; -- here'", "server_reset_query", "it's; -- here"],
    ["set server_reset_query = ''", "server_reset_query", ""],
    ['set "odd key" to "a""b"', "odd key", 'a"b'],
    ["set to to to", "to", "to"],
    ['set "k"to v', "k", "v"],
    ["set k=v", "k", "v"],
    ["set a to'b'", "a", "b"],
  ])("%j", (text, key, value) => {
    expect(parseConsoleQuery(text)).toEqual({ kind: "set", key, value });
  });

  test("an empty key is refused", () => {
    expect(parseConsoleQuery('set "" = 1')).toEqual({ kind: "badArguments" });
  });
});

describe("limits, in bytes as written", () => {
  const repeated =
    (before: string, letter: string, after = "", taken = 0) =>
    (length: number) =>
      before + letter.repeat(length - taken) + after;

  test.each([
    ["the command", COMMAND_BYTES_MAX, repeated("", "c")],
    ["the argument", ARGUMENT_BYTES_MAX, repeated("pause ", "d")],
    ["the argument in quotes, quotes included", ARGUMENT_BYTES_MAX, repeated('pause "', "d", '"', 2)],
    ["the argument with letters of two bytes", ARGUMENT_BYTES_MAX, repeated('pause "éé', "d", '"', 6)],
    ["the key", ARGUMENT_BYTES_MAX, repeated("set ", "k", " = 1")],
    ["the value", VALUE_BYTES_MAX, repeated("set k = ", "v")],
    ["the value in quotes", VALUE_BYTES_MAX, repeated("set k = '", "v", "'", 2)],
  ])("%s", (_what, max, make) => {
    expect(["command", "set"]).toContain(parseConsoleQuery(make(max)).kind);
    expect(parseConsoleQuery(make(max + 1))).toEqual({ kind: "badArguments" });
  });
});

describe("any text", () => {
  const pieces = fc.constantFrom(
    "show",
    "set",
    "to",
    "=",
    '"',
    "'",
    '""',
    "''",
    " ",
    "\n",
    ";",
    "a",
    "_",
    "9",
    "é",
    "\0",
  );
  const texts = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.array(pieces, { maxLength: 40 }).map((list) => list.join("")),
  );

  test("is parsed without a throw, and what is understood is within the limits", () => {
    fc.assert(
      fc.property(texts, (text) => {
        const parsed = parseConsoleQuery(text);
        const word = parsed.kind === "command" ? parsed.word : "";
        const value = parsed.kind === "set" ? parsed.value : "";
        expect(Buffer.byteLength(word)).toBeLessThanOrEqual(COMMAND_BYTES_MAX);
        expect(Buffer.byteLength(value)).toBeLessThanOrEqual(VALUE_BYTES_MAX);
      }),
    );
  });

  test("what is printed in quotes is parsed back", () => {
    const name = fc.string({ unit: "binary", maxLength: 12 }).filter((text) => !/[\ud800-\udfff]/.test(text));
    const quoted = (text: string, quote: string): string => quote + text.replaceAll(quote, quote + quote) + quote;
    fc.assert(
      fc.property(name, name, (argument, value) => {
        expect(parseConsoleQuery(`pause ${quoted(argument, '"')};`)).toEqual({
          kind: "command",
          word: "pause",
          argument,
        });
        if (argument === "") return;
        const set = `set ${quoted(argument, '"')} = ${quoted(value, "'")}`;
        expect(parseConsoleQuery(set)).toEqual({ kind: "set", key: argument, value });
      }),
    );
  });

  test.each([
    ["spaces", `show${" ".repeat(200_000)}!`],
    ["quotes", `set a = '${"''".repeat(100_000)}`],
    ["double quotes", `pause "${'""'.repeat(100_000)}`],
    ["letters", `set ${"to".repeat(100_000)}!`],
  ])("200,000 %s are refused in no time", (_what, text) => {
    const start = performance.now();
    expect(parseConsoleQuery(text).kind).toBe("invalid");
    expect(performance.now() - start).toBeLessThan(1000);
  });
});
