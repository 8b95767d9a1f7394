/** Heads that take too long, answers that nobody reads, and time limits: those behind a slow one do not wait for it. */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { waitFor } from "../support/wait-for.ts";
import { query, type WireClient } from "../support/wire-client.ts";
import { answerOf, answersOf, names, said, SharingStage } from "./sharing-stage.ts";

let stage: SharingStage;
const budgetMs = 50;
/** Counts tests: statements of each are others, so that none is known to be slow. */
let round = 0;

/** Answers with `text`. */
const saying = (text: string): Buffer => query(`select '${text}' as round_${round}`);

/** The same, when nobody has a lock on the table. */
const sayingUnlocked = (text: string): Buffer =>
  query(`select '${text}' as round_${round} from (select count(*) from locked) as counted`);

beforeAll(async () => {
  stage = await SharingStage.start({
    databases: (servers) => ({ two: `${servers} pool_size=2` }),
    pooler: { userlist: { postgres: "", limited: "" }, settings: { sharing_short_time: budgetMs } },
    postgres: { roles: [{ name: "limited" }] },
    setup: ["alter role limited set statement_timeout = '300ms'", "grant select on locked to limited"],
  });
  await stage.warm();
  await stage.warm("two", 2);
});

afterEach(async () => {
  round += 1;
  await stage.bouncer.admin("SET query_timeout = 0");
  await stage.bouncer.admin("SET query_wait_timeout = 120");
  await stage.bouncer.admin(`SET sharing_short_time = ${budgetMs}`);
  await stage.clear();
});

afterAll(async () => {
  await stage?.stop();
});

test("behind a head that waits for a lock: the others are answered elsewhere, and the head when the lock ends", async () => {
  const unlock = await stage.lockTable();
  const [first, second] = await stage.holdServers(2, "two");
  const clients = await stage.logins(5, "two");
  const texts = names(5);
  await stage.queue(clients, (number) => [number === 0 ? sayingUnlocked(texts[0]!) : saying(texts[number]!)], "two");
  const moves = await stage.counted("move", "slow statement", "two");
  await first!.release();
  await waitFor("a trip", () => first!.server.deepest === 5);
  await second!.release();
  // The lock is still there.
  expect(await answersOf(clients.slice(1))).toEqual(texts.slice(1).map(said));
  await unlock();
  expect(await answerOf(clients[0]!)).toEqual(said(texts[0]!));
  expect(await stage.counted("move", "slow statement", "two")).toBe(moves + 4);
});

test("with one server they wait for the lock's end, and nobody is lost", async () => {
  const unlock = await stage.lockTable();
  const clients = await stage.logins(5);
  const texts = names(5);
  const [holder] = await stage.holdServers();
  await stage.queue(clients, (number) => [number === 0 ? sayingUnlocked(texts[0]!) : saying(texts[number]!)]);
  await holder!.release();
  await stage.waitForWaiting(4);
  expect(holder!.server.deepest).toBe(5);
  await unlock();
  expect(await answersOf(clients)).toEqual(texts.map(said));
});

test("an answer that is not read: the others go on, the pooler's memory is bounded, and all of it arrives in the end", async () => {
  // Not because it takes long.
  await stage.bouncer.admin("SET sharing_short_time = 60000");
  const [first, second] = await stage.holdServers(2, "two");
  const clients = await stage.logins(5, "two");
  const texts = names(5);
  const rows = 60_000;
  const huge = `select 'row ' || n || repeat('x', 1000) from generate_series(1, ${rows}) as n`;
  await stage.queue(clients, (number) => [number === 0 ? query(huge) : saying(texts[number]!)], "two");
  const slow = clients[0]!;
  slow.socket.pause();
  const before = residentBytes(stage.bouncer.pid);
  const moves = await stage.counted("move", "slow reader", "two");
  await first!.release();
  await waitFor("a trip", () => first!.server.deepest === 5);
  await second!.release();
  expect(await answersOf(clients.slice(1))).toEqual(texts.slice(1).map(said));
  expect(await stage.counted("move", "slow reader", "two")).toBe(moves + 4);
  // 60 MB are on their way to it.
  expect(residentBytes(stage.bouncer.pid) - before).toBeLessThan(40_000_000);
  slow.socket.resume();
  const answer = await answerOf(slow);
  expect(answer.rows.length).toBe(rows);
  expect(answer.rows.findIndex((row, number) => row !== `row ${number + 1}${"x".repeat(1000)}`)).toBe(-1);
});

