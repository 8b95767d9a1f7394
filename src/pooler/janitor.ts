/**
 * The maintenance pass, 3 times a second: time limits of clients and servers, and each pool's own maintenance.
 *
 * Only lists that can hold somebody whose time may be over are walked. Counterpart: PgBouncer's `janitor.c`.
 */
import {
  clientIdleTimeoutMs,
  idleTransactionTimeoutMs,
  minPoolSize,
  queryTimeoutMs,
  queryWaitTimeoutMs,
  transactionTimeoutMs,
} from "../config/precedence.ts";
import { PoolMode } from "../config/setting-words.ts";
import { ServerState } from "../pool/server-state.ts";
import { noticeResponse } from "../protocol/error-messages.ts";
import type { Client } from "../session/client.ts";
import { ClientState } from "../session/client-state.ts";
import type { Database } from "../session/database.ts";
import type { DeferredBegin } from "../session/deferred-begin.ts";
import type { Engine } from "../session/engine.ts";
import { logDefect } from "../session/log-closing.ts";
import { PoolerErrors, poolerError, serverLostError } from "../session/pooler-error.ts";
import type { ServerPool } from "../session/server-pool.ts";
import type { Residents } from "./residents.ts";

/** PgBouncer's `full_maint_period`. */
export const TICK_MS = 1000 / 3;

const WAITING_NOTICE = noticeResponse({
  severity: "NOTICE",
  code: "00000",
  message: "No server connection available in postgres backend, client being queued",
});

export class Janitor {
  readonly #engine: Engine;
  readonly #residents: Residents;

  constructor(engine: Engine, residents: Residents) {
    this.#engine = engine;
    this.#residents = residents;
  }

  /** One pass. */
  tick(): void {
    const { now } = this.#engine.turn;
    for (const pool of this.#residents.pools()) {
      try {
        this.#tickPool(pool, now);
      } catch (error) {
        // A defect in one pool must not stop the clock of the others.
        logDefect(this.#engine, `${pool.database.name}/${pool.user.name}:`, error as Error);
      }
    }
    this.#checkLogins(now);
    this.#dropIdlePools(now);
    this.#dropIdleAutoDatabases(now);
  }

  #tickPool(pool: ServerPool, now: number): void {
    pool.tick();
    this.#checkServers(pool, now);
    this.#checkWaiting(pool, now);
    this.#checkIdle(pool, now);
  }

