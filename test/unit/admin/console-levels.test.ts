/** Who may do what: every command of the console for both kinds of users, in both protocols. */
import { describe, expect, test } from "vitest";
import { COMMAND_TABLE } from "../../../src/admin/command-table.ts";
import { ConsoleLevel } from "../../../src/pooler/console-level.ts";
import { bind, execute, parse, sync } from "../../support/wire-client.ts";
import { ConsoleHarness } from "./console-harness.ts";

/** PgBouncer's list, and ours behind it. */
const ADMIN_ONLY = [
  "SET",
  "RELOAD",
  "SHUTDOWN",
  "PAUSE",
  "RESUME",
  "SUSPEND",
  "RECONNECT",
  "DISABLE",
  "ENABLE",
  "KILL",
  "KILL_CLIENT",
  "WAIT_CLOSE",
  "SHOW FDS",
  "SHOW SHARED_STATEMENTS",
];

/** A text for each command that is complete and does something. */
function textOf(name: string): string {
  switch (name) {
    case "SET":
      return "SET verbose = 0";
    case "DISABLE":
    case "ENABLE":
      return `${name} shop`;
    case "KILL_CLIENT":
      return "KILL_CLIENT 4711";
    case "RESUME":
      return "RESUME shop";
    case "SHUTDOWN":
      return "SHUTDOWN WAIT_FOR_CLIENTS";
    default:
      return name;
  }
}

const NAMES = COMMAND_TABLE.map(({ name }) => name);

test("the table says the same as PgBouncer's code, and that texts of statements are for admins only", () => {
  const admin = COMMAND_TABLE.filter(({ level }) => level === ConsoleLevel.admin).map(({ name }) => name);
  expect([...admin].sort()).toEqual([...ADMIN_ONLY].sort());
});

describe("a stats user", () => {
  test.each(ADMIN_ONLY)("%s is refused, and has no effect", (name) => {
    const harness = new ConsoleHarness();
    const result = harness.connect(ConsoleLevel.stats).run(textOf(name));
    expect(result.error).toMatchObject({ S: "ERROR", C: "08P01", M: "admin access needed" });
    expect(result.types).toBe("EZ");
    expect(harness.logged.join("\n")).toContain("ERROR admin access needed");
    expect(harness.logged.join("\n")).not.toContain("command issued");
    expect(harness.pooler.operations.state).toBe("active");
    expect(harness.pooler.operations.shutdownMode).toBeNull();
  });

  test.each(NAMES.filter((name) => !ADMIN_ONLY.includes(name)))("%s is answered", (name) => {
    const result = new ConsoleHarness().connect(ConsoleLevel.stats).run(textOf(name));
    expect(result).toMatchObject({ error: null, tag: "SHOW" });
  });

  test.each(ADMIN_ONLY)("%s is refused in the extended protocol too", (name) => {
    const harness = new ConsoleHarness();
    const client = harness.connect(ConsoleLevel.stats);
    const result = client.exchange(parse("", textOf(name)), bind("", ""), execute(""), sync());
    expect(result.types).toBe("EZ");
    expect(result.error).toMatchObject({ M: "admin access needed" });
  });

  test("may set what drivers set, which changes nothing", () => {
    const client = new ConsoleHarness().connect(ConsoleLevel.stats);
    const result = client.run("SET client_encoding TO 'UTF8'");
    expect(result).toMatchObject({ tag: "SET", error: null, types: "NCZ" });
    expect(result.notices[0]).toMatchObject({ S: "NOTICE", M: "SET ignored" });
  });

  test("cannot end another one's PAUSE with Ctrl-C", () => {
    const harness = new ConsoleHarness();
    harness.connect(ConsoleLevel.admin).run("PAUSE");
    const looker = harness.connect(ConsoleLevel.stats);
    looker.client.console?.cancel(looker.client);
    expect(harness.pooler.operations.state).toBe("paused");
  });
});

describe("an admin", () => {
  test.each(NAMES)("%s is not refused", (name) => {
    const client = new ConsoleHarness().connect(ConsoleLevel.admin);
    expect(client.run(textOf(name)).error?.["M"] ?? "").not.toContain("admin access needed");
  });
});
