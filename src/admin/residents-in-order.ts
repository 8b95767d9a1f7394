/** Databases, pools, users and consoles in the order that SHOW has them: by name, bytes compared. */
import type { Pooler } from "../pooler/pooler.ts";
import type { Client } from "../session/client.ts";
import type { Database } from "../session/database.ts";
import type { ServerPool } from "../session/server-pool.ts";

export function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

export function databasesInOrder(pooler: Pooler): Database[] {
  return [...pooler.residents.databases.values()].sort((a, b) => byText(a.name, b.name));
}

/** By database, then by user. */
export function poolsInOrder(pooler: Pooler): ServerPool[] {
  return databasesInOrder(pooler).flatMap((database) =>
    [...database.pools.values()].sort((a, b) => byText(a.user.name, b.user.name)),
  );
}

/** Who has logged in to the console. */
export function consoleClients(pooler: Pooler): Client[] {
  return [...pooler.residents.clients].filter((client) => client.console !== null && !client.isClosed);
}
