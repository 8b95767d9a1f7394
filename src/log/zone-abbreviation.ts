/**
 * The short names of the local time zone (CET, EST, +03), as C's `tzname` has them.
 *
 * JavaScript knows the zone and its offset at any time, but of most zones not the short name. That comes from the
 * system's time zone file (TZif, RFC 9636): of all local time types in it, and of the rule at its end, the one that has
 * the offset in question, the latest first. Without a usable file the offset itself is the name, as in newer zones.
 */

/** Reads a file as bytes; throws when it cannot. */
export type ReadBytes = (path: string) => Uint8Array;

const ZONE_FOLDER = "/usr/share/zoneinfo";

/** Offsets east of UTC in seconds, and the name of each. */
export type ZoneNames = ReadonlyMap<number, string>;

/** The names of a zone, by its name in the time zone database (`Europe/Berlin`). Empty when nothing is known. */
export function readZoneNames(zone: string, readBytes: ReadBytes): ZoneNames {
  if (/^(Etc\/)?(UTC|UCT|Universal|Zulu)$/.test(zone)) return new Map([[0, "UTC"]]);
  if (!/^[A-Za-z0-9_+-]+(\/[A-Za-z0-9_+-]+)*$/.test(zone)) return new Map();
  try {
    return parseZoneFile(readBytes(`${ZONE_FOLDER}/${zone}`));
  } catch {
    // No such file, or one that is cut short: the offset serves as the name.
    return new Map();
  }
}

/** The name for an offset: from the zone, else `UTC`, `+HH` or `+HHMM`. */
export function zoneName(names: ZoneNames, offsetSeconds: number): string {
  const name = names.get(offsetSeconds);
  if (name !== undefined) return name;
  if (offsetSeconds === 0) return "UTC";
  const minutes = Math.round(Math.abs(offsetSeconds) / 60);
  const two = (number: number): string => String(number).padStart(2, "0");
  const rest = minutes % 60;
  return `${offsetSeconds < 0 ? "-" : "+"}${two(Math.floor(minutes / 60))}${rest === 0 ? "" : two(rest)}`;
}

/*
 * TZif, version 2 and later, all numbers big-endian:
 *
 *   header (44 bytes) with counts | data with 32-bit times | header | data with 64-bit times | \n rule \n
 *
 *   header: "TZif" version, 15 unused, then isutcnt isstdcnt leapcnt timecnt typecnt charcnt
 *   data:   times[timecnt], type index[timecnt], types[typecnt] of (offset i32, is-dst u8, name index u8), names[charcnt],
 *           leap seconds[leapcnt], two lists of flags
 */
const HEADER_BYTES = 44;

/** Throws a RangeError on a file that is cut short. */
export function parseZoneFile(bytes: Uint8Array): ZoneNames {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0) !== 0x545a6966) throw new RangeError("not a time zone file");
  const version = view.getUint8(4);
  if (version < 0x32) return readTypes(view, bytes, 0, 4);
  const second = dataEnd(view, 0, 4);
  const names = new Map(readTypes(view, bytes, second, 8));
  const rule = Buffer.from(bytes.subarray(dataEnd(view, second, 8))).toString("latin1");
  for (const [offset, name] of readRule(rule.trim())) names.set(offset, name);
  return names;
}

function dataEnd(view: DataView, header: number, timeBytes: number): number {
  const count = (index: number): number => view.getUint32(header + 20 + 4 * index);
  const [isut, isstd, leap, time, type, char] = [count(0), count(1), count(2), count(3), count(4), count(5)];
  return header + HEADER_BYTES + time * (timeBytes + 1) + type * 6 + char + leap * (timeBytes + 4) + isstd + isut;
}

function readTypes(view: DataView, bytes: Uint8Array, header: number, timeBytes: number): ZoneNames {
  const timeCount = view.getUint32(header + 32);
  const typeCount = view.getUint32(header + 36);
  const indexes = header + HEADER_BYTES + timeCount * timeBytes;
  const types = indexes + timeCount;
  const texts = types + typeCount * 6;
  const names = new Map<number, string>();
  const take = (type: number): void => {
    const start = texts + view.getUint8(types + type * 6 + 5);
    const end = bytes.indexOf(0, start);
    names.set(view.getInt32(types + type * 6), Buffer.from(bytes.subarray(start, end)).toString("latin1"));
  };
  for (let type = 0; type < typeCount; type++) take(type);
  // In the order of time, so that the latest name of an offset stays.
  for (let index = 0; index < timeCount; index++) take(view.getUint8(indexes + index));
  return names;
}

/** The names of a POSIX rule like `CET-1CEST,M3.5.0,M10.5.0/3`; its offsets count west, and daylight time is an hour ahead. */
function* readRule(rule: string): Generator<[number, string]> {
  const match = /^(<[^>]+>|[A-Za-z]{3,})([+-]?[0-9:]+)(?:(<[^>]+>|[A-Za-z]{3,})([+-]?[0-9:]+)?)?(?:,|$)/.exec(rule);
  if (match === null) return;
  const [, standard = "", offset = "0", daylight, daylightOffset] = match;
  const east = -ruleSeconds(offset);
  yield [east, unquoted(standard)];
  if (daylight === undefined) return;
  yield [daylightOffset === undefined ? east + 3600 : -ruleSeconds(daylightOffset), unquoted(daylight)];
}

function ruleSeconds(text: string): number {
  const [hours = 0, minutes = 0, seconds = 0] = text.replace(/^[+-]/, "").split(":").map(Number);
  const size = hours * 3600 + minutes * 60 + seconds;
  return text.startsWith("-") ? -size : size;
}

function unquoted(name: string): string {
  return name.replace(/^<|>$/g, "");
}
