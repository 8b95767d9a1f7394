/**
 * From an accepted socket to a client that may ask for servers: encryption requests, startup packet, limits, password
 * dialogue.
 *
 *   ─▶ 0x16 ─────────────▶ TLS ──┐
 *   ─▶ SSLRequest ─S─────▶ TLS ──┤
 *   ─▶ SSLRequest ─N─┐           │
 *   ─▶ GSSENCRequest N ▶─────────┴▶ startup ─▶ who? may it? ─▶ password dialogue ─▶ pool (waits for its welcome)
 *   ─▶ CancelRequest ─▶ forwarded, and closed when that is done
 *
 * One packet or message is dealt with at a time; what comes behind it waits in `#early` or in the client's framer.
 *
 * Counterpart: PgBouncer's `handle_client_startup`, `decide_startup_pool`, `finish_client_login`.
 */
import { hostname } from "node:os";
import type { ScramKeys } from "../auth/scram-keys.ts";
import type { ClientLoginStep } from "../auth/client-login.ts";
import { AuthMethod, ClientLogin } from "../auth/client-login.ts";
import { CONSOLE_DATABASE } from "../config/database-entry.ts";
import { AuthType, SslMode } from "../config/setting-words.ts";
import { USER_NAME_BYTES_MAX } from "../config/user-entry.ts";
import type { TlsPeer } from "../net/transport.ts";
import { authenticationRequest, negotiateProtocolVersion } from "../protocol/backend-messages.ts";
import type { ErrorToSend } from "../protocol/error-messages.ts";
import { Frontend } from "../protocol/message-type.ts";
import type { AuthenticationCode } from "../protocol/message-type.ts";
import { parseOptions } from "../protocol/options.ts";
import type { CancelRequest, StartupRequest } from "../protocol/startup.ts";
import { PROTOCOL_3_0, extensionNames, readStartupPacket } from "../protocol/startup.ts";
import { CancelForward } from "./cancel-forward.ts";
import type { Client } from "./client.ts";
import type { Console } from "./console.ts";
import type { Database } from "./database.ts";
import { PoolerErrors, poolerError } from "./pooler-error.ts";
import type { ServerPool } from "./server-pool.ts";
import type { User } from "./user.ts";

/** A password message may be this long: the longest password, and its framing. */
const LOGIN_MESSAGE_BYTES_MAX = 66 * 1024;

const TLS_HANDSHAKE = 0x16;
const ANSWER_YES = Uint8Array.of(0x53);
const ANSWER_NO = Uint8Array.of(0x4e);
const NO_BYTES = new Uint8Array(0);

const Phase = {
  /** Packets without a type byte. */
  packets: "packets",
  /** The TLS handshake runs. */
  handshake: "handshake",
  /** Password messages. */
  dialogue: "dialogue",
  /** A step of the dialogue is being computed, or a cancel request is on its way. */
  working: "working",
  /** Authenticated; the pool has no welcome yet. */
  greeting: "greeting",
} as const;
type Phase = (typeof Phase)[keyof typeof Phase];

export class ClientStartup {
  readonly #client: Client;
  readonly #isUnixSocket: boolean;
  /** "unix(4711):6432", for log lines. */
  readonly unixSource: string;
  #phase: Phase = Phase.packets;
  #early: Uint8Array = NO_BYTES;
  #secure = false;
  #login: ClientLogin | null = null;
  #database: Database | null = null;
  #console: Console | null = null;
  #cancel: CancelForward | null = null;
  #replication = "no";

  constructor(client: Client, isUnixSocket: boolean, listenPort: number) {
    this.#client = client;
    this.#isUnixSocket = isUnixSocket;
    if (isUnixSocket) {
      const peer = client.engine.world.peerCredentials(client.connection.fd);
      this.unixSource = peer === null ? `unix:${listenPort}` : `unix(${peer.pid}):${listenPort}`;
    } else {
      this.unixSource = "";
    }
  }

  get isUnixSocket(): boolean {
    return this.#isUnixSocket;
  }

  /** It waits for the first login of its pool. */
  get isGreeting(): boolean {
    return this.#phase === Phase.greeting;
  }

  /** It carries a cancel request. */
  get isCanceling(): boolean {
    return this.#cancel !== null;
  }

  get isCancelSent(): boolean {
    return this.#cancel !== null && this.#cancel.isSent;
  }

  /** Whose server the cancel request is for; null for a client that carries none. */
  get cancelPool(): ServerPool | null {
    return this.#cancel === null ? null : this.#cancel.pool;
  }

