/**
 * The whole engine in the simulated world, for one input: two honest databases, one whose server is hostile, users with
 * secrets, a witness in the attacked pool and one beside it. `check` says what must hold afterwards.
 */
import { inspect } from "node:util";
import { createConsole } from "../../src/admin/admin-console.ts";
import { loadConfiguration } from "../../src/config/load.ts";
import { LocalTime } from "../../src/log/local-time.ts";
import { Logger } from "../../src/log/logger.ts";
import { Pooler } from "../../src/pooler/pooler.ts";
import { viewPooler } from "../sim/pooler-view.ts";
import { Random } from "../sim/random.ts";
import { SimWorld } from "../sim/sim-world.ts";
import { Attacker, EchoServer, HostileBackend, Witness, type Moment } from "./actors.ts";

const LISTEN_AT = { host: "127.0.0.1", port: 6432 };
const HONEST_AT = { host: "127.0.0.1", port: 5432 };
const HOSTILE_AT = { host: "127.0.0.1", port: 5433 };

/** What is in every secret of the configuration, and must come out nowhere. */
export const SECRET_MARK = "S3CRET";

const INI = `
[databases]
shared = host=127.0.0.1 port=5432 pool_size=2
beside = host=127.0.0.1 port=5432 pool_size=1
guarded = host=127.0.0.1 port=5432 pool_size=2 password=${SECRET_MARK}-of-the-entry
hostile = host=127.0.0.1 port=5433 pool_size=1 password=${SECRET_MARK}-of-the-entry
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = 6432
unix_socket_dir =
pool_mode = transaction
auth_file = /users
admin_users = admin
stats_users = watcher
track_extra_parameters = IntervalStyle, search_path
ignore_startup_parameters = extra_float_digits
server_tls_sslmode = disable
server_login_retry = 1
client_login_timeout = 20
query_wait_timeout = 10
server_connect_timeout = 5
max_prepared_statements = 5
verbose = 2
`;

const USERS = ["witness", "attacker", "admin", "watcher"]
  .map((name) => `"${name}" "${SECRET_MARK}-of-${name}"\n`)
  .join("");

/** Made once: it is costly, and keeps nothing but the time zone. */
const localTime = new LocalTime();

/** Looking into a whole pooler takes longer than most attacks: one in so many does it. */
const INSPECT_EVERY = 16;

export interface StageOptions {
  readonly seed: number;
  /** Lines of [pgbouncer] beside those above. */
  readonly settings?: string;
  readonly hostile?: { readonly moment: Moment; readonly bytes: Uint8Array };
}

export class Stage {
  readonly world: SimWorld;
  readonly pooler: Pooler;
  readonly attacker = new Attacker();
  readonly witnesses = [new Witness("neighbour"), new Witness("bystander")];
  readonly #lines: string[];
  readonly #inspects: boolean;
  /** The lines that the engine wrote before the attack. */
  #linesBefore = 0;

  private constructor(world: SimWorld, pooler: Pooler, lines: string[], inspects: boolean) {
    this.#inspects = inspects;
    this.world = world;
    this.pooler = pooler;
    this.#lines = lines;
  }

