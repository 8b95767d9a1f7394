/** Cancel requests while statements of several clients are on one server: who asked is cancelled, and nobody else. */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { waitFor } from "../support/wait-for.ts";
import { bind, execute, parse, query, sync, type WireClient } from "../support/wire-client.ts";
import { answerOf, answersOf, cancel, names, said, saying, sayingUnlocked, SharingStage } from "./sharing-stage.ts";

let stage: SharingStage;

beforeAll(async () => {
  stage = await SharingStage.start({
    databases: (servers) => ({ two: `${servers} pool_size=2` }),
    setup: ["create table numbers as select n from generate_series(1, 3000) as n"],
  });
  await stage.warm();
});

afterEach(() => stage.clear());

afterAll(async () => {
  await stage?.stop();
});

const cancelled = { types: "EZ", rows: [], code: "57014" };

test("a rider is answered at once, and PostgreSQL hears nothing of it", async () => {
  const clients = await stage.logins(4);
  const texts = names(4);
  const unlock = await stage.lockTable();
  await stage.board(clients, (number) => [sayingUnlocked(texts[number]!)]);
  const { cancels } = stage.tap;
  await cancel(stage, clients[2]!);
  expect(await answerOf(clients[2]!)).toEqual(cancelled);
  // It may go on at once, behind the others.
  clients[2]!.send(saying("again"));
  await unlock();
  stage.tap.open.forEach((server) => server.flow());
  expect(await answersOf(clients)).toEqual([texts[0], texts[1], "again", texts[3]].map((text) => said(text!)));
  expect(stage.tap.cancels).toBe(cancels);
  stage.leave(...clients);
});

test("the head is cancelled by PostgreSQL, alone", async () => {
  const clients = await stage.logins(4);
  const texts = names(4);
  const unlock = await stage.lockTable();
  const server = await stage.board(clients, (number) => [
    number === 0 ? sayingUnlocked(texts[0]!) : saying(texts[number]!),
  ]);
  server.flow();
  const { cancels } = stage.tap;
  await cancel(stage, clients[0]!);
  expect(await answersOf(clients)).toEqual([cancelled, ...texts.slice(1).map(said)]);
  expect(stage.tap.cancels).toBe(cancels + 1);
  expect(server.isOpen).toBe(true);
  await unlock();
  stage.leave(...clients);
});

test("a head that has answered while the request was on its way: the next one is not hit", async () => {
  const clients = await stage.logins(3);
  const texts = names(3);
  const server = await stage.board(clients, (number) => [saying(texts[number]!)]);
  await waitFor("the answers", () => server.heldUnits === 3);
  const { cancels } = stage.tap;
  const request = cancel(stage, clients[0]!);
  await waitFor("the request", () => stage.tap.cancels === cancels + 1);
  server.flow();
  await request;
  expect(await answersOf(clients)).toEqual(texts.map(said));
  // Those behind it were sent again, when PostgreSQL had dealt with the request.
  expect(stage.tap.timesSent(`select '${texts[1]}'`)).toBeGreaterThanOrEqual(2);
  stage.leave(...clients);
});

test("while a request for the head is on its way nobody else is on the server", async () => {
  const clients = await stage.logins(4);
  const texts = names(4);
  const unlock = await stage.lockTable();
  const server = await stage.board(clients, (number) => [sayingUnlocked(texts[number]!)]);
  server.flow();
  stage.tap.holdsCancels = true;
  const { cancels } = stage.tap;
  const request = cancel(stage, clients[0]!);
  await waitFor("the request", () => stage.tap.cancels === cancels + 1);
  // It comes too late for the head.
  await unlock();
  expect(await answerOf(clients[0]!)).toEqual(said(texts[0]!));
  await waitFor("all that was sent to be answered", () => server.underWay.length === 0);
  expect(await stage.pool()).toMatchObject({ cl_waiting: 3, sv_being_canceled: 1 });
  stage.tap.deliverCancels();
  await request;
  expect(await answersOf(clients.slice(1))).toEqual(texts.slice(1).map(said));
  expect(server.isOpen).toBe(true);
});

test("one that waits in the queue, one that rides, and the head, all at once", async () => {
  const clients = await stage.logins(20);
  const texts = names(20);
  const unlock = await stage.lockTable();
  const [holder] = await stage.holdServers();
  await stage.queue(clients, (number) => [number === 0 ? sayingUnlocked(texts[0]!) : saying(texts[number]!)]);
  await holder!.release();
  // The depth is 16: four still wait.
  await waitFor("a full server", () => holder!.server.underWay.length === 16);
  await Promise.all([0, 5, 15, 18].map((number) => cancel(stage, clients[number]!)));
  const answers = await answersOf(clients);
  for (const [number, answer] of answers.entries()) {
    expect(answer).toEqual([0, 5, 15, 18].includes(number) ? cancelled : said(texts[number]!));
  }
  await unlock();
  stage.leave(...clients);
});

test("a named statement's unit and an unnamed one are cancelled as riders too", async () => {
  const clients = await stage.logins(3);
  const unlock = await stage.lockTable();
  const server = await stage.board(clients, (number) =>
    number === 0
      ? [sayingUnlocked("head")]
      : [parse("", `select 'unnamed ${number}' as named`), bind("", ""), execute(""), sync()],
  );
  server.flow();
  await cancel(stage, clients[1]!);
  expect(await answerOf(clients[1]!)).toEqual(cancelled);
  await unlock();
  expect(await answerOf(clients[0]!)).toEqual(said("head"));
  expect(await answerOf(clients[2]!)).toEqual({ types: "12DCZ", rows: ["unnamed 2"], code: null });
  stage.leave(...clients);
});

test("hundreds of requests at any time: only who asked is cancelled", { timeout: 60_000 }, async () => {
  await stage.warm("two", 2);
  const ridden = await stage.counted("ride", "behind others", "two");
  const victims = await stage.logins(6, "two");
  const neighbours = await stage.logins(10, "two");
  const state = { requests: 0, hits: 0, spared: 0 };
  const isOver = (): boolean => state.requests >= 600;
  const live = async (client: WireClient, name: string, mayBeHit: boolean): Promise<void> => {
    for (let round = 0; !isOver(); round++) {
      const text = `${name}.${round}`;
      // Some take a millisecond or two, so that requests find them running.
      client.send(
        round % 3 === 0 ? query(`select '${text}' from (select sum(n * n % 7) from numbers) as summed`) : saying(text),
      );
      const answer = await answerOf(client);
      if (answer.code === null || !mayBeHit) {
        expect(answer).toEqual(said(text));
      } else {
        // PostgreSQL looks for a request behind each row too: what came before the error is its own.
        expect([
          cancelled,
          { ...cancelled, types: "TEZ" },
          { ...cancelled, types: "TDEZ", rows: [text] },
        ]).toContainEqual(answer);
      }
      if (mayBeHit) state[answer.code === null ? "spared" : "hits"] += 1;
    }
  };
  const pester = async (client: WireClient): Promise<void> => {
    while (!isOver()) {
      await cancel(stage, client);
      state.requests += 1;
      await sleep(Math.random() * 4);
    }
  };
  await Promise.all([
    ...victims.map((client, number) => live(client, `victim ${number}`, true)),
    ...neighbours.map((client, number) => live(client, `neighbour ${number}`, false)),
    ...victims.map(pester),
  ]);
  expect(state.hits).toBeGreaterThan(50);
  expect(state.spared).toBeGreaterThan(0);
  expect(await stage.counted("ride", "behind others", "two")).toBeGreaterThan(ridden + 500);
  stage.leave(...victims, ...neighbours);
});
