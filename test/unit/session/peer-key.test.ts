/** Cancel keys: the layout that a group of poolers, PgBouncer's among them, reads peer ids and passes from. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  MADE_UP_PID_MIN,
  asGiven,
  makeCancelKey,
  passedOn,
  passesLeft,
  peerIdOf,
} from "../../../src/session/peer-key.ts";

const random = fc.uint8Array({ minLength: 8, maxLength: 8 });
const peerId = fc.integer({ min: 1, max: 65_535 });

/** The eight bytes as they go over the wire. */
function wire({ processId, secret }: { processId: number; secret: number }): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32BE(processId, 0);
  bytes.writeUInt32BE(secret, 4);
  return bytes;
}

const secretOf = (bytes: Buffer): Uint8Array => Uint8Array.from(bytes.subarray(4));

describe("a key of a group", () => {
  test("has the peer id in bytes 1 and 2, little-endian, and three passes in the low bits of byte 7", () => {
    fc.assert(
      fc.property(random, peerId, (bytes, id) => {
        const key = wire(makeCancelKey(bytes, id));
        expect(key.readUInt16LE(1)).toBe(id);
        expect(key[7]! & 3).toBe(3);
        expect(peerIdOf(key.readUInt32BE(0))).toBe(id);
      }),
    );
  });

  test("is random everywhere else", () => {
    const zeros = wire(makeCancelKey(new Uint8Array(8), 0x1234));
    const ones = wire(makeCancelKey(new Uint8Array(8).fill(0xff), 0x1234));
    const differing = Buffer.from(zeros.map((byte, index) => byte ^ ones[index]!)).toString("hex");
    expect(differing).toBe("3f0000fffffffffc");
  });

  test("is found again whatever of its passes was used", () => {
    fc.assert(
      fc.property(random, peerId, fc.integer({ min: 0, max: 3 }), (bytes, id, passes) => {
        const given = secretOf(wire(makeCancelKey(bytes, id)));
        let secret: Uint8Array = given;
        for (let pass = 0; pass < passes; pass += 1) secret = passedOn(secret);
        expect(passesLeft(secret)).toBe(3 - passes);
        expect(asGiven(secret)).toEqual(given);
        // Passing on changes nothing else.
        expect(secret.subarray(0, 3)).toEqual(given.subarray(0, 3));
        expect(secret[3]! >> 2).toBe(given[3]! >> 2);
      }),
    );
  });
});

test("process ids are positive and never an operating system's", () => {
  fc.assert(
    fc.property(random, fc.integer({ min: 0, max: 65_535 }), (bytes, id) => {
      const { processId, secret } = makeCancelKey(bytes, id);
      expect(processId).toBeGreaterThanOrEqual(MADE_UP_PID_MIN);
      expect(processId).toBeLessThanOrEqual(0x7fffffff);
      expect(secret).toBe(secret >>> 0);
    }),
  );
});

test("without a peer id all of the secret and 30 bits of the process id are random", () => {
  fc.assert(
    fc.property(random, (bytes) => {
      const key = wire(makeCancelKey(bytes, 0));
      const given = Buffer.from(bytes);
      given[0] = (given[0]! & 0x3f) | 0x40;
      expect(key).toEqual(given);
    }),
  );
});

test("any key of a stranger has some peer id", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 0xffffffff }), (processId) => {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32BE(processId);
      expect(peerIdOf(processId)).toBe(bytes.readUInt16LE(1));
    }),
  );
});
