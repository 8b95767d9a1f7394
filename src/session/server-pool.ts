/**
 * The sessions of one (database, user) pair: its servers and clients, and what is done when `pool/` has decided.
 *
 * Responsible for: what happens to a server between two clients (cancels in flight, reset query, check query), the
 * pool's welcome, and what waiting clients are told when logins fail. Not for: who gets which server and when.
 *
 * Counterpart: PgBouncer's PgPool, `release_server`, `kill_pool_logins`.
 */
import {
  anonymousStatements,
  minPoolSize,
  poolMode,
  poolSize,
  reservePoolSize,
  serverLifetimeMs,
} from "../config/precedence.ts";
import { serverAddresses } from "../config/server-address.ts";
import type { ServerAddress } from "../config/server-address.ts";
import { LoadBalanceHosts, PoolMode } from "../config/setting-words.ts";
import { Pool } from "../pool/pool.ts";
import type { Fit, PoolHost, SealReason } from "../pool/pool-host.ts";
import type { PoolPolicy } from "../pool/pool-policy.ts";
import { ServerState } from "../pool/server-state.ts";
import type { Slot } from "../pool/slot.ts";
import { StateLists } from "../pool/state-lists.ts";
import type { ErrorToSend } from "../protocol/error-messages.ts";
import { AnonymousTexts } from "../state/anonymous-texts.ts";
import type { CancelForward } from "./cancel-forward.ts";
import type { Client } from "./client.ts";
import type { Welcome } from "./client-welcome.ts";
import { welcomeOf } from "./client-welcome.ts";
import { ClientState, clientStateTable } from "./client-state.ts";
import type { Database } from "./database.ts";
import type { Engine } from "./engine.ts";
import { PoolSharing } from "./pool-sharing.ts";
import { PoolerErrors, poolerError } from "./pooler-error.ts";
import { Server } from "./server.ts";
import type { ServerSeeker } from "./server-holder.ts";
import { Task } from "./task.ts";
import type { User } from "./user.ts";

/** Logins of a pool that run at the same time, once one has succeeded: waiters are served sooner, and PostgreSQL meets no herd. */
const LOGINS_AT_ONCE_MAX = 4;

/** `server_check_query` of this text means an empty Query. */
const EMPTY_QUERY = "<empty>";
const IDLE = 0x49;

export class ServerPool implements PoolHost<Server, ServerSeeker> {
  readonly engine: Engine;
  readonly database: Database;
  readonly user: User;
  readonly core: Pool<Server, ServerSeeker>;
  readonly clients = new StateLists<ClientState, Client>(clientStateTable);
  readonly sharing: PoolSharing;
  readonly #policy: PoolPolicy;
  /** Null until a server has logged in, and after RECONNECT. */
  welcome: Welcome | null = null;
  mode: PoolMode = PoolMode.session;
  /** What clients parse without a name is kept prepared; null where it is not. */
  anonymous: AnonymousTexts | null = null;
  /** The last attempt did not come to a login: with `load_balance_hosts=disable` the next host's turn has come. */
  connectFailed = false;
  /** Why the last attempt failed: in PostgreSQL's words if it refused the login. */
  #loginError: ErrorToSend | null = null;
  /** Clients that logged in and wait for the first welcome. */
  readonly #greeting = new Set<Client>();
  readonly #cancelQueue = new Set<CancelForward>();
  /** Those that have a connection of their own. */
  readonly cancels = new Set<CancelForward>();
  #nextHost = 0;
  /** When a client or server was last here, monotonic ms. */
  usedAt: number;

  constructor(engine: Engine, database: Database, user: User) {
    this.engine = engine;
    this.database = database;
    this.user = user;
    this.usedAt = engine.turn.now;
    this.#policy = {
      sizeMax: 0,
      sizeMin: 0,
      reserveMax: 0,
      reserveTimeoutMs: 0,
      checkDelayMs: 0,
      checks: false,
      idleTimeoutMs: 0,
      lifetimeMs: 0,
      loginRetryMs: 0,
      roundRobin: false,
      loginsAtOnceMax: LOGINS_AT_ONCE_MAX,
      keepFilled: false,
      shareDepth: 0,
      shareLowMark: 0,
    };
    this.sharing = new PoolSharing(this);
    this.refreshPolicy();
    this.core = new Pool<Server, ServerSeeker>(this.#policy, this, [database.connections, user.connections]);
    if (database.paused) this.core.pause(engine.turn.now);
  }

