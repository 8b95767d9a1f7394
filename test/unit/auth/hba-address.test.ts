import { isIP } from "node:net";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  AddressRange,
  formatAddress,
  parseAddress,
  parseClientAddress,
  prefixMask,
} from "../../../src/auth/hba-address.ts";

const hex = (bytes: Uint8Array | null): string | null => bytes && Buffer.from(bytes).toString("hex");

const ipv4 = fc.ipV4();
const ipv6 = fc.oneof(
  fc.ipV6(),
  // With many zeros, where "::" and dotted tails are decided.
  fc
    .array(fc.constantFrom(0, 0, 0, 1, 0xffff, 0xab), { minLength: 8, maxLength: 8 })
    .map((groups) => groups.map((group) => group.toString(16)).join(":")),
);

describe("an address", () => {
  it.each([
    ["127.0.0.1", "7f000001"],
    ["255.255.255.255", "ffffffff"],
    ["::", "0".repeat(32)],
    ["::1", `${"0".repeat(31)}1`],
    ["ff11::0", `ff11${"0".repeat(28)}`],
    ["1:2:3:4:5:6:7:8", "00010002000300040005000600070008"],
    ["1::8", `0001${"0".repeat(24)}0008`],
    ["1:2:3:4:5:6:7::", "00010002000300040005000600070000"],
    ["::ffff:10.0.0.1", `${"0".repeat(20)}ffff0a000001`],
    ["1:2:3:4:5:6:1.2.3.4", "00010002000300040005000601020304"],
    ["FACE::Bed", `face${"0".repeat(24)}0bed`],
  ])("%s", (text, expected) => {
    expect(hex(parseAddress(text))).toBe(expected);
  });

  it.each([
    "",
    "1",
    "1.2.3",
    "1.2.3.4.5",
    "01.2.3.4",
    "1.2.3.256",
    "1.2.3.",
    " 1.2.3.4",
    "1.2.3.4\n",
    "+1.2.3.4",
    "0x1.2.3.4",
    "localhost",
    ":",
    ":::",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7:8::",
    "1::2::3",
    ":1::2",
    "1::2:",
    "12345::",
    "::1.2.3.4:5",
    "1.2.3.4::",
    "1:2:3:4:5:6:7:1.2.3.4",
    "::1%lo",
    "::g",
    "[::1]",
  ])("%j is none", (text) => {
    expect(parseAddress(text)).toBeNull();
  });

  it("is what the operating system takes for one, of any text", () => {
    const text = fc.oneof(
      ipv4,
      ipv6,
      fc.string({
        unit: fc.constantFrom("0", "1", "a", "f", ":", ":", ".", "::", "25", "255", "1.2.3.4"),
        maxLength: 10,
      }),
    );
    fc.assert(
      fc.property(text, (text) => {
        expect({ text, family: (parseAddress(text)?.length ?? 0) / 4 }).toEqual({
          text,
          family: isIP(text) === 6 ? 4 : isIP(text) === 4 ? 1 : 0,
        });
      }),
      { numRuns: 2000 },
    );
  });

  it.each([
    ["0:0:0:0:0:0:0:0", "::"],
    ["0:0:0:0:0:0:0:1", "::1"],
    ["1:0:0:2:0:0:0:3", "1:0:0:2::3"],
    ["1:0:0:2:0:0:3:4", "1::2:0:0:3:4"],
    ["1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"],
    ["FF20:0:0:0:0:0:0:0", "ff20::"],
    ["::ffff:1.2.3.4", "::ffff:1.2.3.4"],
    ["::1.2.3.4", "::1.2.3.4"],
    ["10.0.0.1", "10.0.0.1"],
  ])("%s is written %s", (text, expected) => {
    expect(formatAddress(parseAddress(text) ?? new Uint8Array())).toBe(expected);
  });

  it("is read back as it was written", () => {
    fc.assert(
      fc.property(fc.oneof(ipv4, ipv6), (text) => {
        const bytes = parseAddress(text);
        expect(bytes).not.toBeNull();
        expect(hex(parseAddress(formatAddress(bytes ?? new Uint8Array())))).toBe(hex(bytes));
      }),
    );
  });

  it("of a client has no zone, and is IPv4 when it is IPv4 within IPv6", () => {
    expect(hex(parseClientAddress("fe80::1%eth0"))).toBe(hex(parseAddress("fe80::1")));
    expect(hex(parseClientAddress("::ffff:10.0.0.1"))).toBe("0a000001");
    expect(hex(parseClientAddress("::10.0.0.1"))).toBe(hex(parseAddress("::10.0.0.1")));
    expect(hex(parseClientAddress("10.0.0.1"))).toBe("0a000001");
    expect(parseClientAddress("")).toBeNull();
    expect(parseClientAddress("localhost")).toBeNull();
  });
});

