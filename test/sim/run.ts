/**
 * One simulated run: a seed in, a report out. The same seed gives the same run, event for event.
 *
 *     engine and server start ─▶ clients come and go, things fail ─▶ everything heals ─▶ one client for each pool
 *     must get its answers ─▶ all leave, the engine comes to rest ─▶ it is stopped, and nothing is left
 */
import { Audit } from "./audit.ts";
import type { EngineKind, EngineUnderTest, SimCommand } from "./engine-under-test.ts";
import { checkGone, checkPaused, checkRest, checkStep, HELD_MAX_BYTES } from "./laws.ts";
import type { LawContext } from "./laws.ts";
import { Random } from "./random.ts";
import { drawScenario } from "./scenario.ts";
import type { Scenario } from "./scenario.ts";
import { ScriptedPostgres } from "./scripted-postgres.ts";
import { SimClient } from "./sim-client.ts";
import type { ClientHost } from "./sim-client.ts";
import type { Reach } from "./sim-network.ts";
import { SimWorld } from "./sim-world.ts";

export interface RunOptions {
  readonly kind: EngineKind;
  /** Keeps a line for each thing that happens. */
  readonly tracing?: boolean;
}

export interface RunReport {
  readonly seed: number;
  readonly violations: readonly string[];
  /** Two runs of a seed have the same. */
  readonly hash: string;
  readonly turns: number;
  readonly virtualMs: number;
  readonly statements: number;
  readonly clients: number;
  /** How the clients ended, counted. */
  readonly outcomes: ReadonlyMap<string, number>;
  readonly cancelsHit: number;
  /** What the engine counts about statements that share servers. */
  readonly sharing: ReadonlyMap<string, number>;
  /** Statements that were cancelled while they waited for a server. */
  readonly spared: number;
  readonly faults: number;
  readonly lines: readonly string[];
  readonly scenario: Scenario;
}

const LISTEN_AT = { host: "10.0.0.1", port: 6432 } as const;
const SERVER_AT = { host: "10.0.0.2", port: 5432 } as const;
/** The same server by another address. */
const SERVER_TOO = { host: "10.0.0.3", port: 5432 } as const;
const SERVER_NAME = "postgres.sim.test";
const SERVER_ZONE = "sim.test";
/** Virtual time that is enough for any run that is not stuck. */
const RUN_LIMIT_MS = 110_000;
/** A fault is felt for a while: by clients that come when connecting is still refused. */
const FAULT_ECHO_MS = 3000;

/** Longer than the pooler's own limits for servers of clients that have gone. */
const DRAIN_MAX_MS = 25_000;
/** The first who asks after a failed login is told so, and starts the next attempt. */
const LOGIN_FAILING = "server login has been failing";
/** Why a client is closed whose server has ended. */
const SERVER_ENDS = ["server conn crashed?", "unknown pkt from server"];
/** What a replication client is told of a RECONNECT, or when its server's host has left an address; and of a long wait. */
const REPLICATION_ENDS = ["database configuration changed", "client_login_timeout"];
/** The longest timer a stopped engine may leave behind: one `stats_period`. */
const TIMER_ECHO_MS = 61_000;

class Run implements ClientHost {
  #sharing: ReadonlyMap<string, number> = new Map();
  readonly outcomes = new Map<string, number>();
  readonly #seed: number;
  readonly #options: RunOptions;
  readonly #scenario: Scenario;
  readonly #random: Random;
  readonly #world: SimWorld;
  readonly #audit: Audit;
  readonly #postgres: ScriptedPostgres;
  readonly #clients = new Set<SimClient>();
  readonly #replicationClients = new Set<number>();
  /** PAUSE was answered, and RESUME has not come. */
  #paused = false;
  #nextClient = 1;
  /** Clients that have been planned, here already or on their way. */
  #expected = 0;
  /** Why the engine says it closed a client, by the client's address. */
  readonly #closeReasons = new Map<string, string>();
  #engine: EngineUnderTest | null = null;
  readonly #movable = new Set<string>();
  /** Those of them that the engine closed because their server had ended, by their addresses. */
  readonly #closedWhileMovable = new Set<string>();
  #left: number;
  /** How often the clients of the last check may come again. */
  #retries = 8;

