/**
 * One pooler: everything assembled, started and ended.
 *
 * Responsible for: making the parts and joining them, the clockwork (janitor, statistics), loading and reloading. Holds
 * no module state: a process may have several.
 */
import { ScramKeyCache } from "../auth/scram-key-cache.ts";
import { parseUserlist } from "../auth/userlist.ts";
import { StoredSecret } from "../auth/stored-secret.ts";
import { VerifierCache } from "../auth/verifier-cache.ts";
import type { Configuration } from "../config/configuration.ts";
import { loadConfiguration } from "../config/load.ts";
import { applyReload } from "../config/reload.ts";
import { copySettings } from "../config/settings.ts";
import type { Settings } from "../config/settings.ts";
import { systemErrorText } from "../log/system-error.ts";
import type { Logger } from "../log/logger.ts";
import type { Timer, World } from "../net/world.ts";
import { Scratch, Turn } from "../net/turn.ts";
import type { Engine } from "../session/engine.ts";
import { RideUnit } from "../session/ride-unit.ts";
import { MessageParts } from "../session/statement-relay.ts";
import { StatementStore } from "../state/prepared-statement.ts";
import { TrackedParameters } from "../state/tracked-parameters.ts";
import { ServerNames } from "./dns-names.ts";
import { ConfiguredLogins } from "./configured-logins.ts";
import { Janitor, TICK_MS } from "./janitor.ts";
import { Listeners } from "./listeners.ts";
import type { ListeningMeans } from "./listeners.ts";
import { Operations } from "./operations.ts";
import { Residents } from "./residents.ts";
import type { MakeConsole } from "./residents.ts";
import { Statistics } from "./statistics.ts";
import { Takeover } from "./takeover.ts";
import type { HandedSocket, TakenOver } from "./takeover.ts";
import { ConfiguredTls } from "./tls-contexts.ts";

/** Memory that writes are gathered in. */
const SCRATCH_BYTES = 64 * 1024;

export interface PoolerOptions {
  readonly world: World;
  readonly configuration: Configuration;
  readonly log: Logger;
  /** Reads a file, or throws the system's error. */
  readonly readFile: (path: string) => Uint8Array;
  /** What the console is; called with the pooler when a client logs in to it. */
  readonly console: (pooler: Pooler, level: Parameters<MakeConsole>[0]) => ReturnType<MakeConsole>;
  /** What the process has of its own to listen with; absent: nothing but the settings. */
  readonly listening?: ListeningMeans;
  /** A `stats_period` is over: its line for the log. */
  readonly onStatistics?: (line: string) => void;
  /** The settings may have changed where the log goes: called after each load. */
  readonly onReload?: () => void;
  /** The pooler has ended by itself (SHUTDOWN, or a signal's): the process may exit. */
  readonly onExit: () => void;
}

export class Pooler {
  readonly engine: Engine;
  readonly residents: Residents;
  readonly operations: Operations;
  readonly statistics: Statistics;
  readonly listeners: Listeners;
  readonly tls: ConfiguredTls;
  readonly logins: ConfiguredLogins;
  readonly names: ServerNames;
  readonly #options: PoolerOptions;
  readonly #janitor: Janitor;
  #configuration: Configuration;
  /** What auth_file said last, so that an unchanged one is not read into new secrets. */
  #userlistText: string | null = null;
  #ended = false;
  #tickTimer: Timer | null = null;
  #periodTimer: Timer | null = null;

  constructor(options: PoolerOptions) {
    const { world, configuration, log } = options;
    this.#options = options;
    this.#configuration = configuration;
    const { settings } = configuration;
    const { crypto } = world;
    const turn = new Turn(world);
    let lastId = 0;
    this.tls = new ConfiguredTls(settings, options.readFile, world.runtime);
    this.names = new ServerNames(world, settings, log);
    this.logins = new ConfiguredLogins(settings, options.readFile, log, world.clock);
    const engine = {
      world,
      turn,
      scratch: new Scratch(SCRATCH_BYTES),
      settings,
      log,
      parameters: new TrackedParameters(settings.trackExtraParameters.names),
      statements: new StatementStore(),
      parts: new MessageParts(),
      rideUnit: new RideUnit(),
      secrets: {
        mock: crypto.randomBytes(32),
        verifiers: new VerifierCache(crypto),
        scramKeys: new ScramKeyCache(crypto),
      },
      tls: this.tls,
      logins: this.logins,
      names: this.names.cache,
      nextId: () => (lastId += 1),
    };
    // The directory needs the engine and the engine the directory: the last link is tied here and nowhere else.
    this.residents = new Residents(engine as unknown as Engine, (level) => options.console(this, level));
    this.engine = Object.assign(engine, { directory: this.residents });
    this.listeners = new Listeners(this.engine, this.residents, options.listening);
    this.operations = new Operations(this.engine, this.residents, this.listeners, () => this.end());
    this.statistics = new Statistics(this.engine, this.residents);
    this.#janitor = new Janitor(this.engine, this.residents);
    this.residents.onLeft = () => this.operations.look();
    this.names.watch(() => this.residents.pools());
  }

