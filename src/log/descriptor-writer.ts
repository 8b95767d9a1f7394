/**
 * Writing a line to a file descriptor at once and whole, without ever throwing: a log that cannot be written must not
 * stop the pooler. What could not be written is counted.
 *
 * A pipe whose other end set it non-blocking answers EAGAIN when it is full; then we wait a moment, a few times, and
 * give the line up.
 */
import { writeSync } from "node:fs";

/** Waits on a full pipe: how often, and for how long each. */
const FULL_WAITS_MAX = 20;
const FULL_WAIT_MS = 1;

export class DescriptorWriter {
  /** Lines given up, whole or in part. */
  lost = 0;
  readonly #waitCell = new Int32Array(new SharedArrayBuffer(4));
  readonly #write: (fd: number, bytes: Uint8Array) => number;

  /** `write` writes some of the bytes and returns how many, or throws the system's error. */
  constructor(write: (fd: number, bytes: Uint8Array) => number = writeSync) {
    this.#write = write;
  }

  write(fd: number, line: string): void {
    let rest: Uint8Array = Buffer.from(line);
    let waits = 0;
    while (rest.length > 0) {
      try {
        rest = rest.subarray(this.#write(fd, rest));
      } catch (error) {
        const code = (error as NodeJS.ErrnoException).code;
        if (code === "EINTR") continue;
        if (code !== "EAGAIN" || waits === FULL_WAITS_MAX) {
          this.lost++;
          return;
        }
        waits++;
        Atomics.wait(this.#waitCell, 0, 0, FULL_WAIT_MS);
      }
    }
  }
}
