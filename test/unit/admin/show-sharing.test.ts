/**
 * SHOW SHARING and SHOW SHARED_STATEMENTS: the rows of pools whose counters and catalogues are the test's. With real ones:
 * `integration/show-sharing`.
 */
import { afterEach, describe, expect, test } from "vitest";
import { OWN_COMMANDS } from "../../../src/admin/command-table.ts";
import { countUp } from "../../../src/metrics/sharing-counters.ts";
import type { ServerPool } from "../../../src/session/server-pool.ts";
import type { CatalogueFacts } from "../../../src/sharing/catalogue-facts.ts";
import type { StatementRecord } from "../../../src/sharing/statement-record.ts";
import { type ConsoleClient, ConsoleHarness, HARNESS_INI } from "./console-harness.ts";

const HARMLESS: CatalogueFacts = {
  userFunctions: new Set(),
  unsafeNames: new Set(["watched"]),
  unsafeOperators: new Set(),
  refusesAll: null,
};

let harness: ConsoleHarness | null = null;

afterEach(() => harness?.pooler.end());

function start(ini: string = HARNESS_INI): ConsoleClient {
  harness = new ConsoleHarness(ini);
  return harness.connect();
}

function poolOf({ harness: { pooler } }: ConsoleClient, databaseName: string, userName: string): ServerPool {
  const { residents } = pooler;
  const database = residents.databases.get(databaseName);
  if (database === undefined) throw new Error(`no database ${databaseName}`);
  return residents.poolFor(database, residents.users.get(userName)!);
}

/** As if the catalogue of the pool's database had been read. */
function know(pool: ServerPool, facts: CatalogueFacts | null, failure: string | null = null): void {
  const { catalogue } = pool.database;
  Object.defineProperty(catalogue, "peek", { value: () => facts, configurable: true });
  Object.defineProperty(catalogue, "failure", { value: failure, configurable: true });
}

/** A statement that `pool` has met, and its record. */
function meet(pool: ServerPool, text: string): StatementRecord {
  const bytes = Buffer.from(text);
  const record = pool.sharing.book.recordOf(bytes, 0, bytes.length, true);
  if (typeof record === "string") throw new Error(record);
  return record;
}

