/** What is remembered of names, on a clock that the test moves. */
import { beforeEach, describe, expect, test } from "vitest";
import { NameCache } from "../../../src/net/dns-cache.ts";
import { HandClock, NameTable, settled } from "./name-table.ts";

let clock: HandClock;
let table: NameTable;
let cache: NameCache;
let times: { dnsMaxTtlMs: number; dnsNxdomainTtlMs: number };
let warnings: string[];
let gone: string[];

beforeEach(() => {
  clock = new HandClock();
  table = new NameTable();
  times = { dnsMaxTtlMs: 15_000, dnsNxdomainTtlMs: 4000 };
  warnings = [];
  gone = [];
  cache = new NameCache({
    source: table,
    clock,
    afterTurn: clock.afterTurn,
    times,
    warn: (message) => warnings.push(message),
  });
  cache.onAddressGone = (name, address) => gone.push(`${name} ${address}`);
});

/** What those who asked were told, in order. */
function ask(name: string, told: (string | null)[] = []): (string | null)[] {
  cache.lookUp(name, (address) => told.push(address));
  return told;
}

/** A name that is known: what it is told at the end of the turn. */
function next(name: string): string | null | undefined {
  const told = ask(name);
  expect(told).toEqual([]);
  clock.endTurn();
  return told[0];
}

test("one look-up for however many want the name, and each gets the next address", async () => {
  const told: (string | null)[] = [];
  for (let i = 0; i < 5; i++) ask("db", told);
  expect(table.asked).toEqual(["db"]);
  expect(cache.running).toBe(1);
  await table.answer("db", ["192.0.2.1", "192.0.2.2"]);
  expect(told).toEqual(["192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.2", "192.0.2.1"]);
  expect(cache.running).toBe(0);
  expect(next("db")).toBe("192.0.2.2");
  expect(table.asked).toEqual(["db"]);
});

test("a name that is not answered holds up no other", async () => {
  const dead = ask("dead");
  const live = ask("live");
  await table.answer("live", ["192.0.2.1"]);
  expect([dead, live]).toEqual([[], ["192.0.2.1"]]);
});

test("a good answer counts for dns_max_ttl; who comes after that waits for a new one", async () => {
  ask("db");
  await table.answer("db", ["192.0.2.1"]);
  clock.nowMs += 14_999;
  expect(next("db")).toBe("192.0.2.1");
  clock.nowMs += 1;
  expect(table.asked).toEqual(["db"]);
  const told = ask("db");
  expect(table.asked).toEqual(["db", "db"]);
  clock.endTurn();
  expect(told).toEqual([]);
  ask("db", told);
  await table.answer("db", ["192.0.2.9"]);
  expect(told).toEqual(["192.0.2.9", "192.0.2.9"]);
});

test("a failure counts for dns_nxdomain_ttl, and is in the log", async () => {
  const told = ask("db");
  await table.refuse("db", "ENOTFOUND");
  expect(told).toEqual([null]);
  expect(warnings).toEqual(["DNS lookup failed: db: ENOTFOUND"]);
  clock.nowMs += 3999;
  expect(next("db")).toBeNull();
  clock.nowMs += 1;
  ask("db", told);
  expect(table.asked).toEqual(["db", "db"]);
  await table.answer("db", ["192.0.2.1"]);
  expect(told).toEqual([null, "192.0.2.1"]);
});

test("an answer without an address is a failure", async () => {
  const told = ask("db");
  await table.answer("db", []);
  expect(told).toEqual([null]);
});

test("both times are live", async () => {
  ask("db");
  await table.answer("db", ["192.0.2.1"]);
  ask("none");
  await table.refuse("none", "ENOTFOUND");
  clock.nowMs += 2000;
  times.dnsMaxTtlMs = 1000;
  times.dnsNxdomainTtlMs = 60_000;
  ask("db");
  expect(table.asked).toEqual(["db", "none", "db"]);
  await table.answer("db", ["192.0.2.1"]);
  clock.nowMs += 50_000;
  expect(next("none")).toBeNull();
  times.dnsMaxTtlMs = 0;
  ask("db");
  await table.answer("db", ["192.0.2.1"]);
  ask("db");
  expect(table.asked).toEqual(["db", "none", "db", "db", "db"]);
});

