/**
 * Sessions that another process has left: clients and servers as they were, from what was written down (`session-form.ts`) and the
 * sockets that came with it.
 *
 * What nobody has told is taken for possible: a server whose pipeline is not known is believed up to its next ReadyForQuery,
 * and statements have names that no server can have. Nothing is read from any of them before `resume`.
 *
 * Counterpart: PgBouncer's `use_client_socket` and `use_server_socket`.
 */
import type { ScramKeys } from "../auth/scram-keys.ts";
import type { StoredSecret } from "../auth/stored-secret.ts";
import type { ServerAddress } from "../config/server-address.ts";
import { serverAddresses } from "../config/server-address.ts";
import type { AdoptedConnection } from "../net/adopt-connection.ts";
import { isLiteralAddress } from "../net/literal-address.ts";
import type { ParameterValues, TrackedParameters } from "../state/tracked-parameters.ts";
import { Client } from "./client.ts";
import { Welcome } from "./client-welcome.ts";
import type { Database } from "./database.ts";
import { Dedication } from "./dedication.ts";
import type { Engine } from "./engine.ts";
import { Replication, replicationOf } from "./replication.ts";
import { Server } from "./server.ts";
import type { ServerPool } from "./server-pool.ts";
import type { ClientForm, ServerForm } from "./session-form.ts";
import { originOf } from "./session-form.ts";
import type { User } from "./user.ts";

/** What is known of a client's password, besides auth_file. */
export interface HandedSecrets {
  /** What auth_query, PAM or LDAP have found out. */
  readonly secret: StoredSecret | null;
  readonly scramKeys: ScramKeys | null;
}

/** The user of that name, who may log in to servers of `database` with `secrets`. */
export function takeUpUser(engine: Engine, database: Database, name: string, secrets: HandedSecrets): User {
  const user = engine.directory.knownUser(name);
  const { secret, scramKeys } = secrets;
  if (secret !== null && user.secret === null) {
    const known = database.credentials.get(name);
    if (known === undefined) database.credentials.set(name, { secret, scramKeys });
    else if (scramKeys !== null) known.scramKeys = scramKeys;
  } else if (scramKeys !== null) {
    user.scramKeys = scramKeys;
  }
  return user;
}

/** The pool that a client named `user`, or a server that logged in as it, belongs to. */
export function poolOf(engine: Engine, database: Database, user: User): ServerPool {
  const forced = database.entry.user;
  return engine.directory.poolFor(database, forced === null ? user : engine.directory.knownUser(forced));
}

export interface ClientHeritage {
  readonly connection: AdoptedConnection;
  readonly isUnixSocket: boolean;
  readonly database: Database;
  readonly user: User;
  readonly form: ClientForm;
}

/** The client is counted and can be found by its key; `linkUp` makes it a member of its pool. */
export function takeUpClient(engine: Engine, heritage: ClientHeritage): Client {
  const { connection, database, form, user } = heritage;
  const client = new Client(engine, connection, heritage.isUnixSocket, engine.settings.listenPort);
  client.databaseName = database.name;
  client.userName = user.name;
  client.user = user;
  client.keyProcessId = form.keyProcessId >>> 0;
  client.keySecret = Number.parseInt(form.keySecret.slice(0, 8), 16) >>> 0;
  client.parameters = parametersOf(engine.parameters, form.parameters);
  client.replication = replicationOf(form.replication);
  if (client.replication !== Replication.no) client.dedication = new Dedication(client, null);
  for (const [name, serial, key] of form.statements) {
    client.statements.set(name, engine.statements.restore(serial, key));
  }
  if (form.begin !== undefined) client.defersBegin().restore(form.begin);
  if (form.unread !== "") client.framer.push(Buffer.from(form.unread, "base64"));
  engine.directory.takeUp(client, database, user);
  connection.attach(client);
  return client;
}

/** A client that has said nothing yet, as if it had just been accepted. */
export function takeUpFresh(engine: Engine, connection: AdoptedConnection, isUnixSocket: boolean): Client {
  const client = new Client(engine, connection, isUnixSocket, engine.settings.listenPort);
  client.suspend();
  engine.directory.takeUp(client, null, null);
  connection.attach(client);
  return client;
}

export interface ServerHeritage {
  readonly connection: AdoptedConnection;
  /** A literal address, empty for a Unix socket. */
  readonly address: string;
  readonly port: number;
  readonly pool: ServerPool;
  readonly form: ServerForm;
  readonly holder: Client | null;
}

/** The server is a member of its pool, idle or its holder's. */
export function takeUpServer(engine: Engine, heritage: ServerHeritage): Server {
  const { connection, form, holder, pool } = heritage;
  const server = new Server(engine, pool, addressOf(engine, heritage), holder?.dedication ?? null);
  const { now } = engine.turn;
  server.connectedTo = heritage.address;
  server.openedAt = now - form.ageMs;
  server.keyProcessId = form.keyProcessId >>> 0;
  server.keySecret = Buffer.from(form.keySecret, "hex");
  server.parameters = parametersOf(engine.parameters, form.parameters);
  if (form.status !== null) server.status = form.status;
  const isOfNow = form.origin === null || form.origin === originOf(pool.database.entry);
  server.closeNeeded = form.closeNeeded || !isOfNow || form.pipeline?.undecided === true;
  for (const [serial, key] of form.statements) {
    const statement = engine.statements.restore(serial, key);
    server.statements.add(statement);
    engine.statements.giveBack(statement);
  }
  server.unnamed = -1;
  if (holder !== null) server.pipeline.restore(form.pipeline, holder);
  server.takeUp(connection);
  pool.takeUp(server, holder);
  server.usedAt = now - form.quietMs;
  server.dedication?.takeUp(server);
  if (pool.welcome === null && form.welcome !== null && !server.closeNeeded) {
    pool.welcome = new Welcome(form.welcome, server.parameters);
  }
  connection.attach(server);
  return server;
}

/** `client`, of this pool, holds `server`. */
export function linkUp(client: Client, pool: ServerPool, server: Server | null): void {
  client.takeUp(pool, server);
  if (pool.welcome !== null) {
    client.parameters = client.engine.parameters.filled(client.parameters, pool.welcome.tracked);
  }
}

function addressOf(engine: Engine, { address, form, pool, port }: ServerHeritage): ServerAddress {
  const { entry } = pool.database;
  if (address === "") {
    const all = serverAddresses(entry, engine.settings.unixSocketDir);
    return all.find(({ kind }) => kind === "unix") ?? { kind: "unix", path: "" };
  }
  const isConfigured = entry.hosts.includes(form.host) && !isLiteralAddress(form.host);
  return { kind: "tcp", host: isConfigured ? form.host : address, port };
}

function parametersOf(
  tracked: TrackedParameters,
  pairs: readonly (readonly [name: string, value: string])[],
): ParameterValues {
  let values = tracked.unknown;
  for (const [name, value] of pairs) {
    const index = tracked.indexOf(name);
    if (index >= 0) values = tracked.with(values, index, value);
  }
  return values;
}