  get settings(): Settings {
    return this.engine.settings;
  }

  get configuration(): Configuration {
    return this.#configuration;
  }

  /** Takes over the configuration's entries and files. Returns why the process cannot run, null when it can. */
  prepare(): string | null {
    const { residents } = this;
    residents.autoDatabase = this.#configuration.autoDatabase;
    residents.peers.take(this.#configuration.peers);
    for (const entry of this.#configuration.databases.values()) residents.addDatabase(entry);
    this.#takeUsers();
    this.#readUserlist();
    this.logins.reload();
    this.#keepFilledPools();
    const { problem } = this.tls.reload();
    if (problem !== null) return `TLS setup failed: ${problem}`;
    return this.names.open(this.#options.readFile);
  }

  /** Sockets of another pooler become this one's, at rest; with what comes of it `start` goes on. */
  takeOver(sockets: readonly HandedSocket[], fromPgBouncer: boolean): Promise<TakenOver> {
    return new Takeover(this.engine).take(sockets, fromPgBouncer);
  }

  /** Opens the doors. Returns why the process cannot run, null when it does. `takenOver`: the other pooler is gone. */
  async start(takenOver: TakenOver | null = null): Promise<string | null> {
    const problem = await this.listeners.open(takenOver?.listeners ?? null);
    if (problem !== null) return problem;
    takenOver?.resume();
    this.#tick();
    this.#period();
    return null;
  }

  #tick(): void {
    if (this.#ended) return;
    if (!this.operations.suspension.isResting) this.#janitor.tick();
    this.names.zones.tick();
    this.operations.look();
    this.#tickTimer = this.engine.world.clock.after(TICK_MS, () => this.#tick());
  }

  #period(): void {
    this.#periodTimer = this.engine.world.clock.after(this.settings.statsPeriodMs, () => {
      if (this.#ended) return;
      const line = this.statistics.endPeriod();
      this.#options.onStatistics?.(line);
      this.#period();
    });
  }

  // ── Reload ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * RELOAD, SIGHUP. All errors are logged. False when the file was refused, which keeps everything as it was, or when
   * only the TLS settings could not be applied.
   */
  reload(): boolean {
    const { log } = this.engine;
    const path = this.settings.conffile ?? "";
    const loaded = loadConfiguration(path, (name) => Buffer.from(this.#options.readFile(name)).toString("utf8"));
    for (const warning of loaded.warnings) log.warning(warning.message);
    if (!loaded.ok) {
      for (const error of loaded.errors) log.error(error.message);
      log.warning("config file loading failed");
      return false;
    }
    const diff = applyReload(this.#configuration, loaded.configuration);
    for (const warning of diff.warnings) log.warning(warning);
    copySettings(this.settings, diff.configuration.settings);
    this.#configuration = { ...diff.configuration, settings: this.settings };

    const { residents } = this;
    residents.autoDatabase = diff.configuration.autoDatabase;
    residents.peers.take(diff.configuration.peers);
    for (const entry of diff.databases.removed) this.#removeDatabase(entry.name);
    for (const entry of diff.databases.added) this.#addDatabase(entry.name);
    for (const { after, reconnect } of diff.databases.changed) {
      const database = residents.databases.get(after.name);
      if (database === undefined) continue;
      database.entry = after;
      if (reconnect) this.operations.reconnect(database);
    }
    if (diff.autoDatabaseChanged) residents.remakeAutoDatabases((database) => this.operations.reconnect(database));
    this.#takeUsers();
    this.#readUserlist();
    this.logins.reload();
    this.#applySettings();
    const tlsProblem = this.#reloadTls();
    if (tlsProblem !== null) log.error("TLS configuration could not be reloaded, keeping old configuration");
    this.#options.onReload?.();
    return tlsProblem === null;
  }

  /**
   * SET has changed these settings: whatever is made of them is made anew. Returns what is wrong with the TLS settings
   * (those of before stay in force), null if nothing.
   */
  refresh(changed: readonly string[]): string | null {
    this.#applySettings();
    return changed.some((name) => /_tls(?:13)?_/.test(name)) ? this.#reloadTls() : null;
  }

  #applySettings(): void {
    this.engine.log.verbose = this.settings.verbose;
    for (const pool of this.residents.pools()) pool.refreshPolicy();
    this.#keepFilledPools();
    this.listeners.refresh();
  }

  /** Files may have changed where the settings have not. Returns what is wrong, null if nothing. */
  #reloadTls(): string | null {
    const { problem, serversChanged } = this.tls.reload();
    if (problem !== null) this.engine.log.error(`TLS setup failed: ${problem}`);
    else if (serversChanged) this.operations.reconnect(null);
    return problem;
  }

  #addDatabase(name: string): void {
    const entry = this.#configuration.databases.get(name);
    if (entry === undefined) return;
    const auto = this.residents.databases.get(name);
    if (auto === undefined) {
      this.residents.addDatabase(entry);
    } else {
      // It was served by `*` until now.
      auto.entry = entry;
      this.operations.reconnect(auto);
    }
  }

  #removeDatabase(name: string): void {
    const database = this.residents.databases.get(name);
    if (database === undefined) return;
    this.engine.log.warning(`dropping database '${name}' as it does not exist anymore or inactive auto-database`);
    this.operations.dropAll(database, "database removed");
    this.residents.retireDatabase(database);
  }

