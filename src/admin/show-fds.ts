/**
 * SHOW FDS: the sockets of listeners, clients and servers, and for the process's own user on the Unix socket the descriptors
 * themselves: each row brings its own. With it another pooler takes this one's place (`pooler/takeover.ts`).
 *
 * Columns are PgBouncer's, and so is what a row means to it. A pooler of our kind says who it is and gets one column more:
 * the session, written down whole (`session-form.ts`). Connections under TLS are not shown, nor what hangs on them: their
 * keys are in this process. Counterpart: `admin_show_fds`, `show_one_fd` in PgBouncer's admin.c.
 */
import type { Column } from "../protocol/row-messages.ts";
import { ColumnTypes } from "../protocol/row-messages.ts";
import type { Connection } from "../net/transport.ts";
import { ServerState } from "../pool/server-state.ts";
import { ConsoleLevel } from "../pooler/console-level.ts";
import type { Pooler } from "../pooler/pooler.ts";
import { HEIR_NAME, SocketTask } from "../pooler/takeover.ts";
import { ClientState } from "../session/client-state.ts";
import { Client } from "../session/client.ts";
import type { Server } from "../session/server.ts";
import type { ServerPool } from "../session/server-pool.ts";
import { writeClient, writeServer } from "../session/session-form.ts";
import type { ClientForm, FreshForm, ServerForm } from "../session/session-form.ts";
import type { ConsoleCall } from "./console-call.ts";
import type { ConsoleCommand } from "./console-command.ts";
import { takesNothing } from "./console-command.ts";
import { DescriptorRows } from "./descriptor-rows.ts";
import type { CellValue } from "./result-table.ts";
import { describeRows, encodeRow, int4Column, int8Column, textColumn } from "./result-table.ts";

const byteaColumn = (name: string): Column => ({ name, type: ColumnTypes.Bytea });

export const FDS_COLUMNS: readonly Column[] = [
  int4Column("fd"),
  textColumn("task"),
  textColumn("user"),
  textColumn("database"),
  textColumn("addr"),
  int4Column("port"),
  int8Column("cancel"),
  int4Column("link"),
  textColumn("client_encoding"),
  textColumn("std_strings"),
  textColumn("datestyle"),
  textColumn("timezone"),
  textColumn("password"),
  byteaColumn("scram_client_key"),
  byteaColumn("scram_server_key"),
];

/** For a pooler of our kind. */
const HEIR_COLUMNS: readonly Column[] = [...FDS_COLUMNS, textColumn("session")];

const PARAMETERS = ["client_encoding", "standard_conforming_strings", "DateStyle", "TimeZone"];
const UNIX = "unix";

/** A row, and the connection that it is about; null for a listener, whose descriptor is in the row. */
interface SocketRow {
  readonly values: readonly CellValue[];
  readonly connection: Connection | null;
}

export const showFdsCommand: ConsoleCommand = {
  name: "SHOW FDS",
  argument: "",
  accepts: takesNothing,
  level: ConsoleLevel.admin,
  columns: FDS_COLUMNS,
  doc:
    "Sockets of listeners, clients and servers that have no TLS. Over the Unix socket, user pgbouncer of the same system user is " +
    "sent the descriptors with the rows: so another process takes over (-R).",
  run: (call) => {
    const { pooler, client } = call;
    const descriptors = call.isSimple && isOwnUser(call) ? (pooler.engine.world.descriptors?.() ?? null) : null;
    if (descriptors === null) {
      for (const { values } of socketRows(pooler, false)) call.row(values);
      call.done("SHOW");
      return;
    }
    const isHeir = isHeirOf(pooler, client);
    const columns = isHeir ? HEIR_COLUMNS : FDS_COLUMNS;
    const rows = new DescriptorRows(descriptors, client, pooler.engine.world.clock);
    rows.add(describeRows(columns, []), null);
    for (const { values, connection } of socketRows(pooler, isHeir)) {
      const fd = Number(values[0]);
      rows.add(encodeRow(columns, [], values), connection === null ? () => fd : () => connection.fd);
    }
    call.waits(() => rows.stop());
    const { suspension } = pooler.operations;
    rows.send((sent) => {
      if (!sent) {
        client.close("descriptors cannot be sent");
        return;
      }
      // From now on the other process may go on with them at any moment.
      if (suspension.isAtRest) suspension.isHandedOver = true;
      call.answered("SHOW");
    });
  },
};

/** Who gets in without a password (see `Residents.consoleFor`), and may have everything. */
function isOwnUser({ client, pooler }: ConsoleCall): boolean {
  const { connection, tls, userName } = client;
  if (connection.remote.address !== "" || tls !== "" || userName !== "pgbouncer") return false;
  return pooler.engine.world.peerCredentials(connection.fd)?.uid === process.getuid?.();
}

/** A pooler of our kind is about to take over. */
export function isHeirOf(pooler: Pooler, client: Client): boolean {
  return parameterOf(pooler, client, "application_name") === HEIR_NAME;
}

