/**
 * One connection from an application, and its session after the login.
 *
 * Responsible for: its login's end, what it is answered, when its server goes back, and its own end. What it sends is
 * `client-input.ts`'s. Not for: the login (`client-startup.ts`), who gets which server (`pool/`).
 *
 *     socket ─▶ input ─▶ server's pipeline and outbox
 *     socket ◀─ outbox ◀─ answer() ◀─ the server's pipeline
 *
 * Back-pressure: when a server does not take what is sent, or this client does not take its answers, the other side is
 * not read from until it does.
 *
 * Counterpart: PgBouncer's `client.c`.
 */
import { PoolMode } from "../config/setting-words.ts";
import { Outbox } from "../net/outbox.ts";
import type { Connection, ConnectionEvents, TlsPeer } from "../net/transport.ts";
import type { Timer } from "../net/world.ts";
import { Place } from "../pool/state-lists.ts";
import { Waiting } from "../pool/wait-queue.ts";
import type { ErrorToSend } from "../protocol/error-messages.ts";
import { errorResponse } from "../protocol/error-messages.ts";
import type { Framer } from "../protocol/framer.ts";
import { ClientStatements } from "../state/prepared-statement.ts";
import type { ParameterValues } from "../state/tracked-parameters.ts";
import type { AnonymousUnit } from "./anonymous-unit.ts";
import { ClientInput } from "./client-input.ts";
import { ClientStartup } from "./client-startup.ts";
import { ClientState } from "./client-state.ts";
import { Welcome } from "./client-welcome.ts";
import type { Console } from "./console.ts";
import { ConsoleSeat } from "./console-seat.ts";
import { DeferredBegin } from "./deferred-begin.ts";
import type { Dedication } from "./dedication.ts";
import type { Engine } from "./engine.ts";
import { logClosing, logDefect } from "./log-closing.ts";
import { Hold, ReadHolds } from "./read-holds.ts";
import { Replication } from "./replication.ts";
import type { Ride } from "./ride.ts";
import { LINGER_MS } from "./socket-options.ts";
import type { Server } from "./server.ts";
import { drainOrClose } from "./server-drain.ts";
import type { ServerSeeker } from "./server-holder.ts";
import type { ServerPool } from "./server-pool.ts";
import { UnitClock } from "./unit-clock.ts";
import type { User } from "./user.ts";

const IDLE = 0x49;

export class Client implements ConnectionEvents, ServerSeeker {
  readonly id: number;
  readonly engine: Engine;
  readonly connection: Connection;
  readonly outbox: Outbox;
  readonly holds: ReadHolds;
  /** What it sends. */
  readonly input: ClientInput = new ClientInput(this);
  readonly place: Place<ClientState, Client> = new Place<ClientState, Client>(this);
  readonly waiting: Waiting<ServerSeeker> = new Waiting<ServerSeeker>(this);
  /** The login; null once it is over. */
  startup: ClientStartup | null;
  pool: ServerPool | null = null;
  /** The server it holds. */
  server: Server | null = null;
  /** How its units share servers; made with the first that may. */
  ride: Ride | null = null;
  /** Set for a client of the console; it has no pool then. */
  console: Console | null = null;
  seat: ConsoleSeat | null = null;
  databaseName: string | null = null;
  userName: string | null = null;
  user: User | null = null;
  /** What kind of replication it asked for. */
  replication: Replication = Replication.no;
  /** For a replication client. */
  dedication: Dedication | null = null;
  /** Its BEGIN without a server; null where none is answered so. */
  begin: DeferredBegin | null = null;
  /** The last unit whose unnamed statement was a kept one. */
  anonymous: AnonymousUnit | null = null;
  parameters: ParameterValues;
  #statements: ClientStatements | null = null;
  /** Which unnamed statement it parsed last (`StatementStore.nextUnnamed`), 0 for none. */
  unnamed = 0;
  /** What its cancel requests carry. */
  keyProcessId = 0;
  keySecret = 0;
  /** As in SHOW: "TLSv1.3/…", empty without TLS. */
  tls = "";
  readonly acceptedAt: number;
  readonly acceptedWallTime: number;
  /** When its last message came, monotonic ms. */
  requestAt: number;
  readonly clock = new UnitClock();
  readonly isCounted = true;
  /** It was told that it waits, in this wait. */
  wasNotified = false;
  isClosed = false;
  #linger: Timer | null = null;

