/**
 * Log lines to systemd's journal, when stderr leads there: each line with its priority in front (`<6>`, see
 * sd-daemon(3)), and without time and process id, which the journal has of its own.
 *
 * The way over stderr and not the journal's own protocol: nothing can be lost, and the last line of a process that ends is
 * still filed under its unit. A message of several lines is as many entries, all with the message's priority.
 * Counterpart: use_systemd_journal in libusual's logging.c.
 */
import { DescriptorWriter } from "./descriptor-writer.ts";
import type { LogLevel } from "./log-level.ts";
import type { LogSink } from "./log-sink.ts";
import { SYSLOG_SEVERITY } from "./syslog-priority.ts";

const STDERR = 2;

export class JournalSink implements LogSink {
  readonly #writer: DescriptorWriter;

  constructor(writer: DescriptorWriter = new DescriptorWriter()) {
    this.#writer = writer;
  }

  /** Lines that could not be written. */
  get lost(): number {
    return this.#writer.lost;
  }

  write(_line: string, level: LogLevel, message: string): void {
    const prefix = `<${SYSLOG_SEVERITY[level]}>`;
    this.#writer.write(STDERR, `${prefix}${message.replaceAll("\n", `\n${prefix}`)}\n`);
  }
}

/**
 * Whether a file is the stream that systemd connected to its journal: `journalStream` is the environment's
 * JOURNAL_STREAM, "device:inode". A stderr that was redirected since is another file.
 */
export function isJournalStream(
  journalStream: string | undefined,
  file: { readonly dev: bigint; readonly ino: bigint },
): boolean {
  const [, device, inode] = /^(\d{1,20}):(\d{1,20})$/.exec(journalStream ?? "") ?? [];
  return device !== undefined && inode !== undefined && BigInt(device) === file.dev && BigInt(inode) === file.ino;
}