describe("a new answer", () => {
  beforeEach(async () => {
    ask("db");
    await table.answer("db", ["192.0.2.1", "192.0.2.2"]);
    clock.nowMs += 15_000;
  });

  test("names the addresses that it lacks", async () => {
    ask("db");
    await table.answer("db", ["192.0.2.2", "192.0.2.3"]);
    expect(gone).toEqual(["db 192.0.2.1"]);
  });

  test("goes on in turn: the first address does not come first each time", async () => {
    const told = ask("db");
    await table.answer("db", ["192.0.2.1", "192.0.2.2"]);
    expect(told).toEqual(["192.0.2.2"]);
    expect(gone).toEqual([]);
  });

  test("a failure lets nothing go; the answer after it is compared with the last good one", async () => {
    ask("db");
    await table.refuse("db", "ETIMEOUT");
    expect(gone).toEqual([]);
    clock.nowMs += 4000;
    ask("db");
    await table.answer("db", ["192.0.2.7"]);
    expect(gone).toEqual(["db 192.0.2.1", "db 192.0.2.2"]);
  });
});

describe("an address that is suspected", () => {
  test("is asked for anew by the next who wants the name, a second after its answer at the earliest", async () => {
    ask("db");
    await table.answer("db", ["192.0.2.1"]);
    clock.nowMs += 400;
    cache.suspect("db");
    expect(next("db")).toBe("192.0.2.1");
    clock.nowMs += 600;
    ask("db");
    expect(table.asked).toEqual(["db", "db"]);
    await table.answer("db", ["192.0.2.1"]);
    clock.nowMs += 10_000;
    expect(next("db")).toBe("192.0.2.1");
    expect(table.asked).toEqual(["db", "db"]);
  });

  test("a failed look-up counts as long as without", async () => {
    ask("db");
    await table.refuse("db", "ENOTFOUND");
    clock.nowMs += 2000;
    cache.suspect("db");
    cache.suspect("unknown");
    expect(next("db")).toBeNull();
  });
});

test("refresh asks at once, once, and who wants the name meanwhile waits", async () => {
  cache.refresh("unknown");
  expect(table.asked).toEqual([]);
  ask("db");
  await table.answer("db", ["192.0.2.1"]);
  cache.refresh("db");
  cache.refresh("db");
  const told = ask("db");
  clock.endTurn();
  expect(told).toEqual([]);
  expect(table.asked).toEqual(["db", "db"]);
  await table.answer("db", ["192.0.2.2"]);
  expect(told).toEqual(["192.0.2.2"]);
  expect(gone).toEqual(["db 192.0.2.1"]);
});

test("what SHOW DNS_HOSTS tells", async () => {
  ask("zeta");
  expect(cache.names()).toEqual([{ name: "zeta", addresses: [], ttlMs: 0 }]);
  await table.answer("zeta", ["192.0.2.1", "::1"]);
  ask("alpha");
  await table.refuse("alpha", "ENOTFOUND");
  clock.nowMs += 1000;
  expect(cache.size).toBe(2);
  expect(cache.names()).toEqual([
    { name: "alpha", addresses: [], ttlMs: 3000 },
    { name: "zeta", addresses: ["192.0.2.1", "::1"], ttlMs: 14_000 },
  ]);
  clock.nowMs += 60_000;
  expect(cache.names()).toEqual([
    { name: "alpha", addresses: [], ttlMs: 0 },
    { name: "zeta", addresses: ["192.0.2.1", "::1"], ttlMs: 0 },
  ]);
});

test("each new name is told once", async () => {
  const names: string[] = [];
  cache.onNewName = (name) => names.push(name);
  ask("a");
  ask("a");
  ask("b");
  await table.answer("a", ["192.0.2.1"]);
  ask("a");
  expect(names).toEqual(["a", "b"]);
});

test("a defect of one who waits is not the others'", async () => {
  const warned: string[] = [];
  const listen = (warning: Error): unknown => warned.push(warning.message);
  process.on("warning", listen);
  cache.lookUp("db", () => {
    throw new Error("fault");
  });
  const told = ask("db");
  await table.answer("db", ["192.0.2.1"]);
  await settled();
  process.off("warning", listen);
  expect(told).toEqual(["192.0.2.1"]);
  expect(warned).toEqual([expect.stringContaining("fault")]);
});
