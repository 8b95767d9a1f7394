/** Log lines to stderr. `-q` and `-d` leave this sink out. */
import { DescriptorWriter } from "./descriptor-writer.ts";
import type { LogSink } from "./log-sink.ts";

const STDERR = 2;

export class StderrSink implements LogSink {
  readonly #writer = new DescriptorWriter();

  /** Lines that could not be written. */
  get lost(): number {
    return this.#writer.lost;
  }

  write(line: string): void {
    this.#writer.write(STDERR, line);
  }
}
