/** Rules, tags and error texts of the operating commands, without any server connection. */
import { describe, expect, test } from "vitest";
import { ConsoleLevel } from "../../../src/pooler/console-level.ts";
import { message, query } from "../../support/wire-client.ts";
import { ConsoleHarness, HARNESS_INI, resultOf } from "./console-harness.ts";

/** Runs commands on one connection; the last one's tag, or its error's text. */
function outcome(commands: readonly string[], harness = new ConsoleHarness()): string | null {
  const client = harness.connect();
  for (const command of commands.slice(0, -1)) client.run(command);
  const { tag, error } = client.run(commands.at(-1) ?? "");
  return error === null ? tag : `${error["S"]} ${error["C"]} ${error["M"]}`;
}

const WITH_PATTERN = HARNESS_INI.replace("[users]", "* = host=127.0.0.1\n[users]");

describe("tags", () => {
  test.each([
    [["PAUSE"], "PAUSE"],
    [["PAUSE shop"], "PAUSE"],
    [["PAUSE", "RESUME"], "RESUME"],
    [["PAUSE shop", "RESUME shop"], "RESUME"],
    [["KILL shop"], "KILL"],
    [["KILL"], "KILL"],
    [["SUSPEND"], "SUSPEND"],
    [["SUSPEND", "RESUME"], "RESUME"],
    [["RECONNECT"], "RECONNECT"],
    [["RECONNECT shop"], "RECONNECT"],
    [["WAIT_CLOSE"], "WAIT_CLOSE"],
    [["WAIT_CLOSE shop"], "WAIT_CLOSE"],
    [["DISABLE shop"], "DISABLE"],
    [["DISABLE shop", "ENABLE shop"], "ENABLE"],
    [["ENABLE shop"], "ENABLE"],
    [["RELOAD"], "RELOAD"],
    [["SET pool_mode = 'session'"], "SET pool_mode=session"],
    [["SET listen_port = 1"], "SET listen_port=1"],
    [["SHUTDOWN WAIT_FOR_CLIENTS"], "SHUTDOWN"],
    [["shutdown wait_for_servers;"], "SHUTDOWN"],
    [["SELECT version"], "SHOW"],
  ])("%j answers %s", (commands, tag) => {
    expect(outcome(commands)).toBe(tag);
  });
});

describe("refusals", () => {
  test.each([
    [["PAUSE", "PAUSE"], "already suspended/paused"],
    [["PAUSE", "PAUSE shop"], "already suspended/paused"],
    [["PAUSE", "SUSPEND"], "already suspended/paused"],
    [["SUSPEND", "PAUSE"], "already suspended/paused"],
    [["PAUSE", "KILL shop"], "already suspended/paused"],
    [["PAUSE shop", "SUSPEND"], "cannot suspend with paused databases"],
    [["RESUME"], "pooler is not paused/suspended"],
    [["RESUME shop"], "database shop is not paused"],
    [["RESUME pgbouncer"], "database pgbouncer is not paused"],
    [["RESUME nowhere"], "no such database: nowhere"],
    [["SHUTDOWN WAIT_FOR_CLIENTS", "RESUME"], "pooler is shutting down"],
    [["PAUSE nowhere"], "no such database: nowhere"],
    [["KILL nowhere"], "no such database: nowhere"],
    [["RECONNECT nowhere"], "no such database: nowhere"],
    [["WAIT_CLOSE nowhere"], "no such database: nowhere"],
    [["DISABLE nowhere"], "no such database: nowhere"],
    [["ENABLE nowhere"], "no such database: nowhere"],
    [["PAUSE pgbouncer"], "cannot pause admin db: pgbouncer"],
    [["KILL pgbouncer"], "cannot kill admin db: pgbouncer"],
    [["RECONNECT pgbouncer"], "cannot reconnect admin db: pgbouncer"],
    [["WAIT_CLOSE pgbouncer"], "cannot wait in admin db: pgbouncer"],
    [["DISABLE pgbouncer"], "cannot disable admin db: pgbouncer"],
    [["ENABLE pgbouncer"], "cannot enable admin db: pgbouncer"],
    [["DISABLE"], "a database is required"],
    [["ENABLE"], "a database is required"],
    [["KILL_CLIENT"], "invalid client pointer supplied"],
    [["KILL_CLIENT someone"], "invalid client pointer supplied"],
    [["KILL_CLIENT 12ab"], "invalid client pointer supplied"],
    [["KILL_CLIENT 4711"], "client not found"],
    [["SET verbose = much"], "SET failed"],
    [["SET Verbose = 1"], "SET failed"],
    [["SET nothing = 1"], "SET failed"],
    [["RELOAD now"], "invalid command 'RELOAD now', use SHOW HELP;"],
    [["SUSPEND shop"], "invalid command 'SUSPEND shop', use SHOW HELP;"],
    [["SHUTDOWN NOW"], "invalid command 'SHUTDOWN NOW', use SHOW HELP;"],
    [["SHOW"], "invalid command 'SHOW', use SHOW HELP;"],
    [["SHOW nothing"], "invalid command 'SHOW nothing', use SHOW HELP;"],
    [["SET x"], "invalid command 'SET x', use SHOW HELP;"],
    [["SELECT 1 + 1"], "invalid command 'SELECT 1 + 1', use SHOW HELP;"],
    [["BEGIN"], "invalid command 'BEGIN', use SHOW HELP;"],
    [[""], "invalid command '', use SHOW HELP;"],
    [[`PAUSE ${"d".repeat(64)}`], "bad arguments"],
  ])("%j", (commands, text) => {
    const harness = new ConsoleHarness();
    expect(outcome(commands, harness)).toBe(`ERROR 08P01 ${text}`);
    expect(harness.logged).toContain(`ERROR ${text}`);
  });
});

