/** A unit of one statement is recognised whole or not at all, wherever its bytes lie and wherever they are cut. */
import { describe, expect, test } from "vitest";
import { StatementUnit, inspectStatementUnit, isPlain } from "../../../src/protocol/statement-unit.ts";
import {
  SYNC,
  bind,
  close,
  describe as describeMessage,
  execute,
  parse,
  query,
} from "../../../src/protocol/frontend-messages.ts";
import { TargetKind } from "../../../src/protocol/message-type.ts";

const portal = describeMessage(TargetKind.Portal, "");

function inspect(messages: readonly Uint8Array[], cut = 0): StatementUnit | null {
  const bytes = Buffer.concat([Buffer.from("xx"), ...messages]);
  const unit = new StatementUnit();
  return inspectStatementUnit(bytes, 2, bytes.length - cut, unit) ? unit : null;
}

const WHOLE: readonly (readonly [string, readonly Uint8Array[]])[] = [
  ["a Query", [query("begin")]],
  ["an empty Query", [query("")]],
  ["a unit", [parse("", "begin"), bind("", ""), execute(""), SYNC]],
  ["a unit with a Describe", [parse("", "begin"), bind("", ""), portal, execute(""), SYNC]],
  ["one with values", [parse("", "select $1", [23]), bind("", "", ["1"]), portal, execute("", 5), SYNC]],
];

describe("units", () => {
  test.each(WHOLE)("%s is one, with what it says", (_name, messages) => {
    const unit = inspect(messages)!;
    const bytes = Buffer.concat([Buffer.from("xx"), ...messages]);
    expect(unit.end).toBe(bytes.length);
    const text = bytes.toString("latin1", unit.textStart, unit.textEnd);
    expect(bytes.toString("latin1")).toContain(`${text}\0`);
    expect(unit.isExtended).toBe(messages.length > 1);
    expect(unit.isDescribed).toBe(messages.length === 5);
  });

  test.each(WHOLE)("%s with something behind it is one, up to there", (_name, messages) => {
    const end = Buffer.concat(messages).length + 2;
    expect(inspect([...messages, query("select 1")])?.end).toBe(end);
  });

  test.each(WHOLE)("%s is none while any byte of it is missing", (_name, messages) => {
    for (let cut = 1; cut <= Buffer.concat(messages).length; cut++) expect(inspect(messages, cut)).toBeNull();
  });

  test.each([
    ["a named statement", [parse("s", "begin"), bind("", "s"), execute(""), SYNC]],
    ["a named portal", [parse("", "begin"), bind("p", ""), execute("p"), SYNC]],
    ["another portal's Execute", [parse("", "begin"), bind("", ""), execute("p"), SYNC]],
    [
      "a Describe of the statement",
      [parse("", "a"), bind("", ""), describeMessage(TargetKind.Statement, ""), execute(""), SYNC],
    ],
    ["two statements", [parse("", "a"), bind("", ""), execute(""), parse("", "b"), bind("", ""), execute(""), SYNC]],
    ["a Close in it", [parse("", "a"), bind("", ""), execute(""), close(TargetKind.Portal, ""), SYNC]],
    ["no Execute", [parse("", "a"), bind("", ""), SYNC]],
    ["a Parse alone", [parse("", "a"), SYNC]],
    ["a Query whose text ends early", [Buffer.from([0x51, 0, 0, 0, 8, 0x61, 0, 0x62, 0])]],
    ["a Query without a text", [Buffer.from([0x51, 0, 0, 0, 4])]],
    [
      "a Parse with a wrong count of types",
      [Buffer.from([0x50, 0, 0, 0, 9, 0, 0x61, 0, 0, 1]), bind("", ""), execute(""), SYNC],
    ],
    ["a length below any", [Buffer.from([0x51, 0, 0, 0, 3, 0])]],
  ])("none: %s", (_name, messages) => {
    expect(inspect(messages)).toBeNull();
  });

  test("plain ones bind nothing, say no types, and want all rows", () => {
    const plain = (...messages: readonly Uint8Array[]): boolean => {
      const bytes = Buffer.concat(messages);
      const unit = new StatementUnit();
      expect(inspectStatementUnit(bytes, 0, bytes.length, unit)).toBe(true);
      return isPlain(bytes, unit);
    };
    expect(plain(query("x"))).toBe(true);
    expect(plain(parse("", "x"), bind("", ""), portal, execute(""), SYNC)).toBe(true);
    expect(plain(parse("", "x", [23]), bind("", ""), execute(""), SYNC)).toBe(false);
    expect(plain(parse("", "x"), bind("", "", ["1"]), execute(""), SYNC)).toBe(false);
    expect(plain(parse("", "x"), bind("", ""), execute("", 1), SYNC)).toBe(false);
    // One format for all columns, as libpq sends it.
    const formatted = Buffer.from([0x42, 0, 0, 0, 14, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1]);
    expect(plain(parse("", "x"), formatted, execute(""), SYNC)).toBe(true);
  });
});
