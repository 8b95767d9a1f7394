/**
 * A client as light as can be: startup, simple queries, raw COPY out and in. For thousands of idle connections and for streams
 * whose every byte is counted.
 *
 * On purpose it shares nothing with `src/protocol`: a fault in the pooler's own framing must not hide in the bench.
 * Knows trust authentication only.
 */
import { createHash } from "node:crypto";
import { connect, type Socket } from "node:net";

/** Where a seat listens. */
export interface Address {
  readonly host: string;
  readonly port: number;
  /** Folder of the Unix socket; null for TCP. */
  readonly socketFolder: string | null;
}

export const BENCH_USER = "bench";
export const BENCH_DATABASE = "postgres";

/** What came back for a COPY, everything from the first byte after the request to the last of ReadyForQuery. */
export interface CopyDigest {
  readonly bytes: number;
  readonly sha256: string;
}

const READY_IDLE = Buffer.from([0x5a, 0, 0, 0, 5, 0x49]); // ReadyForQuery, idle
const EMPTY = Buffer.alloc(0);
const TYPE_ERROR = 0x45;
const TYPE_ROW = 0x44;
const TYPE_READY = 0x5a;
const TYPE_COPY_IN = 0x47;
const DEADLINE_MS = 60_000;
const COPY_IN_DEADLINE_MS = 300_000;
/** A COPY that brings nothing for so long has stopped. */
export const SILENCE_MAX_MS = 30_000;
/** How long the other side may take to close after our goodbye. */
const CLOSE_DEADLINE_MS = 5_000;

interface Pending {
  resolve(): void;
  reject(error: Error): void;
}

export class WireClient {
  readonly socket: Socket;
  #pending: Pending | null = null;
  #failure: Error | null = null;
  #received: Buffer = EMPTY;
  #onCopyIn: () => void = () => {};
  #onRow: ((body: Buffer) => void) | null = null;

  private constructor(socket: Socket) {
    this.socket = socket;
  }

