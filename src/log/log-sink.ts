/** Where log lines go: stderr, a file, memory in tests. Writing is synchronous and never throws. */
import type { LogLevel } from "./log-level.ts";

export interface LogSink {
  /**
   * @param line the whole line with its newline
   * @param level and `message`: the same in parts, for sinks with a format of their own (syslog, the journal)
   */
  write(line: string, level: LogLevel, message: string): void;
}

/** Keeps lines in memory. */
export class MemorySink implements LogSink {
  /** Without their newlines. */
  readonly lines: string[] = [];

  write(line: string): void {
    this.lines.push(line.slice(0, -1));
  }
}
