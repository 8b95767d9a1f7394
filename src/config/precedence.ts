/**
 * Which value counts when the user, the database and the global settings each may have one: the first that is given.
 *
 *   user, database, global   pool mode, pool size, reserve pool size, query_wait_timeout, sharing,
 *                            anonymous_statements
 *   database, global         min_pool_size, max_db_…, server_lifetime, auth_…
 *   user, global             max_user_…, the other time-outs
 *
 * `user` is the user of the pool (the forced one if there is one) for what concerns servers; the login user for client
 * limits, client_idle_timeout and query_wait_timeout. Null stands for a user or database without an entry. Replication
 * connections are always in session mode; that is decided by their session. Counterpart: server.c, pool_pool_size and
 * its like.
 */
import type { DatabaseEntry } from "./database-entry.ts";
import type { PoolMode } from "./setting-words.ts";
import type { Settings } from "./settings.ts";
import type { UserEntry } from "./user-entry.ts";

export function poolMode(settings: Settings, database: DatabaseEntry, user: UserEntry | null): PoolMode {
  return user?.poolMode ?? database.poolMode ?? settings.poolMode;
}

/** 0 = unlimited. */
export function poolSize(settings: Settings, database: DatabaseEntry, user: UserEntry | null): number {
  return user?.poolSize ?? database.poolSize ?? settings.defaultPoolSize;
}

export function reservePoolSize(settings: Settings, database: DatabaseEntry, user: UserEntry | null): number {
  return user?.reservePoolSize ?? database.reservePoolSize ?? settings.reservePoolSize;
}

export function minPoolSize(settings: Settings, database: DatabaseEntry): number {
  return database.minPoolSize ?? settings.minPoolSize;
}

/** 0 = unlimited. */
export function maxDbConnections(settings: Settings, database: DatabaseEntry): number {
  return database.maxDbConnections ?? settings.maxDbConnections;
}

/** 0 = unlimited. */
export function maxDbClientConnections(settings: Settings, database: DatabaseEntry): number {
  return database.maxDbClientConnections ?? settings.maxDbClientConnections;
}

/** 0 = unlimited. `user` is the pool's. */
export function maxUserConnections(settings: Settings, user: UserEntry | null): number {
  return user?.maxUserConnections ?? settings.maxUserConnections;
}

/** 0 = unlimited. `user` is the one who logged in. */
export function maxUserClientConnections(settings: Settings, user: UserEntry | null): number {
  return user?.maxUserClientConnections ?? settings.maxUserClientConnections;
}

/** 0 = used once, then closed. */
export function serverLifetimeMs(settings: Settings, database: DatabaseEntry): number {
  return database.serverLifetimeMs ?? settings.serverLifetimeMs;
}

/** 0 = wait for ever. `user` is the one who logged in. */
export function queryWaitTimeoutMs(settings: Settings, database: DatabaseEntry, user: UserEntry | null): number {
  return user?.queryWaitTimeoutMs ?? database.queryWaitTimeoutMs ?? settings.queryWaitTimeoutMs;
}

export function sharing(settings: Settings, database: DatabaseEntry, user: UserEntry | null): boolean {
  return user?.sharing ?? database.sharing ?? settings.sharing;
}

export function anonymousStatements(settings: Settings, database: DatabaseEntry, user: UserEntry | null): boolean {
  return user?.anonymousStatements ?? database.anonymousStatements ?? settings.anonymousStatements;
}

/** 0 = no limit. */
export function queryTimeoutMs(settings: Settings, user: UserEntry | null): number {
  return user?.queryTimeoutMs ?? settings.queryTimeoutMs;
}

/** 0 = no limit. */
export function idleTransactionTimeoutMs(settings: Settings, user: UserEntry | null): number {
  return user?.idleTransactionTimeoutMs ?? settings.idleTransactionTimeoutMs;
}

/** 0 = no limit. */
export function transactionTimeoutMs(settings: Settings, user: UserEntry | null): number {
  return user?.transactionTimeoutMs ?? settings.transactionTimeoutMs;
}

/** 0 = no limit. `user` is the one who logged in. */
export function clientIdleTimeoutMs(settings: Settings, user: UserEntry | null): number {
  return user?.clientIdleTimeoutMs ?? settings.clientIdleTimeoutMs;
}

/** Null = auth_query is not used. */
export function authUser(settings: Settings, database: DatabaseEntry | null): string | null {
  return database?.authUser ?? settings.authUser;
}

export function authQuery(settings: Settings, database: DatabaseEntry | null): string {
  return database?.authQuery ?? settings.authQuery;
}

/** Null = the client's own database. */
export function authDbname(settings: Settings, database: DatabaseEntry | null): string | null {
  return database?.authDbname ?? settings.authDbname;
}
