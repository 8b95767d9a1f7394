/** Loading: what a file means, and everything that is wrong with it at once. */
import { readFileSync } from "node:fs";
import { inspect } from "node:util";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Configuration } from "../../../src/config/configuration.ts";
import { autoDatabaseEntry } from "../../../src/config/database-entry.ts";
import type { LoadResult } from "../../../src/config/load.ts";
import { loadConfiguration } from "../../../src/config/load.ts";
import { serverAddresses } from "../../../src/config/server-address.ts";
import { SETTINGS_TABLE } from "../../../src/config/settings-table.ts";

function load(text: string): LoadResult {
  return loadConfiguration("t.ini", () => text);
}

function good(text: string): Configuration {
  const result = load(text);
  if (!result.ok) throw new Error(result.errors.map((error) => error.message).join("\n"));
  return result.configuration;
}

function errors(text: string): string[] {
  const result = load(text);
  return result.ok ? [] : result.errors.map((error) => error.message);
}

/** The errors of one line in a section, without the place behind them. */
function errorOf(section: string, line: string): string {
  const found = errors(`[pgbouncer]\n[${section}]\n${line}`);
  expect(found).toHaveLength(1);
  expect(found[0]).toContain("(t.ini:3)");
  return found[0] ?? "";
}

describe("[pgbouncer]", () => {
  test("an empty section means every default", () => {
    const { settings, named } = good("[pgbouncer]");
    expect(settings.defaultPoolSize).toBe(20);
    expect(settings.conffile).toBe("t.ini");
    expect(named.size).toBe(0);
  });

  test("what the file says, the last one counting", () => {
    const { settings, named } = good("[pgbouncer]\nlisten_port=1\nlisten_port = 2\nauth_user = a b");
    expect(settings.listenPort).toBe(2);
    expect(settings.authUser).toBe("a b");
    expect([...named]).toEqual(["listen_port", "auth_user"]);
  });

  test("a second header puts the defaults back, but for settings without one", () => {
    const { settings, named } = good(
      "[pgbouncer]\ndefault_pool_size=1\nauth_user=a\n[users]\n[pgbouncer]\nlog_stats=0",
    );
    expect(settings.defaultPoolSize).toBe(20);
    expect(settings.authUser).toBe("a");
    expect([...named]).toEqual(["auth_user", "log_stats"]);
  });

  test("every setting's default, written out, means the same", () => {
    const lines = SETTINGS_TABLE.filter((row) => row.default !== null).map((row) => `${row.name} = ${row.default}`);
    expect(good(`[pgbouncer]\n${lines.join("\n")}`).settings).toEqual(good("[pgbouncer]").settings);
  });
});

