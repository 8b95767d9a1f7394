/**
 * What operators and signals command: PAUSE, RESUME, SUSPEND, RECONNECT, KILL, DISABLE, SHUTDOWN, and waiting for them.
 *
 * Each command changes what must change at once and returns; those that answer later take a callback that is called when
 * their condition holds. Counterpart: the command functions of PgBouncer's `admin.c` and signal handlers of `main.c`.
 */
import { minPoolSize } from "../config/precedence.ts";
import { ServerState } from "../pool/server-state.ts";
import type { Database } from "../session/database.ts";
import type { Engine } from "../session/engine.ts";
import { PoolerErrors, poolerError, serverLostError } from "../session/pooler-error.ts";
import type { Server } from "../session/server.ts";
import type { ServerPool } from "../session/server-pool.ts";
import type { Listeners } from "./listeners.ts";
import type { Residents } from "./residents.ts";
import { Suspension } from "./suspension.ts";

export const ShutdownMode = {
  waitForServers: "WAIT_FOR_SERVERS",
  waitForClients: "WAIT_FOR_CLIENTS",
  immediate: "IMMEDIATE",
} as const;
export type ShutdownMode = (typeof ShutdownMode)[keyof typeof ShutdownMode];

export const PoolerState = { active: "active", paused: "paused", suspended: "suspended" } as const;
export type PoolerState = (typeof PoolerState)[keyof typeof PoolerState];

/** A command that answers when `holds` does. */
interface Awaited {
  readonly holds: () => boolean;
  readonly done: () => void;
  /** What a RESUME takes back before `holds` was true; null: nothing does. */
  readonly resumable: Resumable | null;
}

interface Resumable {
  /** Null: the pooler as a whole. */
  readonly database: Database | null;
  /** The command was taken back and will not be done. */
  readonly resumed: () => void;
}

export class Operations {
  readonly #engine: Engine;
  readonly #residents: Residents;
  readonly #listeners: Listeners;
  readonly #exit: () => void;
  readonly suspension: Suspension;
  #state: PoolerState = PoolerState.active;
  #shutdown: ShutdownMode | null = null;
  #awaited: Awaited[] = [];

  /** `exit` ends the process in good order; it is called once. */
  constructor(engine: Engine, residents: Residents, listeners: Listeners, exit: () => void) {
    this.#engine = engine;
    this.#residents = residents;
    this.#listeners = listeners;
    this.#exit = exit;
    this.suspension = new Suspension(engine, residents, listeners);
  }

  get state(): PoolerState {
    return this.#state;
  }

  get shutdownMode(): ShutdownMode | null {
    return this.#shutdown;
  }

  // ── PAUSE, RESUME, SUSPEND ──────────────────────────────────────────────────────────────────────────────────────