  constructor(seed: number, options: RunOptions) {
    this.#seed = seed;
    this.#options = options;
    const random = new Random(seed);
    this.#scenario = drawScenario(random.fork(), options.kind);
    const { network, turnMaxMs } = this.#scenario;
    this.#world = new SimWorld(random.fork(), { network, turnMaxMs, tracing: options.tracing ?? false });
    this.#random = random.fork();
    const modes = new Map(this.#scenario.databases.map((database) => [database.name, database.poolMode]));
    const { chronicle } = this.#world;
    this.#audit = new Audit(
      chronicle,
      () => this.#world.nowMs,
      (database) => modes.get(database) === "session",
      (id) => [...this.#clients].every((client) => client.order.id !== id || client.hasLeft),
      (id) => this.#replicationClients.has(id),
      (port) => this.#engine?.isShared(port) ?? false,
    );
    this.#postgres = new ScriptedPostgres(this.#world, this.#scenario.server, this.#audit);
    this.#left = this.#scenario.clientsTotal;
  }

  async run(): Promise<RunReport> {
    const world = this.#world;
    const { kind } = this.#options;
    await this.#settle(this.#postgres.listen(SERVER_AT));
    const { hostName } = this.#scenario;
    if (hostName !== null) {
      await this.#settle(this.#postgres.listen(SERVER_TOO));
      this.#moveName();
    }
    const engine = await this.#settle(
      kind.start({
        world: world.world,
        listenAt: LISTEN_AT,
        serverAt: hostName === null ? SERVER_AT : { ...SERVER_AT, host: SERVER_NAME },
        databases: this.#scenario.databases,
        users: this.#scenario.users,
        settings: this.#scenario.settings,
        log: (line) => this.#log(line),
      }),
    );
    this.#engine = engine;
    const context: LawContext = {
      world,
      postgres: this.#postgres,
      scenario: this.#scenario,
      kind,
      engine,
      serverPort: SERVER_AT.port,
      queues: new Map(),
      memories: new Map(),
      movable: this.#movable,
    };
    const step = () => {
      checkStep(context);
      if (this.#paused) checkPaused(context);
    };
    const broken = () => world.chronicle.violations.length > 0;
    this.#planFaults();
    this.#planCommands(engine);
    for (let i = 0; i < this.#scenario.clientsAtOnce; i++) this.#comeLater();
    await this.#untilGone(step, broken);
    this.#heal();
    if (!broken()) {
      // What was refused a moment ago may still be remembered; afterwards there is no excuse.
      await world.runUntil(broken, FAULT_ECHO_MS * 2, step);
      this.#check();
      await this.#untilGone(step, broken);
    }
    if (!broken()) {
      await world.runUntil(broken, FAULT_ECHO_MS, step);
      // A server may still be read empty whose client has gone, over a slow network, for as long as that may take.
      if (!this.#postgres.isResting) {
        await world.runUntil(() => broken() || this.#postgres.isResting, DRAIN_MAX_MS, step);
        await world.runUntil(broken, FAULT_ECHO_MS, step);
      }
      checkRest(context);
      this.#sharing = engine.sharingFigures();
    }
    this.#checkHeld();
    // What a broken run shows while it is being taken down says nothing new.
    const { violations } = world.chronicle;
    const found = violations.length;
    const wasBroken = broken();
    engine.stop();
    // Sockets close within moments; timers that have lost their meaning may still run out, but not be set again.
    await world.runUntil(() => false, 3000, null);
    await world.runUntil(() => world.pendingTimers === 0, TIMER_ECHO_MS, null);
    if (wasBroken) violations.length = found;
    else checkGone(context);
    return this.#report();
  }

  excuses(client: SimClient, sinceMs: number, text: string | null): boolean {
    // Who had half a message, or did not read, may not get the error; the log has the reason.
    const reason = text ?? this.#closeReasons.get(client.source) ?? null;
    if (reason !== null && this.#scenario.allowedErrors.some((allowed) => reason.includes(allowed))) return true;
    // A statement of which nothing was answered runs elsewhere when its server ends.
    if (this.#closedWhileMovable.has(client.source) && client.hasNothing) return false;
    const isReplication = client.order.parameters.has("replication");
    if (isReplication && REPLICATION_ENDS.some((end) => reason?.includes(end) === true)) return true;
    // The failure of the last login is told to the first who comes after it, however late.
    if (text?.startsWith(LOGIN_FAILING) === true && this.#audit.faultSince(client.database, 0)) return true;
    return this.#audit.faultSince(client.database, sinceMs - FAULT_ECHO_MS);
  }

  #log(line: string): void {
    this.#world.chronicle.say(() => `log: ${line}`);
    const closing = / C-\w+: [^@]*@(\S+) closing because: (.*) \(age=/.exec(line);
    if (closing === null) return;
    const [, source = "", reason = ""] = closing;
    this.#closeReasons.set(source, reason);
    if (this.#movable.has(source) && SERVER_ENDS.includes(reason)) this.#closedWhileMovable.add(source);
  }

  spared(identities: readonly string[]): void {
    for (const identity of identities) this.#audit.spared(identity);
  }

  finished(client: SimClient): void {
    this.#clients.delete(client);
    const outcome = client.outcome;
    this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + 1);
    if (client.order.checking && outcome.includes(LOGIN_FAILING) && this.#retries > 0) {
      this.#retries--;
      const { database, order } = client;
      this.#expected++;
      this.#world.plan(1000, () => this.#come(true, database, order.parameters.get("user") ?? ""));
    } else if (client.order.checking && outcome !== "done") {
      this.#world.chronicle.violate(
        `${client.name}, which came after all faults were over, was not served: ${outcome}`,
      );
    }
    if (this.#left > 0) this.#comeLater();
  }

  /** Runs until a promise of the start is kept. */
  async #settle<T>(promise: Promise<T>): Promise<T> {
    let result: { value: T } | null = null;
    promise.then(
      (value) => (result = { value }),
      (error: unknown) => this.#world.chronicle.violate(`start failed: ${String(error)}`),
    );
    await this.#world.runUntil(() => result !== null, 1000, null);
    if (result === null) throw new Error(`seed ${this.#seed}: the start is not coming to an end`);
    return (result as { value: T }).value;
  }

  #comeLater(): void {
    if (this.#left <= 0) return;
    this.#left--;
    this.#expected++;
    this.#world.plan(this.#random.fraction() * 50, () => this.#come(false, null, null));
  }

  #come(checking: boolean, database: string | null, user: string | null): void {
    const random = this.#random;
    const parameters = new Map([
      ["user", user ?? random.pick(this.#scenario.users)],
      ["database", database ?? random.pick(this.#scenario.databases).name],
    ]);
    if (random.chance(this.#scenario.nameChance))
      parameters.set("application_name", random.pick(["psql", "it's mine", "x"]));
    if (random.chance(this.#scenario.styleChance)) parameters.set("DateStyle", "German, DMY");
    const { replicationChance } = this.#scenario;
    if (!checking && replicationChance > 0 && random.chance(replicationChance)) {
      parameters.set("replication", "database");
      this.#replicationClients.add(this.#nextClient);
    }
    const order = {
      id: this.#nextClient++,
      at: LISTEN_AT,
      parameters,
      temper: this.#scenario.clients,
      checking,
      defersBegin: "deferred_begin" in this.#scenario.settings,
      beginMayFail: this.#scenario.server.beginRefusedChance > 0,
    };
    this.#clients.add(new SimClient(this.#world, order, random.fork(), this));
  }

  async #untilGone(step: () => void, broken: () => boolean): Promise<void> {
    const world = this.#world;
    const done = () =>
      broken() || (this.#clients.size === 0 && this.#left === 0 && this.#expected === this.#nextClient - 1);
    if (await world.runUntil(done, RUN_LIMIT_MS, step)) return;
    for (const client of this.#clients) world.chronicle.violate(`stuck: ${client.state}`);
  }

  #planFaults(): void {
    const world = this.#world;
    const everywhere = (what: string) => {
      for (const database of this.#scenario.databases) this.#audit.fault(database.name, what);
    };
    for (const outage of this.#scenario.outages) {
      world.plan(outage.atMs, () => {
        if (this.#postgres.healed) return;
        everywhere(`server ${outage.how}`);
        this.#setReach(outage.how);
        world.plan(outage.forMs, () => {
          everywhere("server reachable again");
          this.#setReach("open");
        });
      });
    }
    for (const atMs of this.#scenario.hostName?.moves ?? []) world.plan(atMs, () => this.#moveName());
    for (const { atMs, forMs } of this.#scenario.hostName?.losses ?? []) {
      world.plan(atMs, () => {
        if (this.#postgres.healed) return;
        everywhere("nobody knows the server's name");
        world.names.delete(SERVER_NAME);
        world.plan(forMs, () => {
          everywhere("the server's name is known again");
          this.#moveName();
        });
      });
    }
    for (const atMs of this.#scenario.breaks) {
      world.plan(atMs, () => {
        const ends = [...world.network.inUse("engine")];
        if (ends.length === 0 || this.#postgres.healed) return;
        everywhere("a connection breaks");
        this.#random.pick(ends).reset("ECONNRESET");
      });
    }
  }

  #planCommands(engine: EngineUnderTest): void {
    const world = this.#world;
    const order = (command: SimCommand) => {
      world.chronicle.say(() => `command ${command}`);
      if (command === "RESUME") this.#paused = false;
      engine.command(command, () => {
        world.chronicle.say(() => `${command} answered`);
        if (command === "PAUSE") this.#paused = true;
      });
    };
    for (const { atMs, forMs, command } of this.#scenario.commands) {
      world.plan(atMs, () => order(command));
      if (command !== "RECONNECT") world.plan(atMs + forMs, () => order("RESUME"));
    }
  }

  #heal(): void {
    this.#postgres.healed = true;
    this.#setReach("open");
    if (this.#scenario.hostName !== null) this.#moveName();
  }

  #setReach(reach: Reach): void {
    for (const address of [SERVER_AT, SERVER_TOO]) this.#world.network.setReach(address, reach);
  }

  /** The server's name gets other addresses, and its zone a new serial. */
  #moveName(): void {
    const { names, zoneSerials, chronicle } = this.#world;
    const random = this.#random;
    const all = random.chance(0.5) ? [SERVER_AT.host, SERVER_TOO.host] : [SERVER_TOO.host, SERVER_AT.host];
    const addresses = all.slice(0, random.between(1, this.#scenario.hostName?.addressesMax ?? 1));
    names.set(SERVER_NAME, addresses);
    zoneSerials.set(SERVER_ZONE, (zoneSerials.get(SERVER_ZONE) ?? 0) + 1);
    chronicle.say(() => `${SERVER_NAME} is ${addresses.join()}`);
  }

  #check(): void {
    for (const database of this.#scenario.databases) {
      for (const user of this.#scenario.users) {
        this.#expected++;
        this.#come(true, database.name, user);
      }
    }
  }

  #checkHeld(): void {
    const { heldPeakBytes } = this.#world.network;
    if (heldPeakBytes > HELD_MAX_BYTES)
      this.#world.chronicle.violate(`${heldPeakBytes} bytes were held for one connection`);
  }

  #report(): RunReport {
    const { chronicle } = this.#world;
    return {
      seed: this.#seed,
      violations: chronicle.violations,
      hash: chronicle.hash,
      turns: this.#world.turns,
      virtualMs: this.#world.nowMs,
      statements: this.#audit.statements,
      clients: this.#nextClient - 1,
      outcomes: this.outcomes,
      cancelsHit: this.#postgres.cancelsHit,
      sharing: this.#sharing,
      spared: this.#audit.sparedCount,
      faults: this.#audit.faults.length,
      lines: chronicle.lines ?? [],
      scenario: this.#scenario,
    };
  }
}

export function run(seed: number, options: RunOptions): Promise<RunReport> {
  return new Run(seed, options).run();
}
