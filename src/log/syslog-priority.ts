/** Numbers of syslog (RFC 3164, section 4.1.1; syslog.h): how urgent a line is, and what part of the system it is from. */
import type { LogLevel } from "./log-level.ts";

/** The journal uses the same numbers. */
export const SYSLOG_SEVERITY: Readonly<Record<LogLevel, number>> = {
  FATAL: 2,
  ERROR: 3,
  WARNING: 4,
  LOG: 6,
  DEBUG: 7,
  NOISE: 7,
};

const FACILITIES: Readonly<Record<string, number>> = {
  user: 1,
  daemon: 3,
  auth: 4,
  authpriv: 10,
  local0: 16,
  local1: 17,
  local2: 18,
  local3: 19,
  local4: 20,
  local5: 21,
  local6: 22,
  local7: 23,
};
const DAEMON = 3;

/** A facility by its name; `daemon` when there is none of this name. */
export function syslogFacility(name: string): number {
  return Object.hasOwn(FACILITIES, name) ? (FACILITIES[name] as number) : DAEMON;
}
