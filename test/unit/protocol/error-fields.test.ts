/** Errors and notices are read however broken they are. */

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeText } from "../../../src/protocol/byte-text.ts";
import { readErrorFields } from "../../../src/protocol/error-fields.ts";
import { errorResponse, noticeResponse } from "../../../src/protocol/error-messages.ts";
import { MessageWriter } from "../../../src/protocol/writer.ts";

const NOTHING = { severity: null, plainSeverity: null, code: null, message: null, detail: null, hint: null };
const read = (message: Uint8Array) => readErrorFields(message, 0, message.length);
const raw = (content: string) => new MessageWriter().message(0x45).bytes(encodeText(content)).end().finish();

describe("error fields", () => {
  test("print, then parse", () => {
    const text = fc.string({ unit: "binary", maxLength: 60 }).map((s) => s.replaceAll("\0", ""));
    const error = fc.record(
      { message: text, detail: text, hint: text, withPlainSeverity: fc.boolean() },
      { requiredKeys: ["message"] },
    );
    fc.assert(
      fc.property(error, fc.boolean(), (fields, notice) => {
        const sent = { severity: "ERROR", code: "42601", ...fields } as const;
        expect(read(notice ? noticeResponse(sent) : errorResponse(sent))).toEqual({
          severity: "ERROR",
          plainSeverity: sent.withPlainSeverity === true ? "ERROR" : null,
          code: "42601",
          message: sent.message,
          detail: sent.detail ?? null,
          hint: sent.hint ?? null,
        });
      }),
    );
  });

  test.each([
    ["no SQLSTATE", "SFATAL\0Mgone\0\0", { severity: "FATAL", message: "gone" }],
    ["no field at all", "\0", {}],
    ["not even a terminator", "", {}],
    ["a cut text", "SERROR\0C57P01\0Mterminat", { severity: "ERROR", code: "57P01", message: "terminat" }],
    ["a letter without text", "SERROR\0M", { severity: "ERROR", message: "" }],
    ["unknown letters", "SERROR\0?x\0Fa.c\0L1\0Mm\0\0", { severity: "ERROR", message: "m" }],
    ["a letter twice", "Ma\0Mb\0\0", { message: "a" }],
    ["fields behind the terminator", "Ma\0\0\0Hx\0\0", { message: "a" }],
  ])("%s", (_name, content, fields) => {
    expect(read(raw(content))).toEqual({ ...NOTHING, ...fields });
  });

  test("a message in another encoding is kept", () => {
    const message = new MessageWriter().message(0x45).byte(0x4d).bytes(Uint8Array.of(0xe4, 0)).byte(0).end().finish();
    expect(encodeText(read(message).message ?? "")).toEqual(Uint8Array.of(0xe4));
  });

  test("a text is sent up to its zero byte", () => {
    expect(read(errorResponse({ severity: "ERROR", code: "08P01", message: "a\0b", hint: "\0" }))).toMatchObject({
      message: "a",
      hint: "",
    });
  });

  test("a size that is more than there is", () => {
    const message = raw("SERROR\0Mterminating");
    expect(readErrorFields(message.subarray(0, 14), 0, message.length)).toEqual({
      ...NOTHING,
      severity: "ERROR",
      message: "t",
    });
  });

  test("any bytes, and a size that is a lie", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.integer({ min: 0, max: 100 }), (bytes, size) => {
        const seen = readErrorFields(bytes, 0, size);
        const behind = Uint8Array.from([...bytes, ...new Uint8Array(50).fill(0x4d)]);
        expect(readErrorFields(size <= bytes.length ? behind : bytes, 0, size)).toEqual(seen);
      }),
    );
  });
});
