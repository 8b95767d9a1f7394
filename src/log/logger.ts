/**
 * The log: PgBouncer's line format, to every sink, at once.
 *
 *   2026-07-10 20:19:13.123 UTC [4711] LOG listening on 127.0.0.1:6432
 *
 * A line is in its sinks when the call returns: operators and tests read it as soon as they see the event. A message
 * may hold what strangers sent, so it is cut at a bound and its control characters are replaced; newlines become newline
 * and tab, so that only the start of a line looks like one. Counterpart: log_generic in libusual's logging.c.
 */
import { LocalTime } from "./local-time.ts";
import { LogLevel, VERBOSE_OF_LEVEL } from "./log-level.ts";
import type { LogSink } from "./log-sink.ts";

/** Longest message in UTF-16 units; PgBouncer's buffer is of this size too. What is longer is cut. */
export const MESSAGE_LENGTH_MAX = 2048;

export interface LoggerOptions {
  /** The process id in each line. */
  readonly pid: number;
  /** Milliseconds since 1970. */
  readonly wallTime: () => number;
  readonly sinks: readonly LogSink[];
  /** 0; 1 also DEBUG, 2 also NOISE. */
  readonly verbose?: number;
  readonly localTime?: LocalTime;
}

export class Logger {
  /** 0; 1 also DEBUG, 2 also NOISE. Follows the setting of this name. */
  verbose: number;
  readonly #pid: number;
  readonly #wallTime: () => number;
  readonly #localTime: LocalTime;
  #sinks: readonly LogSink[];

  constructor(options: LoggerOptions) {
    this.verbose = options.verbose ?? 0;
    this.#pid = options.pid;
    this.#wallTime = options.wallTime;
    this.#localTime = options.localTime ?? new LocalTime();
    this.#sinks = options.sinks;
  }

  /** From now on lines go to these. */
  setSinks(sinks: readonly LogSink[]): void {
    this.#sinks = sinks;
  }

  /** Whether lines of this level are written: ask before building a costly DEBUG or NOISE message. */
  shows(level: LogLevel): boolean {
    return this.verbose >= VERBOSE_OF_LEVEL[level];
  }

  fatal(message: string): void {
    this.write(LogLevel.fatal, message);
  }

  error(message: string): void {
    this.write(LogLevel.error, message);
  }

  warning(message: string): void {
    this.write(LogLevel.warning, message);
  }

  log(message: string): void {
    this.write(LogLevel.log, message);
  }

  debug(message: string): void {
    if (this.verbose >= 1) this.write(LogLevel.debug, message);
  }

  noise(message: string): void {
    if (this.verbose >= 2) this.write(LogLevel.noise, message);
  }

  write(level: LogLevel, message: string): void {
    if (!this.shows(level)) return;
    const tidy = tidyMessage(message);
    const line = `${this.#localTime.withMilliseconds(this.#wallTime())} [${this.#pid}] ${level} ${tidy}\n`;
    for (const sink of this.#sinks) sink.write(line, level, tidy);
  }
}

/** A message as it may stand in a line: bounded, newlines followed by a tab, other control characters as `?`. */
export function tidyMessage(message: string): string {
  let tidy = message;
  if (tidy.length > MESSAGE_LENGTH_MAX) {
    // Not between the halves of a pair.
    const last = tidy.charCodeAt(MESSAGE_LENGTH_MAX - 1);
    tidy = tidy.slice(0, last >= 0xd800 && last <= 0xdbff ? MESSAGE_LENGTH_MAX - 1 : MESSAGE_LENGTH_MAX);
  }
  if (!CONTROL.test(tidy)) return tidy;
  return tidy.trimEnd().replace(/\r?\n/g, "\n\t").replace(CONTROL_IN_LINE, "?");
}

/** Control characters but the tab; line and paragraph separators, which some viewers break lines at. */
const CONTROL = /[^\P{Cc}\t]|[\u2028\u2029]/u;
const CONTROL_IN_LINE = /[^\P{Cc}\t\n]|[\u2028\u2029]/gu;
