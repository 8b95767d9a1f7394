/**
 * From an open socket to the first ReadyForQuery of a server: TLS, startup packet, password dialogue, parameters, key.
 *
 *    open ─▶ SSLRequest ─S─▶ TLS ─▶ startup ─▶ R … R(ok) ─▶ S* K ─▶ Z
 *                        └─N─▶ (plain, where sslmode allows it) ─┘
 *
 * Counterpart: PgBouncer's `handle_server_startup` and `handle_sslchar`.
 */
import { ServerLogin } from "../auth/server-login.ts";
import type { ServerLoginStep } from "../auth/server-login.ts";
import { StoredSecret } from "../auth/stored-secret.ts";
import { SslMode } from "../config/setting-words.ts";
import type { TlsPeer } from "../net/transport.ts";
import { verifyPeerName } from "../net/tls-peer-name.ts";
import { decodeText } from "../protocol/byte-text.ts";
import type { ErrorFields } from "../protocol/error-fields.ts";
import { readErrorFields } from "../protocol/error-fields.ts";
import { Frontend, Backend } from "../protocol/message-type.ts";
import { SSL_REQUEST, startupMessage } from "../protocol/startup-messages.ts";
import { MessageWriter } from "../protocol/writer.ts";
import type { Server } from "./server.ts";

/** No message of a login is longer. PostgreSQL's own limit for a startup packet is 10,000 bytes. */
const LOGIN_MESSAGE_BYTES_MAX = 256 * 1024;

/** All that a server reports of itself at its login, together. Real ones say less than a thousand bytes; it is kept. */
const PARAMETER_BYTES_MAX = 1024 * 1024;

const PROTOCOL_VERSION = 0x30000;
const AFTER_AUTHENTICATION: ReadonlySet<number> = new Set([
  Backend.ParameterStatus,
  Backend.BackendKeyData,
  Backend.ReadyForQuery,
]);
const LETTER_S = 0x53;
const LETTER_N = 0x4e;

export class ServerStartup {
  readonly #server: Server;
  #login: ServerLogin | null = null;
  #awaitsSslAnswer = false;
  /** A step of the password dialogue is being computed. */
  #deriving = false;
  /** AuthenticationOk has come; before it the server may say nothing but what the dialogue asks for. */
  #authenticated = false;
  /** What the server reports, in its order: the pool's welcome is made of it. */
  readonly parameters = new Map<string, string>();
  #parameterBytes = 0;
  keyProcessId = 0;
  keySecret: Uint8Array = new Uint8Array(0);

  constructor(server: Server) {
    this.#server = server;
  }

  /** The socket is open. */
  begin(): void {
    const server = this.#server;
    if (server.usesTls) {
      this.#awaitsSslAnswer = true;
      server.send(SSL_REQUEST);
    } else {
      this.#sendStartup();
    }
  }

  receive(bytes: Uint8Array): void {
    const server = this.#server;
    if (this.#awaitsSslAnswer) {
      this.#awaitsSslAnswer = false;
      this.#sslAnswered(bytes);
      return;
    }
    server.framer.push(bytes);
    this.#readMessages();
  }

  secured(peer: TlsPeer): void {
    const server = this.#server;
    const problem = this.#judge(peer);
    if (problem !== null) {
      server.engine.log.warning(`${server} TLS handshake error: certificate verify failed: ${problem}`);
      server.connectFailed("connect failed");
      return;
    }
    this.#sendStartup();
  }

  #judge(peer: TlsPeer): string | null {
    const mode = this.#server.engine.tls.serverMode;
    if (mode !== SslMode.verifyCa && mode !== SslMode.verifyFull) return null;
    if (peer.certificate === null) return "the server sent no certificate";
    if (peer.chainError !== null) return peer.chainError;
    if (mode === SslMode.verifyFull) return verifyPeerName(peer.certificate, this.#server.hostName);
    return null;
  }

