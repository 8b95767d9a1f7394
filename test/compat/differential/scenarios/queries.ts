/** Queries, errors, pipelines, prepared statements and COPY, as traces of messages, in the three pool modes. */
import {
  bind,
  closeStatement,
  describePortal,
  describeStatement,
  execute,
  flush,
  int16,
  int32,
  message,
  parse,
  query,
  sync,
} from "../../../support/wire-client.ts";
import { type Scenario, type ScenarioGroup, spyPassword, type Stage } from "../stage.ts";

type Unit = readonly [title: string, messages: readonly Uint8Array[], until?: string];

const whole = (name: string, sql: string): Uint8Array[] => [
  parse(name, sql),
  bind("", name),
  describePortal(""),
  execute(""),
];

const simple = [
  "select 1 as one, 'two' as two, null as three",
  "select generate_series(1, 3)",
  "",
  ";",
  "select 1; select 2; select 3",
  "select 1; select 1/0; select 3",
  "nonsense",
  "select * from no_such_table",
  "begin; select 1; commit",
  "do $$ begin raise notice 'a notice'; raise warning 'a warning'; end $$",
  "do $$ begin raise exception 'mine' using errcode = 'P0042', detail = 'd', hint = 'h'; end $$",
  "select repeat('x', 20000) = '' as long",
  "set application_name = 'changed'",
  "show application_name",
  "set datestyle = 'German'",
  "show datestyle",
  "set search_path = pg_catalog",
  "reset search_path",
  "set timezone = 'nonsense'",
  "discard all",
  "listen nothing",
  "notify nothing, 'payload'",
  "unlisten *",
  "prepare sql_level as select 1",
  "execute sql_level",
  "deallocate sql_level",
  "/* a comment */ select 5",
  "begin",
  "select 1/0",
  "select 1",
  "rollback",
  "rollback",
  "begin isolation level serializable read only",
  "select 1",
  "commit and chain",
  "commit",
  "savepoint x",
  "lock table numbers",
  "select count(*) from numbers",
];

const units: readonly Unit[] = [
  ["one extended query", [...whole("", "select 1 as one"), sync()]],
  ["Sync alone", [sync()]],
  ["two Syncs", [sync(), sync()], "Z"],
  ["the second Z", [], "Z"],
  ["an empty query", [...whole("", ""), sync()]],
  [
    "parameters",
    [parse("", "select $1::int + $2::int as sum", [23, 23]), bind("", "", ["20", "22"]), execute(""), sync()],
  ],
  ["a NULL parameter", [parse("", "select $1::text is null as n"), bind("", "", [null]), execute(""), sync()]],
  [
    "a row limit",
    [parse("", "select generate_series(1, 5)"), bind("", ""), execute("", 2), execute("", 2), execute("", 2), sync()],
  ],
  ["Flush between", [parse("", "select 1"), flush()], "1"],
  ["and the rest", [bind("", ""), execute(""), sync()]],
  ["an error in Parse", [parse("", "nonsense"), bind("", ""), execute(""), sync()]],
  ["an error in Bind", [parse("", "select $1::int", [23]), bind("", "", ["x"]), execute(""), sync()]],
  ["an error in Execute", [...whole("", "select 1/0"), sync()]],
  ["three units in one write", [...whole("", "select 1"), sync(), ...whole("", "select 2"), sync(), query("select 3")]],
  ["the second of them", []],
  ["the third of them", []],
  [
    "an error in the first of two",
    [...whole("", "select 1/0"), ...whole("", "select 2"), sync(), ...whole("", "select 3"), sync()],
  ],
  ["and the second", []],
  ["a named portal", [parse("", "select 7"), bind("portal", ""), describePortal("portal"), execute("portal"), sync()]],
  ["a portal that is not there", [execute("nowhere"), sync()]],
  ["Close of a portal", [message("C", Buffer.from("P"), "nowhere"), sync()]],
  ["a function call", [message("F", int32(1610), int16(0), int16(0), int16(0))]],
  ["a function call of nothing", [message("F", int32(1), int16(0), int16(0), int16(0))]],
];

