/**
 * One connection to PostgreSQL: its socket, its pipeline, and what is known of its session.
 *
 * Responsible for: opening and closing, and telling the pipeline's events to whom they concern. Not for: whom it is
 * given to (`pool/`, `server-pool.ts`), the login dialogue (`server-startup.ts`), what the client that holds it sends
 * (`client.ts`).
 *
 * Its state (new, idle, used, tested, active, being_canceled) is its place in the pool's lists and nothing else.
 *
 * Counterpart: PgBouncer's `server.c`.
 */
import type { ServerAddress } from "../config/server-address.ts";
import { PoolMode, SslMode } from "../config/setting-words.ts";
import { isLiteralAddress } from "../net/literal-address.ts";
import { systemErrorText } from "../log/system-error.ts";
import { Outbox } from "../net/outbox.ts";
import type { Connection, ConnectionEvents, TlsPeer, TlsSettings } from "../net/transport.ts";
import type { Timer } from "../net/world.ts";
import type { EntryOwner, PipelineHost } from "../pipeline/pipeline.ts";
import { Pipeline } from "../pipeline/pipeline.ts";
import { Step } from "../pipeline/step.ts";
import type { PoolServer } from "../pool/pool-host.ts";
import type { Slot } from "../pool/slot.ts";
import type { ServerState } from "../pool/server-state.ts";
import { Place } from "../pool/state-lists.ts";
import { decodeText } from "../protocol/byte-text.ts";
import type { ErrorToSend } from "../protocol/error-messages.ts";
import { readErrorFields } from "../protocol/error-fields.ts";
import { Framer } from "../protocol/framer.ts";
import { TERMINATE, query } from "../protocol/frontend-messages.ts";
import { DEALLOCATE_ALL, DISCARD_ALL, hasCommandTag, isDdlTag } from "../protocol/command-tag.ts";
import { ServerStatements } from "../state/prepared-statement.ts";
import type { ParameterValues } from "../state/tracked-parameters.ts";
import type { CancelForward } from "./cancel-forward.ts";
import type { Dedication } from "./dedication.ts";
import type { Engine } from "./engine.ts";
import { isFailStop } from "./fail-stop.ts";
import { logClosing, logDefect } from "./log-closing.ts";
import { serverLostError } from "./pooler-error.ts";
import type { ServerDrain } from "./server-drain.ts";
import type { ServerHolder } from "./server-holder.ts";
import { LINGER_MS, socketOptions } from "./socket-options.ts";
import { ServerStartup } from "./server-startup.ts";
import type { Rides } from "./rides.ts";
import type { ServerPool } from "./server-pool.ts";
import { Task } from "./task.ts";

const IDLE = 0x49;
/** SQLSTATE admin_shutdown: pg_terminate_backend, or PostgreSQL goes down (the next attempt is then refused with another). */
const ADMIN_SHUTDOWN = "57P01";
/** PostgreSQL's own limit of a message. */
const MESSAGE_BYTES_MAX = 0x7fffffff;

export class Server implements ConnectionEvents, PipelineHost, PoolServer<Server> {
  readonly id: number;
  readonly engine: Engine;
  readonly pool: ServerPool;
  readonly address: ServerAddress;
  /** Whose own it is, for replication; null for a server that goes from client to client. */
  readonly dedication: Dedication | null;
  readonly place: Place<ServerState, Server> = new Place<ServerState, Server>(this);
  readonly framer = new Framer();
  readonly pipeline = new Pipeline(this);
  readonly statements: ServerStatements;
  outbox: Outbox;
  connection: Connection | null = null;
  /** The literal address it connects, or is connected, to; empty before, and with a Unix socket. */
  connectedTo = "";
  slot: Slot | null = null;
  openedAt = 0;
  usedAt = 0;
  closeNeeded = false;
  dirty = false;
  /** An administrator has ended it while it logged in. */
  loginInterrupted = false;
  /** The login dialogue; null once it is over. */
  startup: ServerStartup | null;
  /** Which unnamed statement it holds (`StatementStore.nextUnnamed`); 0: none was parsed, −1: not known. */
  unnamed = 0;
  /** Status of the last ReadyForQuery. */
  status = IDLE;
  /** The tracked parameters as the server reported them. */
  parameters: ParameterValues;
  /** What a cancel request to it must carry. */
  keyProcessId = 0;
  keySecret: Uint8Array = new Uint8Array(0);
  /** Who holds it. */
  holder: ServerHolder | null = null;
  /** Who rides on it; made when it is shared first, the holder while it is. */
  rides: Rides | null = null;
  riders = 0;
  sealed = false;
  /** Brings it to an end that its client has not waited for; null while none does. It is the holder then. */
  drain: ServerDrain | null = null;
  /** Cancel requests that aim at it. */
  readonly cancels = new Set<CancelForward>();
  /** "TLSv1.3/TLS_AES_256_GCM_SHA384", empty without TLS. */
  tls = "";
  /** Milliseconds since 1970. */
  readonly connectedWallTime: number;
  #task: Task | null = null;
  #linger: Timer | null = null;
  /** A transaction that has changed names' meanings is not over. */
  #hasChangedCatalogue = false;
  #secured = false;
  #connected = false;
  /** It is not read from. */
  #isSuspended = false;
  /** No more is read or told; the socket may still be closing. */
  isClosed = false;

