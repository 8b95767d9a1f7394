/**
 * Text whose bytes survive: UTF-8 where it is UTF-8, and any other byte kept.
 *
 * The encoding of names, passwords and error texts on the wire is nobody's promise: a user name may be Latin-1, a
 * server may complain in EUC-JP. PgBouncer passes bytes through, so replacing what is not UTF-8 by U+FFFD would make two
 * different names equal, and a name forwarded to PostgreSQL another one. A byte that is not part of valid UTF-8 becomes
 * the lone surrogate U+DC00 + byte and turns back into the byte when written (valid UTF-8 never yields a surrogate).
 *
 * Laws: `encodeText(decodeText(bytes))` equals `bytes`, always; hence `decodeText` never makes two byte strings equal.
 */

// A byte order mark is three ordinary bytes here, not to be dropped.
const STRICT_UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const UTF8 = new TextEncoder();

const ESCAPE = 0xdc00;
// With the `u` flag a class of surrogates matches lone ones only.
const ESCAPED_BYTES = /[\udc80-\udcff]/u;
const SHORT_TEXT = 32;

/** The text of `buf[start, end)`. Never fails. */
export function decodeText(buf: Uint8Array, start: number, end: number): string {
  if (end - start <= SHORT_TEXT) {
    const ascii = decodeAscii(buf, start, end);
    if (ascii !== null) return ascii;
  }
  const bytes = buf.subarray(start, end);
  try {
    return STRICT_UTF8.decode(bytes);
  } catch {
    // Not UTF-8 as a whole: kept byte by byte. The decoder's exception is its only way to say so.
    return decodeEscaped(bytes);
  }
}

/** The bytes of a text. A lone surrogate that stands for no byte becomes U+FFFD. */
export function encodeText(text: string): Uint8Array {
  if (!ESCAPED_BYTES.test(text)) return UTF8.encode(text);
  const parts: Uint8Array[] = [];
  let size = 0;
  for (const piece of text.split(/([\udc80-\udcff])/u)) {
    const code = piece.length === 1 ? piece.charCodeAt(0) : 0;
    const bytes = code >= 0xdc80 && code <= 0xdcff ? Uint8Array.of(code - ESCAPE) : UTF8.encode(piece);
    parts.push(bytes);
    size += bytes.length;
  }
  const joined = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

/** Short names are nearly all ASCII, and a call into the decoder costs more than the loop. Null when they are not. */
function decodeAscii(buf: Uint8Array, start: number, end: number): string | null {
  let text = "";
  for (let i = start; i < end; i++) {
    const byte = buf[i] as number;
    if (byte >= 0x80) return null;
    text += String.fromCharCode(byte);
  }
  return text;
}

function decodeEscaped(bytes: Uint8Array): string {
  let text = "";
  let from = 0;
  for (let i = 0; i < bytes.length;) {
    const length = sequenceLength(bytes, i);
    if (length > 0) {
      i += length;
      continue;
    }
    text += STRICT_UTF8.decode(bytes.subarray(from, i)) + String.fromCharCode(ESCAPE + (bytes[i] as number));
    i++;
    from = i;
  }
  return text + STRICT_UTF8.decode(bytes.subarray(from));
}

/** How many bytes the valid UTF-8 sequence at `i` has, 0 when there is none (RFC 3629: no overlong forms, no surrogates). */
function sequenceLength(bytes: Uint8Array, i: number): number {
  const first = bytes[i] as number;
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4) return 0;
  const length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  const low = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
  const high = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
  for (let k = 1; k < length; k++) {
    const byte = bytes[i + k];
    if (byte === undefined) return 0;
    if (k === 1 ? byte < low || byte > high : byte < 0x80 || byte > 0xbf) return 0;
  }
  return length;
}