const named: readonly Unit[] = [
  ["Parse a", [parse("a", "select 1 as one"), sync()]],
  ["Bind and Execute a", [bind("", "a"), execute(""), sync()]],
  ["Describe a", [describeStatement("a"), sync()]],
  ["Parse a again", [parse("b", "select $1::int as n", [23]), describeStatement("b"), sync()]],
  [
    "four more, of which the first is evicted",
    ["c", "d", "e", "f"].flatMap((n) => [parse(n, `select '${n}'`), sync()]),
  ],
  ["the second of four", []],
  ["the third of four", []],
  ["the fourth of four", []],
  ["the evicted one", [bind("", "a"), execute(""), sync()]],
  ["Close c", [closeStatement("c"), sync()]],
  ["Close of what is not there", [closeStatement("nowhere"), sync()]],
  ["c again", [parse("c", "select 'other'"), bind("", "c"), execute(""), sync()]],
  [
    "Close and Parse in one unit",
    [closeStatement("c"), parse("c", "select 'third'"), bind("", "c"), execute(""), sync()],
  ],
  ["an error, and a Parse that is skipped", [...whole("", "select 1/0"), parse("g", "select 'g'"), sync()]],
  ["a Parse with an error", [parse("h", "nonsense"), sync()]],
  ["deallocate all", [query("deallocate all")]],
  ["a after deallocate all", [parse("a", "select 1 as one"), bind("", "a"), execute(""), sync()]],
  ["discard all", [query("discard all")]],
  ["a after discard all", [parse("a", "select 1 as one"), sync()]],
  ["a unit that parses, uses and closes", [...whole("z", "select 'z'"), closeStatement("z"), sync()]],
];

/** Each ends its connection. */
const refused: readonly Unit[] = [
  ["a name that is in use", [parse("a", "select 1"), parse("a", "select 2"), sync()]],
  ["Bind of a name that is not there", [bind("", "nowhere"), execute(""), sync()]],
  ["Describe of a name that is not there", [describeStatement("nowhere"), sync()]],
  ["Parse without its end", [message("P", Buffer.from("a")), sync()]],
  ["Bind without its end", [message("B", Buffer.from("a")), sync()]],
  ["Describe without its end", [message("D", Buffer.from("S")), sync()]],
  ["Close without its end", [message("C", Buffer.from("Sx")), sync()]],
  ["an unknown type", [message("y", "x")], ""],
  ["an upper case type of the server's", [message("Z", Buffer.from("I"))], ""],
  ["a password", [message("p", "x")], ""],
  ["a length below 4", [Buffer.from([0x51, 0, 0, 0, 3, 0, 0, 0])], ""],
  ["a length above max_packet_size", [Buffer.from([0x51, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0])], ""],
  ["a query without its zero byte", [message("Q", Buffer.from("select 1"))], "Z"],
  ["CopyData without COPY", [message("d", Buffer.from("x")), query("select 1")], "Z"],
  ["CopyDone without COPY", [message("c"), query("select 1")], "Z"],
  ["Terminate", [message("X")], ""],
];

const copies: readonly Unit[] = [
  ["COPY out", [query("copy numbers to stdout")]],
  ["COPY out of a query", [query("copy (select generate_series(1, 3)) to stdout csv header")]],
  ["COPY out that fails", [query("copy (select 1/(n - 2) from numbers) to stdout")]],
  ["COPY in", [query("copy numbers from stdin")], "G"],
  ["data and CopyDone", [message("d", Buffer.from("11\n12\n")), message("d", Buffer.from("13\n")), message("c")]],
  ["COPY in, another", [query("copy numbers from stdin")], "G"],
  ["CopyFail", [message("d", Buffer.from("14\n")), message("f", "changed my mind")]],
  ["COPY in, bad data", [query("copy numbers from stdin")], "G"],
  ["bad data and CopyDone", [message("d", Buffer.from("nonsense\n")), message("c")]],
  ["COPY in, a duplicate", [query("copy numbers from stdin")], "G"],
  ["a duplicate and CopyDone", [message("d", Buffer.from("1\n")), message("c")]],
  [
    "COPY in, data sent with the query",
    [query("copy numbers from stdin"), message("d", Buffer.from("21\n")), message("c")],
  ],
  [
    "COPY in that is refused, with data",
    [query("copy nowhere from stdin"), message("d", Buffer.from("21\n")), message("c")],
  ],
  ["a query after it", [query("select count(*) from numbers")]],
  ["extended COPY in", [parse("", "copy numbers from stdin"), bind("", ""), execute(""), flush()], "G"],
  ["its data", [message("d", Buffer.from("31\n")), message("c"), sync()]],
  ["extended COPY in with Sync", [parse("", "copy numbers from stdin"), bind("", ""), execute(""), sync()], "G"],
  ["its data and a second Sync", [message("d", Buffer.from("41\n")), message("c"), sync()]],
  ["extended COPY out", [parse("", "copy numbers to stdout"), bind("", ""), execute(""), sync()]],
  ["COPY among statements", [query("select 1; copy numbers from stdin; select 2")], "G"],
  ["its CopyDone", [message("c")]],
  ["clearing up", [query("delete from numbers where n > 3")]],
];

