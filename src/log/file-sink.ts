/**
 * Log lines to the file of `logfile`: opened for appending, each line written at once, so that it is there before
 * anyone sees the event it tells of. `reopen` follows a rotation.
 */
import { closeSync, openSync } from "node:fs";
import { DescriptorWriter } from "./descriptor-writer.ts";
import type { LogSink } from "./log-sink.ts";
import { systemErrorText } from "./system-error.ts";

/** The log file cannot be opened. At start this ends the process with exit code 1. */
export class LogFileError extends Error {
  readonly code = "LOG_FILE";
  readonly path: string;

  constructor(path: string, cause: unknown) {
    super(`Cannot open logfile: '${path}': ${systemErrorText(cause)}`, { cause });
    this.name = "LogFileError";
    this.path = path;
  }
}

export class FileSink implements LogSink {
  readonly #writer = new DescriptorWriter();
  #path: string;
  #fd: number;

  /** Opens the file, making it if need be. Throws `LogFileError`. */
  constructor(path: string) {
    this.#path = path;
    this.#fd = openForAppend(path);
  }

  get path(): string {
    return this.#path;
  }

  /** Lines that could not be written. */
  get lost(): number {
    return this.#writer.lost;
  }

  write(line: string): void {
    this.#writer.write(this.#fd, line);
  }

  /** Opens the file anew, or another one. Throws `LogFileError` and goes on with the open one when it cannot. */
  reopen(path: string = this.#path): void {
    const fd = openForAppend(path);
    closeSync(this.#fd);
    this.#fd = fd;
    this.#path = path;
  }

  /** Nothing can be written afterwards. */
  close(): void {
    if (this.#fd === CLOSED) return;
    closeSync(this.#fd);
    this.#fd = CLOSED;
  }
}

const CLOSED = -1;

function openForAppend(path: string): number {
  try {
    return openSync(path, "a");
  } catch (error) {
    throw new LogFileError(path, error);
  }
}