test("query_timeout counts from being the head, and ends its own client only", async () => {
  await stage.bouncer.admin("SET sharing_short_time = 60000");
  await stage.bouncer.admin("SET query_timeout = 2");
  const clients = await stage.logins(4);
  const texts = names(4);
  await stage.lockTable();
  const server = await stage.board(clients, (number) => [
    number === 3 ? sayingUnlocked("late") : saying(texts[number]!),
  ]);
  // Each of the first three is answered within the limit, and together they take longer.
  for (const client of clients.slice(0, 3)) {
    await sleep(1_000);
    server.hold(1);
    expect((await answerOf(client)).code).toBeNull();
  }
  expect(server.isOpen).toBe(true);
  const headSince = performance.now();
  expect(await answerOf(clients[3]!)).toMatchObject({ types: "E", code: "57014" });
  expect(performance.now() - headSince).toBeGreaterThan(1_500);
});

test("query_timeout of a head: those behind it are answered elsewhere, and the server is replaced", async () => {
  await stage.bouncer.admin("SET query_timeout = 3");
  const [first, second] = await stage.holdServers(2, "two");
  const clients = await stage.logins(4, "two");
  const texts = names(4);
  await stage.lockTable();
  await stage.queue(clients, (number) => [number === 0 ? sayingUnlocked("late") : saying(texts[number]!)], "two");
  await first!.release();
  await waitFor("a trip", () => first!.server.deepest === 4);
  await second!.release();
  const answers = await answersOf(clients);
  expect(answers[0]).toMatchObject({ types: "E", code: "57014" });
  expect(answers.slice(1)).toEqual(texts.slice(1).map(said));
  await waitFor("the server's end", () => !first!.server.isOpen);
});

test("query_wait_timeout goes on when they have to wait again", async () => {
  await stage.bouncer.admin("SET query_wait_timeout = 2");
  const unlock = await stage.lockTable();
  const clients = await stage.logins(3);
  const [holder] = await stage.holdServers();
  await stage.queue(clients, (number) => [number === 0 ? sayingUnlocked("head") : saying(`client ${number}`)]);
  await holder!.release();
  const waited = await answersOf(clients.slice(1));
  expect(holder!.server.deepest).toBe(3);
  for (const answer of waited) expect(answer).toMatchObject({ types: "E", code: "53300" });
  await unlock();
  expect(await answerOf(clients[0]!)).toEqual(said("head"));
});

test("PostgreSQL's statement_timeout hits its own statement, not who waited behind it", async () => {
  await stage.bouncer.admin("SET sharing_short_time = 60000");
  const login = (): Promise<WireClient> => stage.login("shared", { user: "limited" });
  const clients = await Promise.all([login(), login(), login(), login()]);
  const texts = names(4);
  await stage.lockTable();
  // What is known of the catalogue is the database's.
  const holder = await login();
  holder.send(query("begin"));
  await answerOf(holder);
  for (const [number, client] of clients.entries()) {
    client.send(number % 2 === 0 ? sayingUnlocked(texts[number]!) : saying(texts[number]!));
    await stage.waitForWaiting(number + 1, "shared", "limited");
  }
  const server = stage.tap.open.find(({ sent }) => sent.at(-1) === "begin")!;
  server.deepest = 0;
  holder.send(query("commit"));
  const answers = await answersOf(clients);
  expect(server.deepest).toBe(4);
  for (const [number, answer] of answers.entries()) {
    expect(answer).toEqual(number % 2 === 0 ? { types: "EZ", rows: [], code: "57014" } : said(texts[number]!));
  }
});

function residentBytes(pid: number): number {
  const pages = Number(readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1]);
  return pages * 4096;
}