  /** What a connection that ends now is logged with; null: not at all, as it may be a health probe or a change of mind. */
  closeReason(error: (Error & { code?: string }) | null): string | null {
    if (this.#phase === Phase.handshake && error !== null) return `TLS handshake error: ${error.message}`;
    const stopsMidMessage = this.#early.length > 0 || this.#client.framer.pending > 0;
    return stopsMidMessage ? "client unexpected eof" : null;
  }

  receive(bytes: Uint8Array): void {
    if (this.#phase === Phase.packets) {
      this.#early = this.#early.length === 0 ? bytes : Buffer.concat([this.#early, bytes]);
      this.#readPackets();
      return;
    }
    if (this.#cancel !== null) return;
    this.#client.framer.push(bytes);
    if (this.#client.framer.pending > LOGIN_MESSAGE_BYTES_MAX) {
      this.#client.fail(poolerError(PoolerErrors.badHeader, "login message too long"));
      return;
    }
    this.#readMessages();
  }

  secured(peer: TlsPeer): void {
    const { settings } = this.#client.engine;
    const strict = settings.clientTlsSslmode === SslMode.verifyCa || settings.clientTlsSslmode === SslMode.verifyFull;
    const problem = peer.certificate === null ? (strict ? "peer did not return a certificate" : null) : peer.chainError;
    if (problem !== null && (strict || settings.clientTlsCaFile !== "")) {
      this.#client.engine.log.warning(`${this.#client} TLS handshake error: certificate verify failed: ${problem}`);
      this.#client.close(`TLS handshake error: certificate verify failed: ${problem}`);
      return;
    }
    this.#secure = true;
    this.#phase = Phase.packets;
  }

  // ── Packets without a type byte ─────────────────────────────────────────────────────────────────────────────────

  #readPackets(): void {
    const client = this.#client;
    const tls = this.#isUnixSocket || this.#secure ? null : client.engine.tls.client();
    if (tls !== null && this.#early[0] === TLS_HANDSHAKE) {
      const early = this.#early;
      this.#early = NO_BYTES;
      this.#phase = Phase.handshake;
      client.connection.startTls("server", tls, early);
      return;
    }
    const packet = readStartupPacket(this.#early, 0, this.#early.length);
    switch (packet.kind) {
      case "incomplete":
        return;
      case "refused":
        if (packet.silent) client.close(packet.reason);
        else client.fail(poolerError(PoolerErrors.startup, packet.reason));
        return;
      case "ssl":
      case "gssenc":
        if (this.#early.length > packet.size) {
          const what = packet.kind === "ssl" ? "SSL request" : "GSSAPI encryption request";
          client.fail(poolerError(PoolerErrors.earlyData, what));
        } else if (this.#secure) {
          client.close(`${packet.kind} request inside TLS`);
        } else {
          this.#early = NO_BYTES;
          this.#answerEncryptionRequest(packet.kind === "ssl" ? tls : null);
        }
        return;
      case "cancel":
        this.#forwardCancel(packet);
        return;
      case "startup": {
        // Password messages of a client that does not wait for our questions, or its first query under trust.
        if (this.#early.length > packet.size) client.framer.push(this.#early.subarray(packet.size));
        this.#early = NO_BYTES;
        this.#begin(packet);
        return;
      }
    }
  }

  #answerEncryptionRequest(tls: ReturnType<Client["engine"]["tls"]["client"]>): void {
    const { connection } = this.#client;
    // At once and not through the outbox: the handshake takes the socket over.
    connection.write(tls === null ? ANSWER_NO : ANSWER_YES);
    if (tls === null) return;
    this.#phase = Phase.handshake;
    connection.startTls("server", tls);
  }

  #forwardCancel(request: CancelRequest): void {
    const client = this.#client;
    const target = client.engine.directory.byCancelKey(request.processId, request.secret);
    if (target === null) {
      client.close("failed cancel request: no such client");
      return;
    }
    if (target.console !== null) {
      target.console.cancel(target);
      client.close("cancel request for console client");
      return;
    }
    const server = target.server;
    if (server === null || target.isSettingParameters) {
      client.close("cancel request for idle client");
      return;
    }
    this.#phase = Phase.working;
    this.#cancel = new CancelForward(server, (outcome) => client.close(outcome));
  }

  /** The client is closing. */
  abandon(): void {
    this.#cancel?.abandoned();
  }

  // ── The startup packet ──────────────────────────────────────────────────────────────────────────────────────────

  #begin(packet: StartupRequest): void {
    const client = this.#client;
    const { engine } = client;
    const tcpWithoutTls = !this.#isUnixSocket && !this.#secure;
    if (tcpWithoutTls && demandsTls(engine.settings.clientTlsSslmode)) {
      client.fail(poolerError(PoolerErrors.sslRequired));
      return;
    }
    const userName = packet.parameters.get("user") ?? "";
    if (userName === "") {
      client.fail(poolerError(PoolerErrors.noUser));
      return;
    }
    client.userName = userName;
    client.databaseName = packet.parameters.get("database") || userName;
    const refusal = this.#takeParameters(packet.parameters);
    if (refusal !== null) {
      client.fail(refusal);
      return;
    }
    if (Buffer.byteLength(userName) > USER_NAME_BYTES_MAX) {
      client.fail(poolerError(PoolerErrors.usernameTooLong));
      return;
    }
    const extensions = extensionNames(packet.parameters);
    if (packet.version > PROTOCOL_3_0 || extensions.length > 0) {
      client.send(negotiateProtocolVersion(PROTOCOL_3_0, extensions));
    }
    if (client.databaseName === CONSOLE_DATABASE) this.#beginConsole(userName);
    else this.#beginDatabase(client.databaseName, userName);
  }

