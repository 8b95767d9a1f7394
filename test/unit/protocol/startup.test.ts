/** The first packets of a connection: what is taken, what is refused with which words, and how early. */

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeText } from "../../../src/protocol/byte-text.ts";
import { cancelRequest, GSSENC_REQUEST, SSL_REQUEST, startupMessage } from "../../../src/protocol/startup-messages.ts";
import { extensionNames, PROTOCOL_3_0, readStartupPacket } from "../../../src/protocol/startup.ts";
import { MessageWriter } from "../../../src/protocol/writer.ts";

const read = (bytes: Uint8Array | readonly number[]) => readStartupPacket(Uint8Array.from(bytes), 0, bytes.length);
const LAYOUT = "invalid startup packet layout: expected terminator as last byte";

describe("what is taken", () => {
  test("bytes of the protocol chapter", () => {
    expect([...SSL_REQUEST]).toEqual([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);
    expect([...GSSENC_REQUEST]).toEqual([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x30]);
    expect([...cancelRequest(1234, Uint8Array.of(9, 8, 7, 6))]).toEqual([
      0, 0, 0, 16, 0x04, 0xd2, 0x16, 0x2e, 0, 0, 4, 210, 9, 8, 7, 6,
    ]);
    expect([...startupMessage([["user", "ann"]], PROTOCOL_3_0)]).toEqual([
      0, 0, 0, 18, 0, 3, 0, 0, 0x75, 0x73, 0x65, 0x72, 0, 0x61, 0x6e, 0x6e, 0, 0,
    ]);
  });

  test("SSLRequest and GSSENCRequest, with bytes behind them", () => {
    expect(read([...SSL_REQUEST, 1, 2])).toEqual({ kind: "ssl", size: 8 });
    expect(read(GSSENC_REQUEST)).toEqual({ kind: "gssenc", size: 8 });
  });

  test("CancelRequest with a secret of any length that is allowed", () => {
    for (const bytes of [4, 32, 256]) {
      const secret = new Uint8Array(bytes).fill(0xa5);
      expect(read(cancelRequest(0xfffffffe, secret))).toEqual({
        kind: "cancel",
        size: 12 + bytes,
        processId: 0xfffffffe,
        secret,
      });
    }
  });

  test("the secret of a cancel is a copy", () => {
    const bytes = Uint8Array.from(cancelRequest(1, Uint8Array.of(1, 2, 3, 4)));
    const packet = readStartupPacket(bytes, 0, bytes.length);
    bytes.fill(0);
    expect(packet.kind === "cancel" && [...packet.secret]).toEqual([1, 2, 3, 4]);
  });

  test("parameters in order, of a duplicate the last, names as they are", () => {
    const packet = read(
      startupMessage(
        [
          ["user", "a"],
          ["User", "b"],
          ["database", ""],
          ["user", "c"],
        ],
        PROTOCOL_3_0,
      ),
    );
    expect(packet.kind === "startup" && [...packet.parameters]).toEqual([
      ["user", "c"],
      ["User", "b"],
      ["database", ""],
    ]);
  });

  test.each([
    [0x30000, 0],
    [0x30002, 2],
    [0x3270f, 9999],
    [0x3ffff, 65535],
  ])("version %i is a 3.%i", (version) => {
    const packet = read(
      startupMessage(
        [
          ["user", "a"],
          ["_pq_.x", "1"],
          ["_pq_.y", "2"],
        ],
        version,
      ),
    );
    expect(packet).toMatchObject({ kind: "startup", version });
    expect(packet.kind === "startup" && extensionNames(packet.parameters)).toEqual(["_pq_.x", "_pq_.y"]);
  });

  test("print, then parse", () => {
    const text = fc.string({ unit: "binary", maxLength: 20 }).map((s) => s.replaceAll("\0", ""));
    const name = text.filter((s) => s !== "");
    fc.assert(
      fc.property(
        fc.array(fc.tuple(name, text), { maxLength: 12 }),
        fc.uint8Array({ maxLength: 5 }),
        (pairs, behind) => {
          const message = startupMessage(pairs, PROTOCOL_3_0);
          const packet = read([...message, ...behind]);
          expect(packet).toEqual({
            kind: "startup",
            size: message.length,
            version: PROTOCOL_3_0,
            parameters: new Map(pairs),
          });
        },
      ),
    );
  });
});

describe("what is not there yet", () => {
  test("every beginning of a good packet is incomplete and says how much is wanted", () => {
    for (const message of [
      startupMessage([["user", "a"]], PROTOCOL_3_0),
      SSL_REQUEST,
      cancelRequest(5, Uint8Array.of(1, 2, 3, 4)),
    ]) {
      for (let there = 0; there < message.length; there++) {
        const packet = readStartupPacket(message, 0, there);
        expect(packet).toEqual({ kind: "incomplete", wantedBytes: there < 8 ? 8 : message.length });
      }
    }
  });
});

describe("what is refused", () => {
  test.each<[string, number[], string, boolean]>([
    ["too short", [0, 0, 0, 7, 0, 3, 0, 0], "bad packet header: '0000000700030000'", false],
    ["64 KiB", [0, 1, 0, 0], "bad packet header: '00010000'", false],
    ["version 1.0", [0, 0, 0, 9, 0, 1, 0, 0, 0], "bad packet header: '0000000900010000'", false],
    ["version 4.0", [0, 0, 0, 9, 0, 4, 0, 0, 0], "bad packet header: '0000000900040000'", false],
    ["unknown request code", [0, 0, 0, 8, 4, 210, 22, 0x31], "bad packet header: '0000000804d21631'", false],
    ["version 2.0", [0, 0, 1, 0x28, 0, 2, 0, 0], "old V2 protocol not supported", false],
    ["cancel without secret", [0, 0, 0, 12, 4, 210, 22, 0x2e], "bad cancel request", true],
    ["cancel with too long a secret", [0, 0, 1, 13, 4, 210, 22, 0x2e], "bad cancel request", true],
    ["HTTP", [...encodeText("GET / HTTP/1.1")], "bad packet", true],
    ["password first", [0x70, 0, 0, 0, 5, 0], "client password pkt before startup packet", false],
    ["typed with a bad length", [0x51, 0, 0, 0, 3], "bad packet header: '5100000003'", false],
    ["typed with a huge length", [0x51, 255, 255, 255, 255], "bad packet header: '51ffffffff'", false],
  ])("%s", (_name, bytes, reason, silent) => {
    expect(read(bytes)).toEqual({ kind: "refused", reason, silent });
  });

  const startupOf = (content: readonly number[]) => {
    const writer = new MessageWriter().packet().int32(PROTOCOL_3_0).bytes(Uint8Array.from(content));
    return writer.end().finish();
  };

  test.each<[string, number[]]>([
    ["nothing at all", []],
    ["no terminator", [0x61, 0, 0x62, 0]],
    ["a name without value", [0x61, 0]],
    ["an unterminated name", [0x61, 0x62]],
    ["an unterminated value", [0x61, 0, 0x62]],
    ["bytes behind the terminator", [0x61, 0, 0x62, 0, 0, 0]],
    ["an early terminator", [0, 0x61, 0, 0x62, 0, 0]],
  ])("%s", (_name, content) => {
    expect(read(startupOf(content))).toEqual({ kind: "refused", reason: LAYOUT, silent: false });
    // The terminator of whatever comes behind it does not help.
    expect(read([...startupOf(content), 0, 0, 0])).toMatchObject({ kind: "refused" });
  });

  test("builders refuse what could not be read again", () => {
    expect(() => startupMessage([["", "x"]], PROTOCOL_3_0)).toThrow("does not fit");
    expect(() => startupMessage([["a", "x\0y"]], PROTOCOL_3_0)).toThrow("zero byte");
    expect(() => startupMessage([["a", "x".repeat(65_520)]], PROTOCOL_3_0)).not.toThrow();
    expect(() => startupMessage([["a", "x".repeat(65_530)]], PROTOCOL_3_0)).toThrow("does not fit");
    expect(() => cancelRequest(1, new Uint8Array(3))).toThrow("does not fit");
    expect(() => cancelRequest(1, new Uint8Array(257))).toThrow("does not fit");
  });
});
