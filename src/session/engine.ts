/**
 * What every session of one pooler shares. Made once by `pooler/`; there is no other way for sessions to reach each
 * other or the outside.
 */
import type { HbaRules } from "../auth/hba-rules.ts";
import type { PasswordVerifier } from "../auth/password-verifier.ts";
import type { ScramKeyCache } from "../auth/scram-key-cache.ts";
import type { VerifierCache } from "../auth/verifier-cache.ts";
import type { SslMode } from "../config/setting-words.ts";
import type { Settings } from "../config/settings.ts";
import type { Logger } from "../log/logger.ts";
import type { NameCache } from "../net/dns-cache.ts";
import type { TlsSettings } from "../net/transport.ts";
import type { Scratch, Turn } from "../net/turn.ts";
import type { World } from "../net/world.ts";
import type { ErrorToSend } from "../protocol/error-messages.ts";
import type { StatementStore } from "../state/prepared-statement.ts";
import type { TrackedParameters } from "../state/tracked-parameters.ts";
import type { Client } from "./client.ts";
import type { Console } from "./console.ts";
import type { Database } from "./database.ts";
import type { PeerPool } from "./peer-pool.ts";
import type { RideUnit } from "./ride-unit.ts";
import type { Server } from "./server.ts";
import type { ServerPool } from "./server-pool.ts";
import type { MessageParts } from "./statement-relay.ts";
import type { User } from "./user.ts";

export interface Engine {
  readonly world: World;
  readonly turn: Turn;
  readonly scratch: Scratch;
  /** Live: a reload or SET changes it in place. */
  readonly settings: Settings;
  readonly log: Logger;
  readonly parameters: TrackedParameters;
  readonly statements: StatementStore;
  readonly parts: MessageParts;
  /** What was read last of a unit that might ride. Written and read within one call. */
  readonly rideUnit: RideUnit;
  readonly secrets: LoginSecrets;
  readonly logins: LoginRules;
  readonly tls: TlsContexts;
  /** Addresses of servers' host names. */
  readonly names: NameCache;
  readonly directory: Directory;
  /** One counter for clients and servers, from 1: the `id` of SHOW. */
  nextId(): number;
}

/** What password dialogues need beside the users' secrets. */
export interface LoginSecrets {
  /** 32 random bytes for the life of the process, for dialogues with users that do not exist. */
  readonly mock: Uint8Array;
  readonly verifiers: VerifierCache;
  readonly scramKeys: ScramKeyCache;
}

/** How clients prove who they are, where `auth_type` leaves that to others. */
export interface LoginRules {
  /** Of auth_hba_file, as it was read last. */
  readonly hba: HbaRules;
  /** The directory that these options (of auth_ldap_options or an HBA rule) name. */
  ldap(options: string): PasswordVerifier;
  /** The operating system's service. */
  pam(): PasswordVerifier;
}

/** TLS as of the last time that all of it could be used: a reload that cannot work changes nothing. */
export interface TlsContexts {
  readonly clientMode: SslMode;
  readonly serverMode: SslMode;
  /** What we show clients, made at start and at each reload; null where TLS is off. */
  client(): TlsSettings | null;
  /** Towards servers; files are read at each connect. `host`: the name in the configuration, for SNI and verify-full. */
  server(host: string): TlsSettings;
}

/** Who is there, and who may come in. */
export interface Directory {
  /** The entry of that name, made from `*` if need be; null when there is none. */
  findDatabase(name: string): Database | null;
  findUser(name: string): User | null;
  /** As `findUser`, but made if need be. */
  knownUser(name: string): User;
  /** Made on the first login. */
  poolFor(database: Database, user: User): ServerPool;
  /** Why a client that has named `database` and `user` may not come in; null admits and counts it. */
  admit(client: Client, database: Database | null, user: User | null): ErrorToSend | null;
  /** The same for a user who became known after that. */
  admitUser(client: Client, user: User): ErrorToSend | null;
  /** A login that ends in no client of a database: the console's for this user; null when it may not. */
  consoleFor(client: Client, userName: string): ConsoleAccess;
  /** During a shutdown: why nobody comes in any more. */
  closedFor(client: Client): ErrorToSend | null;
  /** While a shutdown waits for servers: what a client that wants one is told. */
  readonly serversClosedWith: ErrorToSend | null;
  /** The logged-in client with this cancel key. `secret`: 4 bytes. */
  byCancelKey(processId: number, secret: Uint8Array): Client | null;
  /** Another pooler of the group; null when no entry has this id. */
  peer(id: number): PeerPool | null;
  loggedIn(client: Client): void;
  /**
   * Another process has let it in, and has given it a key: it is counted, whatever the limits say. Nulls: it has only accepted
   * it.
   */
  takeUp(client: Client, database: Database | null, user: User | null): void;
  /** It is gone, from whatever phase: gives back what `admit` and `loggedIn` took. */
  left(client: Client): void;
  serverOpened(server: Server): void;
  serverClosed(server: Server): void;
}

/** What the console lets in: nobody, or a user (to be authenticated unless `trusted`) with a console. */
export type ConsoleAccess =
  | { readonly allowed: false; readonly error: ErrorToSend | null }
  | { readonly allowed: true; readonly trusted: boolean; readonly user: User | null; readonly console: Console };
