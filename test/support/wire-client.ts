/**
 * A client that speaks single protocol messages: for what a driver hides or would never send. Written without the
 * engine's own reader and writer, so that a misunderstanding in those does not hide itself.
 *
 * Protocol: "Message Formats" in PostgreSQL's documentation. Messages are named by their type byte.
 */
import { type Socket, connect } from "node:net";

export interface WireMessage {
  /** The type byte as a character, for example `Z`. */
  readonly type: string;
  readonly body: Buffer;
}

export interface WireAddress {
  readonly host?: string;
  readonly port: number;
  /** Folder of a Unix socket; used instead of host. */
  readonly socketFolder?: string;
}

const answerDeadlineMs = 15_000;

/** One message: type, length, body. Strings end with a zero byte. */
export function message(type: string, ...parts: (string | number | Uint8Array)[]): Buffer {
  const body = Buffer.concat(parts.map(bytesOf));
  const head = Buffer.alloc(5);
  head.write(type, 0, "latin1");
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

export function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
}

export function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

/** The first message of a connection; it has no type. */
export function startupMessage(parameters: Readonly<Record<string, string>>, version = 3 << 16): Buffer {
  const pairs = Object.entries(parameters).flatMap(([key, value]) => [bytesOf(key), bytesOf(value)]);
  const body = Buffer.concat([int32(version), ...pairs, Buffer.from([0])]);
  return Buffer.concat([int32(body.length + 4), body]);
}

export const query = (sql: string): Buffer => message("Q", sql);
export const parse = (name: string, sql: string, types: readonly number[] = []): Buffer =>
  message("P", name, sql, int16(types.length), ...types.map(int32));
export const bind = (portal: string, name: string, values: readonly (string | null)[] = []): Buffer => {
  const parts = values.flatMap((value) => {
    const bytes = Buffer.from(value ?? "");
    return value === null ? [int32(-1)] : [int32(bytes.length), bytes];
  });
  return message("B", portal, name, int16(0), int16(values.length), ...parts, int16(0));
};
export const describePortal = (name: string): Buffer => message("D", Buffer.from("P"), name);
export const describeStatement = (name: string): Buffer => message("D", Buffer.from("S"), name);
export const execute = (portal: string, rowsMax = 0): Buffer => message("E", portal, int32(rowsMax));
export const closeStatement = (name: string): Buffer => message("C", Buffer.from("S"), name);
export const sync = (): Buffer => message("S");
export const flush = (): Buffer => message("H");
export const terminate = (): Buffer => message("X");

/** Fields of an ErrorResponse or NoticeResponse by their letter: S severity, C code, M message, D detail, H hint. */
export function errorFields(body: Buffer): Record<string, string> {
  const fields: Record<string, string> = {};
  for (const field of body.toString("utf8").split("\0")) if (field !== "") fields[field[0]!] = field.slice(1);
  return fields;
}

/** Columns of a DataRow as text. */
export function columns(body: Buffer): (string | null)[] {
  const values: (string | null)[] = [];
  let at = 2;
  for (let column = body.readInt16BE(0); column > 0; column -= 1) {
    const length = body.readInt32BE(at);
    at += 4;
    values.push(length < 0 ? null : body.toString("utf8", at, at + length));
    at += Math.max(length, 0);
  }
  return values;
}

