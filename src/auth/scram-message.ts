/**
 * The grammar of SCRAM messages (RFC 5802, section 7), shared by both roles: attributes, nonces, base64.
 *
 * Messages are read as Latin-1 strings, one character a byte, because the signatures are over the bytes as they came.
 * Nothing here throws: what does not fit is a `ScramFailure` whose reason is a log line in PgBouncer's words.
 */

/** Longest nonce accepted from a peer, in characters. Real ones have 24 to 48. */
export const nonceCharsMax = 512;

/** Random bytes of our own nonces before base64, as PostgreSQL's SCRAM_RAW_NONCE_LEN. */
export const rawNonceBytes = 18;

export interface ScramFailure {
  readonly ok: false;
  /** For the log only; the peer learns nothing but that it failed. */
  readonly reason: string;
}

export function scramFailure(reason: string): ScramFailure {
  return { ok: false, reason };
}

/**
 * The text of a message, or a failure if it is empty, too long, or holds a zero (PostgreSQL's C strings would end there
 * and sign something else than was sent).
 */
export function readScramText(message: Uint8Array, bytesMax: number): string | ScramFailure {
  if (message.length === 0) return scramFailure("malformed SCRAM message (empty message)");
  if (message.length > bytesMax) return scramFailure("malformed SCRAM message (message too long)");
  if (message.includes(0)) return scramFailure("malformed SCRAM message (length mismatch)");
  return Buffer.from(message.buffer, message.byteOffset, message.length).toString("latin1");
}

/** Reads `name=value` pieces, separated by commas, from left to right. */
export class AttributeReader {
  readonly #text: string;
  #at: number;

  constructor(text: string, at = 0) {
    this.#text = text;
    this.#at = at;
  }

  /** Where the next attribute starts: an index into the text. */
  get position(): number {
    return this.#at;
  }

  get atEnd(): boolean {
    return this.#at >= this.#text.length;
  }

  /** The first character of what is left, "" at the end. */
  get peek(): string {
    return this.#text.charAt(this.#at);
  }

  /** The value of the attribute `name`, which must be the next one. */
  read(name: string): { readonly ok: true; readonly value: string } | ScramFailure {
    if (this.peek !== name) return scramFailure(`malformed SCRAM message (attribute "${name}" expected)`);
    return this.readAny();
  }

  /** The next attribute, whatever its name (one ASCII letter). */
  readAny(): { readonly ok: true; readonly name: string; readonly value: string } | ScramFailure {
    const name = this.peek;
    if (!/^[A-Za-z]$/.test(name)) {
      return scramFailure(
        `malformed SCRAM message (attribute expected, but found invalid character "${printable(name)}")`,
      );
    }
    if (this.#text.charAt(this.#at + 1) !== "=") {
      return scramFailure(`malformed SCRAM message (expected character "=" after attribute "${name}")`);
    }
    const comma = this.#text.indexOf(",", this.#at + 2);
    const end = comma < 0 ? this.#text.length : comma;
    const value = this.#text.slice(this.#at + 2, end);
    this.#at = comma < 0 ? end : end + 1;
    return { ok: true, name, value };
  }
}

/** A character as it may stand in a log line: `'x'`, or `0x00`. */
export function printable(character: string): string {
  if (/^[\x21-\x7e]$/.test(character)) return `'${character}'`;
  return `0x${(character === "" ? 0 : character.charCodeAt(0)).toString(16).padStart(2, "0")}`;
}

/** RFC 5802 "printable": visible ASCII without the comma; at least one character. */
export function isNonce(text: string): boolean {
  return /^[\x21-\x2b\x2d-\x7e]+$/.test(text);
}

/**
 * The bytes of strict base64, or null: right alphabet, padded, no blanks, no stray bits in the last character, so that no
 * two texts stand for the same bytes. Empty text is null too.
 */
export function decodeBase64(text: string): Uint8Array | null {
  const bytes = new Uint8Array(Buffer.from(text, "base64"));
  return bytes.length > 0 && encodeBase64(bytes) === text ? bytes : null;
}

export function encodeBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64");
}

export function latin1Bytes(text: string): Uint8Array {
  return Buffer.from(text, "latin1");
}