  constructor(engine: Engine, connection: Connection, isUnixSocket: boolean, listenPort: number) {
    this.engine = engine;
    this.connection = connection;
    this.id = engine.nextId();
    this.outbox = new Outbox(engine.turn, engine.scratch, connection);
    this.holds = new ReadHolds(connection);
    this.acceptedAt = engine.turn.now;
    this.acceptedWallTime = engine.world.clock.wallTime();
    this.requestAt = this.acceptedAt;
    this.parameters = engine.parameters.unknown;
    this.startup = new ClientStartup(this, isUnixSocket, listenPort);
  }

  /** The prefix of its log lines. */
  toString(): string {
    const whose = this.startup?.cancelWhose ?? `${this.databaseName ?? "(nodb)"}/${this.userName ?? "(nouser)"}`;
    return `C-0x${this.id.toString(16).padStart(12, "0")}: ${whose}@${this.source}`;
  }

  /** "127.0.0.1:53211", "[::1]:53211", "unix(4711):6432". */
  get source(): string {
    const { address, port } = this.connection.remote;
    if (address === "") return this.startup === null ? this.#unixSource : this.startup.unixSource;
    return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
  }

  #unixSource = "unix";

  // ── Login ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Authenticated, and admitted to `pool`: greeted now, or when PostgreSQL has answered. */
  enter(pool: ServerPool): void {
    this.pool = pool;
    this.engine.directory.loggedIn(this);
    pool.greet(this);
  }

  /** Authenticated for the console. */
  enterConsole(console: Console): void {
    this.console = console;
    this.seat = new ConsoleSeat(console);
    this.engine.directory.loggedIn(this);
    this.#welcome(new Welcome(console.parameters, this.parameters));
  }

  /** Its pool knows what to tell it: the login is over. */
  greeted(welcome: Welcome): void {
    this.parameters = this.engine.parameters.filled(this.parameters, welcome.tracked);
    if (this.pool !== null) {
      this.pool.database.counters.clientLoginCount += 1;
      if (this.engine.settings.deferredBeginMs > 0) this.defersBegin();
    }
    this.#welcome(welcome);
  }

  /** `server` was opened for it and has logged in: so is it, and holds the server for as long as it stays. */
  linked(server: Server, welcome: Welcome): void {
    this.server = server;
    this.parameters = server.parameters;
    this.greeted(welcome);
  }

