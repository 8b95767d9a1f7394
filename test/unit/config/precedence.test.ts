/** Which value counts of the user's, the database's and the global one. */
import { describe, expect, test } from "vitest";
import type { Configuration } from "../../../src/config/configuration.ts";
import type { DatabaseEntry } from "../../../src/config/database-entry.ts";
import { loadConfiguration } from "../../../src/config/load.ts";
import * as precedence from "../../../src/config/precedence.ts";
import type { UserEntry } from "../../../src/config/user-entry.ts";

const GLOBAL = `
pool_mode=session
default_pool_size=11
reserve_pool_size=12
min_pool_size=13
max_db_connections=14
max_db_client_connections=15
max_user_connections=16
max_user_client_connections=17
server_lifetime=18
query_wait_timeout=19
query_timeout=20
idle_transaction_timeout=21
transaction_timeout=22
client_idle_timeout=23
auth_user=global
auth_query=global
auth_dbname=global`;
const DATABASE =
  "pool_mode=transaction pool_size=31 reserve_pool_size=32 min_pool_size=33 max_db_connections=34 " +
  "max_db_client_connections=35 server_lifetime=38 query_wait_timeout=39 auth_user=db auth_query=db auth_dbname=db";
const USER =
  "pool_mode=statement pool_size=51 reserve_pool_size=52 max_user_connections=56 max_user_client_connections=57 " +
  "query_wait_timeout=59 query_timeout=60 idle_transaction_timeout=61 transaction_timeout=62 client_idle_timeout=63";

function load(database: string, user: string): { settings: Configuration["settings"]; d: DatabaseEntry; u: UserEntry } {
  const result = loadConfiguration(
    "t",
    () => `[pgbouncer]${GLOBAL}\n[databases]\nd = ${database}\n[users]\nu = ${user}`,
  );
  if (!result.ok) throw new Error(result.errors[0]?.message);
  const d = result.configuration.databases.get("d");
  const u = result.configuration.users.get("u");
  if (d === undefined || u === undefined) throw new Error("no entries");
  return { settings: result.configuration.settings, d, u };
}

/** Everything, in the order of the settings above. */
function effective(database: string, user: string): unknown[] {
  const { settings, d, u } = load(database, user);
  return [
    precedence.poolMode(settings, d, u),
    precedence.poolSize(settings, d, u),
    precedence.reservePoolSize(settings, d, u),
    precedence.minPoolSize(settings, d),
    precedence.maxDbConnections(settings, d),
    precedence.maxDbClientConnections(settings, d),
    precedence.maxUserConnections(settings, u),
    precedence.maxUserClientConnections(settings, u),
    precedence.serverLifetimeMs(settings, d) / 1000,
    precedence.queryWaitTimeoutMs(settings, d, u) / 1000,
    precedence.queryTimeoutMs(settings, u) / 1000,
    precedence.idleTransactionTimeoutMs(settings, u) / 1000,
    precedence.transactionTimeoutMs(settings, u) / 1000,
    precedence.clientIdleTimeoutMs(settings, u) / 1000,
    precedence.authUser(settings, d),
    precedence.authQuery(settings, d),
    precedence.authDbname(settings, d),
  ];
}

describe("the first that is given counts", () => {
  test("nothing but the global ones", () => {
    const global = ["session", 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, "global", "global", "global"];
    expect(effective("", "")).toEqual(global);
  });

  test("the database's", () => {
    const expected = ["transaction", 31, 32, 33, 34, 35, 16, 17, 38, 39, 20, 21, 22, 23, "db", "db", "db"];
    expect(effective(DATABASE, "")).toEqual(expected);
  });

  test("the user's", () => {
    const expected = ["statement", 51, 52, 33, 34, 35, 56, 57, 38, 59, 60, 61, 62, 63, "db", "db", "db"];
    expect(effective(DATABASE, USER)).toEqual(expected);
  });

  test("zero is a value where it means no limit, and inherits where it cannot", () => {
    const zeros = effective(
      "pool_size=0 query_wait_timeout=0 server_lifetime=0 max_db_connections=0",
      "query_timeout=0",
    );
    expect([zeros[1], zeros[9], zeros[8], zeros[4], zeros[10]]).toEqual([0, 0, 18, 14, 20]);
  });

  test("a user or database without an entry inherits", () => {
    const { settings, d } = load("", "");
    expect(precedence.poolMode(settings, d, null)).toBe("session");
    expect(precedence.maxUserConnections(settings, null)).toBe(16);
    expect(precedence.authUser(settings, null)).toBe("global");
  });
});