export class WireClient {
  readonly socket: Socket;
  /** BackendKeyData of the login: process id and secret key. */
  key: { readonly pid: number; readonly secret: Buffer } | null = null;
  readonly parameters = new Map<string, string>();
  #received: Buffer = Buffer.alloc(0);
  #ended = false;
  #wake: () => void = () => undefined;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on("data", (chunk: Buffer) => {
      this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
      this.#wake();
    });
    const end = (): void => {
      this.#ended = true;
      this.#wake();
    };
    socket.on("end", end);
    socket.on("close", end);
    // A reset is one of the ends that tests look for; `next()` reports it as one.
    socket.on("error", end);
  }

  /** A connection on which nothing was sent yet. */
  static open(address: WireAddress): Promise<WireClient> {
    const socket =
      address.socketFolder === undefined
        ? connect({ host: address.host ?? "127.0.0.1", port: address.port })
        : connect({ path: `${address.socketFolder}/.s.PGSQL.${address.port}` });
    return new Promise((resolve, reject) => {
      socket.once("error", reject);
      socket.once("connect", () => {
        socket.off("error", reject);
        resolve(new WireClient(socket));
      });
    });
  }

  /** A connection that has logged in without a password. Rejects with the server's error. */
  static async login(address: WireAddress, parameters: Readonly<Record<string, string>>): Promise<WireClient> {
    const client = await WireClient.open(address);
    client.send(startupMessage(parameters));
    for (const { type, body } of await client.until("Z", "E")) {
      if (type === "E") throw new Error(`login refused: ${JSON.stringify(errorFields(body))}`);
      if (type === "K") client.key = { pid: body.readInt32BE(0), secret: body.subarray(4) };
      if (type === "S") {
        const [name, value] = body.toString("utf8").split("\0");
        client.parameters.set(name!, value!);
      }
    }
    return client;
  }

  send(...messages: Uint8Array[]): void {
    this.socket.write(Buffer.concat(messages));
  }

  /** The next message; null when the other side has closed. Rejects when nothing comes in 15 s. */
  async next(): Promise<WireMessage | null> {
    for (;;) {
      const message = this.#take();
      if (message !== null) return message;
      if (this.#ended) return null;
      await this.#more();
    }
  }

  /** Messages up to and including the first of one of `types`. Rejects when the connection ends before. */
  async until(...types: string[]): Promise<WireMessage[]> {
    const messages: WireMessage[] = [];
    for (;;) {
      const message = await this.next();
      if (message === null) {
        const seen = messages.map(({ type }) => type).join("");
        throw new Error(`the connection ended before ${types.join(" or ")}; received: ${seen}`);
      }
      messages.push(message);
      if (types.includes(message.type)) return messages;
    }
  }

  /** All messages until the other side closes. */
  async rest(): Promise<WireMessage[]> {
    const messages: WireMessage[] = [];
    for (;;) {
      const message = await this.next();
      if (message === null) return messages;
      messages.push(message);
    }
  }

  /** Received bytes that are no typed message, such as the answer to SSLRequest. */
  async raw(length: number): Promise<Buffer> {
    while (this.#received.length < length) {
      if (this.#ended) throw new Error("the connection ended");
      await this.#more();
    }
    const bytes = this.#received.subarray(0, length);
    this.#received = this.#received.subarray(length);
    return bytes;
  }

  /** Says goodbye and closes. */
  end(): void {
    this.socket.end(terminate());
  }

  /** Closes without a word. */
  destroy(): void {
    this.socket.destroy();
  }

  #take(): WireMessage | null {
    if (this.#received.length < 5) return null;
    const length = this.#received.readInt32BE(1);
    if (this.#received.length < length + 1) return null;
    const message = { type: String.fromCharCode(this.#received[0]!), body: this.#received.subarray(5, length + 1) };
    this.#received = this.#received.subarray(length + 1);
    return message;
  }

  #more(): Promise<void> {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => {
        this.#wake = () => undefined;
        reject(new Error(`no answer within ${answerDeadlineMs} ms`));
      }, answerDeadlineMs);
      this.#wake = () => {
        clearTimeout(late);
        this.#wake = () => undefined;
        resolve();
      };
    });
  }
}

/** The types of messages as one string, for comparing whole dialogues: `1 2 T D C Z` is `12TDCZ`. */
export function types(messages: readonly WireMessage[]): string {
  return messages.map(({ type }) => type).join("");
}

function bytesOf(part: string | number | Uint8Array): Uint8Array {
  if (typeof part === "string") return Buffer.from(`${part}\0`, "utf8");
  return typeof part === "number" ? Buffer.from([part]) : part;
}