  constructor(engine: Engine, pool: ServerPool, address: ServerAddress, dedication: Dedication | null) {
    this.engine = engine;
    this.pool = pool;
    this.address = address;
    this.dedication = dedication;
    this.id = engine.nextId();
    this.statements = new ServerStatements(engine.statements);
    this.parameters = engine.parameters.unknown;
    this.outbox = new Outbox(engine.turn, engine.scratch, null);
    this.startup = new ServerStartup(this);
    this.connectedWallTime = engine.world.clock.wallTime();
  }

  /** The prefix of its log lines. */
  toString(): string {
    const where =
      this.address.kind === "unix"
        ? `unix:${this.pool.database.entry.port}`
        : `${bracketed(this.remoteAddress)}:${this.address.port}`;
    return `S-0x${this.id.toString(16).padStart(12, "0")}: ${this.pool.database.name}/${this.pool.user.name}@${where}`;
  }

  /** The literal address; the configured name until it was resolved. */
  get remoteAddress(): string {
    if (this.address.kind === "unix") return "unix";
    return this.connectedTo || this.address.host;
  }

  /** As configured, for TLS. */
  get hostName(): string {
    return this.address.kind === "tcp" ? this.address.host : "";
  }

  get dedicated(): boolean {
    return this.dedication !== null;
  }

  get mode(): PoolMode {
    return this.dedication === null ? this.pool.mode : PoolMode.session;
  }

  get usesTls(): boolean {
    return this.address.kind === "tcp" && this.engine.tls.serverMode !== SslMode.disable;
  }

  /** The socket is open; the login may still be under way. */
  get isConnected(): boolean {
    return this.#connected;
  }

  /** Idle by its own word, and nothing outstanding. */
  get isReady(): boolean {
    return this.status === IDLE && this.pipeline.isEmpty;
  }

  /** Resolves the name, if it is one, and connects. */
  open(): void {
    const address = this.address;
    if (address.kind === "unix") {
      this.#connect({ path: address.path.startsWith("@") ? `\0${address.path.slice(1)}` : address.path });
      return;
    }
    if (isLiteralAddress(address.host)) {
      this.#connect({ host: address.host, port: address.port });
      return;
    }
    this.engine.names.lookUp(address.host, (host) => {
      if (this.isClosed) return;
      if (host === null) this.connectFailed("server DNS lookup failed");
      else this.#connect({ host, port: address.port });
    });
  }