  #checkServers(pool: ServerPool, now: number): void {
    const { settings } = this.#engine;
    const { servers } = pool.core;
    const queryMs = queryTimeoutMs(settings, pool.user.entry);
    const idleMs = idleTransactionTimeoutMs(settings, pool.user.entry);
    const xactMs = transactionTimeoutMs(settings, pool.user.entry);
    const fastClose = settings.serverFastClose && pool.mode === PoolMode.session;
    if (queryMs > 0 || idleMs > 0 || xactMs > 0 || fastClose) {
      for (const server of servers.in(ServerState.active)) {
        const { clock } = server.holder ?? { clock: null };
        // A replication client's server: its query may run for weeks.
        if (clock === null || server.dedicated) continue;
        const isIdle = server.pipeline.isEmpty;
        if (fastClose && server.closeNeeded && server.isReady) server.close("database configuration changed");
        else if (queryMs > 0 && !isIdle && now - clock.queryStart > queryMs) server.close("query timeout");
        else if (idleMs > 0 && isIdle && !server.isReady && now - server.usedAt > idleMs)
          server.close("idle transaction timeout");
        else if (xactMs > 0 && clock.xactStart > 0 && now - clock.xactStart > xactMs)
          server.close("transaction timeout");
      }
    }
    if (queryMs > 0 || xactMs > 0) pool.sharing.checkTimes(queryMs, xactMs);
    const connectMs = settings.serverConnectTimeoutMs;
    if (connectMs > 0) {
      for (const server of servers.in(ServerState.new)) {
        if (now - server.openedAt <= connectMs) continue;
        server.connectFailed(server.isConnected ? "connect timeout" : "connect failed");
      }
    }
  }

  #checkWaiting(pool: ServerPool, now: number): void {
    const { settings } = this.#engine;
    for (const client of pool.clients.in(ClientState.waiting)) {
      // Who waits for the pool's first welcome is in this list too, and the same limits hold.
      // Who rode and was moved has waited since before that.
      const waitedMs = now - (client.waiting.queued ? client.waiting.since : client.place.since);
      const queryMs = queryTimeoutMs(settings, pool.user.entry);
      const waitMs = queryWaitTimeoutMs(settings, pool.database.entry, client.user?.entry ?? null);
      const over = client.begin === null ? null : this.#transactionOver(client.begin, pool, now);
      if (over !== null) client.fail(serverLostError(over));
      else if (queryMs > 0 && waitedMs > queryMs) client.fail(poolerError(PoolerErrors.queryTimeoutWaiting));
      else if (waitMs > 0 && waitedMs > waitMs) client.fail(poolerError(PoolerErrors.queryWaitTimeout));
      else if (client.startup !== null || client.wasNotified) continue;
      else if (settings.queryWaitNotifyMs > 0 && waitedMs > settings.queryWaitNotifyMs) {
        client.wasNotified = true;
        client.send(WAITING_NOTICE);
      }
    }
  }

  /** Why a transaction that has begun without a server must not go on waiting for one. */
  #transactionOver(begin: DeferredBegin, pool: ServerPool, now: number): string | null {
    const { settings } = this.#engine;
    const { entry } = pool.user;
    return begin.overLimit(idleTransactionTimeoutMs(settings, entry), transactionTimeoutMs(settings, entry), now);
  }

  #checkIdle(pool: ServerPool, now: number): void {
    const { settings } = this.#engine;
    if (settings.clientIdleTimeoutMs === 0 && !this.#residents.hasUserIdleTimeout) return;
    for (const client of pool.clients.in(ClientState.idle)) {
      const idleMs = clientIdleTimeoutMs(settings, client.user?.entry ?? null);
      if (idleMs > 0 && now - client.requestAt > idleMs) client.fail(poolerError(PoolerErrors.clientIdleTimeout));
    }
  }

  #checkLogins(now: number): void {
    const { clientLoginTimeoutMs, cancelWaitTimeoutMs } = this.#engine.settings;
    for (const client of this.#residents.clients) {
      const { startup } = client;
      if (startup === null) continue;
      const ageMs = now - client.acceptedAt;
      if (startup.isCanceling) {
        if (cancelWaitTimeoutMs > 0 && ageMs > cancelWaitTimeoutMs && !startup.isCancelSent)
          client.close("cancel_wait_timeout");
      } else if (clientLoginTimeoutMs > 0 && ageMs > clientLoginTimeoutMs) {
        client.fail(
          poolerError(startup.isGreeting ? PoolerErrors.clientLoginTimeoutServerDown : PoolerErrors.clientLoginTimeout),
        );
      } else if (startup.authenticationWaits !== null) {
        this.#checkAuthenticationWait(client, startup.authenticationWaits, now);
      }
    }
  }

  /** A look-up of auth_query waits no longer than its client's queries would. */
  #checkAuthenticationWait(
    client: Client,
    { since, database }: { readonly since: number; readonly database: Database | null },
    now: number,
  ): void {
    const { settings } = this.#engine;
    const queryMs = settings.queryTimeoutMs;
    const waitMs =
      database === null
        ? settings.queryWaitTimeoutMs
        : queryWaitTimeoutMs(settings, database.entry, client.user?.entry ?? null);
    if (queryMs > 0 && now - since > queryMs) client.fail(poolerError(PoolerErrors.queryTimeoutWaiting));
    else if (waitMs > 0 && now - since > waitMs) client.fail(poolerError(PoolerErrors.queryWaitTimeout));
  }

  /** Pools that the maintenance would only fill again are spared: those of a forced user with a minimum. */
  #dropIdlePools(now: number): void {
    const { log, settings } = this.#engine;
    if (settings.poolIdleTimeoutMs === 0) return;
    for (const pool of this.#residents.pools()) {
      const { database, user } = pool;
      if (database.entry.user !== null && minPoolSize(settings, database.entry) > 0) continue;
      const idleMs = now - pool.usedAt;
      if (!pool.isEmpty) {
        pool.usedAt = now;
      } else if (idleMs > settings.poolIdleTimeoutMs) {
        const age = Math.floor(idleMs / 1000);
        log.log(
          `cleaning up idle pool for user ${user.name} on db ${database.name} because: pool idle timeout (age= ${age}s)`,
        );
        this.#residents.retirePool(pool);
      }
    }
  }

  #dropIdleAutoDatabases(now: number): void {
    const { autodbIdleTimeoutMs } = this.#engine.settings;
    if (autodbIdleTimeoutMs === 0) return;
    for (const database of this.#residents.databases.values()) {
      if (!database.entry.auto) continue;
      if (database.clientCount > 0 || database.connections.used > 0) database.usedAt = now;
      else if (now - database.usedAt > autodbIdleTimeoutMs) {
        this.#engine.log.warning(
          `dropping database '${database.name}' as it does not exist anymore or inactive auto-database`,
        );
        this.#residents.removeDatabase(database);
      }
    }
  }
}
