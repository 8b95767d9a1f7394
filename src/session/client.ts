/**
 * One connection from an application, and its session after the login.
 *
 * Responsible for: what a client sends and where it goes. It asks for a server when the first message of a unit comes,
 * streams to it while it holds one, and gives it back when the transaction is over (pool mode allowing). Not for: the
 * login (`client-startup.ts`), renaming of prepared statements (`statement-relay.ts`), who gets which server (`pool/`).
 *
 *     socket ─▶ framer ─▶ message ─┬─ no server: ask, and wait with the bytes in the framer
 *                                  └─ server: a step for its pipeline, bytes for its outbox
 *     socket ◀─ outbox ◀─ answer() ◀─ the server's pipeline
 *
 * Back-pressure: when a server does not take what is sent, or this client does not take its answers, the other side is
 * not read from until it does. A client that waits is read from up to `WAITING_BYTES_MAX`, so that its going away is seen.
 *
 * One file, long as it is: the order of what happens to a client's bytes is one thought. Counterpart: PgBouncer's `client.c`.
 */
import { PoolMode } from "../config/setting-words.ts";
import { Outbox } from "../net/outbox.ts";
import type { Connection, ConnectionEvents, TlsPeer } from "../net/transport.ts";
import type { Timer } from "../net/world.ts";
import { Place } from "../pool/state-lists.ts";
import { Waiting } from "../pool/wait-queue.ts";
import type { ErrorToSend } from "../protocol/error-messages.ts";
import { errorResponse } from "../protocol/error-messages.ts";
import { Framer } from "../protocol/framer.ts";
import { Frontend } from "../protocol/message-type.ts";
import { badPacketHeader } from "../protocol/startup.ts";
import { ClientStatements } from "../state/prepared-statement.ts";
import type { ParameterValues } from "../state/tracked-parameters.ts";
import { Skip, isCancellable, noteNames, refuseUnit, skipMessage } from "./cancelled-unit.ts";
import { isIdle, isKnown, mayNameStatement, stepOf } from "./client-message.ts";
import { ClientStartup } from "./client-startup.ts";
import type { ClientState } from "./client-state.ts";
import { Welcome } from "./client-welcome.ts";
import type { Console } from "./console.ts";
import { ConsoleSeat } from "./console-seat.ts";
import type { Dedication } from "./dedication.ts";
import type { Engine } from "./engine.ts";
import { logClosing, logDefect } from "./log-closing.ts";
import { setParameters } from "./parameter-sync.ts";
import { PoolerErrors, poolerError } from "./pooler-error.ts";
import { Hold, ReadHolds } from "./read-holds.ts";
import { Replication } from "./replication.ts";
import { LINGER_MS } from "./socket-options.ts";
import type { Server } from "./server.ts";
import { drainOrClose } from "./server-drain.ts";
import type { ServerSeeker } from "./server-holder.ts";
import type { ServerPool } from "./server-pool.ts";
import { Relayed, isReadable, relayStatementMessage } from "./statement-relay.ts";
import { UnitClock } from "./unit-clock.ts";
import type { User } from "./user.ts";

/** What a client may send before it is given a server; then it is not read from until it has one. */
const WAITING_BYTES_MAX = 16 * 1024;

/** No command of the console is longer. */
const CONSOLE_MESSAGE_BYTES_MAX = 16 * 1024;

const IDLE = 0x49;

export class Client implements ConnectionEvents, ServerSeeker {
  readonly id: number;
  readonly engine: Engine;
  readonly connection: Connection;
  readonly outbox: Outbox;
  readonly #holds: ReadHolds;
  readonly framer = new Framer();
  readonly place: Place<ClientState, Client> = new Place<ClientState, Client>(this);
  readonly waiting: Waiting<ServerSeeker> = new Waiting<ServerSeeker>(this);
  /** The login; null once it is over. */
  startup: ClientStartup | null;
  pool: ServerPool | null = null;
  /** The server it holds. */
  server: Server | null = null;
  /** Set for a client of the console; it has no pool then. */
  console: Console | null = null;
  #seat: ConsoleSeat | null = null;
  databaseName: string | null = null;
  userName: string | null = null;
  user: User | null = null;
  /** What kind of replication it asked for. */
  replication: Replication = Replication.no;
  /** For a replication client. */
  dedication: Dedication | null = null;
  parameters: ParameterValues;
  #statements: ClientStatements | null = null;
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
  /** It was told that it waits, in this wait. */
  wasNotified = false;
  isClosed = false;
  /** Our SETs run on its server: nothing of the client's is sent, and there is nothing of its own to be cancelled. */
  isSettingParameters = false;
  /** It has sent the beginning of a message and not its end: nothing else may go to its server now. */
  isMidMessage = false;
  /** Of a unit that was cancelled before it was sent. */
  #skip: Skip = Skip.nothing;
  /** The unit that our SETs run for was. */
  #setsForNothing = false;
  /** The end of that message goes to the server, or nowhere. */
  #restGoesOn = false;
  /** It says nothing more; what it has said is still to be dealt with. */
  #hasEnded = false;
  /** `#process` is at work, and what it has gone through has not all been forwarded. */
  #isProcessing = false;
  /** The next message can be dealt with when a unit has been answered. */
  #isStalled = false;
  #linger: Timer | null = null;

