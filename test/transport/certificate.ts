/**
 * Makes X.509 certificates for tests with `node:crypto` alone: a small DER writer and ECDSA on P-256, or RSA (RFC 5280).
 *
 * Only what TLS libraries check is there: names, validity, key, basic constraints, subject alternative names.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes, sign } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { isIP } from "node:net";

export interface Certificate {
  readonly commonName: string;
  readonly key: KeyObject;
  /** PEM, as TLS settings take them. */
  readonly certPem: Uint8Array;
  readonly keyPem: Uint8Array;
  readonly der: Uint8Array;
}

export interface CertificateWish {
  readonly commonName: string;
  /** Host names and IPv4 addresses. */
  readonly altNames?: readonly string[];
  readonly isAuthority?: boolean;
  /** An RSA key in place of one on P-256. */
  readonly isRsa?: boolean;
  /** Its time was over an hour ago. */
  readonly isExpired?: boolean;
  /** Absent = self-signed. */
  readonly issuer?: Certificate;
}

const HOUR_MS = 3600 * 1000;
const YEAR_MS = 365 * 24 * HOUR_MS;

export function createCertificate(wish: CertificateWish): Certificate {
  const { privateKey } =
    wish.isRsa === true
      ? generateKeyPairSync("rsa", { modulusLength: 2048 })
      : generateKeyPairSync("ec", { namedCurve: "P-256" });
  const issuer = wish.issuer ?? { commonName: wish.commonName, key: privateKey };
  const algorithm =
    issuer.key.asymmetricKeyType === "rsa"
      ? sequence(oid("1.2.840.113549.1.1.11"), tagged(0x05))
      : sequence(oid("1.2.840.10045.4.3.2"));
  const unsigned = sequence(
    tagged(0xa0, integer(Buffer.from([2]))),
    integer(Buffer.concat([Buffer.from([1]), randomBytes(15)])),
    algorithm,
    name(issuer.commonName),
    sequence(time(Date.now() - YEAR_MS), time(wish.isExpired === true ? Date.now() - HOUR_MS : Date.now() + YEAR_MS)),
    name(wish.commonName),
    createPublicKey(createPrivateKey(privateKey.export({ type: "pkcs8", format: "pem" }))).export({
      type: "spki",
      format: "der",
    }),
    tagged(0xa3, sequence(...extensions(wish))),
  );
  const der = sequence(unsigned, algorithm, bits(sign("sha256", unsigned, issuer.key)));
  const base64 = (der.toString("base64").match(/.{1,64}/g) ?? []).join("\n");
  return {
    commonName: wish.commonName,
    key: privateKey,
    certPem: Buffer.from(`-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`),
    keyPem: Buffer.from(privateKey.export({ type: "pkcs8", format: "pem" })),
    der,
  };
}

function extensions(wish: CertificateWish): Buffer[] {
  const list = [
    sequence(
      oid("2.5.29.19"),
      tagged(0x01, Buffer.from([0xff])),
      tagged(0x04, wish.isAuthority === true ? sequence(tagged(0x01, Buffer.from([0xff]))) : sequence()),
    ),
  ];
  if (wish.altNames !== undefined) {
    const names = wish.altNames.map((entry) =>
      isIP(entry) === 4
        ? tagged(0x87, Buffer.from(entry.split(".").map(Number)))
        : tagged(0x82, Buffer.from(entry, "ascii")),
    );
    list.push(sequence(oid("2.5.29.17"), tagged(0x04, sequence(...names))));
  }
  return list;
}

function tagged(tag: number, ...content: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(content);
  const length: number[] = [];
  if (body.length < 0x80) length.push(body.length);
  else if (body.length < 0x100) length.push(0x81, body.length);
  else length.push(0x82, body.length >> 8, body.length & 0xff);
  return Buffer.concat([Buffer.from([tag, ...length]), body]);
}

function sequence(...content: readonly Uint8Array[]): Buffer {
  return tagged(0x30, ...content);
}

function integer(bigEndian: Uint8Array): Buffer {
  return tagged(0x02, bigEndian);
}

function bits(content: Uint8Array): Buffer {
  return tagged(0x03, Buffer.from([0]), content);
}

function name(commonName: string): Buffer {
  return sequence(tagged(0x31, sequence(oid("2.5.4.3"), tagged(0x0c, Buffer.from(commonName, "utf8")))));
}

function time(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replace(/[-:T]/g, "").slice(2, 14);
  return tagged(0x17, Buffer.from(`${digits}Z`, "ascii"));
}

function oid(dotted: string): Buffer {
  const [first, second, ...rest] = dotted.split(".").map(Number) as [number, number, ...number[]];
  const bytes = [first * 40 + second];
  for (const part of rest) {
    const groups = [part & 0x7f];
    for (let left = part >> 7; left > 0; left >>= 7) groups.unshift((left & 0x7f) | 0x80);
    bytes.push(...groups);
  }
  return tagged(0x06, Buffer.from(bytes));
}