  static async open({ seed, settings = "auth_type = trust", hostile }: StageOptions): Promise<Stage> {
    const random = new Random(seed);
    const world = new SimWorld(random, {
      network: { latencyMaxMs: 2, cutChance: 0.3, partialWriteChance: 0.1, windowsBytes: [65_536, 262_144] },
      turnMaxMs: 1,
      tracing: false,
    });
    const actors = world.network.transport("actor");
    const listening = [
      actors.listen(HONEST_AT, {}, (connection) => joined(new EchoServer(), connection)),
      actors.listen(HOSTILE_AT, {}, (connection) =>
        joined(
          hostile === undefined ? new EchoServer() : new HostileBackend(hostile.moment, hostile.bytes),
          connection,
        ),
      ),
    ];
    const files = new Map([
      ["/ini", `${INI}${settings}\n`],
      ["/users", USERS],
    ]);
    const read = (path: string): string => {
      const text = files.get(path);
      if (text === undefined) throw Object.assign(new Error(`no such file: ${path}`), { code: "ENOENT" });
      return text;
    };
    const loaded = loadConfiguration("/ini", read);
    if (!loaded.ok) throw new Error(loaded.errors.map(({ message }) => message).join("; "));
    const lines: string[] = [];
    const pooler = new Pooler({
      world: world.world,
      configuration: loaded.configuration,
      log: new Logger({
        pid: 1,
        wallTime: () => world.world.clock.wallTime(),
        sinks: [{ write: (_line, level, message) => lines.push(`${level} ${message}`) }],
        verbose: 2,
        localTime,
      }),
      readFile: (path) => Buffer.from(read(path)),
      console: createConsole,
      onExit: () => {},
    });
    const stage = new Stage(world, pooler, lines, seed % INSPECT_EVERY === 0);
    const problem = pooler.prepare() ?? (await stage.#settled(pooler.start()));
    if (problem !== null) throw new Error(problem);
    for (const listener of listening) await stage.#settled(listener);
    return stage;
  }

  /** Brings the witnesses in; needs an `auth_type` that asks nothing of them. */
  async seat(): Promise<void> {
    const actors = this.world.network.transport("actor");
    this.witnesses[0]!.start(actors, LISTEN_AT, "shared");
    this.witnesses[1]!.start(actors, LISTEN_AT, "beside");
    await this.until(() => this.witnesses.every((witness) => witness.isIn), 5000);
    await this.work(3);
    this.#linesBefore = this.#lines.length;
  }

  /** From here on the witnesses work while bytes are sent. */
  attack(...bytes: readonly Uint8Array[]): void {
    this.attacker.start(this.world.network.transport("actor"), LISTEN_AT, ...bytes);
  }

  /** Each witness is served so many times more. */
  async work(times: number): Promise<void> {
    const goals = this.witnesses.map((witness) => witness.served + times);
    const ask = (): void => {
      for (const witness of this.witnesses) witness.ask();
    };
    ask();
    await this.until(
      () => this.witnesses.every((witness, index) => witness.complaint !== null || witness.served >= goals[index]!),
      30_000,
      ask,
    );
    for (const [index, witness] of this.witnesses.entries()) {
      if (witness.complaint !== null) throw new Error(witness.complaint);
      if (witness.served < goals[index]!) throw new Error(`${witness.name} is not served any more`);
    }
  }

  async pass(ms: number): Promise<void> {
    await this.until(() => false, ms);
  }

  /** The attacker goes, and nothing is left of it. */
  async leave(): Promise<void> {
    const { attacker } = this;
    attacker.connection?.end();
    await this.until(() => attacker.closed, 60_000);
    if (!attacker.closed) throw new Error("the attacker's connection is never closed");
    // PAUSE, SUSPEND and the like are an admin's right; but a console that is gone leaves nobody suspended.
    if (this.pooler.operations.state !== "active") this.pooler.operations.resume();
    await this.work(2);
    await this.pass(1000);
  }

  /** The laws, when the attacker has gone. Inputs do not hold the mark: where it is seen, the engine has shown it. */
  check(): void {
    const said = this.#lines.slice(this.#linesBefore);
    const defect = said.find((line) => /broken invariant|\b(Type|Range|Reference|Assertion)Error\b/.test(line));
    if (defect !== undefined) throw new Error(`a defect in the log: ${defect}`);
    const inside = this.#inspects ? inspect(this.pooler, { depth: 12 }) : "";
    const texts = [...said, this.attacker.received.toString("latin1"), inside];
    const leak = texts.find((text) => text.includes(SECRET_MARK));
    if (leak !== undefined) {
      const at = leak.indexOf(SECRET_MARK);
      throw new Error(`a secret is seen: …${leak.slice(Math.max(0, at - 200), at + 60)}`);
    }
    const view = viewPooler(this.pooler);
    const problems = [...view.problems, ...view.pools.flatMap((pool) => pool.problems)];
    if (problems.length > 0) throw new Error(problems[0]);
    const clients = [...this.pooler.residents.clients].filter((client) => client.userName !== "witness");
    if (clients.length > 0) throw new Error(`${clients.length} clients are left`);
    if (view.heldBytes > 0) throw new Error(`${view.heldBytes} bytes are held for nobody`);
  }

  close(): void {
    this.pooler.end();
  }

  async until(done: () => boolean, limitMs: number, afterEach: (() => void) | null = null): Promise<void> {
    const { violations } = this.world.chronicle;
    await this.world.runUntil(() => done() || violations.length > 0, limitMs, afterEach);
    if (violations.length > 0) throw new Error(violations[0]);
  }

  async #settled<T>(promise: Promise<T>): Promise<T> {
    let value: { readonly of: T } | null = null;
    void promise.then((of) => (value = { of }));
    await this.until(() => value !== null, 5000);
    return promise;
  }
}

function joined<P extends EchoServer>(
  party: P,
  connection: Parameters<Parameters<ReturnType<SimWorld["network"]["transport"]>["listen"]>[2]>[0],
): P {
  party.connection = connection;
  return party;
}
