/** A reload as a difference: what changes, what stays, what must be renewed. */
import { describe, expect, test } from "vitest";
import type { Configuration } from "../../../src/config/configuration.ts";
import { loadConfiguration } from "../../../src/config/load.ts";
import type { ReloadDiff } from "../../../src/config/reload.ts";
import { applyReload } from "../../../src/config/reload.ts";
import { copySettings, setSetting, showSettings } from "../../../src/config/settings.ts";

function load(text: string): Configuration {
  const result = loadConfiguration("t.ini", () => text);
  if (!result.ok) throw new Error(result.errors.map((error) => error.message).join("\n"));
  return result.configuration;
}

const settings = (lines: string): Configuration => load(`[pgbouncer]\n${lines}`);
const databases = (lines: string): Configuration => load(`[pgbouncer]\n[databases]\n${lines}`);

function reloadDatabase(before: string, after: string): ReloadDiff {
  return applyReload(databases(`a = ${before}`), databases(`a = ${after}`));
}

describe("settings", () => {
  test("what the file says counts, and what it no longer says goes back to its default", () => {
    const diff = applyReload(settings("max_client_conn=5\nlog_stats=0"), settings("log_stats=0\ndefault_pool_size=7"));
    expect(diff.settings).toEqual(["default_pool_size", "max_client_conn"]);
    expect(diff.configuration.settings).toMatchObject({ maxClientConn: 100, defaultPoolSize: 7, logStats: false });
  });

  test("undoes SET, but for settings without a default", () => {
    const running = settings("");
    setSetting(running.settings, "default_pool_size", "1");
    setSetting(running.settings, "auth_dbname", "kept");
    setSetting(running.settings, "verbose", "2");
    const diff = applyReload(running, settings("verbose = 1"));
    expect(diff.settings).toEqual(["default_pool_size", "verbose"]);
    expect(diff.configuration.settings).toMatchObject({ defaultPoolSize: 20, authDbname: "kept", verbose: 1 });
  });

  test("keeps silently what is fixed at start", () => {
    const diff = applyReload(
      settings("listen_port=1\nunix_socket_dir=/a\nuser=me"),
      settings("listen_port=2\npidfile=x\nuser=you"),
    );
    expect(diff.settings).toEqual([]);
    expect(diff.warnings).toEqual([]);
    expect(diff.configuration.settings).toMatchObject({ listenPort: 1, unixSocketDir: "/a", pidfile: "", user: "me" });
  });

  test("conffile stays what SET made it, unless the file names another", () => {
    const running = settings("");
    setSetting(running.settings, "conffile", "other.ini");
    expect(applyReload(running, settings("")).configuration.settings.conffile).toBe("other.ini");
    expect(applyReload(running, settings("conffile=third.ini")).configuration.settings.conffile).toBe("third.ini");
  });

  test("changes neither side, and what it yields is taken over in place", () => {
    const running = settings("max_client_conn=5");
    const loaded = settings("max_client_conn=6");
    const before = showSettings(running.settings);
    const diff = applyReload(running, loaded);
    expect(showSettings(running.settings)).toEqual(before);
    expect(copySettings(running.settings, diff.configuration.settings)).toEqual(["max_client_conn"]);
    expect(applyReload(running, loaded).settings).toEqual([]);
  });

  test("tells of TLS", () => {
    const of = (before: string, after: string): (boolean | undefined)[] => {
      const diff = applyReload(settings(before), settings(after));
      return [diff.clientTlsChanged, diff.serverTlsChanged];
    };
    expect(of("server_tls_sslmode=require", "server_tls_sslmode=require")).toEqual([false, false]);
    expect(of("", "server_tls_sslmode=require")).toEqual([false, true]);
    expect(of("", "server_tls_ca_file=/ca")).toEqual([false, true]);
    expect(of("", "server_tls13_ciphers=x")).toEqual([false, false]);
    expect(of("", "client_tls13_ciphers=x")).toEqual([true, false]);
  });
});

