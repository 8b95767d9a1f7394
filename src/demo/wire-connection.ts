/**
 * A connection of the workload to the pooler: logs in, sends finished messages, and reports rows, errors and the ends of
 * answers. As light as it can be, because some hundred of them run beside the pooler that they are to show: no promise
 * and no object per message, and one read buffer for all connections.
 *
 * Protocol: "Message Flow" in PostgreSQL's documentation. Knows the password dialogues of `auth/`, no TLS, no COPY.
 */
import { connect, type Socket } from "node:net";
import type { ScramKeyCache } from "../auth/scram-key-cache.ts";
import { ServerLogin, type ServerLoginStep } from "../auth/server-login.ts";
import { StoredSecret } from "../auth/stored-secret.ts";
import type { Crypto } from "../net/world.ts";
import { readAuthenticationRequest, readReadyStatus } from "../protocol/backend-readers.ts";
import { readErrorFields } from "../protocol/error-fields.ts";
import { Framer } from "../protocol/framer.ts";
import { saslResponse, TERMINATE } from "../protocol/frontend-messages.ts";
import { Backend, TransactionStatus } from "../protocol/message-type.ts";
import { startupMessage } from "../protocol/startup-messages.ts";

export interface WireLogin {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  readonly applicationName: string;
}

/** What all connections of a workload share. */
export interface WireRoom {
  readonly crypto: Crypto;
  readonly keyCache: ScramKeyCache;
  /** What sockets read into. Its bytes are used up before the next socket reads. */
  readonly readBuffer: Uint8Array;
}

/** Messages lie in `buf[at, at + size)`, header included, during the call only. */
export interface AnswerReceiver {
  onRow(buf: Uint8Array, at: number, size: number): void;
  onError(buf: Uint8Array, at: number, size: number): void;
  /** The answer is complete. */
  onReady(status: TransactionStatus): void;
  /** The connection ended without our wish. Nothing comes after this. */
  onLost(reason: string): void;
}

const protocolVersion = 0x30000;
const messageBytesMax = 1 << 20;
const loginDeadlineMs = 30_000;

export class WireConnection {
  readonly #socket: Socket;
  readonly #framer = new Framer();
  #login: ServerLogin | null;
  #receiver: AnswerReceiver;
  #over = false;

  private constructor(login: WireLogin, room: WireRoom, receiver: AnswerReceiver) {
    const secret = new StoredSecret(login.password);
    const { crypto, keyCache } = room;
    this.#login = new ServerLogin({ crypto, user: login.user, secret, scramKeys: null, keyCache });
    this.#receiver = receiver;
    this.#socket = connect({
      host: login.host,
      port: login.port,
      noDelay: true,
      onread: { buffer: room.readBuffer, callback: (count, buffer) => this.#received(buffer.subarray(0, count)) },
    });
    this.#socket.on("error", (error) => this.#lose(error.message));
    this.#socket.on("close", () => this.#lose("the pooler closed the connection"));
  }

  /** Logs in. Rejects with the error's text when that fails. The caller hands over a receiver before it sends. */
  static open(login: WireLogin, room: WireRoom): Promise<WireConnection> {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => connection.#lose(`no login within ${loginDeadlineMs / 1000} s`), loginDeadlineMs);
      const fail = (reason: string): void => {
        clearTimeout(late);
        connection.destroy();
        reject(new Error(reason));
      };
      const connection = new WireConnection(login, room, {
        onRow: () => fail("a row came before the login had ended"),
        onError: (buf, at, size) => fail(readErrorFields(buf, at, size).message ?? "login refused"),
        onReady: () => {
          clearTimeout(late);
          resolve(connection);
        },
        onLost: fail,
      });
      const parameters = {
        user: login.user,
        database: login.database,
        application_name: login.applicationName,
        client_encoding: "UTF8",
      };
      connection.send(startupMessage(Object.entries(parameters), protocolVersion));
    });
  }

  set receiver(receiver: AnswerReceiver) {
    this.#receiver = receiver;
  }

  /** Complete messages. */
  send(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  /** Says goodbye and closes; the receiver hears nothing more. */
  end(): void {
    this.#over = true;
    this.#socket.end(TERMINATE);
  }

  /** Closes without a word; the receiver hears nothing more. */
  destroy(): void {
    this.#over = true;
    this.#socket.destroy();
  }

  /** True: go on reading. */
  #received(chunk: Uint8Array): boolean {
    const framer = this.#framer;
    framer.push(chunk);
    while (!this.#over && framer.next(messageBytesMax)) {
      if (!framer.whole) {
        framer.hold();
        continue;
      }
      this.#message(framer.type, framer.buf, framer.at, framer.size);
      framer.advance();
    }
    if (framer.broken) this.#lose("an answer has an impossible length");
    return !this.#over;
  }

  #message(type: number, buf: Uint8Array, at: number, size: number): void {
    switch (type) {
      case Backend.DataRow:
        this.#receiver.onRow(buf, at, size);
        return;
      case Backend.ErrorResponse:
        this.#receiver.onError(buf, at, size);
        return;
      case Backend.ReadyForQuery:
        this.#receiver.onReady(readReadyStatus(buf, at, size) ?? TransactionStatus.Failed);
        return;
      case Backend.Authentication:
        this.#authenticate(buf, at, size);
    }
  }

  #authenticate(buf: Uint8Array, at: number, size: number): void {
    const { code, payload } = readAuthenticationRequest(buf, at, size);
    const step = this.#login?.receive(code, payload);
    if (step instanceof Promise) void step.then((later) => this.#takeStep(later));
    else if (step !== undefined) this.#takeStep(step);
  }

  #takeStep(step: ServerLoginStep): void {
    if (step.kind === "send") this.send(saslResponse(step.body));
    else if (step.kind === "fail") this.#lose(step.log);
    else if (step.kind === "ok") this.#login = null;
  }

  #lose(reason: string): void {
    if (this.#over) return;
    this.destroy();
    this.#receiver.onLost(reason);
  }
}
