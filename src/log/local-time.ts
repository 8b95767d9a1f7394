/**
 * Wall time as PgBouncer prints it: `2026-07-10 20:19:13.123 CEST` in log lines, without milliseconds in console tables.
 *
 * Local time; the zone is the runtime's (TZ, or the system's). What does not change within a second is kept.
 */
import { readFileSync } from "node:fs";
import type { ReadBytes, ZoneNames } from "./zone-abbreviation.ts";
import { readZoneNames, zoneName } from "./zone-abbreviation.ts";

export class LocalTime {
  readonly #zoneNames: ZoneNames;
  #second = Number.NaN;
  #dateAndTime = "";
  #zone = "";

  /** Looks up the zone's short names once. `readBytes` reads the system's time zone file. */
  constructor(readBytes: ReadBytes = (path) => readFileSync(path)) {
    this.#zoneNames = readZoneNames(new Intl.DateTimeFormat().resolvedOptions().timeZone, readBytes);
  }

  /** `wallMs`: milliseconds since 1970. */
  withMilliseconds(wallMs: number): string {
    const whole = Math.floor(wallMs);
    const second = Math.floor(whole / 1000);
    this.#turnTo(second);
    const ms = whole - second * 1000;
    const padding = ms < 10 ? "00" : ms < 100 ? "0" : "";
    return `${this.#dateAndTime}.${padding}${ms} ${this.#zone}`;
  }

  /** `wallMs`: milliseconds since 1970. */
  withSeconds(wallMs: number): string {
    this.#turnTo(Math.floor(wallMs / 1000));
    return `${this.#dateAndTime} ${this.#zone}`;
  }

  #turnTo(second: number): void {
    if (second === this.#second) return;
    const date = new Date(second * 1000);
    const two = (number: number): string => (number < 10 ? `0${number}` : String(number));
    const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
    this.#dateAndTime = `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
    this.#zone = zoneName(this.#zoneNames, -date.getTimezoneOffset() * 60);
    this.#second = second;
  }
}