  constructor(engine: Engine, connection: Connection, isUnixSocket: boolean, listenPort: number) {
    this.engine = engine;
    this.connection = connection;
    this.id = engine.nextId();
    this.outbox = new Outbox(engine.turn, engine.scratch, connection);
    this.#holds = new ReadHolds(connection);
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
    this.#seat = new ConsoleSeat(console);
    this.engine.directory.loggedIn(this);
    this.#welcome(new Welcome(console.parameters, this.parameters));
  }

  /** Its pool knows what to tell it: the login is over. */
  greeted(welcome: Welcome): void {
    this.parameters = this.engine.parameters.filled(this.parameters, welcome.tracked);
    if (this.pool !== null) this.pool.database.counters.clientLoginCount += 1;
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
    if (this.framer.pending > 0) this.#process();
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
    this.framer.push(bytes);
    this.#process();
  }

  onDrain(): void {
    this.outbox.drained();
    if (this.isClosed) return;
    this.server?.readOn();
    this.#holds.release(Hold.ownBacklog);
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
    this.#hasEnded = true;
    this.wasNotified = true;
    if (!this.#isWaiting || this.framer.pending === 0) this.#gone(null);
  }

  onClose(error: (Error & { code?: string }) | null): void {
    this.#linger?.cancel();
    this.#linger = null;
    logDefect(this.engine, `${this}`, error);
    this.#gone(error);
  }

  #gone(error: (Error & { code?: string }) | null): void {
    if (!this.isClosed) this.close(this.startup === null ? "client unexpected eof" : this.startup.closeReason(error));
  }

  send(bytes: Uint8Array): void {
    this.outbox.addAll(bytes);
  }

  // ── What it sends ───────────────────────────────────────────────────────────────────────────────────────────────

  /** Goes through what has been received, as far as it can be dealt with now. */
  #process(): void {
    const framer = this.framer;
    const bytesMax = this.engine.settings.maxPacketSize;
    const memory = framer.buf;
    // A run of neighbouring messages that go on as they are is one slice.
    let runStart = 0;
    let runEnd = 0;
    this.#isProcessing = true;
    while (!this.isClosed && framer.next(bytesMax)) {
      const at = framer.at;
      let end = at + framer.available;
      if (framer.continues) {
        const last = framer.last;
        framer.advance();
        if (last) this.isMidMessage = false;
        if (!this.#restGoesOn) continue;
        if (runEnd !== at) {
          this.forward(memory, runStart, runEnd);
          runStart = at;
        }
        runEnd = end;
        continue;
      }
      const type = framer.type;
      if (type === Frontend.Terminate) {
        this.forward(memory, runStart, runEnd);
        this.#isProcessing = false;
        this.close("client close request");
        return;
      }
      if (this.#seat !== null) {
        if (framer.size > CONSOLE_MESSAGE_BYTES_MAX) this.fail(poolerError(PoolerErrors.badHeader, "incomplete pkt"));
        else if (!framer.whole) framer.hold();
        else if (!this.#seat.take(this, framer, memory)) break;
        continue;
      }
      if (this.#skip !== Skip.nothing) {
        if (!isKnown(type)) {
          this.#refuseUnknown(type);
          return;
        }
        if (this.pool!.hasStatements && !noteNames(this, framer, memory)) continue;
        this.#skip = skipMessage(this, this.#skip, type);
        this.#pass();
        continue;
      }
      const named =
        mayNameStatement(type, memory, at, framer.available) && this.dedication === null && this.pool!.hasStatements;
      if (named && !isReadable(this, framer, memory)) continue;
      let server = this.server;
      if (server === null) {
        if (isIdle(type)) {
          this.#pass();
          continue;
        }
        if (!isKnown(type)) {
          this.#refuseUnknown(type);
          return;
        }
        this.clock.begin(this.pool!.database.counters, this.engine.turn.now);
        server = this.#takeServer();
        if (server === null) break;
      }
      if (this.isSettingParameters) break;
      if (this.clock.queryStart === 0) this.clock.begin(this.pool!.database.counters, this.engine.turn.now);

      const pipeline = server.pipeline;
      const step = stepOf(type);
      if (named) {
        const goesOnAt = relayStatementMessage(this, server, framer, memory, runStart, runEnd);
        if (goesOnAt === Relayed.refused) return;
        if (goesOnAt === Relayed.later) {
          this.#isStalled = true;
          break;
        }
        if (goesOnAt !== Relayed.asItIs) {
          // The run before it and what replaces its beginning are on their way already.
          this.pool!.database.counters.bytesReceived += goesOnAt - at;
          this.isMidMessage = !framer.last;
          this.#restGoesOn = true;
          framer.advance();
          runStart = goesOnAt;
          runEnd = end;
          continue;
        }
      } else if (step === 0 && !isKnown(type)) {
        this.forward(memory, runStart, runEnd);
        this.#refuseUnknown(type);
        return;
      } else if (type === Frontend.Query && this.engine.settings.disablePqexec) {
        this.fail(poolerError(PoolerErrors.simpleQueryDisallowed));
        return;
      }
      if (step !== 0) pipeline.push(step, this, null);
      this.isMidMessage = !framer.last;
      this.#restGoesOn = true;
      if (type === Frontend.CopyData && framer.whole) end = framer.advanceRun(bytesMax);
      else framer.advance();
      if (runEnd !== at) {
        this.forward(memory, runStart, runEnd);
        runStart = at;
      }
      runEnd = end;
    }
    this.forward(memory, runStart, runEnd);
    this.#isProcessing = false;
    if (this.isClosed) return;
    if (framer.broken) {
      this.fail(poolerError(PoolerErrors.startup, badPacketHeader(framer.buf, framer.at, framer.end)));
      return;
    }
    this.#settle();
  }

  /** What it has sent cannot be dealt with now. */
  get #isWaiting(): boolean {
    return this.server === null ? this.waiting.queued : this.isSettingParameters || this.#isStalled;
  }

