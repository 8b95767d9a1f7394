/** Names of prepared statements: found where they are, replaced without touching anything else. */

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeText, encodeText } from "../../../src/protocol/byte-text.ts";
import * as frontend from "../../../src/protocol/frontend-messages.ts";
import { Frontend, TargetKind } from "../../../src/protocol/message-type.ts";
import {
  BindParts,
  inspectBind,
  inspectParse,
  inspectTarget,
  parseWithTail,
  renameBind,
  renameBindHead,
  renameParse,
  renameTarget,
} from "../../../src/protocol/statement-messages.ts";

// Long names too: beyond what is looked for by a loop.
const name = fc.string({ unit: "binary", maxLength: 70 }).map((s) => s.replaceAll("\0", ""));
const sql = fc.string({ unit: "binary", maxLength: 200 }).map((s) => s.replaceAll("\0", ""));
const oids = fc.array(fc.integer({ min: 0, max: 0xffffffff }), { maxLength: 5 });
const parameters = fc.array(fc.option(fc.string({ unit: "binary" })), { maxLength: 5 });
const kind = fc.constantFrom(...Object.values(TargetKind));

/** The message between other bytes: zero bytes behind it, so that a search past its end would find one. */
function placed(message: Uint8Array): { buf: Uint8Array; at: number; size: number } {
  const buf = new Uint8Array(message.length + 30);
  buf.fill(0xff, 0, 13);
  buf.set(message, 13);
  return { buf, at: 13, size: message.length };
}

function part(buf: Uint8Array, start: number, end: number): string {
  return decodeText(buf, start, end);
}

describe("Parse", () => {
  test("parts, and the same message under another name", () => {
    fc.assert(
      fc.property(name, sql, oids, name, (own, text, types, other) => {
        const { buf, at, size } = placed(frontend.parse(own, text, types));
        const parts = inspectParse(buf, at, size);
        if (parts === null) throw new Error("taken for malformed");
        expect(part(buf, parts.nameStart, parts.nameEnd)).toBe(own);
        expect(part(buf, parts.queryStart, parts.queryEnd)).toBe(text);
        expect([parts.typeCount, parts.end]).toEqual([types.length, at + size]);
        const view = new DataView(buf.buffer);
        expect(types.map((_, i) => view.getUint32(parts.typesStart + 4 * i))).toEqual(types);
        const wanted = frontend.parse(other, text, types);
        expect(renameParse(buf, parts, encodeText(other))).toEqual(wanted);
        expect(parseWithTail(encodeText(other), buf.slice(parts.queryStart, parts.end))).toEqual(wanted);
      }),
    );
  });

  test("every cut and every wrong length is malformed", () => {
    const { buf, at, size } = placed(frontend.parse("name", "select $1", [23, 25]));
    for (let wrong = 0; wrong < size + 20; wrong++) {
      expect(inspectParse(buf, at, wrong) === null).toBe(wrong !== size);
    }
    expect(inspectParse(buf, at, buf.length)).toBe(null);
    expect(inspectParse(buf.subarray(0, at + size - 1), at, size)).toBe(null);
  });

  test("65535 parameter types are counted as such", () => {
    const message = frontend.parse(
      "",
      "x",
      Array.from({ length: 65535 }, () => 1),
    );
    expect(inspectParse(message, 0, message.length)?.typeCount).toBe(65535);
  });
});

describe("Bind", () => {
  test("parts, and the same message of another statement, whole or its head", () => {
    fc.assert(
      fc.property(name, name, parameters, name, (portal, statement, values, other) => {
        const { buf, at, size } = placed(frontend.bind(portal, statement, values));
        const parts = inspectBind(buf, at, size, size);
        if (parts === null) throw new Error("taken for malformed");
        expect(parts.complete).toBe(true);
        expect(part(buf, parts.portalStart, parts.portalEnd)).toBe(portal);
        expect(part(buf, parts.statementStart, parts.statementEnd)).toBe(statement);
        const wanted = frontend.bind(portal, other, values);
        expect(renameBind(buf, parts, encodeText(other))).toEqual(wanted);
        const head = renameBindHead(buf, parts, encodeText(other));
        expect(Uint8Array.from([...head, ...buf.subarray(parts.tailStart, parts.end)])).toEqual(wanted);
      }),
    );
  });

  test("needs only the names: incomplete before, the same parts from there on", () => {
    const message = frontend.bind("portal", "s".repeat(60), ["x".repeat(100)]);
    const namesEnd = 5 + 7 + 61;
    for (let available = 5; available <= message.length; available++) {
      // Only what has been received is in memory.
      const parts = inspectBind(message.slice(0, available), 0, message.length, available);
      expect(parts?.complete).toBe(available >= namesEnd);
      const ends = [parts?.tailStart, parts?.end];
      expect(ends).toEqual(available >= namesEnd ? [namesEnd, message.length] : [0, 0]);
    }
  });

  test("the head of a large Bind has the length of the whole", () => {
    const message = frontend.bind("", "long_name", ["x".repeat(100_000)]);
    const parts = inspectBind(message.subarray(0, 40), 0, message.length, 40);
    if (parts === null) throw new Error("taken for malformed");
    const head = renameBindHead(message.subarray(0, 40), parts, encodeText("p"));
    expect(new DataView(head.buffer).getUint32(1)).toBe(message.length - 1 - "long_name".length + 1);
  });

  test("names that do not end inside the message are malformed, whatever lies behind it", () => {
    for (const content of [[0x61, 0x62], [0x61, 0, 0x62], []]) {
      const size = 5 + content.length;
      const { buf, at } = placed(Uint8Array.from([Frontend.Bind, 0, 0, 0, size - 1, ...content]));
      expect(inspectBind(buf, at, size, buf.length - at)).toBe(null);
    }
  });

  test("a reused object does not remember", () => {
    const reused = new BindParts();
    const message = frontend.bind("", "s", []);
    expect(inspectBind(message, 0, message.length, message.length, reused)).toBe(reused);
    expect(reused.complete).toBe(true);
    inspectBind(message, 0, message.length, 6, reused);
    expect(reused.complete).toBe(false);
  });
});

describe("Describe and Close", () => {
  test("parts, and the same message of another name", () => {
    fc.assert(
      fc.property(kind, name, name, fc.boolean(), (target, own, other, closes) => {
        const build = closes ? frontend.close : frontend.describe;
        const { buf, at, size } = placed(build(target, own));
        const parts = inspectTarget(buf, at, size);
        if (parts === null) throw new Error("taken for malformed");
        expect(parts.type).toBe(closes ? Frontend.Close : Frontend.Describe);
        expect(parts.kind).toBe(target);
        expect(part(buf, parts.nameStart, parts.nameEnd)).toBe(own);
        expect(renameTarget(parts, encodeText(other))).toEqual(build(target, other));
      }),
    );
  });

  test("cuts, surplus and unknown kinds are malformed", () => {
    const { buf, at, size } = placed(frontend.describe(TargetKind.Statement, "s"));
    for (let wrong = 0; wrong < size + 10; wrong++) {
      expect(inspectTarget(buf, at, wrong) === null).toBe(wrong !== size);
    }
    buf[at + 5] = 0x58;
    expect(inspectTarget(buf, at, size)).toBe(null);
    const query = frontend.query("S");
    expect(inspectTarget(query, 0, query.length)).toBe(null);
  });
});
