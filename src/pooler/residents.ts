/**
 * Who is there: databases, users, pools and clients of one pooler, and who may come in.
 *
 * Responsible for: finding and making them, client-side limits, cancel keys. Not for: what a reload changes
 * (`reload.ts`), what operators command (`operations.ts`).
 *
 * Counterpart: PgBouncer's `objects.c` (find_or_register_database, get_pool) and `check_client_limits`.
 */
import { AUTO_DATABASE, CONSOLE_DATABASE, autoDatabaseEntry } from "../config/database-entry.ts";
import type { DatabaseEntry } from "../config/database-entry.ts";
import { maxDbClientConnections, maxUserClientConnections } from "../config/precedence.ts";
import { AuthType } from "../config/setting-words.ts";
import { TRAFFIC_COUNTERS, TrafficCounters } from "../metrics/traffic-counters.ts";
import type { ErrorToSend } from "../protocol/error-messages.ts";
import type { Client } from "../session/client.ts";
import type { Console } from "../session/console.ts";
import { Database } from "../session/database.ts";
import type { ConsoleAccess, Directory, Engine } from "../session/engine.ts";
import { MADE_UP_PID_MIN, makeCancelKey } from "../session/peer-key.ts";
import type { PeerPool } from "../session/peer-pool.ts";
import { PoolerErrors, poolerError } from "../session/pooler-error.ts";
import type { Server } from "../session/server.ts";
import { ServerPool } from "../session/server-pool.ts";
import { User } from "../session/user.ts";
import { ConsoleLevel } from "./console-level.ts";
import { Peers } from "./peers.ts";

/** What the console is made with; `admin/` hands it in. */
export type MakeConsole = (level: ConsoleLevel) => Console;

export class Residents implements Directory {
  readonly #engine: Engine;
  readonly #makeConsole: MakeConsole;
  readonly databases = new Map<string, Database>();
  readonly users = new Map<string, User>();
  /** All sockets of clients, those still logging in and those that carry cancel requests too. */
  readonly clients = new Set<Client>();
  readonly servers = new Set<Server>();
  readonly peers: Peers;
  /** The entry `*`. */
  autoDatabase: DatabaseEntry | null = null;
  /** While the pooler is paused as a whole: pools made now are too. */
  isPaused = false;
  /** While it is suspended: who logs in now is not read from either. */
  isSuspended = false;
  /** Why nobody comes in any more, during a shutdown. */
  closedWith: ErrorToSend | null = null;
  /** Why nobody is given a server any more, while a shutdown waits for servers. */
  serversClosedWith: ErrorToSend | null = null;
  /** Is told when a client or a server is gone. */
  onLeft: () => void = () => {};
  /** What the console's own traffic comes to. */
  readonly consoleCounters = new TrafficCounters();
  readonly #retired = new Set<Database>();
  readonly #retiredPools = new Set<ServerPool>();
  /** Whom a key's process id may mean: of one group's pids 16,384 differ. */
  readonly #byKey = new Map<number, Client[]>();
  /** Who was admitted, and is counted for its database and user. */
  readonly #admitted = new Map<Client, { database: Database | null; user: User | null }>();

  constructor(engine: Engine, makeConsole: MakeConsole) {
    this.#engine = engine;
    this.#makeConsole = makeConsole;
    this.peers = new Peers(engine);
  }

  // ── Databases, users, pools ─────────────────────────────────────────────────────────────────────────────────────

  findDatabase(name: string): Database | null {
    const known = this.databases.get(name);
    if (known !== undefined) return known;
    const pattern = this.autoDatabase;
    if (pattern === null || name === AUTO_DATABASE) return null;
    const entry = autoDatabaseEntry(pattern, name);
    if (entry === null) return null;
    const database = this.addDatabase(entry);
    this.#engine.log.log(`registered new auto-database: ${name}`);
    return database;
  }