async function play(stage: Stage, name: string, list: readonly Unit[]): Promise<void> {
  for (const [title, messages, until] of list) await stage.ask(name, title, messages, until);
}

function scenarios(database: string): readonly Scenario[] {
  const user = { user: "app", database };
  return [
    {
      name: "simple queries",
      play: async (stage) => {
        await stage.login("app", user);
        for (const sql of simple) await stage.query("app", sql);
      },
    },
    {
      name: "extended queries",
      play: async (stage) => {
        await stage.login("app", user);
        await play(stage, "app", units);
      },
    },
    {
      name: "named statements",
      play: async (stage) => {
        await stage.login("app", user);
        await play(stage, "app", named);
        await stage.login("spy too", { user: "spy", database: "pgbouncer" });
        await stage.query("spy too", "SHOW STATS_TOTALS");
        await stage.query("spy too", "SHOW CLIENTS");
      },
    },
    {
      name: "COPY",
      play: async (stage) => {
        await stage.login("app", user);
        await play(stage, "app", copies);
      },
    },
    {
      name: "a name whose Parse failed",
      play: async (stage) => {
        await stage.login("app", user);
        await stage.ask("app", "a Parse with an error", [parse("h", "nonsense"), sync()]);
        await stage.ask("app", "the same name", [parse("h", "select 'h'"), bind("", "h"), execute(""), sync()]);
      },
    },
    ...refused.map((unit) => ({
      name: unit[0],
      play: async (stage: Stage) => {
        await stage.login("app", user);
        await play(stage, "app", [unit]);
      },
    })),
  ];
}

const statementMode: readonly Scenario[] = [
  {
    name: "transaction blocks",
    play: async (stage) => {
      for (const sql of ["select 1", "begin", "begin; select 1; commit", "select 1; begin", "start transaction"]) {
        await stage.login(sql, { user: "app", database: "p" });
        await stage.query(sql, sql);
        await stage.ask(sql, "and then", [query("select 2")]);
      }
    },
  },
];

function group(mode: string, list: readonly Scenario[], settings: Record<string, string | number> = {}): ScenarioGroup {
  return {
    name: `${mode} mode`,
    options: ({ server }) => ({
      databases: { p: `${server} dbname=postgres pool_size=1` },
      userlist: { app: "", spy: spyPassword },
      settings: {
        pool_mode: mode,
        stats_users: "spy",
        max_prepared_statements: 3,
        max_packet_size: 1_000_000,
        ...settings,
      },
    }),
    scenarios: list,
  };
}

export const queryGroups: readonly ScenarioGroup[] = [
  group("transaction", scenarios("p")),
  group("session", scenarios("p")),
  group("statement", statementMode),
  {
    ...group(
      "transaction",
      [
        {
          name: "PQexec is refused",
          play: async (stage) => {
            await stage.login("app", { user: "app", database: "p" });
            await stage.ask("app", "an extended query", [...whole("", "select 1"), sync()]);
            await stage.query("app", "select 1");
          },
        },
        {
          name: "names are not translated",
          play: async (stage) => {
            await stage.login("app", { user: "app", database: "p" });
            await play(stage, "app", named.slice(0, 4));
            await stage.ask("app", "nowhere", [bind("", "nowhere"), sync()]);
          },
        },
      ],
      { disable_pqexec: 1, max_prepared_statements: 0 },
    ),
    name: "disable_pqexec, no prepared statements",
    // The console does not take queries either, so nobody can look whether all have left.
    ends: true,
  },
];