  #sslAnswered(bytes: Uint8Array): void {
    const server = this.#server;
    const mode = server.engine.tls.serverMode;
    if (bytes[0] === LETTER_S) {
      if (bytes.length > 1) {
        server.engine.log.error(`${server} received unencrypted data after SSL response`);
        server.connectFailed("bad sslreq answer");
      } else {
        server.startTls();
      }
    } else if (bytes[0] !== LETTER_N || bytes.length > 1) {
      server.connectFailed("bad sslreq answer");
    } else if (mode === SslMode.allow || mode === SslMode.prefer) {
      this.#sendStartup();
    } else {
      server.connectFailed("server refused SSL");
    }
  }

  #sendStartup(): void {
    const server = this.#server;
    const { database, user } = server.pool;
    const { dbname, startupParameters } = database.entry;
    const own = server.dedication?.startupParameters() ?? [];
    server.send(
      startupMessage([["user", user.name], ["database", dbname], ...startupParameters, ...own], PROTOCOL_VERSION),
    );
  }

  #readMessages(): void {
    const server = this.#server;
    const framer = server.framer;
    while (!this.#deriving && !server.isClosed && server.startup === this && framer.next(LOGIN_MESSAGE_BYTES_MAX)) {
      if (!framer.whole) {
        framer.hold();
        return;
      }
      const memory = framer.buf;
      const at = framer.at;
      framer.advance();
      this.#receiveMessage(framer.type, memory, at, framer.size);
    }
    if (framer.broken) server.connectFailed("bad packet header");
  }

  #receiveMessage(type: number, memory: Uint8Array, at: number, size: number): void {
    const server = this.#server;
    const body = memory.subarray(at + 5, at + size);
    if (!this.#authenticated && AFTER_AUTHENTICATION.has(type)) {
      // It has not proved who it is: what it says of itself counts for nothing, least of all that it is ready.
      this.#refuseMessage(type);
      return;
    }
    switch (type) {
      case Backend.Authentication:
        this.#authenticate(body);
        return;
      case Backend.ParameterStatus: {
        this.#parameterBytes += body.length;
        if (this.#parameterBytes > PARAMETER_BYTES_MAX) {
          server.engine.log.error(`${server} too many parameters from server`);
          server.connectFailed("too many parameters from server");
          return;
        }
        const [name, value] = decodeText(body, 0, body.length).split("\0");
        if (name !== undefined && value !== undefined) this.parameters.set(name, value);
        return;
      }
      case Backend.BackendKeyData:
        if (body.length < 8) {
          this.#refuseMessage(type);
          return;
        }
        this.keyProcessId = new DataView(body.buffer, body.byteOffset).getUint32(0);
        // A copy: a view would keep the whole chunk alive.
        this.keySecret = new Uint8Array(body.subarray(4));
        return;
      case Backend.ReadyForQuery:
        if (body.length === 1) server.loggedIn(body[0] as number);
        else this.#refuseMessage(type);
        return;
      case Backend.ErrorResponse:
        this.#refused(readErrorFields(memory, at, size));
        return;
      case Backend.NoticeResponse:
        return;
      default:
        this.#refuseMessage(type);
    }
  }

  #refuseMessage(type: number): void {
    const server = this.#server;
    server.engine.log.error(`${server} unknown pkt from server: '${String.fromCharCode(type)}'`);
    server.connectFailed("unknown pkt from server");
  }

  #refused(error: ErrorFields): void {
    const server = this.#server;
    if (server.dedication !== null) {
      server.dedication.refusedBy(server, error);
      return;
    }
    const severity = error.severity ?? "FATAL";
    const message = error.message ?? "server login failed";
    server.engine.log.warning(`server login failed: ${severity} ${message}`);
    server.loginFailed(message, { severity: "FATAL", code: error.code ?? "08P01", message });
  }

  #authenticate(body: Uint8Array): void {
    const server = this.#server;
    if (body.length < 4) {
      server.connectFailed("unknown pkt from server");
      return;
    }
    const code = new DataView(body.buffer, body.byteOffset).getUint32(0);
    this.#login ??= this.#newLogin();
    const step = this.#login.receive(code, body.subarray(4));
    if (step instanceof Promise) {
      this.#deriving = true;
      void step.then((derived) => {
        this.#deriving = false;
        if (server.isClosed) return;
        this.#follow(derived);
        this.#readMessages();
      });
    } else {
      this.#follow(step);
    }
  }

  #newLogin(): ServerLogin {
    const { engine, pool } = this.#server;
    const password = pool.database.entry.password;
    const { secret, scramKeys } = pool.database.credentials.get(pool.user.name) ?? pool.user;
    return new ServerLogin({
      crypto: engine.world.crypto,
      user: pool.user.name,
      secret: password !== null ? new StoredSecret(password.reveal()) : secret,
      scramKeys,
      keyCache: engine.secrets.scramKeys,
    });
  }

  #follow(step: ServerLoginStep): void {
    const server = this.#server;
    switch (step.kind) {
      case "send":
        server.send(new MessageWriter().message(Frontend.Password).bytes(step.body).end().finish());
        return;
      case "fail":
        server.engine.log.warning(`${server} ${step.log}`);
        if (step.clientMessage === null) server.connectFailed("failed to answer authreq");
        else
          server.loginFailed("failed to answer authreq", {
            severity: "FATAL",
            code: "08P01",
            message: step.clientMessage,
          });
        return;
      case "ok":
        this.#authenticated = true;
        return;
      case "wait":
        return;
    }
  }
}