  /** Keeps what is tracked; says what is not allowed. */
  #takeParameters(parameters: ReadonlyMap<string, string>): ErrorToSend | null {
    const client = this.#client;
    const { settings, parameters: tracked } = client.engine;
    const ignored = settings.ignoreStartupParameters;
    for (const [name, value] of parameters) {
      if (name === "user" || name === "database" || name.startsWith("_pq_.")) continue;
      if (name === "replication") {
        this.#replication =
          value === "database" ? "database" : ["true", "on", "yes", "1"].includes(value) ? "yes" : "no";
        if (this.#replication !== "no") return poolerError(PoolerErrors.replication);
        continue;
      }
      if (name === "options") {
        const refusal = this.#takeOptions(value);
        if (refusal !== null) return refusal;
        continue;
      }
      const index = tracked.indexOf(name);
      if (index >= 0) client.parameters = tracked.with(client.parameters, index, value);
      else if (!ignored.has(name)) return poolerError(PoolerErrors.unsupportedParameter, name);
    }
    return this.#addHost();
  }

  #takeOptions(options: string): ErrorToSend | null {
    const client = this.#client;
    const { settings, parameters: tracked } = client.engine;
    const ignored = settings.ignoreStartupParameters;
    const { settings: pairs, error } = parseOptions(options);
    if (ignored.has("options") && error !== null) return null;
    for (const [name, value] of pairs) {
      const index = tracked.indexOf(name);
      if (index >= 0) client.parameters = tracked.with(client.parameters, index, value);
      else if (!ignored.has(name) && !ignored.has("options")) return poolerError(PoolerErrors.unsupportedOption, name);
    }
    return error === null ? null : poolerError(PoolerErrors.unsupportedOptions);
  }

  /** `application_name_add_host`: where the client is, for whoever looks at pg_stat_activity. */
  #addHost(): null {
    const client = this.#client;
    const { settings, parameters: tracked } = client.engine;
    if (!settings.applicationNameAddHost) return null;
    const index = tracked.indexOf("application_name");
    const name = client.parameters[index] ?? "app";
    // Behind a Unix socket everybody is on this host; the name tells several poolers' clients apart.
    const source = this.#isUnixSocket ? client.source.replace(")", `@${hostname()})`) : client.source;
    client.parameters = tracked.with(client.parameters, index, `${name} - ${source}`);
    return null;
  }

  #beginDatabase(databaseName: string, userName: string): void {
    const client = this.#client;
    const { directory } = client.engine;
    const database = directory.findDatabase(databaseName);
    const user = directory.findUser(userName);
    const refusal = directory.admit(client, database, user);
    if (refusal !== null) {
      client.fail(refusal);
      return;
    }
    this.#database = database;
    client.user = user;
    this.#authenticate(userName, user, (database?.entry.user ?? null) !== null);
  }

  #beginConsole(userName: string): void {
    const client = this.#client;
    const access = client.engine.directory.consoleFor(client, userName);
    if (!access.allowed) {
      // A user that nobody knows learns nothing from the answer.
      if (access.error === null) this.#authenticate(userName, null, false);
      else client.fail(access.error);
      return;
    }
    this.#console = access.console;
    client.user = access.user;
    if (access.trusted) {
      this.#succeed(null);
      return;
    }
    this.#authenticate(userName, access.user, true);
  }

  // ── The password dialogue ───────────────────────────────────────────────────────────────────────────────────────

  #authenticate(userName: string, user: User | null, hasForcedUser: boolean): void {
    const client = this.#client;
    const { engine } = client;
    const { log, settings, secrets, world } = engine;
    const tls = client.tls === "" ? "no" : client.tls;
    if (settings.logConnections) {
      log.log(
        `${client} login attempt: db=${client.databaseName} user=${userName} tls=${tls} replication=${this.#replication}`,
      );
    }
    const method = authMethod(settings.authType);
    if (method === null) {
      log.error(`${client} auth_type=${settings.authType} is not supported`);
      client.fail(poolerError(PoolerErrors.configError));
      return;
    }
    if (user === null && method !== AuthMethod.any) log.log(`${client} no such user: ${userName}`);
    this.#login = new ClientLogin({
      crypto: world.crypto,
      method,
      user: userName,
      secret: user?.secret ?? null,
      hasForcedUser,
      scramIterations: settings.scramIterations,
      verifiers: secrets.verifiers,
      mockSecret: secrets.mock,
    });
    this.#phase = Phase.dialogue;
    this.#follow(this.#login.start());
  }

  #readMessages(): void {
    const client = this.#client;
    const { framer } = client;
    if (this.#phase !== Phase.dialogue) return;
    if (framer.pending > 0 && framer.buf[framer.at] === 0) {
      // It has no type byte, so what looks like its length is none.
      client.fail(poolerError(PoolerErrors.resentStartup));
      return;
    }
    while (this.#phase === Phase.dialogue && !client.isClosed && framer.next(LOGIN_MESSAGE_BYTES_MAX)) {
      if (framer.type !== Frontend.Password) {
        if (framer.type === Frontend.Terminate) client.close("client close request");
        else client.fail(poolerError(PoolerErrors.unknownPacket));
        return;
      }
      if (!framer.whole) {
        framer.hold();
        continue;
      }
      const body = framer.buf.subarray(framer.at + 5, framer.at + framer.size);
      framer.advance();
      const step = this.#login?.receive(body);
      if (step instanceof Promise) this.#wait(step);
      else if (step !== undefined) this.#follow(step);
    }
    if (framer.broken && !client.isClosed) client.fail(poolerError(PoolerErrors.badHeader, "login message"));
  }

  #wait(step: Promise<ClientLoginStep>): void {
    this.#phase = Phase.working;
    void step.then((computed) => {
      if (this.#client.isClosed) return;
      this.#phase = Phase.dialogue;
      this.#follow(computed);
      this.#readMessages();
    });
  }

  #follow(step: ClientLoginStep): void {
    const client = this.#client;
    switch (step.kind) {
      case "ask":
        client.send(authenticationRequest(step.request.code as AuthenticationCode, step.request.payload));
        return;
      case "fail":
        if (step.log !== null) client.engine.log.log(`${client} ${step.log}`);
        if (client.engine.settings.logConnections) {
          client.engine.log.log(`${client} login failed: db=${client.databaseName} user=${client.userName}`);
        }
        client.fail(poolerError(PoolerErrors.authentication, step.message));
        return;
      case "ok":
        if (step.request !== null) {
          client.send(authenticationRequest(step.request.code as AuthenticationCode, step.request.payload));
        }
        this.#succeed(step.scramKeys);
        return;
    }
  }

  #succeed(scramKeys: ScramKeys | null): void {
    const client = this.#client;
    const { directory } = client.engine;
    this.#login = null;
    this.#phase = Phase.greeting;
    const closed = directory.closedFor(client);
    if (closed !== null) {
      client.fail(closed);
      return;
    }
    if (this.#console !== null) {
      client.enterConsole(this.#console);
      return;
    }
    const database = this.#database;
    if (database === null) {
      client.fail(poolerError(PoolerErrors.noSuchDatabase, client.databaseName ?? ""));
      return;
    }
    if (database.disabled) {
      client.fail(poolerError(PoolerErrors.databaseDisabled, database.name));
      return;
    }
    const forced = database.entry.user;
    if (scramKeys !== null && client.user !== null && forced === null) client.user.scramKeys = scramKeys;
    const poolUser = forced === null ? client.user : directory.findUser(forced);
    if (poolUser === null) {
      client.fail(poolerError(PoolerErrors.configError));
      return;
    }
    client.enter(directory.poolFor(database, poolUser));
  }
}

function demandsTls(mode: SslMode): boolean {
  return mode === SslMode.require || mode === SslMode.verifyCa || mode === SslMode.verifyFull;
}

/** Null for the methods that this build has not. */
function authMethod(type: AuthType): AuthMethod | null {
  switch (type) {
    case AuthType.any:
      return AuthMethod.any;
    case AuthType.trust:
      return AuthMethod.trust;
    case AuthType.plain:
      return AuthMethod.plain;
    case AuthType.md5:
      return AuthMethod.md5;
    case AuthType.scramSha256:
      return AuthMethod.scram;
    default:
      return null;
  }
}
