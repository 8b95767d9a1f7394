/**
 * What a simulation asks of the engine it tests, whatever engine that is.
 */
import type { Address } from "../../src/net/transport.ts";
import type { World } from "../../src/net/world.ts";

export type SimPoolMode = "session" | "transaction" | "statement";

/** One database entry of the configuration under test. */
export interface SimDatabase {
  readonly name: string;
  readonly poolMode: SimPoolMode;
  readonly poolSize: number;
}

export interface EngineSetup {
  readonly world: World;
  readonly listenAt: Address;
  readonly serverAt: { readonly host: string; readonly port: number };
  readonly databases: readonly SimDatabase[];
  readonly users: readonly string[];
  /** Settings of the ini file beyond those above, by their names there. */
  readonly settings: Readonly<Record<string, string>>;
  /** Log lines of the engine, for the chronicle. */
  log(line: string): void;
}

/** A pool as the engine itself sees it. */
export interface PoolView {
  readonly database: string;
  readonly user: string;
  /** Clients by state and servers by state, as SHOW POOLS counts them. */
  readonly clients: Readonly<Record<string, number>>;
  readonly servers: Readonly<Record<string, number>>;
  /**
   * Those who wait for a server, and those who have one; by ids that are never used again. `shares`: it may ride with others, and no
   * server that it could have ridden on was in another state. `isAlone`: it may not ride.
   */
  readonly waiters: readonly {
    readonly id: number;
    readonly sinceMs: number;
    readonly shares: boolean;
    readonly isAlone: boolean;
    /** When what it waits with was sent. */
    readonly unitSinceMs: number;
  }[];
  readonly holders: ReadonlySet<number>;
  /** Of the holders, those whose statement may be moved. */
  readonly riders: ReadonlyMap<number, RiderView>;
  /** Servers that anybody may have. */
  readonly idle: ReadonlySet<number>;
  /** Servers that statements of several clients are on, or may come to. */
  readonly shared: readonly SharedServerView[];
  /** Each list counted by walking it, to be compared with the figures above; empty when the engine has none. */
  readonly problems: readonly string[];
}

export interface RiderView {
  /** When its client had sent it. */
  readonly unitSinceMs: number;
  /** Since when it had waited. */
  readonly sinceMs: number;
  /** Of its client, as the engine's log has it. */
  readonly source: string;
  readonly server: number;
  /** Others may be on that server. */
  readonly isShared: boolean;
  /** Another's statement comes before it. */
  readonly isBehind: boolean;
}

export interface SharedServerView {
  readonly id: number;
  readonly isSealed: boolean;
  /** Since when the statement at the head runs; null when nothing is there. */
  readonly headSinceMs: number | null;
}

export interface EngineView {
  readonly pools: readonly PoolView[];
  /** Bytes that the engine itself holds back for sockets that do not drain. */
  readonly heldBytes: number;
  /** Broken invariants that the engine noticed itself. */
  readonly problems: readonly string[];
}

/** What an operator may command at any time without any client noticing more than a delay. */
export type SimCommand = "RECONNECT" | "PAUSE" | "SUSPEND" | "RESUME";

export interface EngineUnderTest {
  /** Null for an engine that does not let anybody look inside. */
  inspect(): EngineView | null;
  /** Whether statements of several clients may be on the server that is connected from this port now. */
  isShared(port: number): boolean;
  /** What SHOW SHARING counts: of all pools, by its words, up to now. */
  sharingFigures(): ReadonlyMap<string, number>;
  /** `done`: the command has been answered. */
  command(command: SimCommand, done: () => void): void;
  /** Closes everything; afterwards nothing of it is left in the world. */
  stop(): void;
}

export interface EngineKind {
  readonly name: string;
  /** It shares servers, so pool sizes and modes mean something. A relay does not. */
  readonly pools: boolean;
  /** It closes the connection of a client that breaks the protocol. A relay leaves that to the server. */
  readonly judgesMessages: boolean;
  start(setup: EngineSetup): Promise<EngineUnderTest>;
}
