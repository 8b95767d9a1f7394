/**
 * The scripted PostgreSQL: a listener, its backends, the cancel keys, and the faults of a run.
 *
 * Not responsible for: what a backend says (`scripted-backend.ts`), what may run where (`audit.ts`).
 */
import { Buffer } from "node:buffer";
import type { Address, Listener } from "../../src/net/transport.ts";
import type { Audit } from "./audit.ts";
import type { Random } from "./random.ts";
import { ScriptedBackend } from "./scripted-backend.ts";
import type { BackendFate, BackendHost, LoginFate } from "./scripted-backend.ts";
import type { SimConnection } from "./sim-connection.ts";
import type { SimWorld } from "./sim-world.ts";

/** How well the server behaves in a run. All zero: it never fails. */
export interface ServerTemper {
  /** How often a backend rests before it looks at a message, and the longest of these rests. */
  readonly thinkingChance: number;
  readonly thinkingMaxMs: number;
  readonly noiseChance: number;
  /** How often a BEGIN that does not rest ends as if a cancel had hit it. */
  readonly beginRefusedChance: number;
  /** How often a backend dies before its time. */
  readonly deathChance: number;
  readonly fates: readonly BackendFate["how"][];
  /** It has answered at most so much by then, and mostly far less. */
  readonly fateBytesMax: number;
  readonly loginFates: Readonly<Partial<Record<LoginFate, number>>>;
}

export class ScriptedPostgres implements BackendHost {
  readonly random: Random;
  readonly audit: Audit;
  /** Backends whose connection is open. */
  readonly backends = new Set<ScriptedBackend>();
  /** From now on nothing fails any more. */
  healed = false;
  logins = 0;
  cancelsHit = 0;
  cancelsMissed = 0;
  readonly #world: SimWorld;
  readonly #temper: ServerTemper;
  readonly #byKey = new Map<string, ScriptedBackend>();
  #nextId = 1;

  constructor(world: SimWorld, temper: ServerTemper, audit: Audit) {
    this.#world = world;
    this.#temper = temper;
    this.audit = audit;
    this.random = world.random.fork();
  }

  /** No session has anything left to do or to say. */
  get isResting(): boolean {
    return [...this.backends].every(
      (backend) => backend.session === null || backend.end.peer?.inUse !== true || backend.isResting,
    );
  }

  get beginRefusedChance(): number {
    return this.#temper.beginRefusedChance;
  }

  get noiseChance(): number {
    return this.#temper.noiseChance;
  }

  listen(at: Address): Promise<Listener> {
    return this.#world.network.transport("actor").listen(at, {}, (connection) => {
      const key = Buffer.from(this.random.bytes(8));
      const backend = new ScriptedBackend(this.#nextId++, key, connection as SimConnection, this);
      this.backends.add(backend);
      return backend;
    });
  }

  plan(delayMs: number, task: () => void): void {
    this.#world.plan(delayMs, task);
  }

  loginFate(): LoginFate {
    if (this.healed) return "welcome";
    return this.random.weighted(this.#temper.loginFates);
  }

  backendFate(): BackendFate | null {
    if (this.healed || !this.random.chance(this.#temper.deathChance)) return null;
    return {
      afterBytes: this.random.skewed(0, this.#temper.fateBytesMax),
      how: this.random.pick(this.#temper.fates),
    };
  }

  thinkingMs(): number {
    if (!this.random.chance(this.#temper.thinkingChance)) return 0;
    return this.random.fraction() * this.#temper.thinkingMaxMs;
  }

  loggedIn(backend: ScriptedBackend): void {
    this.logins++;
    this.#byKey.set(backend.key.toString("hex"), backend);
    this.#world.chronicle.say(() => `backend ${backend.id} logged in for ${backend.database}/${backend.user}`);
  }

  gone(backend: ScriptedBackend): void {
    this.backends.delete(backend);
    this.#byKey.delete(backend.key.toString("hex"));
    this.#world.chronicle.say(() => `backend ${backend.id} gone`);
  }

  cancel(key: Buffer): void {
    const backend = this.#byKey.get(key.toString("hex"));
    if (backend?.session?.isRunning === true) this.cancelsHit++;
    else this.cancelsMissed++;
    this.#world.chronicle.say(
      () => `cancel for backend ${backend?.id ?? "?"}, running ${backend?.session?.running ?? "nothing"}`,
    );
    backend?.cancel();
  }

  say(text: () => string): void {
    this.#world.chronicle.say(text);
  }

  /** Backends that are logged in, for one database and user. */
  sessionsOf(database: string, user: string): ScriptedBackend[] {
    return [...this.backends].filter(
      (backend) => backend.session !== null && backend.database === database && backend.user === user,
    );
  }
}
