/**
 * Whom a client's certificate is for, as `cert` compares it with user names: DNS names and addresses of the
 * subjectAltName, then the subject's first common name. They are compared as PgBouncer's TLS library does (`tls_check_name`):
 * without regard to ASCII case, and `*.example.com` is `a.example.com`.
 *
 * The DER is read structurally, never by way of printed text, so a comma, a quote or a line break in a name cannot make
 * two names of one. Zero bytes, which could cut one short, make a name nobody's. Stricter than PgBouncer where a
 * certificate is broken: a subjectAltName that is malformed, there twice or has such a name makes the whole certificate
 * nobody's. That it is valid and its chain trusted is the handshake's to find out.
 *
 *   Certificate ─ TBSCertificate ─┬ [0] version, optional
 *   (RFC 5280, 4.1)               ├ serialNumber, signature, issuer, validity
 *                                 ├ subject ─ RDNs ─ { OID, string } …
 *                                 ├ subjectPublicKeyInfo
 *                                 ├ [1], [2] unique identifiers, optional
 *                                 └ [3] extensions, optional ─ { OID, critical?, OCTET STRING } …
 */
import { decodeText } from "../protocol/byte-text.ts";
import { parseAddress } from "./hba-address.ts";

export class CertificateNames {
  /** Of the subjectAltName, in its order. */
  readonly dnsNames: readonly string[];
  /** Of the subjectAltName; 4 or 16 bytes each. */
  readonly addresses: readonly Uint8Array[];
  /** Null: there is none that could be compared. */
  readonly commonName: string | null;

  constructor(dnsNames: readonly string[], addresses: readonly Uint8Array[], commonName: string | null) {
    this.dnsNames = dnsNames;
    this.addresses = addresses;
    this.commonName = commonName;
  }

  /** Is the certificate for `name`: a user, or a system user of an ident map? Literal addresses know no wildcards. */
  contains(name: string): boolean {
    const address = parseAddress(name);
    if (address !== null) {
      return this.commonName === name || this.addresses.some((other) => Buffer.compare(other, address) === 0);
    }
    const { commonName } = this;
    return (
      this.dnsNames.some((pattern) => isNameOf(pattern, name)) || (commonName !== null && isNameOf(commonName, name))
    );
  }
}

/** `der`: the certificate alone. Null when it is malformed: it is nobody's then. Never throws. */
export function readCertificateNames(der: Uint8Array): CertificateNames | null {
  try {
    return readCertificate(new DerReader(der));
  } catch (error) {
    if (error instanceof MalformedDer) return null;
    throw error;
  }
}

/** `pattern` of a certificate; a wildcard is its whole first label, with two labels behind it at least. */
function isNameOf(pattern: string, name: string): boolean {
  if (pattern === "") return false;
  if (foldCase(pattern) === foldCase(name)) return true;
  const wildcard = /^\*(\.[^.]+\.(?!\.).*)$/s.exec(pattern);
  const dot = name.indexOf(".");
  // A name without a host part or without a domain is nobody's host.
  if (wildcard === null || dot <= 0 || dot === name.length - 1) return false;
  return foldCase(wildcard[1] ?? "") === foldCase(name.slice(dot));
}

