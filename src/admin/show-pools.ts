/** SHOW POOLS: how many clients and servers each pool has, by state. */
import { CONSOLE_DATABASE } from "../config/database-entry.ts";
import { PoolMode } from "../config/setting-words.ts";
import { ConsoleLevel } from "../pooler/console-level.ts";
import { AuthQuery } from "../session/auth-query.ts";
import { ClientState } from "../session/client-state.ts";
import type { ServerPool } from "../session/server-pool.ts";
import { cancelClients } from "./socket-lists.ts";
import type { ConsoleCall } from "./console-call.ts";
import type { ConsoleCommand } from "./console-command.ts";
import { byText, consoleClients, poolsInOrder } from "./residents-in-order.ts";
import type { CellValue } from "./result-table.ts";
import { int4Column, textColumn } from "./result-table.ts";

export const showPoolsCommand: ConsoleCommand = {
  name: "SHOW POOLS",
  argument: "",
  level: ConsoleLevel.stats,
  columns: [
    textColumn("database"),
    textColumn("user"),
    int4Column("cl_active"),
    int4Column("cl_waiting"),
    int4Column("cl_active_cancel_req"),
    int4Column("cl_waiting_cancel_req"),
    int4Column("sv_active"),
    int4Column("sv_active_cancel"),
    int4Column("sv_being_canceled"),
    int4Column("sv_idle"),
    int4Column("sv_used"),
    int4Column("sv_tested"),
    int4Column("sv_login"),
    int4Column("maxwait"),
    int4Column("maxwait_us"),
    textColumn("pool_mode"),
    textColumn("load_balance_hosts"),
  ],
  doc:
    "One row for each pool, that is for each database and user of server connections. `cl_active` counts idle clients too. " +
    "`maxwait` is how long the first client in the queue has waited, in seconds.",
  run: (call) => {
    const pools = poolsInOrder(call.pooler);
    const before = pools.filter((pool) => byText(pool.database.name, CONSOLE_DATABASE) < 0);
    for (const pool of before) call.row(poolRow(call, pool));
    call.row(consoleRow(consoleClients(call.pooler).length));
    for (const pool of pools.slice(before.length)) call.row(poolRow(call, pool));
    call.done("SHOW");
  },
};

function poolRow(call: ConsoleCall, pool: ServerPool): CellValue[] {
  const { clients, core, database } = pool;
  const servers = core.snapshot();
  const { now } = call.pooler.engine.turn;
  const waitUs = servers.waitingSince === null ? 0 : Math.max(0, Math.round((now - servers.waitingSince) * 1000));
  return [
    database.name,
    pool.user.name,
    clients.count(ClientState.active) + clients.count(ClientState.idle),
    clients.count(ClientState.waiting) + lookupsWaiting(pool),
    cancelClients(call.pooler, pool, true).length,
    cancelClients(call.pooler, pool, false).length,
    servers.active,
    servers.cancels,
    servers.beingCanceled,
    servers.idle,
    servers.used,
    servers.tested,
    servers.new,
    Math.floor(waitUs / 1_000_000),
    waitUs % 1_000_000,
    pool.mode,
    database.entry.hosts.length > 1 ? database.entry.loadBalanceHosts : null,
  ];
}

/** Clients that log in somewhere, and whose auth_query waits for a server here. */
function lookupsWaiting(pool: ServerPool): number {
  let count = 0;
  for (const seeker of pool.core.waiters) if (seeker instanceof AuthQuery) count += 1;
  return count;
}

function consoleRow(clientCount: number): CellValue[] {
  const zeros = Array.from({ length: 12 }, () => 0);
  return [CONSOLE_DATABASE, CONSOLE_DATABASE, clientCount, ...zeros, PoolMode.statement, null];
}
