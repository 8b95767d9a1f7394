/**
 * Every parser against random and mutated bytes: it gives a value or its own error, and what it gives does not depend
 * on what lies around the message in memory.
 */

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import * as backend from "../../../src/protocol/backend-messages.ts";
import * as backendReaders from "../../../src/protocol/backend-readers.ts";
import { copyFail } from "../../../src/protocol/copy-messages.ts";
import { readErrorFields } from "../../../src/protocol/error-fields.ts";
import { errorResponse } from "../../../src/protocol/error-messages.ts";
import * as frontend from "../../../src/protocol/frontend-messages.ts";
import * as frontendReaders from "../../../src/protocol/frontend-readers.ts";
import { AuthenticationCode, TargetKind } from "../../../src/protocol/message-type.ts";
import { ProtocolError } from "../../../src/protocol/protocol-error.ts";
import { ColumnTypes, dataRow, rowDescription } from "../../../src/protocol/row-messages.ts";
import { cancelRequest, SSL_REQUEST, startupMessage } from "../../../src/protocol/startup-messages.ts";
import { readStartupPacket } from "../../../src/protocol/startup.ts";
import { inspectBind, inspectParse, inspectTarget } from "../../../src/protocol/statement-messages.ts";

type Parser = (buf: Uint8Array, at: number, size: number) => unknown;

/** Each parser with a good message to mutate. Offsets are made relative, so that two placements can be compared. */
const PARSERS: readonly (readonly [name: string, parser: Parser, good: Uint8Array, mayThrow?: true])[] = [
  [
    "startup",
    (buf, at, size) => readStartupPacket(buf, at, at + size),
    startupMessage(
      [
        ["user", "ann"],
        ["options", "-c a=b"],
      ],
      196608,
    ),
  ],
  ["cancel", (buf, at, size) => readStartupPacket(buf, at, at + size), cancelRequest(77, Uint8Array.of(1, 2, 3, 4))],
  ["ssl", (buf, at, size) => readStartupPacket(buf, at, at + size), SSL_REQUEST],
  ["error fields", readErrorFields, errorResponse({ severity: "ERROR", code: "42601", message: "syntax", hint: "no" })],
  ["inspectParse", relative(inspectParse), frontend.parse("s1", "select $1, $2", [23, 25])],
  [
    "inspectBind",
    relative((buf, at, size) => inspectBind(buf, at, size, size)),
    frontend.bind("p1", "s1", ["1", null]),
  ],
  ["inspectTarget", relative(inspectTarget), frontend.describe(TargetKind.Statement, "s1")],
  ["ready", backendReaders.readReadyStatus, backend.READY_IDLE],
  [
    "authentication",
    backendReaders.readAuthenticationRequest,
    backend.authenticationRequest(AuthenticationCode.Md5Password, Uint8Array.of(1, 2, 3, 4)),
    true,
  ],
  [
    "mechanisms",
    (buf, at, size) => backendReaders.readSaslMechanisms(buf.subarray(at, at + size)),
    backend.authenticationSasl(["A", "B"]).subarray(9),
    true,
  ],
  ["parameter status", backendReaders.readParameterStatus, backend.parameterStatus("TimeZone", "UTC"), true],
  ["key", backendReaders.readBackendKeyData, backend.backendKeyData(5, new Uint8Array(32)), true],
  [
    "negotiate",
    backendReaders.readNegotiateProtocolVersion,
    backend.negotiateProtocolVersion(196608, ["_pq_.a"]),
    true,
  ],
  ["tag", backendReaders.readCommandTag, backend.commandComplete("INSERT 0 1"), true],
  ["row description", backendReaders.readRowDescription, rowDescription([{ name: "a", type: ColumnTypes.Text }]), true],
  ["data row", backendReaders.readDataRow, dataRow(["a", null, "bcd"]), true],
  ["parameter description", backendReaders.readParameterDescription, backend.parameterDescription([1, 2]), true],
  ["notification", backendReaders.readNotification, backend.notificationResponse(1, "c", "p"), true],
  ["query", frontendReaders.readQuery, frontend.query("select 1"), true],
  ["password", frontendReaders.readPasswordMessage, frontend.passwordMessage("secret"), true],
  ["copy fail", frontendReaders.readCopyFail, copyFail("x"), true],
  [
    "sasl initial",
    frontendReaders.readSaslInitialResponse,
    frontend.saslInitialResponse("SCRAM-SHA-256", "n,,n=,r=x"),
    true,
  ],
  ["sasl", frontendReaders.readSaslResponse, frontend.saslResponse("c=biws"), true],
  ["parse", frontendReaders.readParse, frontend.parse("s1", "select $1", [23]), true],
  ["bind", frontendReaders.readBind, frontend.bind("p", "s", ["1", null]), true],
  ["execute", frontendReaders.readExecute, frontend.execute("p", 3), true],
  ["target", frontendReaders.readTarget, frontend.close(TargetKind.Portal, "p"), true],
];

