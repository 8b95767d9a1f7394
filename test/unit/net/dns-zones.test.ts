/** Zones whose serials are watched, on a clock that the test moves. */
import { beforeEach, expect, test } from "vitest";
import { NameCache } from "../../../src/net/dns-cache.ts";
import { ZoneWatch, zoneOf } from "../../../src/net/dns-zones.ts";
import { HandClock, NameTable } from "./name-table.ts";

let clock: HandClock;
let table: NameTable;
let cache: NameCache;
let watch: ZoneWatch;
let lines: string[];
const times = { dnsMaxTtlMs: 1_000_000, dnsNxdomainTtlMs: 1_000_000, dnsZoneCheckPeriodMs: 0 };

beforeEach(() => {
  clock = new HandClock();
  table = new NameTable();
  lines = [];
  times.dnsZoneCheckPeriodMs = 10_000;
  cache = new NameCache({ source: table, clock, afterTurn: clock.afterTurn, times, warn: () => {} });
  watch = new ZoneWatch({
    cache,
    clock,
    times,
    log: (message) => lines.push(message),
    debug: (message) => lines.push(`debug ${message}`),
  });
  cache.onNewName = (name) => watch.addHost(name);
});

async function know(...names: readonly string[]): Promise<void> {
  for (const name of names) {
    cache.lookUp(name, () => {});
    await table.answer(name, ["192.0.2.1"]);
  }
  table.asked.length = 0;
}

/** Time passes, with maintenance before and behind it; what was asked for. */
function pass(ms: number): readonly string[] {
  watch.tick();
  clock.nowMs += ms;
  watch.tick();
  return table.asked.splice(0);
}

test.each([
  ["db.example.com", "example.com"],
  ["db.", null],
  ["db", null],
  ["a.b", "b"],
  ["", null],
])("the zone of %j is %j", (host, zone) => {
  expect(zoneOf(host)).toBe(zone);
});

test("a serial that has grown looks up all hosts of its zone, and no others", async () => {
  await know("a.one.example", "b.ONE.example", "c.two.example", "local");
  expect(watch.zones()).toEqual([
    { name: "one.example", serial: 0, hostCount: 2 },
    { name: "two.example", serial: 0, hostCount: 1 },
  ]);
  expect(pass(9999)).toEqual([]);
  expect(pass(1)).toEqual(["SOA one.example", "SOA two.example"]);
  expect(watch.running).toBe(2);
  // The first serial may be newer than what is known of the hosts.
  await table.answer("SOA one.example", 7);
  expect(table.asked.splice(0)).toEqual(["a.one.example", "b.ONE.example"]);
  await table.answer("SOA two.example", 3);
  expect(table.asked.splice(0)).toEqual(["c.two.example"]);
  expect(lines.splice(0)).toEqual([
    "zone 'one.example' serial changed: old=0 new=7",
    "zone 'two.example' serial changed: old=0 new=3",
  ]);
  for (const name of ["a.one.example", "b.ONE.example", "c.two.example"]) await table.answer(name, ["192.0.2.1"]);

  expect(pass(10_000)).toEqual(["SOA one.example", "SOA two.example"]);
  await table.answer("SOA one.example", 7);
  await table.answer("SOA two.example", 2);
  expect(table.asked).toEqual([]);
  expect(lines.splice(0)).toEqual([
    "debug zone 'one.example' unchanged: serial=7",
    "debug zone 'two.example' unchanged: serial=2",
  ]);
  expect(watch.zones()).toEqual([
    { name: "one.example", serial: 7, hostCount: 2 },
    { name: "two.example", serial: 3, hostCount: 1 },
  ]);
});

test("serial numbers go round", async () => {
  await know("a.example.com");
  pass(10_000);
  await table.answer("SOA example.com", 4_294_967_290);
  await table.answer("a.example.com", ["192.0.2.1"]);
  table.asked.length = 0;
  pass(10_000);
  await table.answer("SOA example.com", 5);
  expect(table.asked).toContain("a.example.com");
  expect(watch.zones()).toEqual([{ name: "example.com", serial: 5, hostCount: 1 }]);
});

test("the next period begins when all have answered; one that does not holds up no look-up", async () => {
  await know("a.one.example", "b.two.example");
  pass(10_000);
  await table.answer("SOA two.example", 1);
  expect(table.asked.splice(0)).toEqual(["b.two.example"]);
  expect(pass(60_000)).toEqual([]);
  await table.refuse("SOA one.example", "ETIMEOUT");
  expect(lines).toContain("debug failure to get zone 'one.example' serial");
  expect(watch.running).toBe(0);
  expect(pass(9999)).toEqual([]);
  expect(pass(1)).toEqual(["SOA one.example", "SOA two.example"]);
});

test("the period is live, and 0 is never", async () => {
  await know("a.one.example");
  times.dnsZoneCheckPeriodMs = 0;
  expect(pass(1_000_000)).toEqual([]);
  expect(watch.size).toBe(1);
  times.dnsZoneCheckPeriodMs = 10_000;
  expect(pass(5000)).toEqual([]);
  times.dnsZoneCheckPeriodMs = 2000;
  expect(pass(0)).toEqual(["SOA one.example"]);
});