  #takeUsers(): void {
    const { users } = this.#configuration;
    for (const user of this.residents.users.values()) user.entry = users.get(user.name) ?? null;
    for (const entry of users.values()) this.residents.knownUser(entry.name).entry = entry;
    for (const database of this.residents.databases.values()) {
      if (database.entry.user !== null) this.residents.knownUser(database.entry.user);
    }
  }

  /** Reads auth_file, if it is not as it was. Users it does not name any more stay known, without a secret. */
  #readUserlist(): void {
    const { log } = this.engine;
    const path = this.settings.authFile;
    if (path === null || path === "") return;
    let text: string;
    try {
      text = Buffer.from(this.#options.readFile(path)).toString("utf8");
    } catch (error) {
      log.error(`could not open auth_file ${path}: ${systemErrorText(error)}`);
      return;
    }
    if (text === this.#userlistText) return;
    this.#userlistText = text;
    const { users, error } = parseUserlist(text);
    if (error !== null) log.error(`${error.message} (${path}:${error.line})`);
    for (const user of this.residents.users.values()) {
      if (!users.has(user.name) && user.secret !== null) user.secret = new StoredSecret("");
    }
    for (const [name, secret] of users) {
      const user = this.residents.knownUser(name);
      if (user.secret?.reveal() === secret.reveal()) continue;
      user.secret = secret;
      user.scramKeys = null;
    }
  }

  /** Databases with a forced user and a minimum have a pool without anybody asking. */
  #keepFilledPools(): void {
    for (const database of this.residents.databases.values()) {
      const { user } = database.entry;
      const min = database.entry.minPoolSize ?? this.settings.minPoolSize;
      if (user !== null && min > 0) this.residents.poolFor(database, this.residents.knownUser(user));
    }
  }

  // ── The end ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Ends at once: doors closed, everybody dropped. What was handed over to another process is left as it is. `onExit` follows.
   */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#tickTimer?.cancel();
    this.#periodTimer?.cancel();
    const { suspension } = this.operations;
    suspension.stop();
    if (suspension.isHandedOver) {
      this.#options.onExit();
      return;
    }
    this.listeners.close();
    this.logins.close();
    for (const server of this.residents.servers) server.close("server shutting down");
    for (const client of this.residents.clients) client.close(null);
    this.residents.peers.close();
    this.#options.onExit();
  }
}
