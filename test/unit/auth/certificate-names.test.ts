import { generateKeyPairSync, X509Certificate } from "node:crypto";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readCertificateNames } from "../../../src/auth/certificate-names.ts";
import type { CertificateNames } from "../../../src/auth/certificate-names.ts";

// ——— A writer of certificates, whose signature nobody asks about.

type Bytes = string | Uint8Array;

function element(tag: number, ...contents: Bytes[]): Uint8Array {
  const content = Buffer.concat(contents.map((part) => Buffer.from(part)));
  const { length } = content;
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

const sequence = (...parts: Bytes[]): Uint8Array => element(0x30, ...parts);
const objectId = (...bytes: number[]): Uint8Array => element(0x06, Uint8Array.from(bytes));
const utf8 = 0x0c;
const dns = (name: Bytes): Uint8Array => element(0x82, name);
const ip = (...bytes: number[]): Uint8Array => element(0x87, Uint8Array.from(bytes));

/** One RDN. */
const attribute = (id: number, value: Bytes, tag: number = utf8): Uint8Array =>
  element(0x31, sequence(objectId(0x55, 4, id), element(tag, value)));
const commonName = (value: Bytes, tag?: number): Uint8Array => attribute(3, value, tag);
const altNames = (...names: Uint8Array[]): Uint8Array =>
  sequence(objectId(0x55, 0x1d, 0x11), element(0x04, sequence(...names)));
const basicConstraints = sequence(
  objectId(0x55, 0x1d, 0x13),
  element(0x01, Uint8Array.of(0xff)),
  element(0x04, sequence()),
);

const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const keyInfo = publicKey.export({ format: "der", type: "spki" });
const algorithm = sequence(objectId(0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2));
const validity = sequence(element(0x17, "250101000000Z"), element(0x17, "350101000000Z"));

function certificate(subject: Uint8Array[], extensions: Uint8Array[] | null = null): Uint8Array {
  const body = sequence(
    element(0xa0, element(0x02, Uint8Array.of(2))),
    element(0x02, Uint8Array.of(1)),
    algorithm,
    sequence(commonName("The CA")),
    validity,
    sequence(...subject),
    keyInfo,
    ...(extensions === null ? [] : [element(0xa3, sequence(...extensions))]),
  );
  return sequence(body, algorithm, element(0x03, Uint8Array.of(0, 1, 2)));
}

function names(subject: Uint8Array[], extensions: Uint8Array[] | null = null): CertificateNames {
  const found = readCertificateNames(certificate(subject, extensions));
  if (found === null) throw new Error("malformed");
  return found;
}

// ———

describe("the names of a certificate", () => {
  it("are the DNS names and addresses of its subjectAltName, and its common name", () => {
    const found = names(
      [attribute(10, "ACME"), commonName("bob"), attribute(11, "Ops")],
      [basicConstraints, altNames(dns("db.example.com"), element(0x81, "bob@example.com"), ip(10, 0, 0, 1), dns("b"))],
    );
    expect(found.dnsNames).toEqual(["db.example.com", "b"]);
    expect(found.addresses).toEqual([Buffer.from([10, 0, 0, 1])]);
    expect(found.commonName).toBe("bob");
  });

  it("may be missing", () => {
    expect(names([])).toMatchObject({ dnsNames: [], addresses: [], commonName: null });
    expect(names([attribute(10, "ACME")], [basicConstraints])).toMatchObject({ dnsNames: [], commonName: null });
    expect(names([commonName("")], []).contains("")).toBe(false);
  });

  it("have one common name: the first", () => {
    const found = names([commonName("first"), commonName("second")]);
    expect([found.contains("first"), found.contains("second")]).toEqual([true, false]);
    const together = element(
      0x31,
      sequence(objectId(0x55, 4, 3), element(utf8, "first")),
      sequence(objectId(0x55, 4, 3), element(utf8, "second")),
    );
    expect(names([together]).commonName).toBe("first");
  });

  it("are those of the subject, not of the CA", () => {
    expect(names([attribute(10, "x")]).contains("The CA")).toBe(false);
  });

  it("are not made of other attributes", () => {
    const found = names([attribute(10, "bob"), attribute(4, "bob")]);
    expect(found.contains("bob")).toBe(false);
    expect(found.commonName).toBeNull();
  });

  it.each([
    ["UTF8String", 0x0c, true],
    ["PrintableString", 0x13, true],
    ["TeletexString", 0x14, true],
    ["IA5String", 0x16, true],
    ["BMPString", 0x1e, false],
    ["UniversalString", 0x1c, false],
    ["OCTET STRING", 0x04, false],
  ])("may be a %s: %s", (_what, tag, expected) => {
    expect(names([commonName("bo", tag)]).contains("bo")).toBe(expected);
  });

  it("that cannot be compared hide the second common name too, and leave the DNS names", () => {
    const found = names([commonName("\0b\0o", 0x1e), commonName("bo")], [altNames(dns("bo.example"))]);
    expect([found.contains("bo"), found.contains("bo.example")]).toEqual([false, true]);
  });

  it("keep their bytes, so that two encodings are two names", () => {
    const found = names([commonName(Buffer.from([0x66, 0xe4]), 0x14)]);
    expect(found.contains("f\udce4")).toBe(true);
    expect(found.contains("fä")).toBe(false);
    expect(found.contains("f\ufffd")).toBe(false);
    expect(names([commonName("fä")]).contains("fä")).toBe(true);
  });
});

describe("a name that plays tricks", () => {
  it.each(["bob, CN=root", "bob\nCN=root", "DNS:root", 'bob", DNS:"root', "root\n", " root", "bob+CN=root"])(
    "%j is itself and nobody else, in the subject and in the subjectAltName",
    (trick) => {
      for (const found of [names([commonName(trick)]), names([], [altNames(dns(trick))])]) {
        expect(found.contains(trick)).toBe(true);
        expect(found.contains("root")).toBe(false);
        expect(found.contains("bob")).toBe(false);
      }
    },
  );

  it("with a zero byte in the common name is nobody's", () => {
    const found = names([commonName("root\0.evil.example")], [altNames(dns("evil.example"))]);
    expect(found.contains("root")).toBe(false);
    expect(found.contains("root\0.evil.example")).toBe(false);
    expect(found.contains("evil.example")).toBe(true);
  });

  it.each<[string, Uint8Array]>([
    ["a zero byte in a DNS name", certificate([commonName("root")], [altNames(dns("a"), dns("root\0.evil.example"))])],
    ["a blank DNS name", certificate([commonName("root")], [altNames(dns(" "))])],
    ["two subjectAltNames", certificate([commonName("root")], [altNames(dns("a")), altNames(dns("root"))])],
    [
      "a subjectAltName of something else",
      certificate([commonName("root")], [sequence(objectId(0x55, 0x1d, 0x11), element(0x04, "root"))]),
    ],
    [
      "something behind the subjectAltName",
      certificate(
        [commonName("root")],
        [sequence(objectId(0x55, 0x1d, 0x11), element(0x04, sequence(dns("a")), dns("root")))],
      ),
    ],
    ["something behind the certificate", Buffer.concat([certificate([commonName("root")]), Buffer.from([0])])],
    ["a subject that is no sequence", certificate([element(0x31, "root")])],
    ["nothing", new Uint8Array()],
    ["an endless length", Uint8Array.of(0x30, 0x80, 0, 0)],
    ["a length beyond the end", Uint8Array.of(0x30, 0x84, 0xff, 0xff, 0xff, 0xff)],
    ["a length longer than needed", Uint8Array.of(0x30, 0x81, 0x00)],
  ])("%s makes the whole certificate nobody's", (_what, der) => {
    expect(readCertificateNames(der)).toBeNull();
  });
});

describe("a certificate is for a name", () => {
  it.each([
    ["bob", "bob", true],
    ["bob", "BOB", true],
    ["Bob.Example", "bOB.eXAMPLE", true],
    ["bob", "bobb", false],
    ["bobb", "bob", false],
    ["Ä", "ä", false],
    ["K", "\u212a", false],
    ["*.example.com", "a.example.com", true],
    ["*.Example.com", "A.eXample.com", true],
    ["*.example.com", "example.com", false],
    ["*.example.com", "a.b.example.com", false],
    ["*.example.com", ".example.com", false],
    ["*.example.com", "*.example.com", true],
    ["*.b.example.com", "a.b.example.com", true],
    ["*.com", "example.com", false],
    ["*", "bob", false],
    ["*", "a.b.c", false],
    ["*bob", "abob", false],
    ["a*.example.com", "ab.example.com", false],
    ["*..example.com", "a..example.com", false],
    ["*.example..com", "a.example..com", false],
    ["*.example.", "a.example.", true],
    ["bob.*.com", "bob.example.com", false],
    [".*", "a", false],
  ])("%s, %s: %s", (pattern, name, expected) => {
    expect(names([commonName(pattern)]).contains(name)).toBe(expected);
    expect(names([], [altNames(dns(pattern))]).contains(name)).toBe(expected);
  });

  it("that is an address when it has that address", () => {
    const found = names(
      [commonName("10.0.0.9")],
      [altNames(dns("10.0.0.2"), ip(10, 0, 0, 1), ip(...Buffer.alloc(16, 1)))],
    );
    expect(found.contains("10.0.0.1")).toBe(true);
    expect(found.contains("10.0.0.9")).toBe(true);
    expect(found.contains("101:101:101:101:101:101:101:101")).toBe(true);
    expect(found.contains("10.0.0.2")).toBe(false);
    expect(found.contains("1.1.1.1")).toBe(false);
    expect(names([commonName("*.0.0.1")]).contains("10.0.0.1")).toBe(false);
    expect(names([commonName("FF::1")]).contains("ff::1")).toBe(false);
  });
});

describe("the reader", () => {
  const label = fc.string({ unit: fc.constantFrom("a", "b", "Z", "0", "-", ".", "*", ",", '"', "\n", "é", "😀") });

  it("finds what was written, and agrees with OpenSSL about what it is", () => {
    fc.assert(
      fc.property(label, fc.array(label, { maxLength: 5 }), fc.boolean(), (name, dnsList, hasMore) => {
        const extensions = [altNames(...dnsList.map(dns)), ...(hasMore ? [basicConstraints] : [])];
        const der = certificate([attribute(10, "ACME"), commonName(name)], extensions);
        const found = readCertificateNames(der);
        expect(found).toMatchObject({ dnsNames: dnsList, commonName: name });
        expect(new X509Certificate(der).raw.equals(der)).toBe(true);
      }),
    );
  });

  it("agrees with OpenSSL about host names", () => {
    const host = fc.array(fc.constantFrom("a", "b", "example", "*"), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(fc.array(host, { minLength: 1, maxLength: 3 }), host, (patterns, name) => {
        const hostName = name.join(".").replaceAll("*", "c");
        const der = certificate([], [altNames(...patterns.map((labels) => dns(labels.join("."))))]);
        // OpenSSL finds nothing in a name with a "*" that is no wildcard; here it is a letter that no host has.
        const expected = new X509Certificate(der).checkHost(hostName, { subject: "never", partialWildcards: false });
        expect(readCertificateNames(der)?.contains(hostName)).toBe(expected !== undefined);
      }),
    );
  });

  it("of any bytes returns", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(readCertificateNames(bytes)).toBeNull();
      }),
    );
  });

  it("of a certificate with broken bytes returns, and never a name with a zero", () => {
    const good = certificate([commonName("bob")], [basicConstraints, altNames(dns("a.example.com"), ip(10, 0, 0, 1))]);
    const change = fc.tuple(fc.nat({ max: good.length - 1 }), fc.nat({ max: 255 }));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), fc.nat({ max: good.length }), (changes, cut) => {
        const bytes = Uint8Array.from(good);
        for (const [at, value] of changes) bytes[at] = value;
        expect(readCertificateNames(Uint8Array.from(good).subarray(0, Math.min(cut, good.length - 1)))).toBeNull();
        const found = readCertificateNames(bytes);
        for (const name of [...(found?.dnsNames ?? []), found?.commonName ?? ""]) expect(name).not.toContain("\0");
      }),
      { numRuns: 2000 },
    );
  });
});
