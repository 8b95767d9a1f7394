/** When nothing shares: by settings, by mode, and by what a database hides behind its names. Each with its counterpart that does. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { waitFor } from "../support/wait-for.ts";
import { query } from "../support/wire-client.ts";
import { answerOf, SharingStage } from "./sharing-stage.ts";

let stage: SharingStage;

beforeAll(async () => {
  stage = await SharingStage.start({
    databases: (servers) => ({
      quiet: `${servers} pool_size=1 sharing=0`,
      session: `${servers} pool_size=1 pool_mode=session`,
      statement: `${servers} pool_size=1 pool_mode=statement`,
    }),
    pooler: { userlist: { postgres: "", loner: "" }, users: { loner: "sharing=0" } },
    postgres: { roles: [{ name: "loner" }] },
    setup: [
      "create table plain (a int)",
      "create view calm as select a + 1 as b from plain",
      "create view noisy as select random() as r",
      "create view deep as select * from noisy",
      "create table guarded (a int)",
      "create function noise() returns boolean language sql volatile as 'select true'",
      "alter table guarded enable row level security",
      "create policy p on guarded using (noise())",
      "create function upper(int) returns text language sql immutable as 'select $1::text'",
      "create function differ(int, int) returns int language sql volatile as 'select 1'",
      "create operator <~~> (leftarg = int, rightarg = int, function = differ)",
      "create foreign data wrapper somewhere",
      "create server there foreign data wrapper somewhere",
      "create foreign table far (a int) server there",
    ],
  });
  await stage.warm();
});

afterEach(() => stage.clear());

afterAll(async () => {
  await stage?.stop();
});

/** Most statements under way at once when four clients ask behind a transaction. */
async function depthOf(text: string, database = "shared", user = "postgres"): Promise<number> {
  const login = (): ReturnType<SharingStage["login"]> => stage.login(database, { user });
  const holder = await login();
  const mark = "begin /* before the crowd */";
  holder.send(query(mark));
  await answerOf(holder);
  const server = stage.tap.open.find(({ sent }) => sent.at(-1) === mark)!;
  const clients = await Promise.all([login(), login(), login(), login()]);
  for (const client of clients) client.send(query(text));
  await stage.waitForWaiting(4, database, user);
  server.deepest = 0;
  holder.send(query("commit"));
  await answerOf(holder);
  stage.leave(holder);
  await Promise.all(
    clients.map(async (client) => {
      expect((await answerOf(client)).types).toMatch(/Z$/);
      stage.leave(client);
    }),
  );
  return server.deepest;
}

const reading = "select a from plain";

describe("settings", () => {
  test("as they are without a word: four ride", async () => {
    expect(await depthOf(reading)).toBe(4);
  });

  test("statement mode: they ride too", async () => {
    const clients = await stage.logins(5, "statement");
    const depth = async (): Promise<number> => {
      // No transaction can hold the server there: a statement that does not share waits for a lock.
      const unlock = await stage.lockTable();
      clients[0]!.send(query("select text from locked for share"));
      const isHeld = (): boolean => stage.tap.open.some(({ sent }) => sent.at(-1)?.endsWith("for share"));
      await waitFor("the server to be held", isHeld);
      for (const client of clients.slice(1)) client.send(query(reading));
      await stage.waitForWaiting(4, "statement");
      const server = stage.tap.open.find(({ sent }) => sent.at(-1)?.endsWith("for share"))!;
      server.deepest = 0;
      await unlock();
      await Promise.all(clients.map(answerOf));
      return server.deepest;
    };
    await waitFor("the catalogue to be read, and four who ride", async () => (await depth()) === 4);
  });

  test("sharing = 0 of a database, and of a user", async () => {
    expect(await depthOf(reading, "quiet")).toBe(1);
    expect(await depthOf(reading, "shared", "loner")).toBe(1);
    expect(await stage.counted("ride", undefined, "quiet")).toBe(0);
  });

  test("session mode", async () => {
    expect(await depthOf(reading, "session")).toBe(1);
    expect(await stage.counted("ride", undefined, "session")).toBe(0);
  });

  test.each([
    ["sharing", "0", "1"],
    ["sharing_depth", "1", "16"],
    ["server_reset_query_always", "1", "0"],
    ["application_name_add_host", "1", "0"],
  ])("%s = %s", async (name, value, back) => {
    await stage.bouncer.admin(`SET ${name} = ${value}`);
    try {
      expect(await depthOf(reading)).toBe(1);
    } finally {
      await stage.bouncer.admin(`SET ${name} = ${back}`);
    }
    expect(await depthOf(reading)).toBe(4);
  });
});

describe("what the catalogue hides", () => {
  test.each([
    ["a view of a table", "select b from calm"],
    ["a function that nobody has overloaded", "select lower('A')"],
    ["an operator of PostgreSQL's", "select 1 + 2"],
  ])("%s: shares", async (_, text) => {
    expect(await depthOf(text)).toBe(4);
  });

  test.each([
    ["a view over a volatile function", "select r from noisy", "watched name"],
    ["a view over such a view", "select r from deep", "watched name"],
    ["a table with a policy", "select a from guarded", "watched name"],
    ["a function that is overloaded", "select upper('a')", "user function"],
    ["a user's operator", "select 1 <~~> 2", "operator"],
    ["a foreign table", "select a from far", "watched name"],
  ])("%s: does not", async (_, text, reason) => {
    const refused = await stage.counted("refused", reason);
    expect(await depthOf(text)).toBe(1);
    expect(await stage.counted("refused", reason)).toBe(refused + 4);
  });

  test("DDL that makes a view volatile ends its sharing at once", async () => {
    expect(await depthOf("select b from calm")).toBe(4);
    const client = await stage.login();
    client.send(query("create or replace view calm as select a + (random() * 0)::int as b from plain"));
    expect((await answerOf(client)).code).toBeNull();
    stage.leave(client);
    expect(await depthOf("select b from calm")).toBe(1);
    // First because nothing is known, then because of what is known.
    const refused = await stage.counted("refused", "watched name");
    await waitFor("the catalogue to be read again", async () => {
      expect(await depthOf("select b from calm")).toBe(1);
      return (await stage.counted("refused", "watched name")) > refused;
    });
    expect(await depthOf(reading)).toBe(4);
  });
});