  #welcome(welcome: Welcome): void {
    if (this.startup !== null) this.#unixSource = this.startup.unixSource;
    this.startup = null;
    this.requestAt = this.engine.turn.now;
    this.send(welcome.messagesFor(this));
    if (this.input.framer.pending > 0) this.input.process();
  }

  // ── The socket ──────────────────────────────────────────────────────────────────────────────────────────────────

  onOpen(): void {}

  onData(bytes: Uint8Array): void {
    if (this.isClosed) return;
    if (this.startup !== null) {
      this.startup.receive(bytes);
      return;
    }
    this.requestAt = this.engine.turn.now;
    this.input.receive(bytes);
  }

  onDrain(): void {
    this.outbox.drained();
    if (this.isClosed) return;
    (this.server ?? this.ride?.rides?.server)?.readOn();
    this.holds.release(Hold.ownBacklog);
  }

  onSecure(peer: TlsPeer): void {
    this.outbox.keepsMemory = true;
    this.tls = `${peer.version}/${peer.cipher}`;
    this.startup?.secured(peer);
  }

  onEnd(): void {
    // Who sends a cancel request has nothing more to say: some end their half at once, and wait for ours.
    if (this.startup?.isCanceling === true) return;
    // What it has sent whole is carried out, as PostgreSQL would: its end comes after that.
    this.wasNotified = true;
    if (this.input.end()) this.gone(null);
  }

  onClose(error: (Error & { code?: string }) | null): void {
    this.#linger?.cancel();
    this.#linger = null;
    logDefect(this.engine, `${this}`, error);
    this.gone(error);
  }

  gone(error: (Error & { code?: string }) | null): void {
    if (!this.isClosed) this.close(this.startup === null ? "client unexpected eof" : this.startup.closeReason(error));
  }

  send(bytes: Uint8Array): void {
    this.outbox.addAll(bytes);
  }

  // ── As one who asks for servers ─────────────────────────────────────────────────────────────────────────────────

  /** Bytes of the client's own go to its server. For `statement-relay.ts` too. */
  forward(memory: Uint8Array, start: number, end: number): void {
    if (start === end || this.server === null) return;
    this.pool!.database.counters.bytesReceived += end - start;
    this.server.outbox.add(memory, start, end);
  }

  entered(state: ClientState): void {
    this.pool!.clients.move(this.place, state, this.engine.turn.now);
  }

  mayShare(): boolean {
    return this.pool!.sharing.mayShare(this);
  }

  /** Its unit is on a server with others'. */
  get isRiding(): boolean {
    return this.ride !== null && this.ride.isRiding;
  }

  served(server: Server): void {
    if (this.ride === null || !this.pool!.sharing.tryAlone(this.ride, server)) this.input.served(server);
  }

  get isMidMessage(): boolean {
    return this.input.isMidMessage;
  }

  get isSettingParameters(): boolean {
    return this.input.isSettingParameters;
  }

  get framer(): Framer {
    return this.input.framer;
  }

  // ── What it is answered ─────────────────────────────────────────────────────────────────────────────────────────

  answer(memory: Uint8Array, start: number, end: number): void {
    this.outbox.add(memory, start, end);
    if (this.outbox.full) {
      this.server?.connection?.pause();
      this.holds.hold(Hold.ownBacklog);
    }
  }

  /** A unit has been answered. */
  ended(status: number): void {
    const server = this.server;
    if (server === null) return;
    const pipeline = server.pipeline;
    if (pipeline.isEmpty) this.clock.end(this.pool!.database.counters, this.engine.turn.now, status === IDLE);
    if (status !== IDLE && server.mode === PoolMode.statement) {
      server.close("transaction blocks not allowed in statement pooling mode");
      return;
    }
    if (this.holds.has(Hold.steps) && !pipeline.full) this.holds.release(Hold.steps);
    if (status === IDLE && pipeline.isEmpty && !this.isMidMessage) this.finishUnit(server);
    this.input.unitEnded();
  }

  /** Nothing is outstanding and no transaction is open: the server goes back if the pool mode says so. */
  finishUnit(server: Server): void {
    if (server.mode === PoolMode.session) return;
    this.#unlink(server);
    this.pool!.release(server);
  }

  /** It may be answered a BEGIN without a server, where its pool's mode and the settings of then say so. */
  defersBegin(): DeferredBegin {
    this.begin ??= new DeferredBegin(this);
    return this.begin;
  }

  /** It stays, and its server goes to others when what it has asked there is over. */
  abandon(): void {
    const { server } = this;
    if (server === null) return;
    const whole = this.input.isWhole;
    this.#unlink(server);
    drainOrClose(server, this, whole, false);
  }

  #unlink(server: Server): void {
    this.server = null;
    this.pool!.clients.move(this.place, ClientState.idle, this.engine.turn.now);
    if (this.holds.has(Hold.ownBacklog)) server.readOn();
    this.holds.release(Hold.serverBacklog | Hold.steps);
  }

  /** The server it holds takes data again. */
  serverDrained(): void {
    this.holds.release(Hold.serverBacklog);
  }

  /** The server it held is gone. `cut`: in the middle of a message to this client. */
  serverLost(server: Server, error: ErrorToSend, cut: boolean): void {
    if (this.server !== server) return;
    this.server = null;
    this.pool!.clients.move(this.place, ClientState.idle, this.engine.turn.now);
    this.fail(error, cut);
  }

  /** Its named statements, made with the first. */
  get statements(): ClientStatements {
    this.#statements ??= new ClientStatements(this.engine.statements);
    return this.#statements;
  }

  get statementCount(): number {
    return this.#statements === null ? 0 : this.#statements.size;
  }

  forgetStatements(): void {
    this.#statements?.clear();
  }

  /** The console has answered its command; the next one is dealt with. */
  consoleAnswered(): void {
    if (this.seat?.answered() !== true || this.isClosed) return;
    this.holds.release(Hold.waiting);
    if (this.framer.pending > 0) this.input.process();
  }

  /**
   * Another process has let it in, and has written down who it is: it goes on in `pool`, holding `server` if that is not null,
   * and is not read from before `resume`.
   */
  takeUp(pool: ServerPool, server: Server | null): void {
    if (this.startup !== null) this.#unixSource = this.startup.unixSource;
    this.startup = null;
    this.pool = pool;
    this.suspend();
    pool.clients.enter(this.place, ClientState.idle, this.engine.turn.now);
    if (this.engine.settings.deferredBeginMs > 0) this.defersBegin();
    if (server === null) return;
    this.server = server;
    pool.clients.move(this.place, ClientState.active, this.engine.turn.now);
    this.clock.takeUp(this.engine.turn.now, !server.pipeline.isEmpty);
  }

  /** What it has sent has gone to where it belongs, all of it, and it has no half of a message to send. */
  get isAtRest(): boolean {
    if (this.startup !== null || this.input.isWaiting || !this.framer.atBoundary) return false;
    if (this.begin?.isPending === true) return false;
    return this.server === null || this.server.outbox.backlog === 0;
  }

  /** SUSPEND and its end. */
  suspend(): void {
    this.anonymous?.settle();
    this.holds.hold(Hold.suspended);
  }

  /** It waits for a server, or will ask for one, and can do so in another process: what it has sent is all here. */
  get canWaitElsewhere(): boolean {
    if (this.server !== null || this.isMidMessage || this.dedication !== null) return false;
    return this.waiting.queued || this.begin?.isPending === true;
  }

  /** It does not wait here any more, before `resume`. */
  stopWaiting(): void {
    this.pool?.leaveQueue(this);
    this.entered(ClientState.idle);
    this.begin?.rest();
  }

  resume(): void {
    this.holds.release(Hold.suspended);
    // It has waited for a server, here or in another process.
    const waited = this.pool !== null && this.startup === null && !this.input.isWaiting;
    if (waited && this.framer.pending > 0 && !this.isClosed) this.input.process();
    if (!this.isClosed) this.begin?.wake();
  }

  // ── Closing ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Ends it with an error; `cut`: it has the beginning of a message only, and an error in its place would be garbage. */
  fail(error: ErrorToSend, cut = this.#isMidAnswer): void {
    this.#close(error.message, true, () => {
      if (this.engine.settings.logPoolerErrors) this.engine.log.warning(`${this} pooler error: ${error.message}`);
      if (!cut) this.send(errorResponse(error));
    });
  }

  /** Ends it. `reason` is for the log; null says nothing (a health probe). What was written before still arrives. */
  close(reason: string | null): void {
    this.#close(reason, false, null);
  }

  /** `impatient`: what it has running is cancelled. `say`: its last words, behind the line of its end in the log. */
  #close(reason: string | null, impatient: boolean, say: (() => void) | null): void {
    if (this.isClosed) return;
    const { world, directory } = this.engine;
    if (reason !== null) logClosing(this.engine, `${this}`, reason, this.acceptedAt);
    say?.();
    this.isClosed = true;
    this.startup?.abandon();
    const { server, pool } = this;
    this.begin?.end();
    if (server !== null && pool !== null) this.#letGo(server, pool, impatient);
    this.ride?.abandon();
    if (pool !== null) pool.clientLeft(this);
    this.console?.left(this);
    this.#statements?.clear();
    directory.left(this);
    // FIN behind what is still to be written; a client that does not take it is cut off.
    this.outbox.flush();
    this.outbox.close();
    this.connection.resume();
    this.connection.end();
    this.#linger = world.clock.after(LINGER_MS, () => this.connection.destroy());
  }

  /** It has the beginning of a message from a server, and not its end. */
  get #isMidAnswer(): boolean {
    const { server, ride } = this;
    if (server !== null) return server.pipeline.isMidAnswer;
    return ride !== null && ride.rides !== null && ride.rides.head === ride && ride.rides.server.pipeline.isMidAnswer;
  }

  /** It goes while it holds a server. */
  #letGo(server: Server, pool: ServerPool, impatient: boolean): void {
    const whole = this.input.isWhole;
    this.server = null;
    pool.clients.move(this.place, ClientState.idle, this.engine.turn.now);
    if (this.holds.has(Hold.ownBacklog)) server.readOn();
    if (whole) this.begin?.leaves(server);
    if (whole && server.isReady && !this.isSettingParameters) pool.release(server);
    else drainOrClose(server, this, whole, impatient);
  }
}
