/**
 * `-R`: the dialogue with the process whose place this one takes, over its Unix socket and as user and database `pgbouncer`.
 *
 *     login ─▶ SUSPEND; ─▶ SHOW FDS; ─▶ (sockets become ours) ─▶ SHUTDOWN; ─▶ end of file ─▶ its pidfile goes ─▶ on
 *
 * The other process may be PgBouncer or one of our kind, which tells more (`show-fds.ts`). Up to SHOW FDS a failure is the end
 * of this process, and the other one resumes by itself; afterwards everything is here, and its end is all that is awaited.
 *
 * Nothing else is served meanwhile, so the socket is asked again and again instead of being listened to. Texts are those of
 * PgBouncer's `takeover.c`.
 */
import { readFileSync, unlinkSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "../log/logger.ts";
import { Passing } from "../net/descriptor-passing.ts";
import type { DescriptorPassing } from "../net/descriptor-passing.ts";
import { HEIR_NAME } from "../pooler/takeover.ts";
import type { HandedSocket } from "../pooler/takeover.ts";
import { decodeText } from "../protocol/byte-text.ts";
import { readErrorFields } from "../protocol/error-fields.ts";
import { Framer } from "../protocol/framer.ts";
import { query } from "../protocol/frontend-messages.ts";
import { Backend } from "../protocol/message-type.ts";
import { startupMessage } from "../protocol/startup-messages.ts";
import { readHandedSocket } from "./handed-socket.ts";

const PROTOCOL_VERSION = 0x30000;
const OWN_NAME = "pgbouncer";
const ASK_MS = 2;
const PIDFILE_MS = 100;
/** A row is as long as its session has statements. */
const MESSAGE_BYTES_MAX = 256 * 1024 * 1024;

/** Why the process cannot go on: a FATAL line. */
export class TakeoverError extends Error {
  override readonly name = "TakeoverError";
  readonly code = "TAKEOVER";
}

export class OldProcess {
  readonly #passing: DescriptorPassing;
  readonly #log: Logger;
  readonly #fd: number;
  readonly #framer = new Framer();
  /** Received and not yet somebody's: rows take them in order. */
  readonly #descriptors: number[] = [];

  private constructor(passing: DescriptorPassing, fd: number, log: Logger) {
    this.#passing = passing;
    this.#fd = fd;
    this.#log = log;
  }

  /** Null when nobody is there. `path`: of its Unix socket. */
  static find(passing: DescriptorPassing, path: string, log: Logger): OldProcess | null {
    const fd = passing.connect(path);
    return fd === null ? null : new OldProcess(passing, fd, log);
  }

  /** Suspends it and takes all its sockets; `fromPgBouncer`: it has not told more than PgBouncer does. */
  async handOver(): Promise<{ sockets: HandedSocket[]; fromPgBouncer: boolean }> {
    this.#log.log("takeover_init: launching connection");
    const parameters = [
      ["user", OWN_NAME],
      ["database", OWN_NAME],
      ["application_name", HEIR_NAME],
    ] as const;
    await this.#send(startupMessage(parameters, PROTOCOL_VERSION));
    await this.#answers(() => {});
    this.#log.log("login OK, sending SUSPEND");
    await this.#send(query("SUSPEND;"));
    await this.#answers(() => {});
    this.#log.log("SUSPEND finished, sending SHOW FDS");
    await this.#send(query("SHOW FDS;"));
    const sockets: HandedSocket[] = [];
    let tellsMore = false;
    await this.#answers((row) => {
      const fd = this.#descriptors.shift();
      if (fd === undefined) throw new TakeoverError("got row without fd info");
      const socket = readHandedSocket(row, fd);
      if (socket === null) throw new TakeoverError("invalid data from old process");
      tellsMore ||= socket.tellsAll;
      sockets.push(socket);
    });
    this.#log.log("SHOW FDS finished");
    return { sockets, fromPgBouncer: !tellsMore };
  }

  /** Its sockets are ours: it may end. Resolves when it has. */
  async end(pidfile: string): Promise<void> {
    this.#log.log("sending SHUTDOWN;");
    try {
      await this.#send(query("SHUTDOWN;"));
      while ((await this.#receive()) !== null);
    } catch (error) {
      if (!(error instanceof TakeoverError)) throw error;
      // It has been killed in the middle of this: that is an end too.
      this.#log.warning(`old process is gone: ${error.message}`);
    }
    this.#passing.close(this.#fd);
    if (pidfile !== "") await this.#pidfileGone(pidfile);
    this.#log.log("old process killed, resuming work");
  }

  async #pidfileGone(path: string): Promise<void> {
    this.#log.log("waiting for old pidfile to go away");
    for (;;) {
      let text: string;
      try {
        text = readFileSync(path, "latin1");
      } catch {
        return;
      }
      const pid = Number.parseInt(text, 10);
      if (pid > 0 && isDead(pid)) {
        this.#log.log("stale pidfile, removing");
        unlinkSync(path);
        return;
      }
      await sleep(PIDFILE_MS);
    }
  }

  // ── Messages ────────────────────────────────────────────────────────────────────────────────────────────────────

  async #send(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      const sent = this.#passing.send(this.#fd, bytes.subarray(at), null);
      if (typeof sent === "number") at += sent;
      else if (sent === Passing.later) await sleep(ASK_MS);
      else throw new TakeoverError("unexpected EOF");
    }
  }

  /** Null at the end of file. */
  async #receive(): Promise<Uint8Array | null> {
    for (;;) {
      const received = this.#passing.receive(this.#fd);
      if (typeof received !== "string") {
        this.#descriptors.push(...received.descriptors);
        return received.bytes;
      }
      if (received === Passing.ended) return null;
      if (received === Passing.failed) throw new TakeoverError("recvmsg failed: descriptors cannot be received");
      await sleep(ASK_MS);
    }
  }

  /** All messages up to ReadyForQuery. `onRow` gets the values of each row. */
  async #answers(onRow: (values: readonly (Uint8Array | null)[]) => void): Promise<void> {
    const framer = this.#framer;
    for (;;) {
      while (framer.next(MESSAGE_BYTES_MAX)) {
        if (!framer.whole) {
          framer.hold();
          continue;
        }
        const { at, buf, size, type } = framer;
        framer.advance();
        if (type === Backend.ReadyForQuery) return;
        if (type === Backend.DataRow) onRow(readValues(buf, at, size));
        else if (type === Backend.ErrorResponse) this.#refused(buf, at, size);
        else if (type === Backend.Authentication && new DataView(buf.buffer, buf.byteOffset + at).getUint32(5) !== 0)
          throw new TakeoverError("login failed");
      }
      if (framer.broken) throw new TakeoverError("cannot parse packet");
      const bytes = await this.#receive();
      if (bytes === null) throw new TakeoverError("unexpected EOF");
      framer.push(bytes);
    }
  }

  #refused(buf: Uint8Array, at: number, size: number): never {
    const { severity, message } = readErrorFields(buf, at, size);
    this.#log.error(`old bouncer sent: ${severity ?? "ERROR"}: ${message ?? ""}`);
    throw new TakeoverError("something failed");
  }
}

/** The values of a DataRow, null for NULL. */
function readValues(buf: Uint8Array, at: number, size: number): (Uint8Array | null)[] {
  const view = new DataView(buf.buffer, buf.byteOffset + at, size);
  const values: (Uint8Array | null)[] = [];
  let next = 7;
  for (let count = view.getUint16(5); count > 0; count -= 1) {
    const length = view.getInt32(next);
    next += 4;
    values.push(length < 0 ? null : buf.subarray(at + next, at + next + length));
    next += Math.max(0, length);
    if (next > size) throw new TakeoverError("invalid data from old process");
  }
  return values;
}

/** It has ended, although whoever started it may not have asked how yet. */
function isDead(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
  try {
    return /\) [ZX] /.test(decodeText(readFileSync(`/proc/${pid}/stat`), 0, 200));
  } catch {
    return false;
  }
}
