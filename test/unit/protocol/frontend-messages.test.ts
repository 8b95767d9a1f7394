/** What goes to servers: golden bytes after the protocol chapter, and print-then-parse. */

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeText } from "../../../src/protocol/byte-text.ts";
import { copyFail } from "../../../src/protocol/copy-messages.ts";
import * as frontend from "../../../src/protocol/frontend-messages.ts";
import * as readers from "../../../src/protocol/frontend-readers.ts";
import { TargetKind } from "../../../src/protocol/message-type.ts";

function bytesOf(...parts: (string | number)[]): number[] {
  return parts.flatMap((part) => (typeof part === "string" ? Array.from(encodeText(part)) : [part]));
}

describe("golden bytes", () => {
  test.each<[string, Uint8Array, number[]]>([
    ["Query", frontend.query("select 1"), bytesOf("Q", 0, 0, 0, 13, "select 1", 0)],
    ["Parse", frontend.parse("s", "x", [23]), bytesOf("P", 0, 0, 0, 14, "s", 0, "x", 0, 0, 1, 0, 0, 0, 23)],
    [
      "Bind",
      frontend.bind("p", "s", ["7", null]),
      bytesOf("B", 0, 0, 0, 23, "p", 0, "s", 0, 0, 0, 0, 2, 0, 0, 0, 1, "7", 255, 255, 255, 255, 0, 0),
    ],
    ["Describe", frontend.describe(TargetKind.Statement, "s"), bytesOf("D", 0, 0, 0, 7, "Ss", 0)],
    ["Close", frontend.close(TargetKind.Portal, ""), bytesOf("C", 0, 0, 0, 6, "P", 0)],
    ["Execute", frontend.execute("", 5), bytesOf("E", 0, 0, 0, 9, 0, 0, 0, 0, 5)],
    ["Sync", frontend.SYNC, bytesOf("S", 0, 0, 0, 4)],
    ["Flush", frontend.FLUSH, bytesOf("H", 0, 0, 0, 4)],
    ["Terminate", frontend.TERMINATE, bytesOf("X", 0, 0, 0, 4)],
    ["PasswordMessage", frontend.passwordMessage("pw"), bytesOf("p", 0, 0, 0, 7, "pw", 0)],
    [
      "SASLInitialResponse",
      frontend.saslInitialResponse("M", "n,,"),
      bytesOf("p", 0, 0, 0, 13, "M", 0, 0, 0, 0, 3, "n,,"),
    ],
    [
      "SASLInitialResponse without data",
      frontend.saslInitialResponse("M", null),
      bytesOf("p", 0, 0, 0, 10, "M", 0, 255, 255, 255, 255),
    ],
    ["SASLResponse", frontend.saslResponse("c=x"), bytesOf("p", 0, 0, 0, 7, "c=x")],
    ["CopyFail", copyFail("no"), bytesOf("f", 0, 0, 0, 7, "no", 0)],
  ])("%s", (_name, message, wanted) => {
    expect([...message]).toEqual(wanted);
  });
});

describe("print, then parse", () => {
  const text = fc.string({ unit: "binary", maxLength: 60 }).map((s) => s.replaceAll("\0", ""));
  const uint32 = fc.integer({ min: 0, max: 0xffffffff });
  const again = <T>(message: Uint8Array, read: (buf: Uint8Array, at: number, size: number) => T): T => {
    const buf = new Uint8Array(message.length + 20).fill(0xee);
    buf.set(message, 11);
    return read(buf, 11, message.length);
  };
  const law = <T>(arbitrary: fc.Arbitrary<T>, check: (value: T) => void) =>
    fc.assert(fc.property(arbitrary, check), { numRuns: 60 });

  test("messages of one text", () => {
    law(text, (value) => {
      expect(again(frontend.query(value), readers.readQuery)).toBe(value);
      expect(again(frontend.passwordMessage(value), readers.readPasswordMessage)).toBe(value);
      expect(again(copyFail(value), readers.readCopyFail)).toBe(value);
    });
  });

  test("Parse, Bind, Describe, Close, Execute", () => {
    law(fc.tuple(text, text, fc.array(uint32, { maxLength: 6 })), ([name, sql, typeOids]) => {
      expect(again(frontend.parse(name, sql, typeOids), readers.readParse)).toEqual({ name, text: sql, typeOids });
    });
    const parameters = fc.array(fc.option(fc.string({ unit: "binary" })), { maxLength: 6 });
    law(fc.tuple(text, text, parameters), ([portal, statement, values]) => {
      const read = again(frontend.bind(portal, statement, values), readers.readBind);
      expect([read.portal, read.statement]).toEqual([portal, statement]);
      expect(read.parameters).toEqual(values.map((value) => (value === null ? null : encodeText(value))));
    });
    law(fc.tuple(text, fc.constantFrom(...Object.values(TargetKind))), ([name, kind]) => {
      expect(again(frontend.describe(kind, name), readers.readTarget)).toEqual({ kind, name });
      expect(again(frontend.close(kind, name), readers.readTarget)).toEqual({ kind, name });
    });
    law(fc.tuple(text, fc.integer({ min: 0, max: 0x7fffffff })), ([portal, rowsMax]) => {
      expect(again(frontend.execute(portal, rowsMax), readers.readExecute)).toEqual({ portal, rowsMax });
    });
  });

  test("a negative row limit is none, as in PostgreSQL", () => {
    expect(again(frontend.execute("", -1), readers.readExecute)).toEqual({ portal: "", rowsMax: 0 });
  });

  test("SASL", () => {
    law(fc.tuple(text, fc.option(fc.uint8Array({ maxLength: 60 }))), ([mechanism, response]) => {
      expect(again(frontend.saslInitialResponse(mechanism, response), readers.readSaslInitialResponse)).toEqual({
        mechanism,
        response,
      });
      const data = response ?? new Uint8Array(0);
      expect(again(frontend.saslResponse(data), readers.readSaslResponse)).toEqual(data);
    });
  });
});
