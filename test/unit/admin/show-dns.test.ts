/** SHOW DNS_HOSTS, SHOW DNS_ZONES and their rows of SHOW LISTS, on a clock that the test moves. */
import { expect, test } from "vitest";
import { settled } from "../net/name-table.ts";
import { ConsoleHarness } from "./console-harness.ts";

test("hosts and zones, as PgBouncer prints them", async () => {
  const harness = new ConsoleHarness();
  const { cache } = harness.pooler.names;
  const answers: Record<string, readonly string[]> = {
    "b.shop.example": ["192.0.2.1", "2001:db8::1"],
    "a.shop.example": ["192.0.2.2"],
  };
  cache.source = {
    resolve: (name) => (name === "slow" ? new Promise(() => {}) : Promise.resolve(answers[name] ?? [])),
    zoneSerial: () => Promise.resolve(4_000_000_000),
  };
  const operator = harness.connect();
  const rows = (command: string): readonly (string | null)[][] => operator.run(command).rows;
  expect([rows("show dns_hosts"), rows("show dns_zones")]).toEqual([[], []]);
  for (const name of ["slow", "none", "b.shop.example", "a.shop.example"]) cache.lookUp(name, () => {});
  await settled();
  harness.pass(2500);
  expect(rows("show dns_hosts")).toEqual([
    ["a.shop.example", "12", "192.0.2.2:0"],
    ["b.shop.example", "12", "192.0.2.1:0,[2001:db8::1]:0"],
    ["none", "12", ""],
    ["slow", "0", ""],
  ]);
  expect(rows("show dns_zones")).toEqual([["shop.example", "0", "2"]]);
  expect(rows("show lists").slice(-4)).toEqual([
    ["dns_names", "4"],
    ["dns_zones", "1"],
    ["dns_queries", "1"],
    ["dns_pending", "0"],
  ]);
  operator.run("set dns_zone_check_period = 1");
  harness.pooler.names.zones.tick();
  harness.pass(1000);
  harness.pooler.names.zones.tick();
  await settled();
  expect(rows("show dns_zones")).toEqual([["shop.example", "4000000000", "2"]]);
});
