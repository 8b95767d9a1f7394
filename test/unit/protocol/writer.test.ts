/** The writer: exact sizes, patched lengths, and no field that could be read as two. */

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ProtocolError } from "../../../src/protocol/protocol-error.ts";
import { MessageReader } from "../../../src/protocol/reader.ts";
import { MessageWriter } from "../../../src/protocol/writer.ts";

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof ProtocolError) return error.code;
    throw error;
  }
  return "no error";
}

describe("writer", () => {
  test("several messages in one, each with its length, the memory exact", () => {
    const bytes = new MessageWriter(1)
      .message(0x53)
      .cstring("a")
      .cstring("é")
      .end()
      .message(0x5a)
      .byte(0x49)
      .end()
      .finish();
    expect([...bytes]).toEqual([0x53, 0, 0, 0, 9, 0x61, 0, 0xc3, 0xa9, 0, 0x5a, 0, 0, 0, 5, 0x49]);
    expect(bytes.buffer.byteLength).toBe(bytes.length);
  });

  test("a packet has no type byte", () => {
    expect([...new MessageWriter().packet().int32(80877103).end().finish()]).toEqual([0, 0, 0, 8, 4, 210, 22, 47]);
  });

  test("finish starts anew and leaves what it gave alone", () => {
    const writer = new MessageWriter(64);
    const first = writer.message(0x31).end().finish();
    const second = writer.message(0x32).end().finish();
    expect([...first]).toEqual([0x31, 0, 0, 0, 4]);
    expect([...second]).toEqual([0x32, 0, 0, 0, 4]);
  });

  test("numbers out of their field are refused, at the bounds taken", () => {
    const writer = () => new MessageWriter().message(0x64);
    for (const value of [-1, 256, Number.NaN]) expect(codeOf(() => writer().byte(value))).toBe("value_out_of_range");
    for (const value of [-0x8001, 0x10000]) expect(codeOf(() => writer().int16(value))).toBe("value_out_of_range");
    for (const value of [-0x80000001, 0x100000000])
      expect(codeOf(() => writer().int32(value))).toBe("value_out_of_range");
    const bytes = writer().int16(-0x8000).int16(0xffff).int32(-0x80000000).int32(0xffffffff).end().finish();
    const reader = new MessageReader(bytes, 5, bytes.length);
    expect([reader.int16(), reader.uint16(), reader.int32(), reader.uint32()]).toEqual([
      -0x8000, 0xffff, -0x80000000, 0xffffffff,
    ]);
  });

  test("a text with a zero byte is refused", () => {
    expect(codeOf(() => new MessageWriter().message(0x51).cstring("select 1\0; drop"))).toBe("text_has_nul");
  });

  test("messages are not nested, ended twice or left open", () => {
    expect(codeOf(() => new MessageWriter().message(0x51).message(0x51))).toBe("writer_misuse");
    expect(codeOf(() => new MessageWriter().message(0x51).packet())).toBe("writer_misuse");
    expect(codeOf(() => new MessageWriter().message(0x51).end().end())).toBe("writer_misuse");
    expect(codeOf(() => new MessageWriter().message(0x51).finish())).toBe("writer_misuse");
  });

  test("what is written is read again", () => {
    const field = fc.oneof(
      fc.record({ kind: fc.constant("byte" as const), value: fc.integer({ min: 0, max: 255 }) }),
      fc.record({ kind: fc.constant("int16" as const), value: fc.integer({ min: -0x8000, max: 0x7fff }) }),
      fc.record({ kind: fc.constant("int32" as const), value: fc.integer() }),
      fc.record({
        kind: fc.constant("cstring" as const),
        value: fc.string({ unit: "binary" }).map((s) => s.replaceAll("\0", "")),
      }),
    );
    fc.assert(
      fc.property(fc.array(field, { maxLength: 40 }), fc.integer({ min: 0, max: 50 }), (fields, firstBytes) => {
        const writer = new MessageWriter(firstBytes).message(0x64);
        for (const { kind, value } of fields) (writer[kind] as (v: unknown) => unknown).call(writer, value);
        const bytes = writer.end().finish();
        expect(new DataView(bytes.buffer).getUint32(1)).toBe(bytes.length - 1);
        const reader = new MessageReader(bytes, 5, bytes.length);
        expect(fields.map(({ kind }) => reader[kind]())).toEqual(fields.map(({ value }) => value));
        reader.expectEnd();
      }),
    );
  });
});