describe("errors", () => {
  test("all at once, with file and line", () => {
    const text = [
      "early = 1",
      "[pgbouncer]",
      "listen_port = http",
      "nonsense = 1",
      "pool_mode = auto",
      "auth_dbname = pgbouncer",
      "a line of prose",
      "[nowhere]",
      "key = value",
      "[databases]",
      "pgbouncer = host=x",
      "a = port=x pool_mode=y bogus=z",
      "b = host",
      "[users]",
      "u = max_db_connections=1",
      "v = pool_size",
      "[peers]",
      "0 = host=x",
      "1 = port=1",
    ].join("\n");
    expect(errors(text)).toEqual([
      "syntax error in configuration (t.ini:7)",
      "value without section: early (t.ini:1)",
      'invalid value "http" for parameter listen_port in configuration (t.ini:3)',
      "unknown parameter: pgbouncer/nonsense (t.ini:4)",
      'invalid value "auto" for parameter pool_mode in configuration (t.ini:5)',
      'invalid value "pgbouncer" for parameter auth_dbname in configuration (t.ini:6): cannot use the reserved "pgbouncer" database as an auth_dbname',
      'invalid section "nowhere" in configuration (t.ini:8): unknown section',
      'invalid value "host=x" for parameter pgbouncer in configuration (t.ini:11): database name "pgbouncer" is reserved',
      'invalid value "port=x pool_mode=y bogus=z" for parameter a in configuration (t.ini:12): invalid port: x',
      'invalid value "port=x pool_mode=y bogus=z" for parameter a in configuration (t.ini:12): invalid pool mode: y',
      'invalid value "port=x pool_mode=y bogus=z" for parameter a in configuration (t.ini:12): unrecognized connection parameter: bogus',
      'invalid value "host" for parameter b in configuration (t.ini:13): syntax error in connection string',
      'invalid value "max_db_connections=1" for parameter u in configuration (t.ini:15): unrecognized user parameter: max_db_connections',
      'invalid value "pool_size" for parameter v in configuration (t.ini:16): syntax error in user settings',
      'invalid value "host=x" for parameter 0 in configuration (t.ini:18): ids of peers must be a number larger than 0 and at most 65535',
      'invalid value "port=1" for parameter 1 in configuration (t.ini:19): host was not provided for peer 1',
    ]);
  });

  test("no main section", () => {
    expect(errors("[databases]\na =")).toEqual(["main section missing from config file (t.ini)"]);
    expect(errors("")).toEqual(["main section missing from config file (t.ini)"]);
  });

  test("a file that cannot be read", () => {
    const result = loadConfiguration("/gone.ini", () => {
      throw Object.assign(new Error("EACCES: permission denied, open '/gone.ini'"), { code: "EACCES" });
    });
    expect(result).toMatchObject({
      ok: false,
      errors: [{ file: "/gone.ini", line: 0, message: 'could not load file "/gone.ini": Permission denied' }],
    });
  });

  test.each([
    ["databases", "a = port=0", "invalid port: 0"],
    ["databases", "a = port=65536", "invalid port: 65536"],
    ["databases", "a = load_balance_hosts=no", "invalid load_balance_hosts: no"],
    ["databases", "a = host=x,,y", "invalid host: x,,y"],
    ["databases", "a = dbname=''", "syntax error in connection string"],
    ["databases", `${"n".repeat(64)} = host=x`, "too long db name: nnn"],
    ["users", "u = pool_mode=auto", "invalid pool mode: auto"],
    ["users", `${"n".repeat(128)} =`, "username too long: nnn"],
    ["peers", "65536 = host=x", "ids of peers must be"],
    ["peers", "1 = host=x user=y", "unrecognized connection parameter: user"],
  ])("[%s] %s", (section, line, message) => {
    expect(errorOf(section, line)).toContain(message);
  });

  test("never show a password", () => {
    for (const line of [
      "a = host=x password=hunter2 bogus=1",
      "a = password='hunter2",
      "pgbouncer = password=hunter2",
    ]) {
      expect(errorOf("databases", line)).not.toContain("hunter2");
    }
    expect(errors("[pgbouncer]\npassword = hunter2\na = password=hunter2").join()).not.toContain("hunter2");
    expect(errorOf("users", "u = password=hunter2")).not.toContain("hunter2");
    expect(errorOf("peers", "1 = password=hunter2")).not.toContain("hunter2");
  });

  test("of any text: read or refused, never thrown", () => {
    const lines = fc.array(
      fc.oneof(
        fc.constantFrom("[pgbouncer]", "[databases]", "[users]", "[peers]", "%include t.ini"),
        fc.string(),
        fc
          .tuple(fc.constantFrom(...SETTINGS_TABLE.map((row) => row.name), "a", "*", "1"), fc.string())
          .map(([key, value]) => `${key} = ${value}`),
        fc
          .tuple(fc.constantFrom("host", "port", "pool_size", "pool_mode", "password", "x"), fc.string())
          .map(([key, value]) => `7 = ${key}=${value}`),
      ),
    );
    fc.assert(
      fc.property(lines, (texts) => {
        const result = load(texts.join("\n"));
        if (result.ok) return;
        expect(result.errors.length).toBeGreaterThan(0);
        for (const { line, message } of result.errors) expect(message).toContain(line > 0 ? `t.ini:${line}` : "t.ini");
      }),
      { numRuns: 500 },
    );
  });
});