function* socketRows(pooler: Pooler, isHeir: boolean): IterableIterator<SocketRow> {
  for (const [{ address, isUnixSocket, listener }, fd] of pooler.listeners.descriptors) {
    const port = isUnixSocket ? pooler.settings.listenPort : listener.port || pooler.settings.listenPort;
    const values: CellValue[] = [fd, SocketTask.pooler, null, null, isUnixSocket ? UNIX : address, port, "0", 0];
    while (values.length < HEIR_COLUMNS.length) values.push(null);
    yield { values: isHeir ? values : values.slice(0, FDS_COLUMNS.length), connection: null };
  }
  if (isHeir) {
    for (const client of pooler.residents.clients)
      if (client.startup?.isSilent === true) yield freshRow(pooler, client);
  }
  for (const pool of pooler.residents.pools()) {
    for (const state of [ClientState.active, ClientState.idle, ClientState.waiting]) {
      for (const client of pool.clients.in(state)) {
        if (isShown(client) && (client.server === null || isShown(client.server))) {
          yield clientRow(pooler, pool, client, isHeir);
        }
      }
    }
    for (const state of Object.values(ServerState)) {
      for (const server of pool.core.servers.in(state)) {
        const { holder } = server;
        if (!isShown(server) || (holder instanceof Client && !isShown(holder))) continue;
        const form = writeServer(server);
        if (form !== null) yield serverRow(pooler, pool, server, form, isHeir);
      }
    }
  }
}

/** It is logged in and has no TLS. */
function isShown(socket: Client | Server): boolean {
  return socket.startup === null && socket.tls === "" && !socket.isClosed && (socket.connection?.fd ?? -1) >= 0;
}

function freshRow(pooler: Pooler, { connection }: Client): SocketRow {
  const isUnix = connection.remote.address === "";
  const address = isUnix ? UNIX : connection.remote.address;
  const port = isUnix ? pooler.settings.listenPort : connection.remote.port;
  const values: CellValue[] = [connection.fd, SocketTask.client, null, null, address, port, "0", 0];
  while (values.length < FDS_COLUMNS.length) values.push(null);
  const form: FreshForm = { kind: "fresh" };
  return { values: [...values, JSON.stringify(form)], connection };
}

function clientRow(pooler: Pooler, pool: ServerPool, client: Client, isHeir: boolean): SocketRow {
  const { connection } = client;
  const isUnix = connection.remote.address === "";
  const form = writeClient(client);
  const values: CellValue[] = [
    connection.fd,
    SocketTask.client,
    client.userName,
    pool.database.name,
    isUnix ? UNIX : connection.remote.address,
    isUnix ? pooler.settings.listenPort : connection.remote.port,
    cancelKey(form),
    client.server?.connection?.fd ?? 0,
    ...PARAMETERS.map((name) => parameterOf(pooler, client, name)),
    ...secretsOf(pool, client.userName ?? ""),
  ];
  if (isHeir) values.push(JSON.stringify(form));
  return { values, connection };
}

function serverRow(pooler: Pooler, pool: ServerPool, server: Server, form: ServerForm, isHeir: boolean): SocketRow {
  const { address, connection, holder } = server;
  const values: CellValue[] = [
    connection?.fd ?? -1,
    SocketTask.server,
    pool.user.name,
    pool.database.name,
    server.remoteAddress,
    address.kind === "unix" ? pool.database.entry.port : address.port,
    cancelKey(form),
    holder instanceof Client ? holder.connection.fd : 0,
    ...PARAMETERS.map((name) => parameterOf(pooler, server, name)),
    ...secretsOf(pool, pool.user.name),
  ];
  if (isHeir) values.push(JSON.stringify(form));
  return { values, connection };
}

function parameterOf(pooler: Pooler, { parameters }: Client | Server, name: string): string | null {
  return parameters[pooler.engine.parameters.indexOf(name)] ?? null;
}

/** Process id and secret as one number, as PgBouncer reads them. */
function cancelKey({ keyProcessId, keySecret }: ClientForm | ServerForm): string {
  const secret = Number.parseInt(keySecret.slice(0, 8).padEnd(8, "0"), 16);
  return ((BigInt(keyProcessId >>> 0) << 32n) | BigInt(secret >>> 0)).toString();
}

/** A password that no file tells, and the keys with which servers of the pool are logged in to. */
function secretsOf(pool: ServerPool, userName: string): CellValue[] {
  const { database } = pool;
  const found = database.credentials.get(userName);
  const keys = database.entry.user === null ? (database.credentials.get(pool.user.name) ?? pool.user).scramKeys : null;
  const bytea = (key: Uint8Array): string => `\\x${Buffer.from(key).toString("hex")}`;
  return [
    found?.secret?.reveal() ?? null,
    keys === null ? null : bytea(keys.clientKey),
    keys === null ? null : bytea(keys.serverKey),
  ];
}
