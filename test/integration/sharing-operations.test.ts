/** What an operator does while statements of many clients share servers: nobody's answer is lost or another's. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { waitFor } from "../support/wait-for.ts";
import { query } from "../support/wire-client.ts";
import { SharingLoad } from "./sharing-load.ts";
import { answersOf, names, said, saying, SharingStage } from "./sharing-stage.ts";

let stage: SharingStage;
let load: SharingLoad;

const settings = { sharing_short_time: 60_000, sharing_short_runs: 0, default_pool_size: 2 };

beforeEach(async () => {
  stage = await SharingStage.start({ poolSize: 2, pooler: { settings } });
  // So many that a shared server is filled again before it has answered everything.
  load = await SharingLoad.start(stage, 40);
  await ridesMore(50);
});

afterEach(async () => {
  await load?.end().catch(() => undefined);
  await stage?.stop();
});

/** Until so many more statements have ridden behind others'. */
async function ridesMore(count: number): Promise<void> {
  const until = (await stage.counted("ride", "behind others")) + count;
  await waitFor(
    "more rides",
    async () => load.failures.length > 0 || (await stage.counted("ride", "behind others")) >= until,
    20_000,
  );
  expect(load.failures).toEqual([]);
}

async function answersMore(count: number): Promise<void> {
  const until = load.answered + count;
  await waitFor("more answers", () => load.failures.length > 0 || load.answered >= until, 20_000);
}

async function endsWell(): Promise<void> {
  await load.end();
  expect(load.failures).toEqual([]);
}

test("PAUSE ends though the load never does, and RESUME goes on", async () => {
  for (let round = 0; round < 5; round++) {
    await stage.bouncer.admin("PAUSE shared");
    expect(stage.tap.open).toEqual([]);
    await stage.bouncer.admin("RESUME shared");
    await ridesMore(20);
  }
  await endsWell();
});

test("RECONNECT replaces every server, and nobody notices", async () => {
  for (let round = 0; round < 5; round++) {
    const before = stage.tap.open;
    await stage.bouncer.admin("RECONNECT shared");
    await waitFor("other servers", () => before.every(({ isOpen }) => !isOpen));
    await ridesMore(20);
  }
  await endsWell();
});

test("RECONNECT while a trip is under way: nobody joins it any more", async () => {
  await endsWell();
  const clients = await stage.logins(4);
  const late = await stage.logins(4);
  const holders = await stage.holdServers(2);
  await stage.queue(clients, (number) => [saying(`client ${number}`)]);
  const { server } = holders[0]!;
  server.hold(1);
  await holders[0]!.release();
  await waitFor("a trip", () => server.underWay.length === 4);
  const sealed = await stage.counted("seal", "closing");
  await stage.bouncer.admin("RECONNECT shared");
  const sent = server.sent.length;
  await stage.queue(late, (number) => [saying(`client ${number}`)]);
  server.flow();
  expect(await answersOf(clients)).toEqual(names(4).map(said));
  // On a server that was opened since: this one has had its last statement.
  expect(await answersOf(late)).toEqual(names(4).map(said));
  expect(server.sent.length).toBe(sent);
  expect(await stage.counted("seal", "closing")).toBe(sealed + 1);
  await holders[1]!.release();
});

test("server_lifetime ends shared servers too", async () => {
  const before = stage.tap.open;
  await stage.bouncer.admin("SET server_lifetime = 1");
  await waitFor("other servers", () => before.every(({ isOpen }) => !isOpen));
  await ridesMore(20);
  await endsWell();
});

test("sharing = 0 while they ride, and on again", async () => {
  await stage.bouncer.admin("SET sharing = 0");
  await answersMore(50);
  const rides = await stage.counted("ride");
  for (const server of stage.tap.open) server.deepest = 0;
  await answersMore(200);
  expect(await stage.counted("ride")).toBe(rides);
  expect(stage.tap.deepest).toBeLessThanOrEqual(1);
  await stage.bouncer.admin("SET sharing = 1");
  await ridesMore(20);
  await endsWell();
});

test("RELOAD to session mode and back: the mode is that of the servers that come", async () => {
  const servers = `host=127.0.0.1 port=${stage.tap.port} dbname=postgres pool_size=50`;
  const common = { pool_mode: "transaction", server_tls_sslmode: "disable", max_client_conn: 500, ...settings };
  await stage.bouncer.reload({ databases: { shared: `${servers} pool_mode=session` }, settings: common });
  await waitFor("no sharing", async () => (await stage.counted("state", "session mode")) === 0);
  await answersMore(100);
  for (const server of stage.tap.open) server.deepest = 0;
  await answersMore(200);
  expect(stage.tap.deepest).toBeLessThanOrEqual(1);
  await endsWell();
});

test("servers are ended at random under load: every answer is right, or its own client's error", async () => {
  for (let round = 0; round < 20; round++) {
    // Not one that logs in: that would be a failed login, and nobody is served for a while.
    const server = stage.tap.open.find(({ sent }) => sent.length > 0);
    if (round % 2 === 0) server?.cut();
    else server?.reset();
    await answersMore(5);
  }
  await load.end();
  // An answer that had begun when the server went: its client is told, and nobody else.
  expect(load.failures.length).toBeLessThanOrEqual(20);
  for (const failure of load.failures) expect(failure).toMatch(/"types":"1?2?T?D?C?E?"/);
  expect(load.answered).toBeGreaterThan(100);
});

test("SHUTDOWN WAIT_FOR_CLIENTS waits for those who ride", async () => {
  await load.end();
  load = await SharingLoad.start(stage, 1);
  await load.end();
  const clients = await stage.logins(4);
  const holders = await stage.holdServers(2);
  await stage.queue(clients, (number) => [saying(`client ${number}`)]);
  const [first] = holders;
  first!.server.hold(1);
  await first!.release();
  await waitFor("a trip", () => first!.server.underWay.length === 4);
  await stage.bouncer.admin("SHUTDOWN WAIT_FOR_CLIENTS");
  first!.server.flow();
  expect(await answersOf(clients)).toEqual(names(4).map(said));
  stage.leave(...clients, ...load.clients);
  await holders[1]!.release();
});

describe("online restart", () => {
  test("under load: everybody goes on in the new process", { timeout: 90_000 }, async () => {
    for (let round = 0; round < 3; round++) {
      await stage.bouncer.reboot();
      await ridesMore(20);
    }
    await endsWell();
  });

  test("while a trip is under way and others wait", { timeout: 90_000 }, async () => {
    await endsWell();
    const clients = await stage.logins(6);
    const holders = await stage.holdServers(2);
    await stage.queue(clients, (number) => [saying(`client ${number}`)]);
    holders[0]!.server.hold(1);
    await holders[0]!.release();
    await waitFor("a trip", () => holders[0]!.server.underWay.length === 6);
    const more = await stage.logins(2);
    await stage.queue(more, (number) => [query(`insert into locked values ('${number}')`)]);
    const rebooting = stage.bouncer.reboot();
    await stage.bouncer.waitForLog(/SUSPEND/i).catch(() => undefined);
    holders[0]!.server.flow();
    expect(await answersOf(clients)).toEqual(names(6).map(said));
    await rebooting;
    await holders[1]!.release();
    expect((await answersOf(more)).map(({ types }) => types)).toEqual(["CZ", "CZ"]);
  });
});