describe("[databases]", () => {
  const database = (value: string): ReturnType<Configuration["databases"]["get"]> =>
    good(`[pgbouncer]\n[databases]\nname = ${value}`).databases.get("name");

  test("an empty value means the defaults", () => {
    expect(database("")).toEqual({
      name: "name",
      dbname: "name",
      dbnameGiven: false,
      host: null,
      hosts: [],
      port: 5432,
      loadBalanceHosts: "round-robin",
      user: null,
      password: null,
      authUser: null,
      authQuery: null,
      authDbname: null,
      poolMode: null,
      poolSize: null,
      minPoolSize: null,
      reservePoolSize: null,
      maxDbConnections: null,
      maxDbClientConnections: null,
      serverLifetimeMs: null,
      queryWaitTimeoutMs: null,
      sharing: null,
      anonymousStatements: null,
      connectQuery: null,
      startupParameters: [],
      auto: false,
    });
  });

  test("every key", () => {
    const entry = database(
      "dbname=d host=a,b port=1 user=u password='p''w' auth_user=au auth_query='select 1' auth_dbname=pgbouncer " +
        "pool_mode=Statement pool_size=0 min_pool_size=1 reserve_pool=2 max_db_connections=3 max_db_client_connections=4 " +
        "server_lifetime=5 query_wait_timeout=0 load_balance_hosts=disable connect_query='set a=b' " +
        "application_name=n timezone=UTC datestyle=ISO client_encoding=UTF8",
    );
    expect(entry).toMatchObject({
      dbname: "d",
      dbnameGiven: true,
      hosts: ["a", "b"],
      port: 1,
      user: "u",
      authUser: "au",
      authQuery: "select 1",
      authDbname: "pgbouncer",
      poolMode: "statement",
      poolSize: 0,
      minPoolSize: 1,
      reservePoolSize: 2,
      maxDbConnections: 3,
      maxDbClientConnections: 4,
      serverLifetimeMs: 5000,
      queryWaitTimeoutMs: 0,
      sharing: null,
      anonymousStatements: null,
      loadBalanceHosts: "disable",
      connectQuery: "set a=b",
      startupParameters: [
        ["client_encoding", "UTF8"],
        ["datestyle", "ISO"],
        ["timezone", "UTC"],
        ["application_name", "n"],
      ],
    });
    expect(entry?.password?.reveal()).toBe("p'w");
    expect(inspect(entry) + JSON.stringify(entry)).not.toContain("p'w");
  });

  test("numbers that mean: inherit", () => {
    expect(
      database(
        "pool_size=-1 reserve_pool_size=-5 max_db_connections=0 max_db_client_connections=-1 server_lifetime=0 query_wait_timeout=-1",
      ),
    ).toMatchObject({
      poolSize: null,
      reservePoolSize: null,
      maxDbConnections: null,
      maxDbClientConnections: null,
      serverLifetimeMs: null,
      queryWaitTimeoutMs: null,
      sharing: null,
      anonymousStatements: null,
    });
  });

  test("numbers are read leniently, with a warning", () => {
    const result = load("[pgbouncer]\n[databases]\na = pool_size=5x min_pool_size=many max_db_connections=99999999999");
    if (!result.ok) throw new Error("refused");
    expect(result.configuration.databases.get("a")).toMatchObject({
      poolSize: 5,
      minPoolSize: 0,
      maxDbConnections: 2147483647,
    });
    expect(result.warnings.map((warning) => warning.message)).toEqual([
      'value "5x" for pool_size of a is not a whole number, 5 is used (t.ini:3)',
      'value "many" for min_pool_size of a is not a whole number, 0 is used (t.ini:3)',
    ]);
  });

  test("a name that stands twice is warned of, the last one counts", () => {
    const result = load("[pgbouncer]\n[databases]\na = port=1\na = port=2");
    if (!result.ok) throw new Error("refused");
    expect(result.configuration.databases.get("a")?.port).toBe(2);
    expect(result.warnings).toEqual([
      { file: "t.ini", line: 4, message: '"a" stands twice in [databases], the last one counts (t.ini:4)' },
    ]);
  });

  test("* is the pattern for other names", () => {
    const { databases, autoDatabase } = good("[pgbouncer]\n[databases]\n* = host=h pool_size=3");
    expect(databases.size).toBe(0);
    if (autoDatabase === null) throw new Error("no pattern");
    expect(autoDatabaseEntry(autoDatabase, "shop")).toMatchObject({
      name: "shop",
      dbname: "shop",
      host: "h",
      auto: true,
    });
    expect(autoDatabaseEntry({ ...autoDatabase, dbname: "d", dbnameGiven: true }, "shop")).toMatchObject({
      dbname: "d",
    });
    expect(autoDatabaseEntry(autoDatabase, "pgbouncer")).toBeNull();
    expect(autoDatabaseEntry(autoDatabase, "ä".repeat(32))).toBeNull();
    expect(autoDatabaseEntry(autoDatabase, "ä".repeat(31))).not.toBeNull();
    expect(autoDatabaseEntry(autoDatabase, "")).toBeNull();
  });

  test("addresses", () => {
    const addresses = (value: string): unknown => serverAddresses(database(value) ?? { hosts: [], port: 0 }, "/run/pg");
    expect(addresses("host=a,/dir,@x,::1 port=7")).toEqual([
      { kind: "tcp", host: "a", port: 7 },
      { kind: "unix", path: "/dir/.s.PGSQL.7" },
      { kind: "unix", path: "@x/.s.PGSQL.7" },
      { kind: "tcp", host: "::1", port: 7 },
    ]);
    expect(addresses("")).toEqual([{ kind: "unix", path: "/run/pg/.s.PGSQL.5432" }]);
    expect(serverAddresses({ hosts: [], port: 1 }, "")).toEqual([]);
  });
});