  /** Takes over what the settings and entries say now. */
  refreshPolicy(): void {
    const { settings } = this.engine;
    const { entry } = this.database;
    const userEntry = this.user.entry;
    const policy = this.#policy;
    policy.sizeMax = poolSize(settings, entry, userEntry);
    policy.sizeMin = minPoolSize(settings, entry);
    policy.reserveMax = reservePoolSize(settings, entry, userEntry);
    policy.reserveTimeoutMs = settings.reservePoolTimeoutMs;
    policy.checkDelayMs = settings.serverCheckDelayMs;
    policy.checks = settings.serverCheckQuery !== "";
    policy.idleTimeoutMs = settings.serverIdleTimeoutMs;
    policy.lifetimeMs = serverLifetimeMs(settings, entry);
    policy.loginRetryMs = settings.serverLoginRetryMs;
    policy.roundRobin = settings.serverRoundRobin;
    policy.keepFilled = entry.user !== null;
    this.mode = poolMode(settings, entry, userEntry);
    policy.shareDepth = this.sharing.refresh();
    policy.shareLowMark = settings.sharingLowMark;
    const keeps = anonymousStatements(settings, entry, userEntry) && this.hasStatements;
    if (!keeps) this.anonymous?.clear();
    this.anonymous = keeps ? (this.anonymous ?? new AnonymousTexts(this.engine.statements)) : null;
    if (settings.deferredBeginMs === 0) return;
    for (const state of Object.values(ClientState)) for (const client of this.clients.in(state)) client.defersBegin();
  }

  /** Nobody is here, and nobody is on the way. */
  get isEmpty(): boolean {
    return this.core.connections === 0 && this.clients.total === 0 && this.core.waiters.length === 0;
  }

  /** Prepared statements and settings follow the client. */
  get shares(): boolean {
    return this.mode !== PoolMode.session;
  }

  get hasStatements(): boolean {
    return this.mode !== PoolMode.session && this.engine.settings.maxPreparedStatements > 0;
  }

  // ── Clients ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * `client` has authenticated: it is greeted at once when the welcome is known, else after the next login to a server; one for
   * replication, after the login of its own server.
   */
  greet(client: Client): void {
    if (client.dedication !== null) {
      this.clients.enter(client.place, ClientState.waiting, this.engine.turn.now);
      client.dedication.seek(this);
      return;
    }
    if (this.welcome !== null) {
      this.clients.enter(client.place, ClientState.idle, this.engine.turn.now);
      client.greeted(this.welcome);
      return;
    }
    this.clients.enter(client.place, ClientState.waiting, this.engine.turn.now);
    this.#greeting.add(client);
    this.#seekWelcome();
  }