describe("databases", () => {
  test("added, removed, changed", () => {
    const diff = applyReload(databases("a =\nb = port=1\nc = port=1"), databases("b = port=1\nc = port=2\nd ="));
    expect(diff.databases.added.map((entry) => entry.name)).toEqual(["d"]);
    expect(diff.databases.removed.map((entry) => entry.name)).toEqual(["a"]);
    expect(diff.databases.changed.map(({ before, after }) => [before.name, before.port, after.port])).toEqual([
      ["c", 1, 2],
    ]);
    expect([...diff.configuration.databases.keys()]).toEqual(["b", "c", "d"]);
  });

  test.each([
    ["dbname=x"],
    ["host=x"],
    ["port=1"],
    ["user=x"],
    ["connect_query=x"],
    ["auth_dbname=x"],
    ["auth_query=x"],
    ["load_balance_hosts=disable"],
  ])("servers are renewed for %s", (value) => {
    const diff = reloadDatabase("", value);
    expect(diff.databases.changed).toMatchObject([{ reconnect: true }]);
  });

  test.each([
    ["password=x"],
    ["pool_size=1"],
    ["pool_mode=session"],
    ["client_encoding=UTF8"],
    ["server_lifetime=1"],
    ["auth_user=x"],
    ["max_db_connections=1"],
  ])("servers stay for %s", (value) => {
    const diff = reloadDatabase("", value);
    expect(diff.databases.changed).toMatchObject([{ reconnect: false }]);
  });

  test("the same text is no change, dbname written out neither for the servers", () => {
    const text = "host=a,b user=u password=p client_encoding=UTF8 pool_size=3";
    expect(reloadDatabase(text, text).databases.changed).toEqual([]);
    expect(reloadDatabase("", "dbname=a").databases.changed).toMatchObject([{ reconnect: false }]);
  });

  test("another password alone is a change", () => {
    const [change] = reloadDatabase("user=u password=p", "user=u password=q").databases.changed;
    expect(change?.after.password?.reveal()).toBe("q");
  });

  test("a forced user cannot be taken back", () => {
    const diff = reloadDatabase("user=u password=p host=x", "host=y");
    expect(diff.configuration.databases.get("a")).toMatchObject({ user: "u", host: "y" });
    expect(diff.configuration.databases.get("a")?.password?.reveal()).toBe("p");
    expect(diff.warnings).toEqual(["losing forced user not supported, keeping old setting (database a)"]);
    expect(reloadDatabase("user=u", "user=v").configuration.databases.get("a")?.user).toBe("v");
  });

  test("the pattern *", () => {
    expect(applyReload(databases(""), databases("* = port=1")).autoDatabaseChanged).toBe(true);
    expect(applyReload(databases("* = port=1"), databases("* = port=1")).autoDatabaseChanged).toBe(false);
    expect(applyReload(databases("* = port=1"), databases("* = port=2")).autoDatabaseChanged).toBe(true);
    const gone = applyReload(databases("* = port=1"), databases(""));
    expect(gone.autoDatabaseChanged).toBe(false);
    expect(gone.configuration.autoDatabase?.port).toBe(1);
  });
});

test("users and peers", () => {
  const before = load("[pgbouncer]\n[users]\na = pool_size=1\nb =\n[peers]\n1 = host=x\n2 = host=y");
  const after = load("[pgbouncer]\n[users]\na = pool_size=2\nc =\n[peers]\n1 = host=x\n3 = host=y");
  const { users, peers } = applyReload(before, after);
  expect(users.added.map((entry) => entry.name)).toEqual(["c"]);
  expect(users.removed.map((entry) => entry.name)).toEqual(["b"]);
  expect(users.changed.map((change) => [change.before.poolSize, change.after.poolSize])).toEqual([[1, 2]]);
  expect(peers.added.map((entry) => entry.id)).toEqual([3]);
  expect(peers.removed.map((entry) => entry.id)).toEqual([2]);
  expect(peers.changed).toEqual([]);
});
