/**
 * A connection as SHOW CLIENTS, SERVERS and SOCKETS show it: the columns they share, and the row of a client or server.
 *
 * Counterpart: `socket_header` and `socket_row` in PgBouncer's admin.c.
 */
import { CONSOLE_DATABASE } from "../config/database-entry.ts";
import type { Connection } from "../net/transport.ts";
import type { Outbox } from "../net/outbox.ts";
import type { Framer } from "../protocol/framer.ts";
import type { Column } from "../protocol/row-messages.ts";
import { ServerState } from "../pool/server-state.ts";
import type { CancelForward } from "../session/cancel-forward.ts";
import type { Client } from "../session/client.ts";
import type { Server } from "../session/server.ts";
import { Replication } from "../session/replication.ts";
import type { ParameterValues } from "../state/tracked-parameters.ts";
import type { ConsoleCall } from "./console-call.ts";
import type { CellValue } from "./result-table.ts";
import { int4Column, textColumn } from "./result-table.ts";

export const SOCKET_COLUMNS: readonly Column[] = [
  textColumn("type"),
  textColumn("user"),
  textColumn("database"),
  textColumn("replication"),
  textColumn("state"),
  textColumn("addr"),
  int4Column("port"),
  textColumn("local_addr"),
  int4Column("local_port"),
  textColumn("connect_time"),
  textColumn("request_time"),
  int4Column("wait"),
  int4Column("wait_us"),
  int4Column("close_needed"),
  textColumn("ptr"),
  textColumn("link"),
  int4Column("remote_pid"),
  textColumn("tls"),
  textColumn("application_name"),
  int4Column("prepared_statements"),
  int4Column("id"),
];

/** What SHOW SOCKETS has on top. */
export const BUFFER_COLUMNS: readonly Column[] = [
  int4Column("recv_pos"),
  int4Column("pkt_pos"),
  int4Column("pkt_remain"),
  int4Column("send_pos"),
  int4Column("send_remain"),
  int4Column("pkt_avail"),
  int4Column("send_avail"),
];

const UNIX = "unix";

const REPLICATION_SHOWN: Readonly<Record<Replication, string>> = {
  [Replication.no]: "none",
  [Replication.logical]: "logical",
  [Replication.physical]: "physical",
};

/** `state`: as SHOW names the list that it is in. */
export function clientRow(call: ConsoleCall, client: Client, state: string): CellValue[] {
  const { engine } = call.pooler;
  const { turn, settings, world } = engine;
  const { connection } = client;
  const isUnix = connection.remote.address === "";
  const server = client.server ?? client.ride?.rides?.server ?? client.dedication?.server ?? null;
  const { queryStart } = client.clock;
  const waitUs = queryStart === 0 ? 0 : Math.max(0, Math.round((turn.now - queryStart) * 1000));
  const pool = client.startup?.cancelPool ?? client.pool;
  const database = client.console === null ? (pool?.database.name ?? client.databaseName) : CONSOLE_DATABASE;
  return [
    "C",
    client.userName ?? "(nouser)",
    database ?? "(nodb)",
    REPLICATION_SHOWN[client.replication],
    state,
    isUnix ? UNIX : connection.remote.address,
    isUnix ? settings.listenPort : connection.remote.port,
    isUnix ? UNIX : connection.local.address,
    isUnix ? settings.listenPort : connection.local.port,
    call.localTime.withSeconds(client.acceptedWallTime),
    timeOf(call, client.requestAt),
    Math.floor(waitUs / 1_000_000),
    waitUs % 1_000_000,
    0,
    pointer(client),
    server === null ? "" : pointer(server),
    isUnix ? (world.peerCredentials(connection.fd)?.pid ?? 0) : 0,
    client.tls,
    applicationName(call, client.parameters),
    client.statementCount,
    client.id,
  ];
}

export function serverRow(call: ConsoleCall, server: Server, state: string): CellValue[] {
  const { connection, address, pool } = server;
  const holder = server.holder ?? server.dedication?.client ?? null;
  const isUnix = address.kind === "unix";
  const port = isUnix ? pool.database.entry.port : address.port;
  return [
    "S",
    pool.user.name,
    pool.database.name,
    REPLICATION_SHOWN[server.dedication?.client.replication ?? Replication.no],
    state,
    server.remoteAddress,
    port,
    isUnix ? UNIX : localAddress(connection),
    isUnix ? port : (connection?.local.port ?? 0),
    call.localTime.withSeconds(server.connectedWallTime),
    server.usedAt === 0 ? call.localTime.withSeconds(server.connectedWallTime) : timeOf(call, server.usedAt),
    0,
    0,
    server.closeNeeded ? 1 : 0,
    pointer(server),
    holder === null || holder.id === 0 ? "" : pointer(holder),
    server.keyProcessId,
    server.tls,
    applicationName(call, server.parameters),
    server.statements.size,
    server.id,
  ];
}

/** A connection that carries a cancel request to PostgreSQL. */
export function cancelRow(call: ConsoleCall, cancel: CancelForward): CellValue[] {
  const { connection, connectedWallTime, id, isSent, pool, target } = cancel;
  const isUnix = target.address.kind === "unix";
  const port = target.address.kind === "unix" ? pool.database.entry.port : target.address.port;
  const since = call.localTime.withSeconds(connectedWallTime);
  return [
    "S",
    pool.user.name,
    pool.database.name,
    REPLICATION_SHOWN[Replication.no],
    isSent ? "active_cancel" : ServerState.new,
    target.remoteAddress,
    port,
    isUnix ? UNIX : localAddress(connection),
    isUnix ? port : (connection?.local.port ?? 0),
    since,
    since,
    0,
    0,
    0,
    pointer({ id }),
    "",
    0,
    "",
    "",
    0,
    id,
  ];
}

/** The values of `BUFFER_COLUMNS`. What a framer has is one run of bytes from `at` to `end`; an outbox counts only what waits. */
export function bufferValues(framer: Framer, outbox: Outbox): CellValue[] {
  const remaining = Math.max(0, framer.size - framer.available);
  return [framer.end, framer.at, remaining, 0, 0, framer.pending, outbox.backlog];
}

export function hasBufferedData(framer: Framer, outbox: Outbox): boolean {
  return framer.pending > 0 || outbox.backlog > 0;
}

/** The same as in the prefix of its log lines. */
function pointer(socket: { readonly id: number }): string {
  return `0x${socket.id.toString(16).padStart(12, "0")}`;
}

/** `at`: monotonic ms. */
function timeOf(call: ConsoleCall, at: number): string {
  const { turn, world } = call.pooler.engine;
  return call.localTime.withSeconds(world.clock.wallTime() - (turn.now - at));
}

function localAddress(connection: Connection | null): string {
  return connection?.local.address ?? "";
}

function applicationName(call: ConsoleCall, values: ParameterValues): string {
  return values[call.pooler.engine.parameters.indexOf("application_name")] ?? "";
}