  /** PAUSE. `done` when no server is a client's any more; `resumed` when a RESUME came before that. */
  pause(done: () => void, resumed: () => void = () => {}): void {
    this.#state = PoolerState.paused;
    this.#residents.isPaused = true;
    for (const pool of this.#residents.pools()) pool.core.pause(this.#engine.turn.now);
    this.#await(() => this.#everySettled(this.#residents.pools()), done, { database: null, resumed });
  }

  pauseDatabase(database: Database, done: () => void, resumed: () => void = () => {}): void {
    database.paused = true;
    for (const pool of database.pools.values()) pool.core.pause(this.#engine.turn.now);
    this.#await(() => this.#everySettled(database.pools.values()), done, { database, resumed });
  }

  /** RESUME: ends PAUSE and SUSPEND; databases paused by name stay so. */
  resume(): void {
    this.suspension.end();
    this.#state = PoolerState.active;
    this.#residents.isPaused = false;
    this.#takeBack(null);
    for (const database of this.#residents.databases.values()) {
      if (database.paused) continue;
      for (const pool of database.pools.values()) pool.core.resume(this.#engine.turn.now);
    }
    this.#look();
  }

  resumeDatabase(database: Database): void {
    database.paused = false;
    this.#takeBack(database);
    // KILL has ended its pools; one that fills itself comes back without anybody asking.
    const { user } = database.entry;
    if (user !== null && minPoolSize(this.#engine.settings, database.entry) > 0) {
      this.#residents.poolFor(database, this.#residents.knownUser(user));
    }
    if (this.#residents.isPaused) return;
    for (const pool of database.pools.values()) pool.core.resume(this.#engine.turn.now);
  }

  /**
   * SUSPEND: nobody comes in and nothing is read any more. `done` when everything that was received has been passed on;
   * `resumed` when a RESUME came before that. `forHeir`: see `Suspension`.
   */
  suspend(done: () => void, resumed: () => void, forHeir = false): void {
    this.#state = PoolerState.suspended;
    this.suspension.begin(() => this.look(), forHeir);
    this.#await(() => this.suspension.isAtRest, done, { database: null, resumed });
  }

  #takeBack(database: Database | null): void {
    const taken = this.#awaited.filter(({ resumable }) => resumable !== null && resumable.database === database);
    this.#awaited = this.#awaited.filter((awaited) => !taken.includes(awaited));
    for (const { resumable } of taken) resumable?.resumed();
  }

  /** Somebody has given up waiting for the answer of a command. */
  forget(done: () => void): void {
    this.#awaited = this.#awaited.filter((awaited) => awaited.done !== done);
  }

  #everySettled(pools: Iterable<ServerPool>): boolean {
    for (const pool of pools) if (!pool.core.settled) return false;
    return true;
  }

  // ── RECONNECT, WAIT_CLOSE, KILL ─────────────────────────────────────────────────────────────────────────────────

  /** `database` null: all. */
  reconnect(database: Database | null): void {
    for (const pool of this.#poolsOf(database)) pool.reconnect();
  }

  /** `done` when no server of now that must be closed is left. */
  waitClose(database: Database | null, done: () => void): void {
    this.#await(() => {
      for (const pool of this.#poolsOf(database)) {
        for (const state of Object.values(ServerState)) {
          for (const server of pool.core.servers.in(state)) if (server.closeNeeded) return false;
        }
      }
      return true;
    }, done);
  }

  /** Drops all clients, servers and pools of a database with what was counted for it, and leaves it paused. */
  kill(database: Database): void {
    this.pauseDatabase(database, () => {});
    this.dropAll(database, "database removed");
    this.#residents.retirePools(database);
  }

  /** `reason` is told to the clients and logged. */
  dropAll(database: Database, reason: string): void {
    const error = serverLostError(reason);
    for (const client of this.#residents.clients) {
      if (client.databaseName === database.name && client.console === null) client.fail(error);
    }
    for (const pool of database.pools.values()) {
      pool.failWaiting(error);
      for (const server of serversOf(pool)) server.close(reason);
    }
  }

  #poolsOf(database: Database | null): Iterable<ServerPool> {
    return database === null ? this.#residents.pools() : database.pools.values();
  }

  // ── SHUTDOWN ────────────────────────────────────────────────────────────────────────────────────────────────────

  shutdown(mode: ShutdownMode): void {
    this.#shutdown = mode;
    if (mode === ShutdownMode.immediate) {
      this.#exit();
      return;
    }
    this.#listeners.closeTcp();
    this.#residents.closedWith = poolerError(PoolerErrors.shuttingDown);
    if (mode === ShutdownMode.waitForServers) this.#refuseServers();
    this.#look();
  }

  #refuseServers(): void {
    const error = poolerError(PoolerErrors.serverShuttingDown);
    this.suspension.end();
    this.#state = PoolerState.paused;
    this.#residents.isPaused = true;
    this.#residents.serversClosedWith = error;
    for (const pool of this.#residents.pools()) {
      pool.failWaiting(error);
      pool.core.pause(this.#engine.turn.now);
    }
  }

  // ── Waiting ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #await(holds: () => boolean, done: () => void, resumable: Resumable | null = null): void {
    if (holds()) done();
    else this.#awaited.push({ holds, done, resumable });
  }

  /** Answers those whose condition holds now. Called by the janitor, and when somebody has left. */
  look(): void {
    if (this.#state === PoolerState.suspended) this.suspension.dropLaggards();
    this.#residents.sweepRetired();
    this.#look();
  }

  #look(): void {
    const ready = this.#awaited.filter((awaited) => awaited.holds());
    if (ready.length > 0) {
      this.#awaited = this.#awaited.filter((awaited) => !ready.includes(awaited));
      for (const awaited of ready) awaited.done();
    }
    const { log } = this.#engine;
    if (this.#shutdown === ShutdownMode.waitForServers && this.#residents.servers.size === 0) {
      this.#shutdown = null;
      log.log("server connections dropped, exiting");
      this.#exit();
    } else if (this.#shutdown === ShutdownMode.waitForClients && this.#residents.clients.size === 0) {
      this.#shutdown = null;
      log.log("client connections dropped, exiting");
      this.#exit();
    }
  }
}

/** The servers of a pool, whatever their state. */
export function serversOf(pool: ServerPool): Server[] {
  const servers: Server[] = [];
  for (const state of Object.values(ServerState)) servers.push(...pool.core.servers.in(state));
  return servers;
}
