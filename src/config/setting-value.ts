/**
 * Reading and printing the values of settings, by type. Knows nothing of files or of where values are kept.
 *
 * Numbers are read as C's `strtol` with base 0 does, whole text or nothing; numbers that do not fit are refused, where
 * PgBouncer would wrap them around. Times print with `%g`, that is with six significant digits.
 */
import { NameList } from "./name-list.ts";
import { HIDDEN, Secret } from "./secret.ts";
import type { SettingRow, SettingValue } from "./setting-row.ts";
import { matchWord } from "./setting-words.ts";

const INT_MIN = -2147483648;
const INT_MAX = 2147483647;
const UINT_MAX = 4294967295;

/** Milliseconds in the units that settings are written in. */
const UNIT_MS = { seconds: 1000, wholeSeconds: 1000 };

/** What a setting's text means, or why it means nothing. `null` as a reason: only that the value is invalid. */
export type ParsedValue = { ok: true; value: SettingValue } | { ok: false; reason: string | null };

const INVALID: ParsedValue = { ok: false, reason: null };

/** Reads `text` as a value of the row's type. Never throws. */
export function parseSettingValue(row: SettingRow, text: string): ParsedValue {
  if (row.refused !== undefined && text === row.refused.value) return { ok: false, reason: row.refused.message };
  switch (row.type) {
    case "string":
      return { ok: true, value: text };
    case "list":
      return { ok: true, value: new NameList(text) };
    case "secret":
      return { ok: true, value: new Secret(text) };
    case "enum":
      return found(matchWord(row.values ?? [], text));
    case "int":
      return found(parseInteger(text, INT_MIN, row.max ?? INT_MAX));
    case "count":
      return found(parseInteger(text, 0, row.max ?? INT_MAX));
    case "uint":
      return found(parseInteger(text, 0, row.max ?? UINT_MAX));
    case "seconds":
      return found(parseSecondsToMs(text));
    case "wholeSeconds":
      return found(parseInteger(text, 0, INT_MAX), UNIT_MS.wholeSeconds);
    case "milliseconds":
      return found(parseInteger(text, 0, INT_MAX));
    case "bool":
    default: {
      const number = parseInteger(text, INT_MIN, INT_MAX);
      return number === null ? INVALID : { ok: true, value: number !== 0 };
    }
  }
}

/** Prints a value as SHOW CONFIG does; null where a setting without a default is not set. */
export function printSettingValue(row: SettingRow, value: SettingValue): string | null {
  if (value === null) return null;
  if (value instanceof NameList) return value.text;
  if (value instanceof Secret) return hideBindPassword(value.reveal());
  if (typeof value === "boolean") return value ? "1" : "0";
  if (typeof value === "string") return value;
  if (row.type === "seconds") return formatG(value / UNIT_MS.seconds);
  return String(row.type === "wholeSeconds" ? value / UNIT_MS.wholeSeconds : value);
}

/** The default as a value: what a setting is when no file names it. */
export function defaultSettingValue(row: SettingRow): SettingValue {
  if (row.default === null) return row.type === "int" ? 0 : null;
  const parsed = parseSettingValue(row, row.default);
  if (!parsed.ok) throw new Error(`the default of ${row.name} is not a value of its type`);
  return parsed.value;
}

/** Whether two values of one setting are the same. */
export function sameSettingValue(a: SettingValue, b: SettingValue): boolean {
  if (a instanceof NameList && b instanceof NameList) return a.text === b.text;
  if (a instanceof Secret && b instanceof Secret) return a.equals(b);
  return a === b;
}

/**
 * A whole number as `strtol(text, …, 0)` reads it: decimal, `0x…` hexadecimal, leading 0 octal; a sign and leading
 * blanks are allowed, anything behind is not. Null when it is none or lies outside `min` and `max`.
 */
export function parseInteger(text: string, min: number, max: number): number | null {
  const match = /^[ \t\n\v\f\r]*([+-]?)(?:0[xX]([0-9a-fA-F]+)|0([0-7]*)|([1-9][0-9]*))$/.exec(text);
  if (match === null) return null;
  const [, sign, hex, octal, decimal] = match;
  const size =
    hex !== undefined
      ? Number.parseInt(hex, 16)
      : decimal !== undefined
        ? Number.parseInt(decimal, 10)
        : Number.parseInt(octal || "0", 8);
  const number = sign === "-" && size !== 0 ? -size : size;
  return number >= min && number <= max ? number : null;
}

/** Seconds, not negative, with fractions down to a microsecond, as milliseconds; null when it is none. */
function parseSecondsToMs(text: string): number | null {
  if (!/^[ \t\n\v\f\r]*\+?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$/.test(text)) return null;
  const seconds = Number(text);
  const ms = microseconds(seconds) / 1000;
  return Number.isFinite(ms) ? ms : null;
}

/** Whole microseconds. PgBouncer cuts; we round where the binary fraction of a decimal text lies just below. */
function microseconds(seconds: number): number {
  const exact = seconds * 1e6;
  const rounded = Math.round(exact);
  return Math.abs(exact - rounded) < 1e-3 ? rounded : Math.floor(exact);
}

/** C's `%g`: six significant digits, no zeros at the end, an exponent when it is below -4 or above 5. */
export function formatG(number: number): string {
  if (number === 0) return "0";
  const [digits, exponentText] = number.toExponential(5).split("e");
  const exponent = Number(exponentText);
  if (exponent < -4 || exponent >= 6) {
    const sign = exponent < 0 ? "-" : "+";
    return `${withoutTrailingZeros(digits ?? "")}e${sign}${String(Math.abs(exponent)).padStart(2, "0")}`;
  }
  return withoutTrailingZeros(number.toFixed(5 - exponent));
}

function withoutTrailingZeros(digits: string): string {
  return digits.includes(".") ? digits.replace(/\.?0+$/, "") : digits;
}

/** A value in quotes; or, as nobody knows where another one was meant to end, all up to the next option. */
const BIND_PASSWORD =
  /("?ldapbindpasswd"?\s*=\s*)(?:"(?:[^"]|"")*"(?=[\s,']|$)|(?:(?![\s,]{1,9}"?ldap[a-z]{1,20}"?\s{0,9}=)[^])*)/gi;

/** A text that may hold LDAP options, with the bind password hidden. */
export function hideBindPassword(text: string): string {
  return text.replace(BIND_PASSWORD, `$1${HIDDEN}`);
}

function found(value: string | number | null, unitMs = 1): ParsedValue {
  if (value === null) return INVALID;
  return { ok: true, value: typeof value === "number" ? value * unitMs : value };
}