  /**
   * No server of now has told what clients are greeted with: there is none, RECONNECT has come, or another process has opened
   * them. One is opened, in the place of an idle one if need be.
   */
  #seekWelcome(): void {
    const { now } = this.engine.turn;
    const { core } = this;
    core.warm(now, true);
    const { sizeMax } = this.#policy;
    const isFull = sizeMax > 0 && core.connections >= sizeMax && core.connections === core.servers.total;
    const idle = core.servers.oldest(ServerState.idle);
    if (isFull && idle !== null && core.servers.count(ServerState.new) === 0) core.retire(idle, "evicted", now);
  }

  /** A server that another process has opened and written down comes in; `holder`: who holds it. */
  takeUp(server: Server, holder: Client | null): void {
    this.core.adopt(server, holder !== null, this.engine.turn.now);
    this.engine.directory.serverOpened(server);
    server.holder = holder;
  }

  isGreeting(client: Client): boolean {
    return this.#greeting.has(client);
  }

  get greetingCount(): number {
    return this.#greeting.size;
  }

  /**
   * A server for `seeker`, linked; or null: it waits, and ends by `seeker.served`, or has been failed.
   */
  request(seeker: ServerSeeker): Server | null {
    const { now } = this.engine.turn;
    if (this.#refuses(seeker)) return null;
    const server = this.core.acquire(seeker.waiting, now);
    if (server === null) {
      seeker.entered(ClientState.waiting);
      this.sharing.waits();
      return null;
    }
    this.assign(server, seeker);
    return server;
  }

  /** Waiting makes no sense, and `seeker` has been told so. */
  #refuses(seeker: ServerSeeker): boolean {
    const closed = this.engine.directory.serversClosedWith;
    if (closed !== null) {
      seeker.fail(closed);
      return true;
    }
    if (!this.core.loginFailing || this.#loginError === null) return false;
    seeker.fail(poolerError(PoolerErrors.loginFailing, this.#loginError.message.slice(0, 99)));
    this.core.warm(this.engine.turn.now);
    return true;
  }

  /** `seeker`, whose unit rode on a server, waits again where it stood. `shares`: it may ride on another. */
  moveBack(seeker: ServerSeeker, shares: boolean): void {
    if (this.#refuses(seeker)) return;
    this.core.moveBack(seeker.waiting, shares, this.engine.turn.now);
    this.sharing.settleSoon();
  }

  serve(seeker: ServerSeeker, server: Server): void {
    const { counters } = this.database;
    if (seeker.isCounted) counters.waitTimeUs += Math.round((this.engine.turn.now - seeker.waiting.since) * 1000);
    this.assign(server, seeker);
    seeker.served(server);
  }

  mayShare(seeker: ServerSeeker): boolean {
    return seeker.mayShare();
  }

  fit(seeker: ServerSeeker, server: Server): Fit {
    return this.sharing.fit(seeker, server);
  }

  ride(seeker: ServerSeeker, server: Server): void {
    const { counters } = this.database;
    counters.waitTimeUs += Math.round((this.engine.turn.now - seeker.waiting.since) * 1000);
    counters.serverAssignmentCount += 1;
    seeker.entered(ClientState.active);
    this.sharing.ride(seeker, server);
  }

  free(server: Server): void {
    this.release(server);
  }

  sealed(_server: Server, reason: SealReason): void {
    this.sharing.sealed(reason);
  }

  /** `server`, active, is held by `seeker` from now on. */
  assign(server: Server, seeker: ServerSeeker): void {
    if (seeker.isCounted) this.database.counters.serverAssignmentCount += 1;
    seeker.entered(ClientState.active);
    server.holder = seeker;
    server.pipeline.linked = seeker;
  }

  /** It does not wait any more, or is gone. */
  leaveQueue(seeker: ServerSeeker): void {
    this.core.leave(seeker.waiting);
  }

  /** `client`, not linked, leaves for good. */
  clientLeft(client: Client): void {
    this.#greeting.delete(client);
    this.leaveQueue(client);
    client.dedication?.abandon();
    this.clients.leave(client.place);
    this.usedAt = this.engine.turn.now;
  }

  /** Its holder is done with `server`, which is ready. */
  release(server: Server): void {
    server.holder = null;
    server.pipeline.linked = null;
    if (server.dedication !== null) {
      server.dedication.released(server);
      return;
    }
    for (const cancel of server.cancels) cancel.targetReleased();
    if (server.cancels.size > 0) {
      this.core.cancelling(server, this.engine.turn.now);
      return;
    }
    this.#cleanUp(server);
  }

  /** The last cancel request that aimed at `server` has ended. */
  cancelsEnded(server: Server): void {
    if (server.isClosed) return;
    if (server.place.state === ServerState.beingCanceled) this.#cleanUp(server);
    else server.drain?.look();
  }

  #cleanUp(server: Server): void {
    const { settings, turn } = this.engine;
    const resets = settings.serverResetQuery !== "" && (!this.shares || settings.serverResetQueryAlways);
    if (!resets || server.closeNeeded || server.dirty || this.core.paused) {
      this.core.released(server, turn.now);
      return;
    }
    this.core.testing(server, turn.now);
    server.run(
      new Task(settings.serverResetQuery, (error, status) => {
        if (error !== null || status !== IDLE) server.close("reset query failed");
        else this.core.released(server, this.engine.turn.now);
      }),
    );
  }

  // ── Cancel requests ─────────────────────────────────────────────────────────────────────────────────────────────

  /** `cancel` connects as soon as it may: there is a bound for such connections too. */
  queueCancel(cancel: CancelForward): void {
    this.#cancelQueue.add(cancel);
    // Not before the caller has it.
    this.engine.world.afterTurn(() => this.startCancels());
  }

  dropCancel(cancel: CancelForward): void {
    this.#cancelQueue.delete(cancel);
    this.cancels.delete(cancel);
  }

  startCancels(): void {
    for (const cancel of this.#cancelQueue) {
      const slot = this.core.takeCancelSlot();
      if (slot === null) return;
      this.#cancelQueue.delete(cancel);
      this.cancels.add(cancel);
      cancel.open(slot);
    }
  }

  // ── Servers ─────────────────────────────────────────────────────────────────────────────────────────────────────

  open(slot: Slot, seeker: ServerSeeker | null): void {
    const dedication = seeker === null ? null : seeker.dedication;
    const server = new Server(this.engine, this, this.#nextAddress(), dedication);
    dedication?.attempted(server);
    this.core.opening(server, slot, this.engine.turn.now);
    this.engine.directory.serverOpened(server);
    server.open();
  }

  #nextAddress(): ServerAddress {
    const { entry } = this.database;
    const addresses = serverAddresses(entry, this.engine.settings.unixSocketDir);
    const takesTurns = entry.loadBalanceHosts === LoadBalanceHosts.roundRobin;
    if (!takesTurns && this.connectFailed) this.#nextHost += 1;
    this.connectFailed = false;
    const address = addresses[this.#nextHost % addresses.length];
    if (takesTurns) this.#nextHost += 1;
    // Without a Unix socket directory there is nowhere to go; the attempt fails like any other.
    return address ?? { kind: "unix", path: "" };
  }

  check(server: Server): void {
    const text = this.engine.settings.serverCheckQuery;
    server.run(
      new Task(text === EMPTY_QUERY ? "" : text, (error, status) => {
        if (error !== null || status !== IDLE) server.close("test query failed");
        else this.core.checked(server, this.engine.turn.now);
      }),
    );
  }

  retire(server: Server, reason: string): void {
    server.close(reason);
  }

  hasClients(): boolean {
    return this.clients.total > 0;
  }

  log(level: "WARNING" | "LOG", message: string, server: Server | null): void {
    // What concerns no server is done for the one who has waited longest.
    const line = `${String(server ?? this.core.waiters.first() ?? this.database.name)} ${message}`;
    if (level === "WARNING") this.engine.log.warning(line);
    else this.engine.log.log(line);
  }

  /** `server` has logged in. `reported`: its ParameterStatus, in order. */
  serverOpened(server: Server, reported: ReadonlyMap<string, string>): void {
    if (server.dedication !== null) {
      server.dedication.opened(server, reported);
      return;
    }
    this.#loginError = null;
    if (this.welcome === null && !server.closeNeeded) {
      this.welcome = welcomeOf(this.engine, reported, server.parameters);
      for (const client of this.#greeting) {
        this.#greeting.delete(client);
        this.clients.move(client.place, ClientState.idle, this.engine.turn.now);
        client.greeted(this.welcome);
      }
    }
    if (!server.isClosed) this.core.opened(server, this.engine.turn.now);
  }

  /** An attempt ended before PostgreSQL had answered the login. Clients that wait go on waiting; `reason` is for later ones. */
  attemptFailed(reason: string): void {
    this.connectFailed = true;
    this.#loginError = { severity: "FATAL", code: "08P01", message: reason };
  }

  /** PostgreSQL refused a login. Without another server everybody who waits learns why; 57P03 (starting up) passes, and so does one interruption. */
  loginRefused(server: Server, error: ErrorToSend): void {
    if (server.loginInterrupted && !this.core.loginFailing) return;
    this.connectFailed = true;
    this.#loginError = error;
    if (error.code === "57P03") return;
    if (this.core.sharedCount > 0 && this.welcome !== null) return;
    this.#failShared(error);
  }

  /** Everybody who waits for a server, or for a login to one, is told that there will be none. */
  failWaiting(error: ErrorToSend): void {
    this.#failShared(error);
    for (const seeker of this.core.dedicated) seeker.fail(error);
    for (const server of this.core.servers.in(ServerState.new)) server.dedication?.client.fail(error);
  }

  #failShared(error: ErrorToSend): void {
    for (const client of this.#greeting) client.fail(error);
    for (const seeker of this.core.waiters) seeker.fail(error);
  }

  /** `server` has begun to close. */
  serverClosing(server: Server): void {
    const { now } = this.engine.turn;
    const { slot } = server;
    if (server.place.state === ServerState.new && slot !== null)
      this.core.openFailed(server, slot, now, server.loginInterrupted);
    else if (server.place.state !== null) this.core.retire(server, "closed", now);
    server.dedication?.closing(server);
  }

  /** Its socket has closed. */
  serverGone(server: Server): void {
    this.usedAt = this.engine.turn.now;
    this.engine.directory.serverClosed(server);
    this.core.closed(server, this.engine.turn.now);
  }

  /** Maintenance, 3 times a second. */
  tick(): void {
    const { now } = this.engine.turn;
    if (this.#greeting.size > 0 && this.welcome === null) this.#seekWelcome();
    this.core.tick(now);
    this.startCancels();
  }

  /** It is empty, and is taken out of its budgets. */
  dismantle(): void {
    this.anonymous?.clear();
    this.anonymous = null;
    this.core.dismantle();
  }

  /** RECONNECT, or a changed configuration: servers of now are not used again, and the next login makes a new welcome. */
  reconnect(): void {
    this.welcome = null;
    // They may lead elsewhere now.
    this.database.catalogue.noteDdl();
    this.core.markCloseNeeded(this.engine.turn.now);
  }
}
