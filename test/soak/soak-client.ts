/**
 * One client of the soak: logs in, does one operation after the other without a pause, leaves in one of several ways, and
 * comes again, until the soak is over. Now and then it leaves in the middle of something.
 */
import type { Random } from "../sim/random.ts";
import { Ledger } from "./ledger.ts";
import type { Operation, OperationCall } from "./operation.ts";
import { operationFamilies } from "./operation-table.ts";
import { SoakConnection } from "./soak-connection.ts";
import { SoakSession } from "./soak-session.ts";
import { soakDatabase, soakUser } from "./soak-stage.ts";
import type { SoakRun } from "./soak-run.ts";

const lifeMin = 5;
const lifeMax = 2000;
/** The chance that a client leaves during an operation, and how long after its beginning at most. */
const vanishChance = 0.002;
const vanishMsMax = 40;
/** The chance that it leaves in the middle of what it sends. */
const cutChance = 0.001;
const restAfterRefusalMs = 100;
/** So long may an operation take: a restart of PostgreSQL with all clients waiting included. */
const operationMsMax = 45_000;
/** And so long when the soak has failed already: answers that went astray are not waited for. */
const operationMsMaxWhenFailed = 5_000;

interface Choice {
  readonly family: string;
  readonly operation: Operation;
}

export class SoakClient {
  readonly ledger: Ledger;
  readonly #choices: readonly Choice[];
  /** Of all choices together. */
  readonly #weight: number;
  readonly #number: number;
  readonly #random: Random;
  readonly #run: SoakRun;
  #connection: SoakConnection | null = null;
  #tokens = 0;
  #doing = "nothing";
  /** When what it does began; null between operations. */
  #sinceMs: number | null = null;

  constructor(number: number, random: Random, run: SoakRun) {
    this.#number = number;
    this.#random = random;
    this.#run = run;
    this.ledger = new Ledger(number);
    this.#choices = run.options.families.flatMap((family) =>
      (operationFamilies[family] ?? []).map((operation) => ({ family, operation })),
    );
    this.#weight = this.#choices.reduce((total, { operation }) => total + operation.weight, 0);
  }

  /** The port at its end; null while it is not connected. */
  get localPort(): number | null {
    return this.#connection?.isOpen === true ? this.#connection.localPort : null;
  }

  /** Lives until the soak is over. */
  async live(): Promise<void> {
    while (!this.#run.isOver) {
      const session = new SoakSession(this.#number);
      const connection = await this.#login(session);
      if (connection === null) {
        await this.#run.rest(restAfterRefusalMs);
        continue;
      }
      for (let left = this.#random.skewed(lifeMin, lifeMax); left > 0 && !this.#run.isOver; left--) {
        if (!(await this.#operate(connection, session))) break;
      }
      connection.leave(this.#random.weighted({ terminate: 6, destroy: 3, reset: 1 }));
      this.#connection = null;
    }
  }

  /** Runs each operation once, without leaving. Throws when one does not work: nothing is excused. */
  async runAll(): Promise<void> {
    const session = new SoakSession(this.#number);
    const connection = await SoakConnection.login(this.#run.stage.bouncer, this.#startup(session));
    for (const { operation } of this.#choices) {
      await operation.run(this.#call(connection, session));
      connection.refuseRemains();
    }
    connection.leave("terminate");
  }

  /** Gives up an operation that takes too long, which is a failure. */
  refuseSilence(): void {
    const givesUp = this.#run.isOver && this.#run.failures.length > 0;
    const msMax = givesUp ? operationMsMaxWhenFailed : operationMsMax;
    if (this.#sinceMs === null || performance.now() - this.#sinceMs < msMax) return;
    this.#run.fail(`client ${this.#number}, ${this.#doing}: no answer within ${msMax / 1000} s`);
    this.#sinceMs = null;
    this.#connection?.leave("destroy");
  }

  #startup(session: SoakSession): Record<string, string> {
    return { user: soakUser, database: soakDatabase, ...session.startup };
  }

  async #login(session: SoakSession): Promise<SoakConnection | null> {
    const sinceMs = this.#begin("login");
    try {
      this.#connection = await SoakConnection.login(this.#run.stage.bouncer, this.#startup(session));
      return this.#connection;
    } catch (error) {
      this.#run.judge(`client ${this.#number}, login`, error, sinceMs, 0);
      return null;
    } finally {
      this.#sinceMs = null;
    }
  }

  /** One operation. Returns whether the connection is good for another one. */
  async #operate(connection: SoakConnection, session: SoakSession): Promise<boolean> {
    const random = this.#random;
    const { family, operation } = this.#choose();
    const sinceMs = this.#begin(operation.name);
    const vanishMs = random.chance(vanishChance) ? random.between(0, vanishMsMax) : null;
    const how = random.pick(["destroy", "reset", "terminate"] as const);
    const vanish = vanishMs === null ? undefined : setTimeout(() => connection.leave(how), vanishMs);
    if (random.chance(cutChance)) connection.cutNext(random.fraction());
    const call = this.#call(connection, session);
    try {
      await operation.run(call);
      connection.refuseRemains();
      this.#run.tally.operation(family);
      return connection.isOpen;
    } catch (error) {
      this.#run.judge(`client ${this.#number}, ${operation.name} ${call.token}`, error, sinceMs, connection.localPort);
      return false;
    } finally {
      clearTimeout(vanish);
      this.#sinceMs = null;
    }
  }

  #choose(): Choice {
    let left = this.#random.fraction() * this.#weight;
    return this.#choices.find(({ operation }) => (left -= operation.weight) < 0) ?? this.#choices[0]!;
  }

  #begin(what: string): number {
    this.#doing = what;
    return (this.#sinceMs = performance.now());
  }

  #call(connection: SoakConnection, session: SoakSession): OperationCall {
    const { versions, draws } = this.#run;
    const token = `c${this.#number}-${this.#tokens++}`;
    const { ledger } = this;
    return { client: this.#number, connection, session, random: this.#random, ledger, versions, draws, token };
  }
}
