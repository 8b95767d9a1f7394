/** The system's resolver has few threads: names whose servers are dead must not keep them from the others. */
import { expect, test } from "vitest";
import { SystemNames, libuvLookUpsAtOnce } from "../../../src/net/resolve.ts";
import { NameTable, settled } from "./name-table.ts";

function setUp(patienceMs = 0): { names: SystemNames; system: NameTable; direct: NameTable } {
  const system = new NameTable();
  const direct = new NameTable();
  const names = new SystemNames({
    lookUp: (host) => system.resolve(host),
    nameServers: () => direct,
    lookUpsAtOnceMax: 2,
    patienceMs,
  });
  return { names, system, direct };
}

/** The addresses, or the code of the error. */
function outcome(answer: Promise<readonly string[]>): Promise<string> {
  return answer.then(
    (addresses) => addresses.join(),
    (error: { code: string }) => error.code,
  );
}

async function asked(table: NameTable, count: number): Promise<readonly string[]> {
  const deadline = performance.now() + 5000;
  while (table.asked.length < count && performance.now() < deadline) await new Promise((go) => setTimeout(go, 1));
  return table.asked;
}

test("literal addresses are not asked for", async () => {
  const { names, system } = setUp();
  expect(await names.resolve("192.0.2.1")).toEqual(["192.0.2.1"]);
  expect(await names.resolve("::1")).toEqual(["::1"]);
  expect(system.asked).toEqual([]);
});

test("the system is asked first, and its order and errors are kept", async () => {
  const { names, system, direct } = setUp();
  const first = names.resolve("db");
  const second = outcome(names.resolve("none"));
  await system.answer("db", ["::1", "192.0.2.1"]);
  await system.refuse("none", "EAI_AGAIN");
  expect(await first).toEqual(["::1", "192.0.2.1"]);
  expect(await second).toBe("EAI_AGAIN");
  expect(direct.asked).toEqual([]);
});

test("while all threads wait for the dead, others are asked for directly", async () => {
  const { names, system, direct } = setUp();
  const dead = ["dead1", "dead2"].map((name) => outcome(names.resolve(name)));
  const live = names.resolve("live");
  expect(await asked(direct, 1)).toEqual(["live"]);
  await direct.answer("live", ["192.0.2.1"]);
  expect(await live).toEqual(["192.0.2.1"]);
  expect(system.asked).toEqual(["dead1", "dead2"]);
  // Who has been served takes no thread any more.
  await system.refuse("dead1", "EAI_AGAIN");
  await system.refuse("dead2", "EAI_AGAIN");
  expect(await Promise.all(dead)).toEqual(["EAI_AGAIN", "EAI_AGAIN"]);
  expect(system.asked).toEqual(["dead1", "dead2"]);
});

test("what name servers do not know waits for a thread after all", async () => {
  const { names, system, direct } = setUp();
  const dead = outcome(names.resolve("dead1"));
  void names.resolve("dead2");
  const local = names.resolve("local");
  await asked(direct, 1);
  await direct.refuse("local", "ENOTFOUND");
  expect(system.asked).toEqual(["dead1", "dead2"]);
  await system.refuse("dead1", "EAI_AGAIN");
  expect(await dead).toBe("EAI_AGAIN");
  expect(system.asked).toEqual(["dead1", "dead2", "local"]);
  await system.answer("local", ["192.0.2.3"]);
  expect(await local).toEqual(["192.0.2.3"]);
});

test("a short wait for a thread asks nobody else", async () => {
  const { names, system, direct } = setUp(60_000);
  const all = ["a", "b", "c", "d"].map((name) => names.resolve(name));
  for (const name of ["a", "b", "c", "d"]) await system.answer(name, [`192.0.2.${name.charCodeAt(0)}`]);
  expect((await Promise.all(all)).flat()).toEqual(["192.0.2.97", "192.0.2.98", "192.0.2.99", "192.0.2.100"]);
  await settled();
  expect(direct.asked).toEqual([]);
});

test("zones are asked of name servers", async () => {
  const { names, direct } = setUp();
  const serial = names.zoneSerial("example.com");
  await settled();
  await direct.answer("SOA example.com", 12);
  expect(await serial).toBe(12);
});

test.each([
  [undefined, 2],
  ["1", 1],
  ["16", 8],
  ["nonsense", 1],
  ["9999", 512],
])("libuv with UV_THREADPOOL_SIZE %s looks up %i at once", (size, atOnce) => {
  expect(libuvLookUpsAtOnce(size)).toBe(atOnce);
});
