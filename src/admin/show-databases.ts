/** SHOW DATABASES: every entry, those made from `*` too, with the sizes that are in effect. */
import { CONSOLE_DATABASE } from "../config/database-entry.ts";
import {
  maxDbClientConnections,
  maxDbConnections,
  minPoolSize,
  poolSize,
  reservePoolSize,
  serverLifetimeMs,
} from "../config/precedence.ts";
import { PoolMode } from "../config/setting-words.ts";
import { ConsoleLevel } from "../pooler/console-level.ts";
import type { Database } from "../session/database.ts";
import type { ConsoleCall } from "./console-call.ts";
import type { ConsoleCommand } from "./console-command.ts";
import { byText, consoleClients, databasesInOrder } from "./residents-in-order.ts";
import type { CellValue } from "./result-table.ts";
import { int4Column, textColumn } from "./result-table.ts";

/** The console's own; it has no servers. */
const CONSOLE_POOL_SIZE = 2;

export const showDatabasesCommand: ConsoleCommand = {
  name: "SHOW DATABASES",
  argument: "",
  level: ConsoleLevel.stats,
  columns: [
    textColumn("name"),
    textColumn("host"),
    int4Column("port"),
    textColumn("database"),
    textColumn("force_user"),
    int4Column("pool_size"),
    int4Column("min_pool_size"),
    int4Column("reserve_pool_size"),
    int4Column("server_lifetime"),
    textColumn("pool_mode"),
    textColumn("load_balance_hosts"),
    int4Column("max_connections"),
    int4Column("current_connections"),
    int4Column("max_client_connections"),
    int4Column("current_client_connections"),
    int4Column("paused"),
    int4Column("disabled"),
  ],
  doc: "The databases that clients may name, where they are, and their limits in effect (`server_lifetime` in seconds).",
  run: (call) => {
    const databases = databasesInOrder(call.pooler);
    const before = databases.filter(({ name }) => byText(name, CONSOLE_DATABASE) < 0);
    for (const database of before) call.row(databaseRow(call, database));
    call.row(consoleRow(call));
    for (const database of databases.slice(before.length)) call.row(databaseRow(call, database));
    call.done("SHOW");
  },
};

function databaseRow(call: ConsoleCall, database: Database): CellValue[] {
  const { settings } = call.pooler;
  const { entry } = database;
  return [
    database.name,
    entry.host,
    entry.port,
    entry.dbname,
    entry.user,
    poolSize(settings, entry, null),
    minPoolSize(settings, entry),
    reservePoolSize(settings, entry, null),
    Math.floor(serverLifetimeMs(settings, entry) / 1000),
    entry.poolMode,
    entry.hosts.length > 1 ? entry.loadBalanceHosts : null,
    maxDbConnections(settings, entry),
    database.connections.staying,
    maxDbClientConnections(settings, entry),
    database.clientCount,
    database.paused ? 1 : 0,
    database.disabled ? 1 : 0,
  ];
}

function consoleRow(call: ConsoleCall): CellValue[] {
  const { settings } = call.pooler;
  return [
    CONSOLE_DATABASE,
    null,
    settings.listenPort,
    CONSOLE_DATABASE,
    CONSOLE_DATABASE,
    CONSOLE_POOL_SIZE,
    settings.minPoolSize,
    settings.reservePoolSize,
    Math.floor(settings.serverLifetimeMs / 1000),
    PoolMode.statement,
    null,
    settings.maxDbConnections,
    0,
    settings.maxDbClientConnections,
    consoleClients(call.pooler).length,
    0,
    0,
  ];
}
