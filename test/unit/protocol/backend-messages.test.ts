/** What goes to clients: golden bytes after the protocol chapter, and print-then-parse. */

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import * as backend from "../../../src/protocol/backend-messages.ts";
import * as readers from "../../../src/protocol/backend-readers.ts";
import { encodeText } from "../../../src/protocol/byte-text.ts";
import * as copy from "../../../src/protocol/copy-messages.ts";
import { errorResponse, noticeResponse } from "../../../src/protocol/error-messages.ts";
import { AuthenticationCode, TransactionStatus } from "../../../src/protocol/message-type.ts";
import { ColumnTypes, dataRow, rowDescription } from "../../../src/protocol/row-messages.ts";

/** Letters stand for their bytes, numbers for themselves. */
function bytesOf(...parts: (string | number)[]): number[] {
  return parts.flatMap((part) => (typeof part === "string" ? Array.from(encodeText(part)) : [part]));
}

describe("golden bytes", () => {
  test.each<[string, Uint8Array, number[]]>([
    ["AuthenticationOk", backend.AUTHENTICATION_OK, bytesOf("R", 0, 0, 0, 8, 0, 0, 0, 0)],
    [
      "AuthenticationMD5Password",
      backend.authenticationRequest(AuthenticationCode.Md5Password, Uint8Array.of(1, 2, 3, 4)),
      bytesOf("R", 0, 0, 0, 12, 0, 0, 0, 5, 1, 2, 3, 4),
    ],
    [
      "AuthenticationSASL",
      backend.authenticationSasl(["SCRAM-SHA-256"]),
      bytesOf("R", 0, 0, 0, 23, 0, 0, 0, 10, "SCRAM-SHA-256", 0, 0),
    ],
    [
      "BackendKeyData",
      backend.backendKeyData(258, Uint8Array.of(5, 6, 7, 8)),
      bytesOf("K", 0, 0, 0, 12, 0, 0, 1, 2, 5, 6, 7, 8),
    ],
    ["ParameterStatus", backend.parameterStatus("a", "b"), bytesOf("S", 0, 0, 0, 8, "a", 0, "b", 0)],
    ["ReadyForQuery I", backend.READY_IDLE, bytesOf("Z", 0, 0, 0, 5, "I")],
    ["ReadyForQuery T", backend.READY_IN_TRANSACTION, bytesOf("Z", 0, 0, 0, 5, "T")],
    ["ReadyForQuery E", backend.READY_FAILED, bytesOf("Z", 0, 0, 0, 5, "E")],
    ["CommandComplete", backend.commandComplete("SELECT 1"), bytesOf("C", 0, 0, 0, 13, "SELECT 1", 0)],
    ["EmptyQueryResponse", backend.EMPTY_QUERY_RESPONSE, bytesOf("I", 0, 0, 0, 4)],
    ["ParseComplete", backend.PARSE_COMPLETE, bytesOf("1", 0, 0, 0, 4)],
    ["BindComplete", backend.BIND_COMPLETE, bytesOf("2", 0, 0, 0, 4)],
    ["CloseComplete", backend.CLOSE_COMPLETE, bytesOf("3", 0, 0, 0, 4)],
    ["NoData", backend.NO_DATA, bytesOf("n", 0, 0, 0, 4)],
    ["PortalSuspended", backend.PORTAL_SUSPENDED, bytesOf("s", 0, 0, 0, 4)],
    ["ParameterDescription", backend.parameterDescription([23]), bytesOf("t", 0, 0, 0, 10, 0, 1, 0, 0, 0, 23)],
    [
      "NegotiateProtocolVersion",
      backend.negotiateProtocolVersion(196608, ["_pq_.x"]),
      bytesOf("v", 0, 0, 0, 19, 0, 3, 0, 0, 0, 0, 0, 1, "_pq_.x", 0),
    ],
    [
      "NotificationResponse",
      backend.notificationResponse(7, "c", ""),
      bytesOf("A", 0, 0, 0, 11, 0, 0, 0, 7, "c", 0, 0),
    ],
    [
      "RowDescription",
      rowDescription([{ name: "n", type: ColumnTypes.Int4 }]),
      bytesOf("T", 0, 0, 0, 26, 0, 1, "n", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 23, 0, 4, 255, 255, 255, 255, 0, 0),
    ],
    [
      "DataRow",
      dataRow(["x", null, ""]),
      bytesOf("D", 0, 0, 0, 19, 0, 3, 0, 0, 0, 1, "x", 255, 255, 255, 255, 0, 0, 0, 0),
    ],
    [
      "ErrorResponse as PgBouncer's: S, C, M",
      errorResponse({ severity: "FATAL", code: "08P01", message: "no" }),
      bytesOf("E", 0, 0, 0, 23, "SFATAL", 0, "C08P01", 0, "Mno", 0, 0),
    ],
    [
      "NoticeResponse with everything",
      noticeResponse({
        severity: "NOTICE",
        code: "00000",
        message: "m",
        detail: "d",
        hint: "h",
        withPlainSeverity: true,
      }),
      bytesOf("N", 0, 0, 0, 37, "SNOTICE", 0, "VNOTICE", 0, "C00000", 0, "Mm", 0, "Dd", 0, "Hh", 0, 0),
    ],
    ["CopyInResponse", copy.copyInResponse(2), bytesOf("G", 0, 0, 0, 11, 0, 0, 2, 0, 0, 0, 0)],
    ["CopyOutResponse", copy.copyOutResponse(1), bytesOf("H", 0, 0, 0, 9, 0, 0, 1, 0, 0)],
    ["CopyBothResponse", copy.copyBothResponse(), bytesOf("W", 0, 0, 0, 7, 0, 0, 0)],
    ["CopyData", copy.copyData(Uint8Array.of(1, 2)), bytesOf("d", 0, 0, 0, 6, 1, 2)],
    ["CopyDone", copy.COPY_DONE, bytesOf("c", 0, 0, 0, 4)],
  ])("%s", (_name, message, wanted) => {
    expect([...message]).toEqual(wanted);
  });

  test("ready is one of the three", () => {
    expect(backend.readyForQuery(TransactionStatus.Idle)).toBe(backend.READY_IDLE);
    expect(backend.readyForQuery(TransactionStatus.InTransaction)).toBe(backend.READY_IN_TRANSACTION);
    expect(backend.readyForQuery(TransactionStatus.Failed)).toBe(backend.READY_FAILED);
  });

  test("a secret has 4 to 256 bytes", () => {
    expect(() => backend.backendKeyData(1, new Uint8Array(3))).toThrow("does not fit");
    expect(() => backend.backendKeyData(1, new Uint8Array(257))).toThrow("does not fit");
    expect(backend.backendKeyData(1, new Uint8Array(256))).toHaveLength(265);
  });
});

