/** What clients are answered whose statements share servers: errors are their owner's, and so are settings and prepared statements. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { waitFor } from "../support/wait-for.ts";
import {
  bind,
  closeStatement,
  describePortal,
  execute,
  parse,
  query,
  sync,
  type WireClient,
} from "../support/wire-client.ts";
import { SharingLoad } from "./sharing-load.ts";
import { answerOf, answersOf, said, saying, SharingStage } from "./sharing-stage.ts";

let stage: SharingStage;

beforeAll(async () => {
  stage = await SharingStage.start({
    databases: (servers) => ({ two: `${servers} pool_size=2` }),
    pooler: { settings: { max_prepared_statements: 2, track_extra_parameters: "IntervalStyle, search_path" } },
    setup: [
      "create table written (who text, round int)",
      "create schema left_one",
      "create schema right_one",
      "create table left_one.place as select 'left' as name",
      "create table right_one.place as select 'right' as name",
    ],
  });
  await stage.warm();
  await stage.warm("two", 2);
});

afterEach(() => stage.clear());

afterAll(async () => {
  await stage?.stop();
});

const unit = (text: string, ...values: string[]): Buffer[] => [
  parse("", text),
  bind("", "", values),
  describePortal(""),
  execute(""),
  sync(),
];

describe("errors in the middle of a trip", () => {
  const asked: readonly (readonly [messages: readonly Buffer[], types: string, code: string | null])[] = [
    [[saying("first")], "TDCZ", null],
    [[query("select 1 / 0")], "EZ", "22012"],
    [unit("select $1::text", "unnamed"), "12TDCZ", null],
    [unit("select * from nowhere"), "EZ", "42P01"],
    [[query("select * from nowhere")], "EZ", "42P01"],
    [unit("select 1 / $1::int", "0"), "1EZ", "22012"],
    [unit("select $1::int", "no number"), "1EZ", "22P02"],
    // Some rows come before it.
    [[query("select 1 / (3 - n) from generate_series(1, 5) as n")], "TDDEZ", "22012"],
    [[query("select this is no statement")], "EZ", "42601"],
    [unit("select 'late'"), "12TDCZ", null],
    [[saying("last")], "TDCZ", null],
  ];

  test("are their owner's", async () => {
    const clients = await stage.logins(asked.length);
    const server = await stage.board(clients, (number) => asked[number]![0]);
    server.flow();
    const answers = await answersOf(clients);
    expect(answers.map(({ types, code }) => [types, code])).toEqual(asked.map(([, types, code]) => [types, code]));
    // Everybody goes on.
    clients.forEach((client, number) => client.send(saying(`again ${number}`)));
    expect(await answersOf(clients)).toEqual(clients.map((_, number) => said(`again ${number}`)));
  });

  test("notices and rows without columns arrive too", async () => {
    const clients = await stage.logins(3);
    const texts = ["select from generate_series(1, 3)", "select null", "values (1), (2)"];
    const server = await stage.board(clients, (number) => [query(texts[number]!)]);
    server.flow();
    expect((await answersOf(clients)).map(({ types }) => types)).toEqual(["TDDDCZ", "TDCZ", "TDDCZ"]);
  });
});

/** All of `clients` do their rounds at once, `rounds` times. */
function rounds(
  clients: readonly WireClient[],
  count: number,
  round: (client: WireClient, number: number, round: number) => Promise<void>,
): Promise<unknown> {
  return Promise.all(
    clients.map(async (client, number) => {
      for (let i = 0; i < count; i++) await round(client, number, i);
    }),
  );
}

test("settings of a session: everybody sees values in his own style", async () => {
  const styles = [
    { DateStyle: "ISO, MDY", TimeZone: "UTC", application_name: "a" },
    { DateStyle: "German, DMY", TimeZone: "UTC", application_name: "a" },
    { DateStyle: "ISO, MDY", TimeZone: "Asia/Tokyo", application_name: "b" },
    { DateStyle: "ISO, MDY", TimeZone: "UTC", application_name: "c" },
  ];
  const times = [
    "2026-01-02 03:04:05+00",
    "02.01.2026 03:04:05 UTC",
    "2026-01-02 12:04:05+09",
    "2026-01-02 03:04:05+00",
  ];
  const clients = await Promise.all(Array.from({ length: 24 }, (_, number) => stage.login("two", styles[number % 4])));
  const ridden = await stage.counted("ride", "behind others", "two");
  await rounds(clients, 40, async (client, number, round) => {
    // Who runs alone in between leaves the server in his own state.
    const name = round % 10 === number % 10;
    client.send(
      query(name ? "select current_setting('application_name')" : "select timestamptz '2026-01-02 03:04:05Z'"),
    );
    expect(await answerOf(client)).toEqual(said(name ? styles[number % 4]!.application_name : times[number % 4]!));
  });
  expect(await stage.counted("ride", "behind others", "two")).toBeGreaterThan(ridden + 50);
});