describe("what commands do", () => {
  test("each is logged in PgBouncer's words", () => {
    const harness = new ConsoleHarness();
    const client = harness.connect();
    const commands = [
      "PAUSE shop",
      "RESUME shop",
      "RECONNECT",
      "WAIT_CLOSE shop",
      "KILL shop",
      "DISABLE shop",
      "ENABLE shop",
    ];
    for (const command of [...commands, "RELOAD", "PAUSE", "SHUTDOWN WAIT_FOR_CLIENTS"]) client.run(command);
    expect(harness.logged.filter((line) => line.endsWith("command issued"))).toEqual([
      "LOG PAUSE 'shop' command issued",
      "LOG RESUME 'shop' command issued",
      "LOG RECONNECT command issued",
      "LOG WAIT_CLOSE 'shop' command issued",
      "LOG KILL 'shop' command issued",
      "LOG DISABLE 'shop' command issued",
      "LOG ENABLE 'shop' command issued",
      "LOG RELOAD command issued",
      "LOG PAUSE command issued",
      "LOG SHUTDOWN WAIT_FOR_CLIENTS command issued",
    ]);
  });

  test("a database of the pattern * is made when a command names it, but not by RESUME and ENABLE", () => {
    const harness = new ConsoleHarness(WITH_PATTERN);
    const client = harness.connect();
    expect(client.run("RESUME other").error?.["M"]).toBe("no such database: other");
    expect(client.run("ENABLE other").error?.["M"]).toBe("no such database: other");
    expect(client.run("PAUSE other").tag).toBe("PAUSE");
    expect(harness.pooler.residents.databases.get("other")?.paused).toBe(true);
    expect(harness.logged).toContain("LOG registered new auto-database: other");
    expect(client.run('PAUSE "*"').error?.["M"]).toBe("no such database: *");
  });

  test("SHOW STATE and SHOW DATABASES show pauses", () => {
    const client = new ConsoleHarness().connect();
    const state = (): Record<string, unknown> => Object.fromEntries(client.run("SHOW STATE").rows);
    expect(state()).toEqual({ active: "yes", paused: "no", suspended: "no" });
    client.run("PAUSE");
    expect(state()).toEqual({ active: "no", paused: "yes", suspended: "no" });
    client.run("RESUME");
    client.run("PAUSE shop");
    client.run("DISABLE local");
    expect(state()).toEqual({ active: "yes", paused: "no", suspended: "no" });
    const flags = client.run("SHOW DATABASES").rows.map((row) => [row[0], row[15], row[16]]);
    expect(flags).toEqual([
      ["local", "0", "1"],
      ["many", "0", "0"],
      ["pgbouncer", "0", "0"],
      ["shop", "1", "0"],
    ]);
    client.run("RESUME shop");
    client.run("SUSPEND");
    expect(state()).toEqual({ active: "no", paused: "no", suspended: "yes" });
  });

  test("RESUME without a database leaves databases that were paused by name", () => {
    const client = new ConsoleHarness().connect();
    client.run("PAUSE shop");
    client.run("PAUSE");
    client.run("RESUME");
    expect(client.run("RESUME shop").tag).toBe("RESUME");
  });

  test("SET takes effect, RELOAD undoes it", () => {
    const client = new ConsoleHarness().connect();
    const value = (): string | null | undefined =>
      client.run("SHOW CONFIG").rows.find(([key]) => key === "pool_mode")?.[1];
    client.run("SET pool_mode = 'statement'");
    expect(value()).toBe("statement");
    expect(client.run("RELOAD").tag).toBe("RELOAD");
    expect(value()).toBe("transaction");
  });

  test("the bind password of a SET is not logged, whether it is understood or not", () => {
    const harness = new ConsoleHarness();
    harness.pooler.engine.log.verbose = 2;
    const client = harness.connect();
    const options = 'ldapserver=h ldapbasedn=dc=x ldapbindpasswd="hun7 er"';
    expect(client.run(`SET auth_ldap_options = '${options}'`).error).toBeNull();
    expect(client.run(`SETT auth_ldap_options = '${options}'`).error).not.toBeNull();
    expect(harness.logged.filter((line) => line.includes("auth_ldap_options")).length).toBeGreaterThan(1);
    expect(harness.logged.join("\n")).not.toContain("hun7");
  });

  test("SET of a setting that is fixed at start answers as if, and changes nothing", () => {
    const client = new ConsoleHarness().connect();
    expect(client.run("SET listen_port = 7777").tag).toBe("SET listen_port=7777");
    expect(client.run("SHOW CONFIG").rows.find(([key]) => key === "listen_port")?.[1]).toBe("6432");
  });

  test("a TLS setting that cannot be applied is a notice, and nothing else is", () => {
    const client = new ConsoleHarness().connect();
    const result = client.run("SET client_tls_sslmode = 'require'");
    expect(result).toMatchObject({ tag: "SET client_tls_sslmode=require", error: null, types: "NCZ" });
    expect(result.notices[0]?.["M"]).toBe("TLS settings could not be applied, still using old configuration");
    expect(client.run("SET verbose = 0").types).toBe("CZ");
  });

  test("RELOAD of a broken file is F0000, is explained in the log, and changes nothing", () => {
    const harness = new ConsoleHarness();
    const client = harness.connect();
    harness.ini = HARNESS_INI.replace("pool_mode = transaction", "pool_mode = sometimes\nnonsense = 1");
    const result = client.run("RELOAD");
    expect(result.error).toMatchObject({ S: "ERROR", C: "F0000", M: "RELOAD failed, see logs for additional details" });
    expect(result.types).toBe("EZ");
    const log = harness.logged.join("\n");
    expect(log).toContain('invalid value "sometimes" for parameter pool_mode');
    expect(log).toContain("unknown parameter: pgbouncer/nonsense");
    expect(log).toContain("ERROR RELOAD Failed, see logs for more details");
    expect(client.run("SHOW CONFIG").rows.find(([key]) => key === "pool_mode")?.[1]).toBe("transaction");
  });

  test("RELOAD whose TLS settings cannot be used is F0000 too, and says why in the log", () => {
    const harness = new ConsoleHarness();
    const client = harness.connect();
    harness.ini = HARNESS_INI.replace("pool_mode = transaction", "pool_mode = session\nclient_tls_sslmode = require");
    expect(client.run("RELOAD").error).toMatchObject({ C: "F0000" });
    expect(harness.logged.join("\n")).toContain("client_tls_key_file and client_tls_cert_file must be set");
    expect(client.run("SHOW CONFIG").rows.find(([key]) => key === "pool_mode")?.[1]).toBe("session");
  });

  test("KILL_CLIENT of another console, and of itself", () => {
    const harness = new ConsoleHarness();
    const admin = harness.connect();
    const other = harness.connect(ConsoleLevel.stats);
    other.take();
    expect(admin.run(`KILL_CLIENT ${other.client.id}`).tag).toBe("KILL_CLIENT");
    expect(resultOf(other.take())).toMatchObject({ error: { S: "FATAL", M: "admin forced disconnect" }, types: "E" });
    expect(other.ended).toBe(true);
    expect(admin.run(`KILL_CLIENT ${admin.client.id}`)).toMatchObject({ error: { S: "FATAL" }, types: "E" });
  });

  test("plain SHUTDOWN answers nothing and ends everything", () => {
    const harness = new ConsoleHarness();
    const client = harness.connect();
    expect(client.run("SHUTDOWN").types).toBe("");
    expect(client.ended).toBe(true);
    expect(harness.exited).toBe(true);
    expect(harness.logged).toContain("LOG SHUTDOWN command issued");
  });

  test("SHUTDOWN WAIT_FOR_SERVERS answers, and ends at once where there is no server", () => {
    const harness = new ConsoleHarness();
    expect(harness.connect().run("SHUTDOWN WAIT_FOR_SERVERS").types).toBe("CZ");
    expect(harness.exited).toBe(true);
    expect(harness.logged).toContain("LOG server connections dropped, exiting");
  });

  test("SHUTDOWN WAIT_FOR_CLIENTS waits for consoles too", () => {
    const harness = new ConsoleHarness();
    const client = harness.connect();
    const second = harness.connect();
    client.run("SHUTDOWN WAIT_FOR_CLIENTS");
    client.send(message("X"));
    expect(harness.exited).toBe(false);
    second.send(message("X"));
    expect(harness.exited).toBe(true);
    expect(harness.logged).toContain("LOG client connections dropped, exiting");
  });
});