  /** After some input: give the server back if it is free, stop reading if somebody does not keep up. */
  #settle(): void {
    const server = this.server;
    const waits = this.#isWaiting || (server === null && this.#seat !== null);
    if (this.#hasEnded && !waits) {
      this.#gone(null);
      return;
    }
    if (waits && this.framer.pending > WAITING_BYTES_MAX) this.#holds.hold(Hold.waiting);
    if (waits || server === null) return;
    if (server.outbox.full) this.#holds.hold(Hold.serverBacklog);
    if (server.pipeline.full) this.#holds.hold(Hold.steps);
    if (!this.isMidMessage && server.pipeline.isEmpty && server.status === IDLE) this.#finishUnit(server);
  }

  /** Bytes of the client's own go to its server. For `statement-relay.ts` too. */
  forward(memory: Uint8Array, start: number, end: number): void {
    if (start === end || this.server === null) return;
    this.pool!.database.counters.bytesReceived += end - start;
    this.server.outbox.add(memory, start, end);
  }

  /** The message that is offered goes nowhere. */
  #pass(): void {
    this.isMidMessage = !this.framer.last;
    this.#restGoesOn = false;
    this.framer.advance();
  }

  #refuseUnknown(type: number): void {
    this.engine.log.warning(`${this} unknown pkt from client: '${String.fromCharCode(type)}'`);
    this.fail(poolerError(PoolerErrors.unknownPacket));
  }

  #takeServer(): Server | null {
    if (this.waiting.queued) return null;
    this.wasNotified = false;
    const server = this.pool!.request(this);
    if (server === null) return null;
    this.server = server;
    this.#prepare(server);
    return server;
  }

  entered(state: ClientState): void {
    this.pool!.clients.move(this.place, state, this.engine.turn.now);
  }

  /** The pool has a server for it, after it has waited. */
  served(server: Server): void {
    this.server = server;
    this.#prepare(server);
    this.#holds.release(Hold.waiting);
    this.#process();
  }

  /** Brings the server into this client's state, if it is in another. */
  #prepare(server: Server): void {
    this.isSettingParameters = setParameters(this.engine, this, server, (failure) => {
      this.isSettingParameters = false;
      if (this.server !== server) return;
      if (this.#setsForNothing) this.clock.end(this.pool!.database.counters, this.engine.turn.now, true);
      this.#setsForNothing = false;
      if (failure === null) {
        this.#holds.release(Hold.waiting);
        this.#process();
        return;
      }
      this.engine.log.warning(`${server} varcache_apply failed: ${failure}`);
      server.close("var change failed", true, poolerError(PoolerErrors.invalidServerParameter));
    });
  }

  /**
   * A cancel request came. True when it was for a unit of which nothing was sent: nothing will be, and the client is told.
   */
  cancelWaiting(): boolean {
    const { framer, pool } = this;
    const waits = this.server === null ? this.waiting.queued : this.isSettingParameters;
    if (pool === null || this.startup !== null || !waits || this.#skip !== Skip.nothing) return false;
    if (!framer.next(this.engine.settings.maxPacketSize) || framer.continues || !isCancellable(framer.type))
      return false;
    if (this.server === null) {
      pool.leaveQueue(this);
      this.entered("idle");
      this.clock.end(pool.database.counters, this.engine.turn.now, true);
    } else {
      this.#setsForNothing = true;
    }
    this.#skip = refuseUnit(this, framer.type);
    this.#holds.release(Hold.waiting);
    this.#process();
    return true;
  }

  // ── What it is answered ─────────────────────────────────────────────────────────────────────────────────────────

  answer(memory: Uint8Array, start: number, end: number): void {
    this.outbox.add(memory, start, end);
    if (this.outbox.full) {
      this.server?.connection?.pause();
      this.#holds.hold(Hold.ownBacklog);
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
    if (this.#holds.has(Hold.steps) && !pipeline.full) this.#holds.release(Hold.steps);
    if (status === IDLE && pipeline.isEmpty && !this.isMidMessage) this.#finishUnit(server);
    if (!this.#isStalled) return;
    this.#isStalled = false;
    this.#holds.release(Hold.waiting);
    this.#process();
  }

  /** Nothing is outstanding and no transaction is open: the server goes back if the pool mode says so. */
  #finishUnit(server: Server): void {
    if (server.mode === PoolMode.session) return;
    this.#unlink(server);
    this.pool!.release(server);
  }

  #unlink(server: Server): void {
    this.server = null;
    this.pool!.clients.move(this.place, "idle", this.engine.turn.now);
    if (this.#holds.has(Hold.ownBacklog)) server.readOn();
    this.#holds.release(Hold.serverBacklog | Hold.steps);
  }

  /** The server it holds takes data again. */
  serverDrained(): void {
    this.#holds.release(Hold.serverBacklog);
  }

  /** The server it held is gone. `cut`: in the middle of a message to this client. */
  serverLost(server: Server, error: ErrorToSend, cut: boolean): void {
    if (this.server !== server) return;
    this.server = null;
    this.pool!.clients.move(this.place, "idle", this.engine.turn.now);
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
    if (this.#seat?.answered() !== true || this.isClosed) return;
    this.#holds.release(Hold.waiting);
    if (this.framer.pending > 0) this.#process();
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
    pool.clients.enter(this.place, "idle", this.engine.turn.now);
    if (server === null) return;
    this.server = server;
    pool.clients.move(this.place, "active", this.engine.turn.now);
    this.clock.takeUp(this.engine.turn.now, !server.pipeline.isEmpty);
  }

  /** What it has sent has gone to where it belongs, all of it, and it has no half of a message to send. */
  get isAtRest(): boolean {
    if (this.startup !== null || this.#isWaiting || !this.framer.atBoundary) return false;
    return this.server === null || this.server.outbox.backlog === 0;
  }

  /** SUSPEND and its end. */
  suspend(): void {
    this.#holds.hold(Hold.suspended);
  }

  resume(): void {
    this.#holds.release(Hold.suspended);
  }

  // ── Closing ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Ends it with an error; `cut`: it has the beginning of a message only, and an error in its place would be garbage. */
  fail(error: ErrorToSend, cut = this.server?.pipeline.isMidAnswer ?? false): void {
    if (this.isClosed) return;
    if (this.engine.settings.logPoolerErrors) this.engine.log.warning(`${this} pooler error: ${error.message}`);
    if (!cut) this.send(errorResponse(error));
    this.close(error.message, true);
  }

  /**
   * Ends it. `reason` is for the log; null says nothing (a health probe). What was written before still arrives. `impatient`:
   * what it has running is cancelled.
   */
  close(reason: string | null, impatient = false): void {
    if (this.isClosed) return;
    const { world, directory } = this.engine;
    if (reason !== null) logClosing(this.engine, `${this}`, reason, this.acceptedAt);
    this.isClosed = true;
    this.startup?.abandon();
    const { server, pool } = this;
    if (server !== null && pool !== null) this.#letGo(server, pool, impatient);
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

  /** It goes while it holds a server. */
  #letGo(server: Server, pool: ServerPool, impatient: boolean): void {
    const whole = !this.isMidMessage && !this.#isProcessing;
    this.server = null;
    pool.clients.move(this.place, "idle", this.engine.turn.now);
    if (this.#holds.has(Hold.ownBacklog)) server.readOn();
    if (whole && server.isReady && !this.isSettingParameters) pool.release(server);
    else drainOrClose(server, this, whole, impatient);
  }
}