describe("print, then parse", () => {
  const text = fc.string({ unit: "binary", maxLength: 30 }).map((s) => s.replaceAll("\0", ""));
  const uint32 = fc.integer({ min: 0, max: 0xffffffff });
  /** Reads the message where it lies among others. */
  const again = <T>(message: Uint8Array, read: (buf: Uint8Array, at: number, size: number) => T): T => {
    const buf = new Uint8Array(message.length + 20).fill(0xee);
    buf.set(message, 9);
    return read(buf, 9, message.length);
  };
  const law = <T>(arbitrary: fc.Arbitrary<T>, check: (value: T) => void) =>
    fc.assert(fc.property(arbitrary, check), { numRuns: 60 });

  test("AuthenticationRequest and SASL mechanisms", () => {
    law(fc.uint8Array({ maxLength: 20 }), (payload) => {
      const read = again(
        backend.authenticationRequest(AuthenticationCode.SaslContinue, payload),
        readers.readAuthenticationRequest,
      );
      expect([read.code, [...read.payload]]).toEqual([11, [...payload]]);
    });
    law(
      fc.array(
        text.filter((t) => t !== ""),
        { maxLength: 5 },
      ),
      (mechanisms) => {
        const read = again(backend.authenticationSasl(mechanisms), readers.readAuthenticationRequest);
        expect(readers.readSaslMechanisms(read.payload)).toEqual(mechanisms);
      },
    );
  });

  test("ParameterStatus, CommandComplete, Notification", () => {
    law(fc.tuple(text, text, uint32), ([a, b, n]) => {
      expect(again(backend.parameterStatus(a, b), readers.readParameterStatus)).toEqual({ name: a, value: b });
      expect(again(backend.commandComplete(a), readers.readCommandTag)).toBe(a);
      expect(again(backend.notificationResponse(n, a, b), readers.readNotification)).toEqual({
        processId: n,
        channel: a,
        payload: b,
      });
    });
  });

  test("BackendKeyData, with a copy of the secret", () => {
    law(fc.tuple(uint32, fc.uint8Array({ minLength: 4, maxLength: 256 })), ([processId, secret]) => {
      const message = backend.backendKeyData(processId, secret);
      const read = readers.readBackendKeyData(message, 0, message.length);
      message.fill(0);
      expect(read).toEqual({ processId, secret });
    });
  });

  test("NegotiateProtocolVersion, ParameterDescription", () => {
    law(fc.tuple(fc.array(text, { maxLength: 5 }), fc.array(uint32, { maxLength: 9 })), ([names, oids]) => {
      expect(again(backend.negotiateProtocolVersion(196610, names), readers.readNegotiateProtocolVersion)).toEqual({
        version: 196610,
        unknownOptions: names,
      });
      expect(again(backend.parameterDescription(oids), readers.readParameterDescription)).toEqual(oids);
    });
  });

  test("ReadyForQuery", () => {
    for (const status of Object.values(TransactionStatus)) {
      expect(again(backend.readyForQuery(status), readers.readReadyStatus)).toBe(status);
    }
    expect(readers.readReadyStatus(Uint8Array.of(0x5a, 0, 0, 0, 5, 0x58), 0, 6)).toBe(null);
    expect(readers.readReadyStatus(Uint8Array.of(0x5a, 0, 0, 0, 6, 0x49, 0x49), 0, 7)).toBe(null);
    expect(readers.readReadyStatus(Uint8Array.of(0x5a, 0, 0, 0, 5), 0, 6)).toBe(null);
  });

  test("RowDescription and DataRow", () => {
    const types = Object.values(ColumnTypes);
    const column = fc.record({ name: text, type: fc.constantFrom(...types) });
    law(fc.array(column, { maxLength: 8 }), (columns) => {
      expect(again(rowDescription(columns), readers.readRowDescription)).toEqual(
        columns.map(({ name, type }) => ({ name, typeOid: type.oid, format: 0 })),
      );
    });
    law(fc.array(fc.option(fc.string({ unit: "binary" })), { maxLength: 8 }), (values) => {
      expect(again(dataRow(values), readers.readDataRow)).toEqual(values);
    });
  });
});

describe("malformed answers", () => {
  test("a count of names that cannot be is refused before anything is made for it", () => {
    const message = Uint8Array.from(backend.negotiateProtocolVersion(196608, ["_pq_.x"]));
    new DataView(message.buffer).setInt32(9, 0x7fffffff);
    expect(() => readers.readNegotiateProtocolVersion(message, 0, message.length)).toThrow("does not fit");
    new DataView(message.buffer).setInt32(9, -1);
    expect(() => readers.readNegotiateProtocolVersion(message, 0, message.length)).toThrow("does not fit");
  });

  test("a value length below -1", () => {
    const message = Uint8Array.from(dataRow(["abc"]));
    new DataView(message.buffer).setInt32(7, -2);
    expect(() => readers.readDataRow(message, 0, message.length)).toThrow("behind the end");
  });

  test("an error's text shows nothing of the message", () => {
    const message = backend.parameterStatus("password", "hunter2").slice(0, -1);
    let shown = "";
    try {
      readers.readParameterStatus(message, 0, message.length);
    } catch (error) {
      shown = `${String(error)} ${JSON.stringify(error)}`;
    }
    expect(shown).toMatch(/not terminated/);
    expect(shown).not.toMatch(/hunter|password/);
  });
});