function foldCase(name: string): string {
  return name.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

const Tag = {
  boolean: 0x01,
  octetString: 0x04,
  objectId: 0x06,
  sequence: 0x30,
  set: 0x31,
  version: 0xa0,
  issuerId: 0x81,
  subjectId: 0x82,
  extensions: 0xa3,
  /** Within GeneralNames. */
  dnsName: 0x82,
  ipAddress: 0x87,
} as const;

/** Strings of single bytes: UTF8, Numeric, Printable, Teletex, IA5, Visible. Others have zero bytes between letters. */
const byteStrings: ReadonlySet<number> = new Set([0x0c, 0x12, 0x13, 0x14, 0x16, 0x1a]);
/** 2.5.4.3 and 2.5.29.17. */
const commonNameId: readonly number[] = [0x55, 0x04, 0x03];
const subjectAltNameId: readonly number[] = [0x55, 0x1d, 0x11];

function readCertificate(der: DerReader): CertificateNames {
  const certificate = der.enter(Tag.sequence);
  if (!der.isEnd) throw new MalformedDer();
  const body = certificate.enter(Tag.sequence);
  if (body.peek() === Tag.version) body.next();
  // serialNumber, signature, issuer, validity
  for (let i = 0; i < 4; i++) body.next();
  const commonName = readCommonName(body.enter(Tag.sequence));
  body.enter(Tag.sequence);
  if (body.peek() === Tag.issuerId) body.next();
  if (body.peek() === Tag.subjectId) body.next();
  const altNames = body.isEnd ? null : readExtensions(body.enter(Tag.extensions).enter(Tag.sequence));
  if (!body.isEnd) throw new MalformedDer();
  return new CertificateNames(altNames?.dnsNames ?? [], altNames?.addresses ?? [], commonName);
}

/** The first one counts, even if it cannot be compared. */
function readCommonName(subject: DerReader): string | null {
  while (!subject.isEnd) {
    const relativeName = subject.enter(Tag.set);
    while (!relativeName.isEnd) {
      const attribute = relativeName.enter(Tag.sequence);
      const id = attribute.take(Tag.objectId);
      const { tag, content } = attribute.next();
      if (isSame(id, commonNameId)) return byteStrings.has(tag) && !content.includes(0) ? textOf(content) : null;
    }
  }
  return null;
}

interface AltNames {
  readonly dnsNames: string[];
  readonly addresses: Uint8Array[];
}

function readExtensions(extensions: DerReader): AltNames | null {
  let altNames: AltNames | null = null;
  while (!extensions.isEnd) {
    const extension = extensions.enter(Tag.sequence);
    const id = extension.take(Tag.objectId);
    if (extension.peek() === Tag.boolean) extension.next();
    const value = extension.take(Tag.octetString);
    if (!isSame(id, subjectAltNameId)) continue;
    if (altNames !== null) throw new MalformedDer();
    altNames = readAltNames(value);
  }
  return altNames;
}

function readAltNames(value: Uint8Array): AltNames {
  const der = new DerReader(value);
  const names = der.enter(Tag.sequence);
  if (!der.isEnd) throw new MalformedDer();
  const found: AltNames = { dnsNames: [], addresses: [] };
  while (!names.isEnd) {
    const { tag, content } = names.next();
    if (tag === Tag.ipAddress) found.addresses.push(content);
    if (tag !== Tag.dnsName) continue;
    const name = textOf(content);
    // RFC 5280, 4.2.1.6: " " must not be used.
    if (content.includes(0) || name === " ") throw new MalformedDer();
    found.dnsNames.push(name);
  }
  return found;
}

function textOf(content: Uint8Array): string {
  return decodeText(content, 0, content.length);
}

function isSame(bytes: Uint8Array, expected: readonly number[]): boolean {
  return bytes.length === expected.length && expected.every((byte, index) => bytes[index] === byte);
}

class MalformedDer extends Error {
  override readonly name = "MalformedDer";
}

/** Walks the elements of one level. Takes DER only: lengths that are definite and as short as can be. */
class DerReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get isEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  /** The next element's tag; undefined at the end. */
  peek(): number | undefined {
    return this.#bytes[this.#at];
  }

  next(): { readonly tag: number; readonly content: Uint8Array } {
    const tag = this.#byte();
    // Tags of several bytes do not occur in what is read here.
    if ((tag & 0x1f) === 0x1f) throw new MalformedDer();
    const length = this.#length();
    if (length > this.#bytes.length - this.#at) throw new MalformedDer();
    const content = this.#bytes.subarray(this.#at, this.#at + length);
    this.#at += length;
    return { tag, content };
  }

  /** The next element's content; it must have this tag. */
  take(tag: number): Uint8Array {
    const element = this.next();
    if (element.tag !== tag) throw new MalformedDer();
    return element.content;
  }

  /** As `take`, for an element made of elements. */
  enter(tag: number): DerReader {
    return new DerReader(this.take(tag));
  }

  #length(): number {
    const first = this.#byte();
    if (first < 0x80) return first;
    const count = first & 0x7f;
    if (count === 0 || count > 4) throw new MalformedDer();
    let length = 0;
    for (let i = 0; i < count; i++) length = length * 256 + this.#byte();
    if (length < 0x80 || length < 256 ** (count - 1)) throw new MalformedDer();
    return length;
  }

  #byte(): number {
    const byte = this.#bytes[this.#at];
    if (byte === undefined) throw new MalformedDer();
    this.#at += 1;
    return byte;
  }
}
