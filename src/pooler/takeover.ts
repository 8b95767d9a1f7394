/**
 * Sockets of a pooler that is about to end, with what it says of them, become listeners and sessions of this one.
 *
 * Everything is at rest: nothing is accepted, read or written before `resume`, when the other process is gone. A session that
 * cannot go on (its database is not configured any more, its other half did not come along) is closed, and the others go on.
 *
 * Counterpart: PgBouncer's `takeover.c`, from `takeover_load_fd` to `takeover_postprocess_fds`.
 */
import { ScramKeys, scramKeyBytes } from "../auth/scram-keys.ts";
import type { StoredSecret } from "../auth/stored-secret.ts";
import { adoptConnection } from "../net/adopt-connection.ts";
import type { AdoptedConnection } from "../net/adopt-connection.ts";
import type { Client } from "../session/client.ts";
import type { Database } from "../session/database.ts";
import type { Engine } from "../session/engine.ts";
import type { Server } from "../session/server.ts";
import type { SessionForm } from "../session/session-form.ts";
import { linkUp, poolOf, takeUpClient, takeUpFresh, takeUpServer, takeUpUser } from "../session/session-heir.ts";
import type { HandedSecrets } from "../session/session-heir.ts";
import type { InheritedSocket } from "./listeners.ts";

/** The application_name with which a pooler of our kind asks for sockets: it understands one column more. */
export const HEIR_NAME = "pgcarpool takeover 1";

export const SocketTask = { pooler: "pooler", client: "client", server: "server" } as const;
export type SocketTask = (typeof SocketTask)[keyof typeof SocketTask];

/** A socket of another pooler, as a row of its SHOW FDS says. */
export interface HandedSocket {
  readonly task: SocketTask;
  /** Ours. */
  readonly fd: number;
  /** What it was there, and what the socket was that it is linked with; 0 for none. */
  readonly oldFd: number;
  readonly link: number;
  readonly user: string | null;
  readonly database: string | null;
  /** A literal address, or "unix". */
  readonly address: string;
  readonly port: number;
  readonly secret: StoredSecret | null;
  readonly scramClientKey: Uint8Array | null;
  readonly scramServerKey: Uint8Array | null;
  /** Null for a listener. */
  readonly form: SessionForm | null;
}

export interface TakenOver {
  readonly listeners: readonly InheritedSocket[];
  /** Reads from everybody. */
  resume(): void;
}

const UNIX = "unix";

export class Takeover {
  readonly #engine: Engine;
  readonly #clients = new Map<number, Client>();
  readonly #servers = new Map<number, Server>();

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** `fromPgBouncer`: what its servers have prepared is not known; names must not be theirs. */
  async take(sockets: readonly HandedSocket[], fromPgBouncer: boolean): Promise<TakenOver> {
    const { log, statements, world } = this.#engine;
    if (fromPgBouncer) statements.startBehind(Math.floor(world.clock.wallTime()));
    const listeners: InheritedSocket[] = [];
    const clients: HandedSocket[] = [];
    for (const socket of sockets) {
      if (socket.task === SocketTask.client) {
        if (await this.#takeClient(socket)) clients.push(socket);
      } else if (socket.task === SocketTask.pooler) {
        const { fd, address, port } = socket;
        const isUnixSocket = address === UNIX;
        log.log(`got pooler socket: ${address.includes(":") ? `[${address}]` : address}:${port}`);
        listeners.push({ fd, isUnixSocket, address });
      }
    }
    for (const socket of sockets) if (socket.task === SocketTask.server) await this.#takeServer(socket);
    for (const socket of clients) this.#link(socket);
    return { listeners, resume: () => this.#resume() };
  }

  async #takeClient(socket: HandedSocket): Promise<boolean> {
    const { form } = socket;
    const found = this.#find(socket);
    const isFresh = form?.kind === "fresh";
    if (!isFresh && (found === null || form?.kind !== "client")) return this.#drop(socket);
    const connection = await this.#adopt(socket.fd);
    if (connection === null) return false;
    const isUnixSocket = socket.address === UNIX;
    if (isFresh) this.#clients.set(socket.oldFd, takeUpFresh(this.#engine, connection, isUnixSocket));
    if (found === null || form?.kind !== "client") return false;
    const user = takeUpUser(this.#engine, found.database, found.user, secretsOf(socket));
    const client = takeUpClient(this.#engine, { connection, isUnixSocket, database: found.database, user, form });
    this.#clients.set(socket.oldFd, client);
    return true;
  }

  async #takeServer(socket: HandedSocket): Promise<boolean> {
    const found = this.#find(socket);
    if (found === null || socket.form?.kind !== "server") return this.#drop(socket);
    const holder = socket.link === 0 ? null : (this.#clients.get(socket.link) ?? null);
    // Its client was left behind: nobody can say what it is in the middle of.
    if (socket.link !== 0 && holder === null) return this.#drop(socket);
    const connection = await this.#adopt(socket.fd);
    if (connection === null) return false;
    const user = takeUpUser(this.#engine, found.database, found.user, secretsOf(socket));
    const server = takeUpServer(this.#engine, {
      connection,
      address: socket.address === UNIX ? "" : socket.address,
      port: socket.port,
      pool: poolOf(this.#engine, found.database, user),
      form: socket.form,
      holder,
    });
    this.#servers.set(socket.oldFd, server);
    return true;
  }

  #link(socket: HandedSocket): void {
    const client = this.#clients.get(socket.oldFd);
    if (client === undefined || client.user === null || client.databaseName === null) return;
    const database = this.#engine.directory.findDatabase(client.databaseName);
    if (database === null) return;
    const server = socket.link === 0 ? null : (this.#servers.get(socket.link) ?? null);
    linkUp(client, poolOf(this.#engine, database, client.user), server);
    if (socket.link !== 0 && server === null) client.close("takeover: its server did not come along");
  }

  #find({ database: name, user }: HandedSocket): { database: Database; user: string } | null {
    const database = name === null ? null : this.#engine.directory.findDatabase(name);
    return database === null || user === null ? null : { database, user };
  }

  #drop({ task, fd, database, user }: HandedSocket): false {
    const { log, world } = this.#engine;
    log.warning(`takeover: ${task} of ${database ?? "(nodb)"}/${user ?? "(nouser)"} cannot go on, closing it`);
    world.descriptors?.()?.close(fd);
    return false;
  }

  #adopt(fd: number): Promise<AdoptedConnection | null> {
    return adoptConnection(this.#engine.world.transport, fd);
  }

  #resume(): void {
    for (const server of this.#servers.values()) server.resume();
    for (const client of this.#clients.values()) client.resume();
  }
}

function secretsOf({ secret, scramClientKey, scramServerKey }: HandedSocket): HandedSecrets {
  const isPair = scramClientKey?.length === scramKeyBytes && scramServerKey?.length === scramKeyBytes;
  return { secret, scramKeys: isPair ? new ScramKeys(scramClientKey, scramServerKey) : null };
}