  #connect(to: { path: string } | { host: string; port: number }): void {
    if ("host" in to) this.connectedTo = to.host;
    this.connection = this.engine.world.transport.connect(to, this);
    this.outbox = new Outbox(this.engine.turn, this.engine.scratch, this.connection);
  }

  /** Another process has opened it, has logged it in, and has written it down: it is not read from before `resume`. */
  takeUp(connection: Connection): void {
    this.startup = null;
    this.#connected = true;
    this.connection = connection;
    this.outbox = new Outbox(this.engine.turn, this.engine.scratch, connection);
    this.suspend();
  }

  /** SUSPEND and its end: nothing is read, whoever may want to. */
  suspend(): void {
    this.#isSuspended = true;
    this.connection?.pause();
  }

  resume(): void {
    this.#isSuspended = false;
    this.readOn();
  }

  /** Its answers are wanted again. */
  readOn(): void {
    if (!this.#isSuspended) this.connection?.resume();
  }

  send(bytes: Uint8Array): void {
    this.outbox.addAll(bytes);
  }

  startTls(): void {
    let settings: TlsSettings;
    try {
      settings = this.engine.tls.server(this.hostName);
    } catch (error) {
      this.engine.log.warning(`${this} TLS connect error: ${(error as Error).message}`);
      this.connectFailed("connect failed");
      return;
    }
    this.connection?.startTls("client", settings);
  }

  /** Runs a query of our own. Nothing else may be outstanding. */
  run(task: Task): void {
    this.#task = task;
    this.pipeline.push(Step.query, task, null);
    this.outbox.addAll(query(task.text));
  }

  // ── The socket ──────────────────────────────────────────────────────────────────────────────────────────────────

  onOpen(): void {
    if (this.isClosed || this.connection === null || this.startup === null) return;
    this.#connected = true;
    const { settings, world, log } = this.engine;
    if (this.address.kind === "tcp") world.setSocketOptions(this.connection.fd, socketOptions(settings));
    if (settings.logConnections) {
      const { address, port } = this.connection.local;
      log.log(
        this.address.kind === "unix"
          ? `${this} new connection to server`
          : `${this} new connection to server (from ${bracketed(address)}:${port})`,
      );
    }
    this.startup?.begin();
  }

  onData(bytes: Uint8Array): void {
    if (this.isClosed) return;
    if (this.startup !== null) {
      this.startup.receive(bytes);
      return;
    }
    this.pool.database.counters.bytesSent += bytes.length;
    this.usedAt = this.engine.turn.now;
    this.framer.push(bytes);
    this.pipeline.receive(this.framer, MESSAGE_BYTES_MAX);
    if (this.drain !== null) this.drain.look();
  }

  onDrain(): void {
    this.outbox.drained();
    this.holder?.serverDrained();
  }

  onSecure(peer: TlsPeer): void {
    if (this.isClosed) return;
    this.#secured = true;
    this.outbox.keepsMemory = true;
    this.tls = `${peer.version}/${peer.cipher}`;
    if (this.engine.settings.logConnections) this.engine.log.log(`${this} SSL established: ${this.tls}`);
    this.startup?.secured(peer);
  }

  onEnd(): void {
    if (!this.isClosed) this.#lost(null);
  }

  onClose(error: (Error & { code?: string }) | null): void {
    this.#linger?.cancel();
    this.#linger = null;
    logDefect(this.engine, `${this}`, error);
    if (!this.isClosed) this.#lost(error);
    this.pool.serverGone(this);
  }

  #lost(error: (Error & { code?: string }) | null): void {
    if (this.startup === null) {
      this.engine.names.suspect(this.hostName);
      this.close("server conn crashed?", false);
    } else {
      if (error !== null && this.usesTls && this.#connected && !this.#secured) {
        this.engine.log.warning(`${this} TLS handshake error: ${error.message}`);
      }
      if (!this.#connected && this.address.kind === "unix") {
        const reason = error === null ? "closed" : systemErrorText(error);
        this.engine.log.warning(`sbuf_connect failed to connect to unix:${this.address.path}: ${reason}`);
      }
      this.connectFailed(this.#connected ? "server conn crashed?" : "connect failed");
    }
  }

  // ── Login ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The first ReadyForQuery. */
  loggedIn(status: number): void {
    const startup = this.startup;
    if (startup === null) return;
    this.startup = null;
    this.status = status;
    this.keyProcessId = startup.keyProcessId;
    this.keySecret = startup.keySecret;
    for (const [name, value] of startup.parameters) {
      const index = this.engine.parameters.indexOf(name);
      if (index >= 0) this.parameters = this.engine.parameters.with(this.parameters, index, value);
    }
    const { connectQuery } = this.pool.database.entry;
    if (connectQuery === null || this.dedication?.isPhysical === true) {
      this.pool.serverOpened(this, startup.parameters);
      return;
    }
    this.run(
      new Task(connectQuery, (error) => {
        if (error !== null)
          this.engine.log.error(
            `S: error while executing exec_on_query: ${error.severity ?? "ERROR"}: ${error.message ?? ""}`,
          );
        this.pool.serverOpened(this, startup.parameters);
      }),
    );
  }

  /** The attempt is over; clients wait on. */
  connectFailed(reason: string): void {
    if (!this.#connected) this.engine.names.suspect(this.hostName);
    this.pool.attemptFailed(reason);
    this.close(reason, false);
  }

  /** PostgreSQL refused the login: those who wait for it are told why. */
  loginFailed(reason: string, error: ErrorToSend): void {
    if (this.dedication !== null) {
      this.dedication.refused(this, reason, error);
      return;
    }
    this.loginInterrupted = error.code === ADMIN_SHUTDOWN;
    // The server's end is in the log before anybody hears of it.
    this.close(reason, false);
    this.pool.loginRefused(this, error);
  }

  // ── What the pipeline tells ─────────────────────────────────────────────────────────────────────────────────────

  ready(owner: EntryOwner | null, status: number): void {
    this.status = status;
    if (this.#hasChangedCatalogue && status === IDLE) {
      // Others see it from now on, and may have read what was before.
      this.#hasChangedCatalogue = false;
      this.pool.database.catalogue.noteDdl();
    }
    if (owner === this.#task) this.#task = null;
    owner?.ended(status);
  }

  /** Statement mode refuses transactions: the client gets the error in the place of ReadyForQuery. */
  withholdsReady(owner: EntryOwner | null): boolean {
    return owner !== null && owner === this.holder && this.mode === PoolMode.statement;
  }

  failed(owner: EntryOwner | null, memory: Uint8Array, at: number, size: number): void {
    if (owner !== null && owner === this.#task) {
      this.#task.error ??= readErrorFields(memory, at, size);
    } else if (owner === null) {
      this.dirty = true;
    } else if (isFailStop(owner)) {
      owner.refused(memory, at, size);
    } else if (this.rides !== null && this.holder === this.rides && isFatal(memory, at, size)) {
      // Not the fault of the one who is told, and what it has asked can be asked again.
      if (this.rides.outlives(owner)) this.close("server conn crashed?", false);
    }
  }

  unnamedLost(): void {
    this.unnamed = -1;
  }

  completed(owner: EntryOwner | null, memory: Uint8Array, at: number, size: number): void {
    if (isDdlTag(memory, at, size)) {
      this.#hasChangedCatalogue = true;
      this.pool.database.catalogue.noteDdl();
      return;
    }
    if (!hasCommandTag(memory, at, size, DEALLOCATE_ALL) && !hasCommandTag(memory, at, size, DISCARD_ALL)) return;
    this.statements.clear();
    if (owner !== null && owner === this.holder) this.holder.forgetStatements();
  }

  parameterStatus(memory: Uint8Array, at: number, size: number): void {
    const [name, value] = decodeText(memory, at + 5, at + size).split("\0");
    if (name === undefined || value === undefined) return;
    const tracked = this.engine.parameters;
    const index = tracked.indexOf(name);
    if (index < 0) return;
    this.parameters = tracked.with(this.parameters, index, value);
    const { holder } = this;
    // What a SET of ours is answered with says nothing of the client: it is told of the result when all are set.
    if (holder !== null && this.#task === null) holder.parameters = tracked.with(holder.parameters, index, value);
  }

  stray(): void {
    // An Error or Notice on a free server; a notification means nothing to anybody.
    this.dirty = true;
  }

  broken(reason: string): void {
    this.engine.log.error(`${this} ${reason}`);
    this.close("unknown pkt from server", false);
  }

  // ── Closing ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Ends it now. Who holds it is told `reason`, or `error` where that is something else. `orderly`: the stream
   * is intact, PostgreSQL is sent a Terminate. Behind half a message it would become the other half.
   */
  close(reason: string, orderly = true, error = serverLostError(reason)): void {
    if (this.isClosed) return;
    this.isClosed = true;
    logClosing(this.engine, `${this}`, reason, this.openedAt);
    const { holder } = this;
    this.holder = null;
    this.pipeline.close();
    this.statements.clear();
    for (const cancel of this.cancels) cancel.targetReleased();
    const connection = this.connection;
    if (connection !== null) {
      const whole = holder === null || !holder.isMidMessage;
      if (orderly && whole && this.startup === null) this.outbox.addAll(TERMINATE);
      this.outbox.flush();
      this.outbox.close();
      connection.resume();
      if (orderly) {
        connection.end();
        this.#linger = this.engine.world.clock.after(LINGER_MS, () => connection.destroy());
      } else {
        connection.destroy();
      }
    }
    this.pool.serverClosing(this);
    if (connection === null) this.pool.serverGone(this);
    holder?.serverLost(this, error, this.pipeline.isMidAnswer);
  }
}

/** Of an ErrorResponse: the server ends with it. */
function isFatal(memory: Uint8Array, at: number, size: number): boolean {
  const { severity } = readErrorFields(memory, at, size);
  return severity === "FATAL" || severity === "PANIC";
}

function bracketed(address: string): string {
  return address.includes(":") ? `[${address}]` : address;
}
