/** Servers that die while several clients' statements are on them: only whose answer had begun learns of it. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { waitFor } from "../support/wait-for.ts";
import { query } from "../support/wire-client.ts";
import { Backends } from "./backends.ts";
import { answerOf, answersOf, names, said, saying, sayingUnlocked, SharingStage } from "./sharing-stage.ts";

let stage: SharingStage;
let backends: Backends;

beforeAll(async () => {
  stage = await SharingStage.start();
  backends = await Backends.watch(stage.cluster);
  await stage.warm();
});

afterEach(() => stage.clear());

afterAll(async () => {
  await backends?.end();
  await stage?.stop();
});

describe("a connection with four riders is cut", () => {
  const texts = names(4);

  // One answer has 34 bytes of T, 19 of D, 14 of C and 6 of Z.
  const rowDescriptionBytes = 34;
  const places = [0, 3, 20, 34, 40, 53, 60, 67, 70];
  const points = [0, 1, 3].flatMap((answer) => places.map((bytes) => [answer, bytes] as const));

  test.each(points)("behind %i answers and %i bytes", async (whole, bytes) => {
    const clients = await stage.logins(4);
    const server = await stage.board(clients, (number) => [saying(texts[number]!)]);
    await waitFor("all answers", () => server.heldUnits === 4);
    const [size] = server.heldEnds;
    expect(size).toBe(73);
    server.pass(whole * size! + bytes);
    // A reset may take bytes with it that the pooler has not read.
    const isReset = bytes % 2 === 1;
    if (isReset) server.reset();
    else server.cut();
    const answers = await answersOf(clients);
    for (const [number, answer] of answers.entries()) {
      // Of less than a whole first message the pooler has passed on nothing.
      const mayRunAgain = number !== whole || bytes < rowDescriptionBytes || isReset;
      if (!mayRunAgain || (number === whole && !answer.types.endsWith("Z"))) expect(answer.types).toMatch(/^TD?C?E?$/);
      else expect(answer).toEqual(said(texts[number]!));
    }
    stage.leave(...clients);
  });
});

test("a backend that is ended before the head has answered: nobody learns of it", async () => {
  const clients = await stage.logins(4);
  const texts = names(4);
  const unlock = await stage.lockTable();
  await stage.board(clients, (number) => [sayingUnlocked(texts[number]!)]);
  const { pid } = await backends.waitForQuery("locked");
  await backends.terminate([pid]);
  await waitFor("another server", async () => (await backends.waitForQuery("locked")).pid !== pid);
  await unlock();
  expect(await answersOf(clients)).toEqual(texts.map(said));
  stage.leave(...clients);
});

test("a backend that is ended behind the head's answer: all but the head run elsewhere", async () => {
  const clients = await stage.logins(4);
  const texts = names(4);
  const unlock = await stage.lockTable();
  const server = await stage.board(clients, (number) => [
    number === 0 ? saying(texts[0]!) : sayingUnlocked(texts[number]!),
  ]);
  server.flow();
  expect(await answerOf(clients[0]!)).toEqual(said(texts[0]!));
  const { pid } = await backends.waitForQuery("locked");
  await backends.terminate([pid]);
  await unlock();
  expect(await answersOf(clients.slice(1))).toEqual(texts.slice(1).map(said));
  stage.leave(...clients);
});

test("what ends its server each time ends with the third, and nobody else with it", async () => {
  const clients = await stage.logins(5);
  const texts = names(5);
  // Somewhere in the middle: those before and behind it are moved with it.
  texts[2] = "poison";
  stage.tap.poison = "poison";
  const [holder] = await stage.holdServers();
  await stage.queue(clients, (number) => [saying(texts[number]!)]);
  await holder!.release();
  const answers = await answersOf(clients);
  stage.tap.poison = null;
  for (const [number, answer] of answers.entries()) {
    if (number === 2) expect(answer).toMatchObject({ types: "E", code: "08006" });
    else expect(answer).toEqual(said(texts[number]!));
  }
  expect(stage.tap.timesSent(`select 'poison'`)).toBe(3);
  expect(holder!.server.deepest).toBe(5);
  stage.leave(...clients);
});

test("a connection that dies while the head's statement fails over and over leaves nothing behind", async () => {
  const open = await stage.pool();
  expect(open).toMatchObject({ cl_active: 0, cl_waiting: 0, sv_active: 0 });
  const client = await stage.login();
  client.send(query("select 1/0"));
  expect(await answerOf(client)).toEqual({ types: "EZ", rows: [], code: "22012" });
  stage.leave(client);
});
