/**
 * SASLprep (RFC 4013) of passwords, with the exceptions that PostgreSQL's `pg_saslprep` and its callers make: pure
 * ASCII is left alone, and a password that is not UTF-8 or holds something prohibited is used as it is.
 *
 * Both ends of a login must come to the same bytes, so what counts is agreement with libpq, not with the RFC. PostgreSQL
 * looks for prohibited and unassigned code points *before* normalising, the library after it: what normalisation hides
 * from the library is listed here. Left over: Hebrew and Arabic presentation forms (U+2135…2138, U+FB1D…FEFC), whose
 * direction PostgreSQL judges before normalising too; no keyboard types them.
 */
import { saslprep } from "@mongodb-js/saslprep";

/** The bytes to hash for a password given as bytes. Never fails. */
export function preparePassword(password: Uint8Array): Uint8Array {
  if (password.every((byte) => byte < 0x80)) return password;
  const text = decodeUtf8(password);
  if (text === null || isHiddenFromLibrary(text)) return password;
  try {
    return Buffer.from(saslprep(text), "utf8");
  } catch {
    // Prohibited, unassigned, mixed directions, or nothing left: libpq and PostgreSQL then take the password as it is.
    return password;
  }
}

function decodeUtf8(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

/**
 * Code points that PostgreSQL refuses and that NFKC turns into ones which are fine: U+0340 and U+0341 (prohibited by
 * RFC 3454 table C.8), and the ranges between the first and last such code point that Unicode 3.2 did not assign
 * (table A.1, which is frozen): the squared emoji, phonetic extensions, newer mathematical letters … Pairs of first, last.
 */
const hiddenRanges: readonly number[] = [
  0x0340, 0x0341, 0x03f9, 0x03f9, 0x10fc, 0x10fc, 0x1d2c, 0x1dbf, 0x2090, 0x209c, 0x213b, 0x213c, 0x2150, 0x2152,
  0x2189, 0x2189, 0x2c7c, 0x2d6f, 0x321d, 0x321e, 0x3244, 0x3250, 0x327c, 0x327e, 0x32cc, 0x32cf, 0x32ff, 0x32ff,
  0x3377, 0x337a, 0x33de, 0x33df, 0x33ff, 0x33ff, 0xa69c, 0xab69, 0xfa2e, 0xfa2f, 0xfa6b, 0xfad9, 0xfe10, 0xfe19,
  0xfe47, 0xfe48, 0x10781, 0x1ccf9, 0x1d4c1, 0x1d4c1, 0x1d6a4, 0x1d6a5, 0x1d7ca, 0x1d7cb, 0x1e030, 0x1fbf9,
];

function isHiddenFromLibrary(text: string): boolean {
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    for (let i = 0; i < hiddenRanges.length; i += 2) {
      if (code >= (hiddenRanges[i] ?? 0) && code <= (hiddenRanges[i + 1] ?? 0)) return true;
    }
  }
  return false;
}
