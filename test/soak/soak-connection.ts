/**
 * One connection of the soak: sends units (what ends with one ReadyForQuery), and gathers for each the whole answer, in
 * the order in which they were asked.
 *
 * It is strict where a driver is lenient: a message that nobody asked for, or a byte behind the last answer, is a fault.
 * It knows nothing of what the answers should be. Written without the engine's own reader, so that a misunderstanding
 * in that does not hide itself; the words come from test/support/wire-client.ts.
 */
import { connect, type Socket } from "node:net";
import { columns, errorFields, int32, startupMessage, terminate } from "../support/wire-client.ts";
import { LostConnection } from "./lost-connection.ts";
import { WrongAnswer } from "./wrong-answer.ts";

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** Everything that came up to and including one ReadyForQuery. */
export interface Answer {
  readonly rows: (string | null)[][];
  /** Errors of severity ERROR: those that leave the connection usable. */
  readonly errors: Record<string, string>[];
  readonly notices: string[];
  readonly tags: string[];
  /** CopyData, one piece a message. */
  readonly copied: Buffer[];
  /** Message types in their order, without ParameterStatus and notices; a run of rows is one letter. */
  types: string;
  /** Of ReadyForQuery: I, T or E. */
  status: string;
}

/** Who wants to see an answer while it comes. */
export interface AnswerTaps {
  /** Takes rows instead of `rows`; the body is valid during the call only. */
  onRow?(body: Buffer): void;
  /** Called with the type of each message once it has been counted in. */
  onMessage?(type: string): void;
}

interface Pending {
  readonly answer: Answer;
  readonly taps: AnswerTaps;
  resolve(answer: Answer): void;
  reject(error: Error): void;
}

const headBytes = 5;
const cancelRequestCode = 80_877_102;
const noTaps: AnswerTaps = {};

export class SoakConnection {
  readonly socket: Socket;
  readonly parameters = new Map<string, string>();
  readonly #address: Address;
  #localPort = 0;
  /** BackendKeyData's body: what a cancel request carries. */
  #key: Buffer = Buffer.alloc(0);
  readonly #pending: Pending[] = [];
  /** Received and not yet parsed: whole chunks, joined only when a message in them is complete. */
  #chunks: Buffer[] = [];
  #chunksBytes = 0;
  #neededBytes = headBytes;
  #farewell: Record<string, string> | null = null;
  #isOurs = false;
  #end: Error | null = null;
  /** Of what is sent next only this part leaves, and then we do. */
  #cutAt: number | null = null;

