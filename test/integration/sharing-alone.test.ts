/** Those who need a server alone, under a flood of those who share: served in their turn, with nobody else inside. */
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { query, type WireClient } from "../support/wire-client.ts";
import { SharingLoad } from "./sharing-load.ts";
import { answerOf, said, SharingStage } from "./sharing-stage.ts";

let stage: SharingStage;

beforeAll(async () => {
  stage = await SharingStage.start({ setup: ["create table written (mark text)"] });
  await stage.warm();
});

afterEach(() => stage.clear());

afterAll(async () => {
  await stage?.stop();
});

const depth = 16;

/** Sends `text`; returns how many units were sent to the only server between that and the text itself. */
async function overtakers(client: WireClient, text: string): Promise<number> {
  const [server] = stage.tap.open;
  const before = server!.sent.length;
  client.send(query(text));
  expect((await answerOf(client)).code).toBeNull();
  return server!.sent.indexOf(text, before) - before;
}

test("transactions are served in their turn, and hold nothing but their own", async () => {
  const load = await SharingLoad.start(stage, 30);
  const ridden = await stage.counted("ride", "behind others");
  const clients = await stage.logins(3);
  const [server] = stage.tap.open;
  const passed: number[] = [];
  const live = async (client: WireClient, number: number): Promise<void> => {
    for (let round = 0; round < 30; round++) {
      const mark = `/* ${number}.${round} */`;
      passed.push(await overtakers(client, `begin ${mark}`));
      for (const text of [`insert into written values ('${mark}') ${mark}`, `commit ${mark}`]) {
        client.send(query(text));
        expect((await answerOf(client)).code).toBeNull();
      }
      client.send(query(`select mark from written where mark = '${mark}'`));
      expect(await answerOf(client)).toEqual(said(mark));
    }
  };
  await Promise.all(clients.map(live));
  await load.end();
  expect(load.failures).toEqual([]);
  expect(await stage.counted("ride", "behind others")).toBeGreaterThan(ridden + 100);
  // Those who waited before, and a filling each on the way to the pooler and from it. It would be thousands if it were not held to that.
  expect(Math.max(...passed)).toBeLessThanOrEqual(30 + 2 * depth);
  const { sent } = server!;
  for (const [at, text] of sent.entries()) {
    const mark = /^begin (\/\* \d+\.\d+ \*\/)$/.exec(text)?.[1];
    if (mark === undefined) continue;
    expect(sent[at + 1]).toContain(mark);
    expect(sent[at + 2]).toBe(`commit ${mark}`);
  }
});

test.each([
  ["insert into written values ('alone %')", "not a select"],
  ["with w as (insert into written values ('cte %') returning mark) select mark from w", "writes"],
  ["select mark from written where mark <> '%' for update", "locking"],
  ["select pg_backend_pid(), '%'", "volatile function"],
  ["begin; select '%'; commit", "not a select"],
  ["select '%'; select 1", "several statements"],
])("%s never rides", async (text, reason) => {
  const refused = await stage.counted("refused", reason);
  const load = await SharingLoad.start(stage, 10);
  const clients = await stage.logins(2);
  const [server] = stage.tap.open;
  const seen: number[] = [];
  // What else is under way when it is sent.
  const push = server!.sent.push.bind(server!.sent);
  server!.sent.push = (...texts) => {
    if (texts[0]!.includes("lonely")) seen.push(server!.underWay.length);
    return push(...texts);
  };
  await Promise.all(
    clients.map(async (client, number) => {
      for (let round = 0; round < 20; round++) {
        client.send(query(text.replace("%", `lonely ${number}.${round}`)));
        expect((await answerOf(client)).code).toBeNull();
      }
    }),
  );
  server!.sent.push = push;
  await load.end();
  expect(load.failures).toEqual([]);
  expect(seen).toEqual(Array.from({ length: 40 }, () => 1));
  expect(await stage.counted("refused", reason)).toBeGreaterThan(refused);
});
