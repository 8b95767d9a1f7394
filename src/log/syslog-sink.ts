/**
 * Log lines to syslog, as datagrams of the form that libc's syslog(3) sends to /dev/log (RFC 3164):
 *
 *   <30>Jul 10 20:19:13 pgbouncer[4711]: listening on 127.0.0.1:6432
 *
 * They are our own and not libc's, because libc waits when the receiver's queue is full, and a pooler must not. Lines
 * below LOG are not sent. Whether, as whom and as what are asked for each line, so that SET and RELOAD hold at once.
 * Counterpart: start_syslog in libusual's logging.c.
 */
import { LogLevel } from "./log-level.ts";
import type { LogSink } from "./log-sink.ts";
import { SYSLOG_SEVERITY, syslogFacility } from "./syslog-priority.ts";

/** Where the system's log daemon listens. */
export const SYSLOG_SOCKET = "/dev/log";

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"] as const;

/** The settings of these names. */
export interface SyslogSettings {
  readonly syslog: boolean;
  readonly syslogIdent: string;
  readonly syslogFacility: string;
}

export interface SyslogOptions {
  readonly settings: SyslogSettings;
  readonly pid: number;
  /** Milliseconds since 1970. */
  readonly wallTime: () => number;
  /** Sends one datagram at once; false when it cannot. */
  readonly send: (datagram: Uint8Array) => boolean;
}

export class SyslogSink implements LogSink {
  /** Lines that nobody took. */
  lost = 0;
  readonly #options: SyslogOptions;

  constructor(options: SyslogOptions) {
    this.#options = options;
  }

  write(_line: string, level: LogLevel, message: string): void {
    const { settings, pid, wallTime, send } = this.#options;
    if (!settings.syslog || level === LogLevel.debug || level === LogLevel.noise) return;
    const priority = syslogFacility(settings.syslogFacility) * 8 + SYSLOG_SEVERITY[level];
    const head = `<${priority}>${syslogTime(wallTime())} ${settings.syslogIdent}[${pid}]`;
    if (!send(Buffer.from(`${head}: ${message}`))) this.lost++;
  }
}

/** Local time as RFC 3164 has it: `Jul  1 08:05:09`. */
function syslogTime(wallMs: number): string {
  const date = new Date(wallMs);
  const two = (number: number): string => String(number).padStart(2, "0");
  const day = String(date.getDate()).padStart(2, " ");
  return `${MONTHS[date.getMonth()]} ${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}