/** Offsets in parts are absolute: counted from the message's beginning they can be compared. */
function relative(parser: Parser): Parser {
  return (buf, at, size) => {
    const parts = parser(buf, at, size) as Record<string, unknown> | null;
    if (parts === null) return null;
    const from = (value: unknown, key: string) =>
      /Start$|End$|^end$/.test(key) && typeof value === "number" ? value - at : value;
    return Object.fromEntries(Object.entries(parts).map(([key, value]) => [key, from(value, key)]));
  };
}

/** A message's bytes after some accidents: bytes replaced, cut, put in, its length field left as it was. */
const mutations = fc.array(
  fc.record({
    kind: fc.constantFrom("replace", "cut", "insert", "extreme"),
    where: fc.double({ min: 0, max: 1, noNaN: true }),
    byte: fc.integer({ min: 0, max: 255 }),
  }),
  { maxLength: 4 },
);

function mutate(message: Uint8Array, list: readonly { kind: string; where: number; byte: number }[]): Uint8Array {
  let bytes = [...message];
  for (const { kind, where, byte } of list) {
    const at = Math.floor(where * bytes.length);
    if (kind === "replace") bytes[Math.min(at, bytes.length - 1)] = byte;
    else if (kind === "cut") bytes = bytes.slice(0, at);
    else if (kind === "insert") bytes.splice(at, 0, byte);
    else bytes[Math.min(at, bytes.length - 1)] = byte % 2 === 0 ? 0xff : 0x80;
  }
  return Uint8Array.from(bytes.filter((byte) => byte !== undefined));
}

function outcome(parser: Parser, buf: Uint8Array, at: number, size: number, mayThrow: boolean): unknown {
  try {
    return parser(buf, at, size);
  } catch (error) {
    if (mayThrow && error instanceof ProtocolError) return error.code;
    throw error;
  }
}

describe.each(PARSERS.map((row) => ({ name: row[0], parser: row[1], good: row[2], mayThrow: row[3] === true })))(
  "$name",
  ({ parser, good, mayThrow }) => {
    test("takes the good message", () => {
      expect(outcome(parser, good, 0, good.length, false)).not.toBe(null);
    });

    test("gives a value or its own error, the same wherever the message lies", () => {
      const bytes = fc.oneof(
        fc.uint8Array({ maxLength: 60 }),
        mutations.map((list) => mutate(good, list)),
      );
      const edge = fc.oneof(fc.constant(new Uint8Array(12)), fc.uint8Array({ maxLength: 12 }));
      fc.assert(
        fc.property(bytes, edge, edge, (message, before, behind) => {
          const alone = outcome(parser, message, 0, message.length, mayThrow);
          const buf = Uint8Array.from([...before, ...message, ...behind]);
          expect(outcome(parser, buf, before.length, message.length, mayThrow)).toEqual(alone);
        }),
        { numRuns: 300 },
      );
    });

    test("every cut of the good message, in memory that ends there", () => {
      for (let size = 0; size < good.length; size++) {
        const short = good.slice(0, size);
        expect(() => outcome(parser, short, 0, size, mayThrow)).not.toThrow();
        // A size that says more than there is must not read on either.
        expect(() => outcome(parser, short, 0, good.length, mayThrow)).not.toThrow();
      }
    });
  },
);