  /** Connects and logs in. Rejects with what the server said, or when it says nothing for a minute. */
  static async open(address: Address, database: string = BENCH_DATABASE): Promise<WireClient> {
    const socket =
      address.socketFolder === null
        ? connect({ host: address.host, port: address.port, noDelay: true })
        : connect(`${address.socketFolder}/.s.PGSQL.${address.port}`);
    const client = new WireClient(socket);
    socket.on("error", (error) => client.#fail(error));
    socket.on("close", () => client.#fail(new Error("the connection was closed")));
    socket.on("data", client.#onData);
    const ready = client.#nextReady();
    socket.write(startupMessage(database));
    await ready;
    return client;
  }

  /** Runs a query and drops its rows. Rejects with the first error the server reports. */
  query(sql: string): Promise<void> {
    const ready = this.#nextReady();
    this.socket.write(queryMessage(sql));
    return ready;
  }

  /** Runs a query and returns the columns of each row as text. Rejects with the first error the server reports. */
  async rows(sql: string): Promise<(string | null)[][]> {
    const rows: (string | null)[][] = [];
    this.#onRow = (body) => rows.push(parseDataRow(body));
    try {
      await this.query(sql);
    } finally {
      this.#onRow = null;
    }
    return rows;
  }

  /**
   * Runs a COPY … TO STDOUT of printable text and returns count and hash of the raw answer. `onBytes` is called with the
   * number of bytes so far after each chunk; it may pause and resume the socket, for less than `patienceMs`.
   * Rejects when no byte has come for that long. No query may follow.
   */
  copyOut(
    sql: string,
    onBytes: (total: number) => void = () => {},
    patienceMs: number = SILENCE_MAX_MS,
  ): Promise<CopyDigest> {
    const socket = this.socket;
    socket.off("data", this.#onData);
    const hash = createHash("sha256");
    let bytes = 0;
    let tail: Buffer = Buffer.alloc(0);
    return new Promise((resolve, reject) => {
      this.#pending = { resolve: () => {}, reject };
      socket.setTimeout(patienceMs, () =>
        socket.destroy(new Error(`no byte for ${patienceMs / 1000} s after ${bytes}`)),
      );
      socket.on("data", (chunk: Buffer) => {
        hash.update(chunk);
        bytes += chunk.length;
        onBytes(bytes);
        // Text rows hold no zero byte, so ReadyForQuery cannot appear inside of one.
        tail = chunk.length >= READY_IDLE.length ? chunk : Buffer.concat([tail, chunk]);
        tail = tail.subarray(Math.max(0, tail.length - READY_IDLE.length));
        if (tail.equals(READY_IDLE)) {
          this.#pending = null;
          resolve({ bytes, sha256: hash.digest("hex") });
        }
      });
      socket.write(queryMessage(sql));
    });
  }

  /**
   * Runs a COPY … FROM STDIN. `next` gives whole CopyData messages, piece by piece, and null at the end; it is asked as fast
   * as the other side takes them. Returns how many bytes that were. Rejects with the first error the server reports.
   */
  async copyIn(sql: string, next: () => Buffer | null): Promise<number> {
    const { socket } = this;
    let bytes = 0;
    const begun = new Promise<void>((resolve) => (this.#onCopyIn = resolve));
    const ready = this.#nextReady(COPY_IN_DEADLINE_MS);
    ready.catch(() => {}); // awaited below
    socket.write(queryMessage(sql));
    await Promise.race([begun, ready]);
    for (let piece = next(); piece !== null; piece = next()) {
      bytes += piece.length;
      if (!socket.write(piece)) await Promise.race([new Promise((resolve) => socket.once("drain", resolve)), ready]);
    }
    socket.write(Buffer.from([0x63, 0, 0, 0, 4])); // CopyDone
    await ready;
    return bytes;
  }

  /** Says goodbye; resolves when the connection is gone. */
  close(): Promise<void> {
    if (this.socket.destroyed) return Promise.resolve();
    return new Promise((resolve) => {
      const late = setTimeout(() => this.socket.destroy(), CLOSE_DEADLINE_MS);
      this.socket.once("close", () => {
        clearTimeout(late);
        resolve();
      });
      this.socket.end(Buffer.from([0x58, 0, 0, 0, 4])); // Terminate
      this.socket.resume();
    });
  }

  #nextReady(deadlineMs = DEADLINE_MS): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== null) return reject(this.#failure);
      const timer = setTimeout(() => {
        this.#pending = null;
        reject(new Error(`no answer within ${deadlineMs / 1000} s`));
        this.socket.destroy();
      }, deadlineMs);
      this.#pending = {
        resolve: () => (clearTimeout(timer), resolve()),
        reject: (error) => (clearTimeout(timer), reject(error)),
      };
    });
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    const pending = this.#pending;
    this.#pending = null;
    pending?.reject(this.#failure);
  }

  #onData = (chunk: Buffer): void => {
    let data = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    while (data.length >= 5) {
      const size = 1 + data.readInt32BE(1);
      if (data.length < size) break;
      const type = data[0];
      if (type === TYPE_ERROR) {
        this.#fail(new Error(errorText(data.subarray(5, size))));
      } else if (type === TYPE_ROW) {
        this.#onRow?.(data.subarray(5, size));
      } else if (type === TYPE_COPY_IN) {
        this.#onCopyIn();
      } else if (type === TYPE_READY) {
        const pending = this.#pending;
        this.#pending = null;
        pending?.resolve();
      }
      data = data.subarray(size);
    }
    // A copy: a slice would keep the whole chunk alive, for each of 5,000 idle clients.
    this.#received = data.length === 0 ? EMPTY : Buffer.from(data);
  };
}

function startupMessage(database: string): Buffer {
  const body = Buffer.from(`user\0${BENCH_USER}\0database\0${database}\0\0`, "latin1");
  const head = Buffer.alloc(8);
  head.writeInt32BE(8 + body.length, 0);
  head.writeInt32BE(3 << 16, 4); // protocol 3.0
  return Buffer.concat([head, body]);
}

function queryMessage(sql: string): Buffer {
  const body = Buffer.from(`${sql}\0`, "utf8");
  const head = Buffer.alloc(5);
  head[0] = 0x51; // Query
  head.writeInt32BE(4 + body.length, 1);
  return Buffer.concat([head, body]);
}

/** The columns of a DataRow's body, in text format. */
export function parseDataRow(body: Buffer): (string | null)[] {
  const columns: (string | null)[] = [];
  let at = 2;
  for (let left = body.readInt16BE(0); left > 0; left--) {
    const length = body.readInt32BE(at);
    at += 4;
    columns.push(length < 0 ? null : body.toString("utf8", at, at + length));
    if (length > 0) at += length;
  }
  return columns;
}

/** "SEVERITY: message (SQLSTATE)" of an ErrorResponse's body. */
function errorText(body: Buffer): string {
  const fields = new Map<string, string>();
  for (const field of body.toString("utf8").split("\0")) {
    if (field.length > 0) fields.set(field.charAt(0), field.slice(1));
  }
  return `${fields.get("S") ?? "ERROR"}: ${fields.get("M") ?? ""} (${fields.get("C") ?? ""})`;
}