test("[users] and [peers]", () => {
  const { users, peers } = good(
    "[pgbouncer]\n[users]\na = pool_mode=session pool_size=1 reserve_pool_size=0 max_user_connections=2 max_user_client_connections=3 " +
      "query_timeout=4 idle_transaction_timeout=5 transaction_timeout=6 client_idle_timeout=0 query_wait_timeout=0\nb =\n" +
      "[peers]\n1 = host=/dir\n65535 = host=h port=7 pool_size=8",
  );
  expect(users.get("a")).toEqual({
    name: "a",
    poolMode: "session",
    poolSize: 1,
    reservePoolSize: 0,
    maxUserConnections: 2,
    maxUserClientConnections: 3,
    queryTimeoutMs: 4000,
    idleTransactionTimeoutMs: 5000,
    transactionTimeoutMs: 6000,
    clientIdleTimeoutMs: null,
    queryWaitTimeoutMs: 0,
    sharing: null,
    anonymousStatements: null,
  });
  expect(Object.values(users.get("b") ?? {})).toEqual(["b", ...Array.from({ length: 12 }, () => null)]);
  expect([...peers.values()]).toEqual([
    { id: 1, host: "/dir", port: 6432, poolSize: null },
    { id: 65535, host: "h", port: 7, poolSize: 8 },
  ]);
});

test("the sample configuration loads, and with all its commented settings too", () => {
  const sample = readFileSync(new URL("../../../etc/pgcarpool.ini", import.meta.url), "utf8");
  const result = load(sample);
  expect(result).toMatchObject({ ok: true, warnings: [] });
  expect(good(sample).settings.poolMode).toBe("transaction");
  expect([...good(sample).databases.keys()]).toEqual(["app"]);
  const everything = sample.replace(/^;(?=\S+ = )/gm, "");
  expect(everything).not.toBe(sample);
  const all = good(everything);
  expect(all.autoDatabase?.host).toBe("127.0.0.1");
  expect(all.settings.clientTlsSslmode).toBe("require");
});