describe("the end of a console while suspended", () => {
  test("the last one's resumes", () => {
    const harness = new ConsoleHarness();
    const first = harness.connect();
    const second = harness.connect();
    first.run("SUSPEND");
    first.send(message("X"));
    expect(harness.pooler.operations.state).toBe("suspended");
    second.send(message("X"));
    expect(harness.pooler.operations.state).toBe("active");
    expect(harness.logged).toContain("LOG admin disappeared when suspended, doing RESUME");
  });

  test("a paused pooler stays paused", () => {
    const harness = new ConsoleHarness();
    const client = harness.connect();
    client.run("PAUSE");
    client.send(message("X"));
    expect(harness.pooler.operations.state).toBe("paused");
  });
});

describe("Ctrl-C", () => {
  const pressed = (harness: ConsoleHarness, commands: readonly string[]): void => {
    const client = harness.connect();
    for (const command of commands) client.run(command);
    client.client.console?.cancel(client.client);
  };

  test.each([["PAUSE"], ["SUSPEND"]])("ends %s", (command) => {
    const harness = new ConsoleHarness();
    pressed(harness, [command]);
    expect(harness.pooler.operations.state).toBe("active");
  });

  test("does not end PAUSE db", () => {
    const harness = new ConsoleHarness();
    pressed(harness, ["PAUSE shop"]);
    expect(harness.pooler.residents.databases.get("shop")?.paused).toBe(true);
  });

  test("does nothing during a shutdown", () => {
    const harness = new ConsoleHarness();
    pressed(harness, ["PAUSE", "SHUTDOWN WAIT_FOR_CLIENTS"]);
    expect(harness.pooler.operations.state).toBe("paused");
  });
});