describe("SHOW SHARING", () => {
  test("nothing before there is a pool, and the console is none", () => {
    expect(start().run("SHOW SHARING").rows).toEqual([]);
  });

  test("a pool has its state, rides and trials even if there were none", () => {
    const client = start();
    know(poolOf(client, "shop", "plain"), HARMLESS);
    expect(client.run("SHOW SHARING").rows).toEqual([
      ["shop", "plain", "state", "on", "0"],
      ["shop", "plain", "ride", "first", "0"],
      ["shop", "plain", "ride", "behind others", "0"],
      ["shop", "plain", "trial", "", "0"],
    ]);
  });

  test("what was counted, by reason in their order", () => {
    const client = start();
    const pool = poolOf(client, "shop", "plain");
    know(pool, HARMLESS);
    const { counters } = pool.sharing;
    counters.rides = 10;
    counters.behindOthers = 7;
    counters.trials = 3;
    for (const reason of ["slow statement", "cancel", "slow statement"]) countUp(counters.seals, reason);
    countUp(counters.moves, "server lost");
    for (const reason of ["writes", "not a select"]) countUp(counters.refusals, reason);
    expect(client.run("SHOW SHARING").rows.map((row) => row.slice(2))).toEqual([
      ["state", "on", "0"],
      ["ride", "first", "3"],
      ["ride", "behind others", "7"],
      ["trial", "", "3"],
      ["move", "server lost", "1"],
      ["seal", "cancel", "1"],
      ["seal", "slow statement", "2"],
      ["refused", "not a select", "1"],
      ["refused", "writes", "1"],
    ]);
  });

  const stateOf = (client: ConsoleClient): (string | null)[] =>
    client
      .run("SHOW SHARING")
      .rows.filter(([, , event]) => event === "state")
      .map(([, , , reason]) => reason ?? null);

  test.each([
    ["pool_mode = session", "session mode"],
    ["sharing = 0", "sharing = 0"],
    ["sharing_depth = 1", "sharing_depth below 2"],
    ["server_reset_query_always = 1", "server_reset_query_always"],
    ["application_name_add_host = 1", "application_name_add_host"],
    ["server_lifetime = 0", "server_lifetime = 0"],
  ])("%s: the state says it", (setting, state) => {
    const client = start(`${HARNESS_INI.replace("pool_mode = transaction", "")}pool_mode = transaction\n${setting}\n`);
    know(poolOf(client, "shop", "plain"), HARMLESS);
    expect(stateOf(client)).toEqual([state]);
  });

  test("each pool has its own", () => {
    const client = start(HARNESS_INI.replace("reserve_pool=2", "reserve_pool=2 sharing=0"));
    for (const [database, user] of [
      ["shop", "plain"],
      ["many", "plain"],
      ["many", "limited"],
    ] as const)
      know(poolOf(client, database, user), HARMLESS);
    expect(client.run("SHOW SHARING").rows.filter(([, , event]) => event === "state")).toEqual([
      ["many", "limited", "state", "session mode", "0"],
      ["many", "plain", "state", "on", "0"],
      ["shop", "plain", "state", "sharing = 0", "0"],
    ]);
  });

  test("a catalogue that nobody has asked for is not asked for by looking", () => {
    const client = start();
    poolOf(client, "shop", "plain");
    expect(stateOf(client)).toEqual(["catalogue not read"]);
    client.harness.pass(1000);
    expect(client.harness.pooler.residents.servers.size).toBe(0);
  });

  test("a catalogue that cannot be read, and one that forbids everything", () => {
    const client = start();
    know(poolOf(client, "shop", "plain"), null, "ERROR: permission denied");
    know(poolOf(client, "many", "plain"), { ...HARMLESS, refusesAll: "an implicit cast calls f()" });
    expect(stateOf(client)).toEqual([
      "an implicit cast calls f()",
      "catalogue cannot be read: ERROR: permission denied",
    ]);
  });
});

describe("SHOW SHARED_STATEMENTS", () => {
  test("what each pool knows, those that ran most often first", () => {
    const client = start();
    const pool = poolOf(client, "shop", "plain");
    know(pool, HARMLESS);
    meet(pool, "select 'secret' from watched");
    meet(pool, "INSERT INTO t VALUES (42)");
    const hot = meet(pool, "SELECT abalance FROM accounts WHERE aid = 4711 -- why");
    for (let runs = 0; runs < 4; runs++) hot.ran(0.25, 100);
    meet(pool, "select 1");
    expect(client.run("SHOW SHARED_STATEMENTS").rows).toEqual([
      ["shop", "plain", "select abalance from accounts where aid = 0", "yes", "", "4", "250", "yes"],
      ["shop", "plain", "insert into t values (0)", "no", "not a select", "0", "0", "no"],
      ["shop", "plain", "select '' from watched", "no", "watched name", "0", "0", "no"],
      ["shop", "plain", "select 0", "yes", "", "0", "0", "no"],
    ]);
  });

  test("a long text is cut", () => {
    const client = start();
    const pool = poolOf(client, "shop", "plain");
    know(pool, HARMLESS);
    meet(pool, `select ${"a, ".repeat(500)} b`);
    const [row] = client.run("SHOW SHARED_STATEMENTS").rows;
    expect(row?.[2]).toHaveLength(200);
  });

  test("while nothing shares in the pool, nothing may", () => {
    const client = start();
    meet(poolOf(client, "shop", "plain"), "select 1");
    expect(client.run("SHOW SHARED_STATEMENTS").rows.map((row) => row.slice(2, 5))).toEqual([
      ["select 0", "no", "catalogue not read"],
    ]);
  });
});

test("SHOW HELP does not name what PgBouncer does not have", () => {
  const [notice] = start().run("SHOW HELP").notices;
  for (const { name } of OWN_COMMANDS) expect(notice?.["D"]).not.toContain(name.replace("SHOW ", ""));
});