  private constructor(socket: Socket, address: Address) {
    this.socket = socket;
    this.#address = address;
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    // A socket forgets its port when it closes.
    socket.on("connect", () => (this.#localPort = socket.localPort ?? 0));
    socket.on("error", () => undefined);
    socket.on("close", () => this.#fail(new LostConnection(this.#farewell, this.#isOurs)));
  }

  /** Connects and logs in without a password. Rejects with `LostConnection` when it is refused. */
  static async login(address: Address, parameters: Readonly<Record<string, string>>): Promise<SoakConnection> {
    const socket = connect({ host: address.host, port: address.port, noDelay: true });
    const connection = new SoakConnection(socket, address);
    await connection.ask(startupMessage(parameters));
    return connection;
  }

  get isOpen(): boolean {
    return this.#end === null && !this.#isOurs;
  }

  /** The port at this end, by which SHOW CLIENTS knows the connection. */
  get localPort(): number {
    return this.#localPort;
  }

  /** Sends one unit and returns its answer. */
  ask(unit: Uint8Array, taps: AnswerTaps = noTaps): Promise<Answer> {
    const answer = this.expect(taps);
    this.send(unit);
    return answer;
  }

  /** Sends several units in one write and returns their answers. */
  async askAll(units: readonly Uint8Array[]): Promise<Answer[]> {
    const answers = units.map(() => this.expect());
    this.send(Buffer.concat(units));
    return Promise.all(answers);
  }

  /** The next answer that nobody waits for yet, for a unit that is sent in parts. */
  expect(taps: AnswerTaps = noTaps): Promise<Answer> {
    const answer: Answer = { rows: [], errors: [], notices: [], tags: [], copied: [], types: "", status: "" };
    const promise = new Promise<Answer>((resolve, reject) => {
      if (this.#end === null) this.#pending.push({ answer, taps, resolve, reject });
      else reject(this.#end);
    });
    // Of several only the first may be awaited when the connection is lost.
    promise.catch(() => undefined);
    return promise;
  }

  send(bytes: Uint8Array): void {
    if (!this.isOpen) return;
    if (this.#cutAt === null) {
      this.socket.write(bytes);
      return;
    }
    const part = bytes.subarray(0, Math.floor(bytes.length * this.#cutAt));
    this.#isOurs = true;
    this.socket.write(part, () => this.socket.destroy());
  }

  /** Leaves in the middle of what is sent next, behind this part of it (0 to 1). */
  cutNext(part: number): void {
    this.#cutAt = part;
  }

  /** Sends a cancel request for this connection on one of its own; resolves when that has been closed. */
  cancel(): Promise<void> {
    return new Promise((resolve) => {
      const socket = connect({ host: this.#address.host, port: this.#address.port, noDelay: true });
      socket.on("error", () => undefined);
      socket.on("close", () => resolve());
      socket.resume();
      socket.write(Buffer.concat([int32(8 + this.#key.length), int32(cancelRequestCode), this.#key]));
    });
  }

  /** Ends politely, without a word, or by a reset. Safe to call twice. */
  leave(how: "terminate" | "destroy" | "reset"): void {
    this.#isOurs = true;
    if (how === "terminate") this.socket.end(terminate());
    else if (how === "destroy") this.socket.destroy();
    else this.socket.resetAndDestroy();
    // What still comes is read, or a polite end would never be complete.
    this.socket.resume();
  }

  /** Throws when something came that nobody asked for, or half of it. */
  refuseRemains(): void {
    if (this.#end instanceof WrongAnswer) throw this.#end;
    if (this.#chunksBytes > 0) throw new WrongAnswer("behind the last answer", "nothing", `${this.#chunksBytes} bytes`);
  }

  #receive(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#chunksBytes += chunk.length;
    if (this.#chunksBytes < this.#neededBytes) return;
    const data = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks);
    let at = 0;
    this.#neededBytes = headBytes;
    while (data.length - at >= headBytes) {
      const size = 1 + data.readInt32BE(at + 1);
      if (data.length - at < size) {
        this.#neededBytes = size;
        break;
      }
      this.#take(String.fromCharCode(data[at] as number), data.subarray(at + headBytes, at + size));
      at += size;
    }
    this.#chunks = at === data.length ? [] : [data.subarray(at)];
    this.#chunksBytes = data.length - at;
  }

  #take(type: string, body: Buffer): void {
    if (type === "S") {
      const [name, value] = body.toString("utf8").split("\0");
      this.parameters.set(name as string, value as string);
      return;
    }
    const fields = type === "E" ? errorFields(body) : null;
    if (fields !== null && fields["S"] !== "ERROR") {
      this.#farewell = fields;
      return;
    }
    const pending = this.#pending[0];
    if (type === "N") {
      pending?.answer.notices.push(errorFields(body)["M"] ?? "");
      return;
    }
    if (pending === undefined) {
      this.#fail(new WrongAnswer("a message that nobody asked for", "nothing", `${type} ${body.toString("latin1")}`));
      this.socket.destroy();
      return;
    }
    const { answer, taps } = pending;
    if (type !== "D" || !answer.types.endsWith("D")) answer.types += type;
    if (fields !== null) answer.errors.push(fields);
    else if (type === "D" && taps.onRow !== undefined) taps.onRow(body);
    else if (type === "D") answer.rows.push(columns(body));
    else if (type === "d") answer.copied.push(Buffer.from(body));
    else if (type === "C") answer.tags.push(body.toString("utf8", 0, body.length - 1));
    else if (type === "K") this.#key = Buffer.from(body);
    else if (type === "Z") {
      answer.status = body.toString("latin1");
      this.#pending.shift();
      pending.resolve(answer);
    }
    taps.onMessage?.(type);
  }

  #fail(error: Error): void {
    this.#end ??= error;
    for (const { reject } of this.#pending.splice(0)) reject(this.#end);
  }
}