describe("the console's own traffic", () => {
  test("counts commands when they come, logins, and bytes", () => {
    const harness = new ConsoleHarness();
    const client = harness.connect();
    harness.connect();
    client.run("SHOW VERSION");
    const before = harness.pooler.residents.consoleCounters.copy();
    expect(before).toMatchObject({ xactCount: 1, queryCount: 1, clientLoginCount: 2, serverAssignmentCount: 0 });
    expect(before.bytesReceived).toBe(query("SHOW VERSION").length);
    const totals = Object.fromEntries(client.run("SHOW TOTALS").rows);
    expect(totals).toMatchObject({ total_query_count: "2", total_xact_count: "2", total_client_login_count: "2" });
    expect(Number(totals["total_server_bytes"])).toBe(before.bytesSent);
  });

  test("SHOW STATS has the console and no database without a pool", () => {
    const client = new ConsoleHarness().connect();
    expect(client.run("SHOW STATS").rows.map(([name]) => name)).toEqual(["pgbouncer"]);
  });
});

describe("what is no query", () => {
  test("another message is an error, a ReadyForQuery and the end", () => {
    const harness = new ConsoleHarness();
    const client = harness.connect();
    const result = client.exchange(message("d", "x"));
    expect(result.types).toBe("EZE");
    expect(result.error?.["M"]).toBe(`unsupported packet type for admin console: ${"d".charCodeAt(0)}`);
    expect(client.ended).toBe(true);
  });

  test.each([
    ["a query without its zero byte", message("Q", Buffer.from("SHOW")), "incomplete query"],
    ["an unknown type", message("y", "x"), "unknown pkt"],
  ])("%s is the end", (_, packet, text) => {
    const client = new ConsoleHarness().connect();
    expect(client.exchange(packet)).toMatchObject({ error: { S: "FATAL", M: text } });
    expect(client.ended).toBe(true);
  });

  test("a thousand commands in one packet are answered one by one", () => {
    const client = new ConsoleHarness().connect();
    client.take();
    client.send(...Array.from({ length: 1000 }, () => query("SHOW STATE")));
    expect(client.take().filter(({ type }) => type === "Z")).toHaveLength(1000);
  });
});

test("the welcome says what PgBouncer's console says", () => {
  const client = new ConsoleHarness().connect();
  const parameters = client
    .take()
    .filter(({ type }) => type === "S")
    .map(({ body }) => body.toString("utf8").split("\0").slice(0, 2).join("="));
  expect(parameters).toEqual([
    "server_version=1.25.2/bouncer",
    "client_encoding=UTF8",
    "server_encoding=UTF8",
    "DateStyle=ISO",
    "TimeZone=GMT",
    "standard_conforming_strings=on",
    "is_superuser=on",
  ]);
});