test("search_path: the same text means two tables", async () => {
  const paths = ["left_one", "right_one"];
  const clients = await stage.logins(12, "two");
  for (const [number, client] of clients.entries()) {
    client.send(query(`set search_path = ${paths[number % 2]!}`));
    await answerOf(client);
  }
  const ridden = await stage.counted("ride", "behind others", "two");
  await rounds(clients, 60, async (client, number) => {
    client.send(query("select name from place"));
    expect(await answerOf(client)).toEqual(said(number % 2 === 0 ? "left" : "right"));
  });
  expect(await stage.counted("ride", "behind others", "two")).toBeGreaterThan(ridden + 50);
});

test("named statements of many clients on few servers, more than are kept there, closed and parsed anew", async () => {
  const clients = await stage.logins(12, "two");
  /** What `s` means to each. */
  const kinds = new Map<WireClient, number>();
  const textOf = (kind: number): string => `select 'kind ${kind}: ' || $1::text`;
  const ridden = await stage.counted("ride", "behind others", "two");
  await rounds(clients, 60, async (client, number, round) => {
    if (round % 20 === 0) {
      const kind = (number + round / 20) % 4;
      kinds.set(client, kind);
      client.send(closeStatement("s"), parse("s", textOf(kind)), sync());
      expect((await answerOf(client)).types).toBe("31Z");
    }
    const value = `${number}.${round}`;
    client.send(bind("", "s", [value]), execute(""), sync());
    expect(await answerOf(client)).toEqual({
      types: "2DCZ",
      rows: [`kind ${kinds.get(client)}: ${value}`],
      code: null,
    });
  });
  expect(await stage.counted("ride", "behind others", "two")).toBeGreaterThan(ridden);
});

test("one named statement of all clients rides", async () => {
  const clients = await stage.logins(12, "two");
  for (const client of clients) {
    client.send(parse("same", "select $1::text"), sync());
    await answerOf(client);
  }
  const ridden = await stage.counted("ride", "behind others", "two");
  await rounds(clients, 60, async (client, number, round) => {
    client.send(bind("", "same", [`${number}.${round}`]), describePortal(""), execute(""), sync());
    expect(await answerOf(client)).toEqual({ types: "2TDCZ", rows: [`${number}.${round}`], code: null });
  });
  expect(await stage.counted("ride", "behind others", "two")).toBeGreaterThan(ridden + 100);
});

test("a statement that was closed is unknown, to its client alone", async () => {
  const clients = await stage.logins(4);
  for (const client of clients) {
    client.send(parse("known", "select $1::text"), sync());
    await answerOf(client);
  }
  clients[1]!.send(closeStatement("known"), sync());
  await answerOf(clients[1]!);
  const [holder] = await stage.holdServers();
  await stage.queue([clients[0]!, clients[2]!, clients[3]!], (number) => [
    bind("", "known", [`${number}`]),
    execute(""),
    sync(),
  ]);
  clients[1]!.send(bind("", "known", ["x"]), execute(""), sync());
  await waitFor("a refusal or a wait", async () => Number((await stage.pool())["cl_waiting"]) >= 3);
  await holder!.release();
  const [first, closed, second, third] = await answersOf(clients);
  // As PgBouncer says it.
  expect(closed!.code).toBe("08P01");
  expect([first, second, third].map((answer) => answer!.rows)).toEqual([["0"], ["1"], ["2"]]);
});

test("a client that sends its write and its read at once reads what it has written", async () => {
  const load = await SharingLoad.start(stage, 10, "two");
  const clients = await stage.logins(6, "two");
  const ridden = await stage.counted("ride", "behind others", "two");
  await rounds(clients, 60, async (client, number, round) => {
    const counts = query(`select count(*) from written where who = 'client ${number}'`);
    client.send(query(`insert into written values ('client ${number}', ${round})`), counts, counts);
    expect((await answerOf(client)).types).toBe("CZ");
    expect(await answerOf(client)).toEqual(said(`${round + 1}`));
    expect(await answerOf(client)).toEqual(said(`${round + 1}`));
  });
  await load.end();
  expect(load.failures).toEqual([]);
  expect(await stage.counted("ride", "behind others", "two")).toBeGreaterThan(ridden + 50);
});
