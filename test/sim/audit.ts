/**
 * The scripted PostgreSQL's memory of who ran what where, and the laws that can be judged from it.
 *
 * - Two clients are never in one transaction (implicit ones up to a Sync included), nor in one session in session mode.
 * - Nothing that no client sent runs inside a client's transaction.
 * - A client's statements run in the order in which it sent them, each at most once, wherever they run. Reads that share servers
 *   may run more often than once, and once more after the client has had its answer; never more often than they may be moved.
 * - A backend that was opened for replication belongs to one client that asked for it, and such a client uses no other.
 * - On a server that the engine shares nothing runs but what is plainly a read.
 * - What was cancelled while it waited for a server does not run, and had not run; unless it is such a read.
 */
import type { Chronicle } from "./chronicle.ts";
import { identityParts } from "./statement.ts";
import type { Statement } from "./statement.ts";

/** A read is moved twice at most, and then it is sent once more. */
const READ_RUNS_MAX = 3;

/** Something that went wrong with a server on purpose; it excuses the clients that were waiting for an answer. */
export interface Fault {
  readonly atMs: number;
  readonly database: string;
  readonly what: string;
}

/** What the audit keeps about one backend. */
export interface AuditedBackend {
  readonly id: number;
  /** The engine's, of the connection. */
  readonly port: number;
  readonly database: string;
  readonly user: string;
  /** Parameters of its startup packet. */
  readonly startup: ReadonlyMap<string, string>;
  /** The client whose statements run in the current transaction. */
  owner: number | null;
  /** The client whose session it is since the last DISCARD ALL; session mode and replication only. */
  sessionOwner: number | null;
}

export class Audit {
  readonly faults: Fault[] = [];
  statements = 0;
  readonly #chronicle: Chronicle;
  readonly #now: () => number;
  readonly #sessionsKept: (database: string) => boolean;
  readonly #hasLeft: (client: number) => boolean;
  readonly #isReplication: (client: number) => boolean;
  readonly #isShared: (port: number) => boolean;
  readonly #lastSerial = new Map<number, number>();
  readonly #ran = new Set<string>();
  readonly #spared = new Set<string>();
  readonly #reads = new Map<string, number>();
  /** The BEGIN that a backend ran last, until it runs something else; and those after which there was no transaction. */
  readonly #begins = new Map<AuditedBackend, string>();
  readonly #failedBegins = new Set<string>();

  /**
   * `sessionsKept`: is a server of this database given to another client only after a reset? `hasLeft`: does it want no more?
   * `isReplication`: has it asked for a server of its own? `isShared`: does the engine share the server connected from this port?
   */
  constructor(
    chronicle: Chronicle,
    now: () => number,
    sessionsKept: (database: string) => boolean,
    hasLeft: (client: number) => boolean,
    isReplication: (client: number) => boolean,
    isShared: (port: number) => boolean,
  ) {
    this.#chronicle = chronicle;
    this.#now = now;
    this.#sessionsKept = sessionsKept;
    this.#hasLeft = hasLeft;
    this.#isReplication = isReplication;
    this.#isShared = isShared;
  }

  fault(database: string, what: string): void {
    this.faults.push({ atMs: this.#now(), database, what });
    this.#chronicle.say(() => `fault: ${what} (${database})`);
  }

  /** Was something broken in this database at or after `sinceMs`? */
  faultSince(database: string, sinceMs: number): boolean {
    return this.faults.some((fault) => fault.database === database && fault.atMs >= sinceMs);
  }

  /** The statement's client was told that it was cancelled before it was sent. */
  spared(identity: string): void {
    if (this.#ran.has(identity) && !this.#reads.has(identity))
      this.#chronicle.violate(`${identity} was cancelled as if it had waited, but has run`);
    this.#spared.add(identity);
  }

  get sparedCount(): number {
    return this.#spared.size;
  }

  ran(backend: AuditedBackend, identity: string | null, statement: Statement): void {
    this.statements++;
    this.#chronicle.say(() => `backend ${backend.id} runs ${statement.verb} of ${identity ?? "nobody"}`);
    if (!statement.isRead && this.#isShared(backend.port))
      this.#chronicle.violate(
        `backend ${backend.id}, which is shared, ran ${statement.verb} of ${identity ?? "nobody"}`,
      );
    const isReplication = backend.startup.has("replication");
    if (identity === null) {
      if (isReplication)
        this.#chronicle.violate(`backend ${backend.id}, a client's own, ran ${statement.verb} of nobody`);
      // The transaction of a client that has gone may be rolled back, and nothing else.
      if (backend.owner !== null && !(statement.verb === "rollback" && this.#hasLeft(backend.owner))) {
        this.#chronicle.violate(
          `backend ${backend.id} ran ${statement.verb} of nobody inside the transaction of client ${backend.owner}`,
        );
      }
      if (statement.verb === "discard") backend.sessionOwner = null;
      return;
    }
    const hasRun = this.#ran.has(identity);
    const mayRunAgain = statement.isRead && !isReplication && !this.#sessionsKept(backend.database);
    this.#ran.add(identity);
    if (statement.verb === "begin") this.#begins.set(backend, identity);
    else this.#begins.delete(backend);
    if (this.#spared.has(identity) && !mayRunAgain)
      this.#chronicle.violate(`backend ${backend.id} ran ${identity}, which had been cancelled while it waited`);
    const { client, serial } = identityParts(identity);
    if (backend.owner !== null && backend.owner !== client) {
      this.#chronicle.violate(
        `backend ${backend.id} ran ${identity} inside the transaction of client ${backend.owner}`,
      );
    }
    backend.owner = client;
    if (isReplication !== this.#isReplication(client)) {
      this.#chronicle.violate(
        `backend ${backend.id} ran ${identity}, and is not of the kind that client ${client} wants`,
      );
    }
    if (isReplication || this.#sessionsKept(backend.database)) {
      if (backend.sessionOwner !== null && backend.sessionOwner !== client) {
        this.#chronicle.violate(
          `backend ${backend.id} ran ${identity} in the session of client ${backend.sessionOwner} without a reset`,
        );
      }
      backend.sessionOwner = client;
    }
    const last = this.#lastSerial.get(client) ?? -1;
    if (mayRunAgain) {
      const runs = (this.#reads.get(identity) ?? 0) + 1;
      this.#reads.set(identity, runs);
      if (runs > READ_RUNS_MAX) this.#chronicle.violate(`backend ${backend.id} ran ${identity} for the ${runs}th time`);
      if (hasRun || serial < last) return;
    }
    // A BEGIN that has failed before anything else ran may be sent again: it has begun nothing.
    const isAgain = serial === last && statement.verb === "begin" && this.#failedBegins.has(identity);
    if (serial <= last && !isAgain) {
      this.#chronicle.violate(`backend ${backend.id} ran ${identity} after c${client}:${last}: twice, or out of order`);
    }
    this.#lastSerial.set(client, serial);
  }

  rested(backend: AuditedBackend): void {
    backend.owner = null;
    const begin = this.#begins.get(backend);
    if (begin === undefined) return;
    this.#begins.delete(backend);
    this.#failedBegins.add(begin);
  }
}