  addDatabase(entry: DatabaseEntry): Database {
    const database = new Database(entry, this.#engine.settings);
    database.usedAt = this.#engine.turn.now;
    this.databases.set(entry.name, database);
    return database;
  }

  /** It is not found any more; what is left of its pools goes when their last server has closed. */
  retireDatabase(database: Database): void {
    this.databases.delete(database.name);
    this.#retired.add(database);
  }

  /** `*` has changed: databases made from it are made anew. `changed` is told of each. */
  remakeAutoDatabases(changed: (database: Database) => void): void {
    const pattern = this.autoDatabase;
    if (pattern === null) return;
    for (const database of this.databases.values()) {
      if (!database.entry.auto) continue;
      const entry = autoDatabaseEntry(pattern, database.name);
      if (entry === null) continue;
      database.entry = entry;
      changed(database);
    }
  }

  /** The pools of `database` go, with what was counted for it; what is left of them when their last server has closed. */
  retirePools(database: Database): void {
    for (const pool of database.pools.values()) this.#retiredPools.add(pool);
    database.pools.clear();
    for (const name of TRAFFIC_COUNTERS) database.counters[name] = 0;
    this.sweepRetired();
  }

  /** One pool goes; with the last one of its database what was counted for it. */
  retirePool(pool: ServerPool): void {
    const { database, user } = pool;
    this.#retiredPools.add(pool);
    database.pools.delete(user.name);
    if (database.pools.size === 0) for (const name of TRAFFIC_COUNTERS) database.counters[name] = 0;
    this.sweepRetired();
  }

  /** Takes the pools of removed databases, and removed pools, apart once they are empty. */
  sweepRetired(): void {
    for (const pool of this.#retiredPools) {
      if (!pool.isEmpty) continue;
      pool.dismantle();
      this.#retiredPools.delete(pool);
    }
    for (const database of this.#retired) {
      if (database.connections.used > 0 || database.clientCount > 0) continue;
      for (const pool of database.pools.values()) pool.dismantle();
      this.#retired.delete(database);
    }
  }

  /** Nobody may be in it: its pools have neither clients nor servers. */
  removeDatabase(database: Database): void {
    for (const pool of database.pools.values()) pool.dismantle();
    this.databases.delete(database.name);
  }

  /** A user has a `client_idle_timeout` of its own. */
  get hasUserIdleTimeout(): boolean {
    for (const user of this.users.values()) if ((user.entry?.clientIdleTimeoutMs ?? 0) > 0) return true;
    return false;
  }

  findUser(name: string): User | null {
    return this.users.get(name) ?? null;
  }

  addUser(name: string): User {
    const user = new User(name, this.#engine.settings);
    this.users.set(name, user);
    return user;
  }

  /** As `findUser`, but never null: for users that the configuration names. */
  knownUser(name: string): User {
    return this.users.get(name) ?? this.addUser(name);
  }

  poolFor(database: Database, user: User): ServerPool {
    let pool = database.pools.get(user.name);
    if (pool === undefined) {
      pool = new ServerPool(this.#engine, database, user);
      if (this.isPaused) pool.core.pause(this.#engine.turn.now);
      database.pools.set(user.name, pool);
    }
    return pool;
  }

  *pools(): IterableIterator<ServerPool> {
    for (const database of this.databases.values()) yield* database.pools.values();
  }

  // ── Clients ─────────────────────────────────────────────────────────────────────────────────────────────────────

  admit(client: Client, database: Database | null, user: User | null): ErrorToSend | null {
    const { settings } = this.#engine;
    if (this.clients.size > settings.maxClientConn) return poolerError(PoolerErrors.tooManyClients);
    if (database !== null) {
      const max = maxDbClientConnections(settings, database.entry);
      if (max > 0 && database.clientCount >= max) return poolerError(PoolerErrors.tooManyDatabaseClients);
    }
    if (user !== null) {
      const max = maxUserClientConnections(settings, user.entry);
      if (max > 0 && user.clientCount >= max) return poolerError(PoolerErrors.tooManyUserClients);
      user.clientCount += 1;
    }
    if (database !== null) database.clientCount += 1;
    this.#admitted.set(client, { database, user });
    return null;
  }

  admitUser(client: Client, user: User): ErrorToSend | null {
    const max = maxUserClientConnections(this.#engine.settings, user.entry);
    if (max > 0 && user.clientCount >= max) return poolerError(PoolerErrors.tooManyUserClients);
    const admitted = this.#admitted.get(client);
    if (admitted?.user) admitted.user.clientCount -= 1;
    user.clientCount += 1;
    this.#admitted.set(client, { database: admitted?.database ?? null, user });
    return null;
  }

  consoleFor(client: Client, userName: string): ConsoleAccess {
    const { log, settings, world } = this.#engine;
    const peer = client.startup?.isUnixSocket ? world.peerCredentials(client.connection.fd) : null;
    if (peer !== null && userName === CONSOLE_DATABASE && peer.uid === process.getuid?.()) {
      if (settings.logConnections) log.log(`${client} pgbouncer access from unix socket`);
      return { allowed: true, trusted: true, user: null, console: this.#makeConsole(ConsoleLevel.admin) };
    }
    const isAdmin = settings.adminUsers.has(userName);
    const mayLook = isAdmin || settings.statsUsers.has(userName) || settings.authType === AuthType.any;
    const user = this.users.get(userName) ?? null;
    if (!mayLook) return { allowed: false, error: user === null ? null : poolerError(PoolerErrors.notAllowed) };
    const refusal = isAdmin ? null : this.#consoleLimit(user);
    if (refusal !== null) return { allowed: false, error: refusal };
    if (user !== null) {
      user.clientCount += 1;
      this.#admitted.set(client, { database: null, user });
    }
    const console = this.#makeConsole(isAdmin ? ConsoleLevel.admin : ConsoleLevel.stats);
    return { allowed: true, trusted: settings.authType === AuthType.any, user, console };
  }

  /** Limits of clients hold on the console too, but not for admins: they must get in when all others are too many. */
  #consoleLimit(user: User | null): ErrorToSend | null {
    const { settings } = this.#engine;
    const maxOfUser = user === null ? 0 : maxUserClientConnections(settings, user.entry);
    if (user !== null && maxOfUser > 0 && user.clientCount >= maxOfUser)
      return poolerError(PoolerErrors.tooManyUserClients);
    const max = settings.maxDbClientConnections;
    if (max === 0) return null;
    let count = 0;
    for (const client of this.clients) if (client.console !== null) count += 1;
    return count >= max ? poolerError(PoolerErrors.tooManyDatabaseClients) : null;
  }

  closedFor(client: Client): ErrorToSend | null {
    return client.databaseName === CONSOLE_DATABASE ? null : this.closedWith;
  }

  loggedIn(client: Client): void {
    this.#giveKey(client);
    if (client.console !== null) this.consoleCounters.clientLoginCount += 1;
    else if (this.isSuspended) client.suspend();
  }

  #giveKey(client: Client): void {
    const { settings, world } = this.#engine;
    const { peerId } = settings;
    let { processId, secret } = makeCancelKey(world.crypto.randomBytes(8), peerId);
    // A process id of one's own, as with PostgreSQL; with a peer_id there are too few for that.
    if (peerId === 0) while (this.#byKey.has(processId)) processId = MADE_UP_PID_MIN + ((processId + 1) & 0x3fffffff);
    while (this.#byKey.get(processId)?.some(({ keySecret }) => keySecret === secret) === true)
      ({ processId, secret } = makeCancelKey(world.crypto.randomBytes(8), peerId));
    client.keyProcessId = processId;
    client.keySecret = secret;
    this.#noteKey(client);
  }

  #noteKey(client: Client): void {
    const namesakes = this.#byKey.get(client.keyProcessId);
    if (namesakes === undefined) this.#byKey.set(client.keyProcessId, [client]);
    else namesakes.push(client);
  }

  takeUp(client: Client, database: Database | null, user: User | null): void {
    this.clients.add(client);
    if (database === null || user === null) return;
    database.clientCount += 1;
    user.clientCount += 1;
    this.#admitted.set(client, { database, user });
    this.#noteKey(client);
  }

  byCancelKey(processId: number, secret: Uint8Array): Client | null {
    const own = new Uint8Array(4);
    const view = new DataView(own.buffer);
    for (const client of this.#byKey.get(processId) ?? []) {
      view.setUint32(0, client.keySecret);
      if (this.#engine.world.crypto.equal(own, secret)) return client;
    }
    return null;
  }

  peer(id: number): PeerPool | null {
    return this.peers.find(id);
  }

  left(client: Client): void {
    this.clients.delete(client);
    this.#takeKey(client);
    const admitted = this.#admitted.get(client);
    if (admitted !== undefined) {
      this.#admitted.delete(client);
      if (admitted.database !== null) admitted.database.clientCount -= 1;
      if (admitted.user !== null) admitted.user.clientCount -= 1;
    }
    this.#forgetUnused(client.databaseName);
    this.onLeft();
  }

  /**
   * What `*` was made into for a login that came to nothing goes with it: names are strangers' choice, and there are as many
   * as they like. PgBouncer keeps it for `autodb_idle_timeout`.
   */
  #forgetUnused(name: string | null): void {
    const database = name === null ? undefined : this.databases.get(name);
    if (database === undefined || !database.entry.auto || database.paused || database.disabled) return;
    if (database.clientCount === 0 && database.pools.size === 0) this.databases.delete(database.name);
  }

  #takeKey(client: Client): void {
    const namesakes = this.#byKey.get(client.keyProcessId);
    const at = namesakes?.indexOf(client) ?? -1;
    if (namesakes === undefined || at < 0) return;
    namesakes.splice(at, 1);
    if (namesakes.length === 0) this.#byKey.delete(client.keyProcessId);
  }

  serverOpened(server: Server): void {
    this.servers.add(server);
  }

  serverClosed(server: Server): void {
    this.servers.delete(server);
    if (this.#retired.size + this.#retiredPools.size > 0) this.sweepRetired();
    this.onLeft();
  }
}
