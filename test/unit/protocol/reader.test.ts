/** The reader stays inside its message. */

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ProtocolError } from "../../../src/protocol/protocol-error.ts";
import { MessageReader } from "../../../src/protocol/reader.ts";

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof ProtocolError) return error.code;
    throw error;
  }
  return "no error";
}

describe("reader", () => {
  test("reads each kind of field in network order", () => {
    const bytes = Uint8Array.of(
      7,
      0xff,
      0xfe,
      0xff,
      0xfe,
      0x80,
      0,
      0,
      1,
      0xff,
      0xff,
      0xff,
      0xff,
      0x61,
      0x62,
      0,
      1,
      2,
      3,
    );
    const reader = new MessageReader(bytes, 0, bytes.length);
    expect(reader.byte()).toBe(7);
    expect(reader.int16()).toBe(-2);
    expect(reader.uint16()).toBe(0xfffe);
    expect(reader.int32()).toBe(-0x7fffffff);
    expect(reader.uint32()).toBe(0xffffffff);
    expect(reader.cstring()).toBe("ab");
    expect([...reader.bytes(2)]).toEqual([1, 2]);
    expect(reader.remaining).toBe(1);
    expect(codeOf(() => reader.expectEnd())).toBe("trailing_bytes");
    expect([...reader.rest()]).toEqual([3]);
    reader.expectEnd();
  });

  test("a field that goes on behind the message is refused, and nothing is consumed", () => {
    const bytes = new Uint8Array(20);
    for (const read of ["byte", "int16", "uint16", "int32", "uint32"] as const) {
      const reader = new MessageReader(bytes, 5, 5 + (read === "byte" ? 0 : read.endsWith("16") ? 1 : 3));
      const before = reader.remaining;
      expect(codeOf(() => reader[read]())).toBe("message_truncated");
      expect(reader.remaining).toBe(before);
    }
  });

  test.each([-1, 3, 2 ** 31, 2 ** 32, Number.NaN, Number.POSITIVE_INFINITY])("a count of %d is refused", (count) => {
    const reader = new MessageReader(new Uint8Array(10), 0, 2);
    expect(codeOf(() => reader.bytes(count))).toBe("message_truncated");
  });

  test("the zero byte of the next message does not end a string of this one", () => {
    for (const length of [3, 200]) {
      const bytes = new Uint8Array(length + 1).fill(0x61);
      bytes[length] = 0;
      expect(codeOf(() => new MessageReader(bytes, 0, length).cstring())).toBe("string_unterminated");
      expect(new MessageReader(bytes, 0, length + 1).cstring()).toHaveLength(length);
    }
  });

  test("a range outside of the memory is refused", () => {
    const bytes = new Uint8Array(4);
    for (const [start, end] of [
      [0, 5],
      [-1, 2],
      [3, 2],
    ] as const) {
      expect(codeOf(() => new MessageReader(bytes, start, end))).toBe("message_truncated");
    }
  });

  test("what is read does not depend on what surrounds the message", () => {
    const steps = fc.array(
      fc.constantFrom("byte", "int16", "uint16", "int32", "uint32", "cstring", "rest", "expectEnd"),
      { maxLength: 12 },
    );
    const play = (buf: Uint8Array, start: number, end: number, list: readonly string[]) => {
      const reader = new MessageReader(buf, start, end);
      return list.map((step) => {
        try {
          const value = (reader as unknown as Record<string, () => unknown>)[step]?.call(reader);
          return value instanceof Uint8Array ? [...value] : value;
        } catch (error) {
          if (error instanceof ProtocolError) return error.code;
          throw error;
        }
      });
    };
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 90 }),
        fc.uint8Array({ maxLength: 9 }),
        fc.uint8Array({ maxLength: 9 }),
        steps,
        (bytes, before, behind, list) => {
          const inside = Uint8Array.from([...before, ...bytes, ...behind]);
          expect(play(inside, before.length, before.length + bytes.length, list)).toEqual(
            play(bytes, 0, bytes.length, list),
          );
        },
      ),
    );
  });
});
