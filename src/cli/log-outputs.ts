/**
 * Where log lines go: stderr or the journal, the log file, syslog.
 *
 * What is logged before the log file and syslog are known (the configuration is still being read) goes to stderr at once
 * and is kept, so that it reaches them too; when the process must end before that, at least stderr gets it, -q or not.
 */
import { fstatSync } from "node:fs";
import { FileSink, LogFileError } from "../log/file-sink.ts";
import { JournalSink, isJournalStream } from "../log/journal-sink.ts";
import type { LogLevel } from "../log/log-level.ts";
import type { LogSink } from "../log/log-sink.ts";
import { StderrSink } from "../log/stderr-sink.ts";

/** The setting of this name. */
export interface LogFileSetting {
  readonly logfile: string;
}

interface EarlyLine {
  readonly line: string;
  readonly level: LogLevel;
  readonly message: string;
}

/** Lines of a configuration that is wrong in every place; more are not kept. */
const EARLY_LINES_MAX = 1000;

export class LogOutputs implements LogSink {
  readonly #terminal: LogSink;
  readonly #quiet: boolean;
  /** Null once the other outputs are known. */
  #early: EarlyLine[] | null = [];
  #setting: LogFileSetting = { logfile: "" };
  #file: FileSink | null = null;
  /** The path that could not be opened, so that it is not tried for each line. */
  #refused: string | null = null;
  #syslog: LogSink | null = null;

  constructor(quiet: boolean, terminal: LogSink = terminalSink()) {
    this.#quiet = quiet;
    this.#terminal = terminal;
  }

  /** From now on to these. Throws `LogFileError` when there is a log file and it cannot be opened. */
  open(setting: LogFileSetting, syslog: LogSink): void {
    if (setting.logfile !== "") this.#file = new FileSink(setting.logfile);
    this.#setting = setting;
    this.#syslog = syslog;
    const early = this.#early ?? [];
    this.#early = null;
    for (const { line, level, message } of early) {
      this.#file?.write(line);
      syslog.write(line, level, message);
    }
  }

  /** The process ends: whoever started it learns why, if nobody was told. */
  giveUp(): void {
    const early = this.#early ?? [];
    this.#early = null;
    if (this.#quiet) for (const { line, level, message } of early) this.#terminal.write(line, level, message);
  }

  /** A reload: after a rotation, or another path. Throws `LogFileError`; an open file is then kept. */
  reopen(): void {
    const { logfile } = this.#setting;
    this.#refused = null;
    if (logfile === "") {
      this.#file?.close();
      this.#file = null;
    } else if (this.#file === null) {
      this.#file = new FileSink(logfile);
    } else {
      this.#file.reopen(logfile);
    }
  }

  write(line: string, level: LogLevel, message: string): void {
    if (!this.#quiet) this.#terminal.write(line, level, message);
    if (this.#early !== null) {
      if (this.#early.length < EARLY_LINES_MAX) this.#early.push({ line, level, message });
      return;
    }
    if (this.#file === null && this.#setting.logfile !== "") this.#openLate();
    this.#file?.write(line);
    this.#syslog?.write(line, level, message);
  }

  /** SET has named a log file where there was none. */
  #openLate(): void {
    const { logfile } = this.#setting;
    if (logfile === this.#refused) return;
    try {
      this.#file = new FileSink(logfile);
    } catch (error) {
      if (!(error instanceof LogFileError)) throw error;
      this.#refused = logfile;
      process.stderr.write(`${error.message}\n`);
    }
  }
}

/** The journal when stderr leads there, else stderr as it is. */
function terminalSink(): LogSink {
  const stream = process.env["JOURNAL_STREAM"];
  if (stream === undefined) return new StderrSink();
  try {
    return isJournalStream(stream, fstatSync(2, { bigint: true })) ? new JournalSink() : new StderrSink();
  } catch {
    // Stderr is closed: there is nothing to be told apart.
    return new StderrSink();
  }
}