/** Slow and plain: one big number. */
const toNumber = (bytes: Uint8Array): bigint => BigInt(`0x${hex(bytes)}`);

describe("a range of addresses", () => {
  const bytesOf = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });

  it("with a prefix holds those that begin with it", () => {
    const sample = fc.constantFrom(4, 16).chain((length) =>
      fc.record({
        base: bytesOf(length),
        bits: fc.nat({ max: length * 8 }),
        // Some bit is another one, most often near the border.
        flipped: fc.nat({ max: length * 8 - 1 }),
        other: bytesOf(length),
      }),
    );
    fc.assert(
      fc.property(sample, ({ base, bits, flipped, other }) => {
        const width = base.length * 8;
        const mask = prefixMask(base, String(bits));
        expect(mask).not.toBeNull();
        if (mask === null) return;
        expect(toNumber(mask).toString(2).padStart(width, "0")).toBe("1".repeat(bits).padEnd(width, "0"));

        const start = Uint8Array.from(base, (byte, index) => byte & (mask[index] ?? 0));
        const range = new AddressRange(start, mask);
        expect(range.hasStrayBits).toBe(false);
        const near = Uint8Array.from(base, (byte, index) =>
          index === flipped >> 3 ? byte ^ (0x80 >> (flipped & 7)) : byte,
        );
        const shift = BigInt(width - bits);
        for (const address of [base, near, other, start]) {
          expect(range.contains(address)).toBe(toNumber(address) >> shift === toNumber(base) >> shift);
        }
        expect(range.contains(near)).toBe(flipped >= bits);
      }),
    );
  });

  it("with any mask holds those that are equal under it, and nobody when its base has other bits", () => {
    const sample = fc
      .constantFrom(4, 16)
      .chain((length) => fc.record({ base: bytesOf(length), mask: bytesOf(length), noise: bytesOf(length) }));
    fc.assert(
      fc.property(sample, ({ base, mask, noise }) => {
        const stray = new AddressRange(base, mask);
        const straight = new AddressRange(
          base.map((byte, index) => byte & (mask[index] ?? 0)),
          mask,
        );
        const inside = base.map((byte, index) => (byte & (mask[index] ?? 0)) | (noise[index]! & ~(mask[index] ?? 0)));
        expect(straight.hasStrayBits).toBe(false);
        expect(straight.contains(inside)).toBe(true);
        expect(straight.contains(noise)).toBe(((toNumber(noise) ^ toNumber(base)) & toNumber(mask)) === 0n);
        const hasStray = (toNumber(base) & ~toNumber(mask)) !== 0n;
        expect(stray.hasStrayBits).toBe(hasStray);
        expect(stray.contains(inside)).toBe(!hasStray);
        expect(stray.contains(base)).toBe(!hasStray);
      }),
    );
  });

  it("has one family", () => {
    const everyIpv4 = new AddressRange(new Uint8Array(4), new Uint8Array(4));
    const everyIpv6 = new AddressRange(new Uint8Array(16), new Uint8Array(16));
    expect([everyIpv4.contains(new Uint8Array(16)), everyIpv6.contains(new Uint8Array(4))]).toEqual([false, false]);
    expect([everyIpv4.contains(new Uint8Array(4)), everyIpv6.contains(new Uint8Array(16))]).toEqual([true, true]);
  });

  it.each(["", "-1", "+8", "33", "8x", "0x8", " 8", "4294967296", "99999999999999999999", "8.0"])(
    "is not made of %j bits",
    (bits) => {
      expect(prefixMask(new Uint8Array(4), bits)).toBeNull();
    },
  );

  it("knows the longest mask of each family", () => {
    expect(hex(prefixMask(new Uint8Array(4), "32"))).toBe("f".repeat(8));
    expect(hex(prefixMask(new Uint8Array(16), "128"))).toBe("f".repeat(32));
    expect(prefixMask(new Uint8Array(16), "129")).toBeNull();
  });
});
