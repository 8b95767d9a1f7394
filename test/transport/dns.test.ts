/** Names by a resolv_conf, asked of a real name server with the resolver of the runtime that these tests run in. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { parseResolvConf } from "../../src/net/dns-resolv-conf.ts";
import type { NameSource } from "../../src/net/dns-source.ts";
import { createWorld } from "../../src/net/world-of-runtime.ts";
import { DnsServer } from "../support/dns-server.ts";

const world = await createWorld();
let server: DnsServer;
let names: NameSource;

beforeAll(async () => {
  server = await DnsServer.start();
  server.names.set("db.one.example", { v4: ["192.0.2.1", "192.0.2.2"], v6: ["2001:db8::1"] });
  server.names.set("six.one.example", { v6: ["2001:db8::6"] });
  server.names.set("one.example", { serial: 4_000_000_000 });
  server.dead.add("dead.one.example");
  names = world.nameServers(parseResolvConf(server.resolvConf("search one.example")).conf);
});

beforeEach(() => {
  server.questions.length = 0;
});

afterAll(() => server.stop());

test("addresses, with a search domain and without", async () => {
  // A machine without IPv4 takes the other family.
  const expected = [["192.0.2.1", "192.0.2.2"], ["2001:db8::1"]];
  expect(expected).toContainEqual([...(await names.resolve("db"))].sort());
  expect(server.asked("db.one.example")).toBe(1);
  expect(expected).toContainEqual([...(await names.resolve("db.one.example."))].sort());
  expect(await names.resolve("six")).toEqual(["2001:db8::6"]);
  expect(await names.resolve("192.0.2.77")).toEqual(["192.0.2.77"]);
});

test("a name that is not there", async () => {
  await expect(names.resolve("none.example")).rejects.toMatchObject({ code: "ENOTFOUND" });
  expect(server.asked("none.example")).toBe(1);
  expect(server.asked("none.example.one.example")).toBe(1);
});

test("the system's hosts file is honoured", async () => {
  expect(await names.resolve("localhost")).toEqual(["127.0.0.1"]);
  expect(server.questions).toEqual([]);
});

test("what was answered once is asked for again: the cache above decides how long answers count", async () => {
  server.names.set("moved.one.example", { v4: ["192.0.2.8"] });
  expect(await names.resolve("moved")).toEqual(["192.0.2.8"]);
  server.names.set("moved.one.example", { v4: ["192.0.2.9"] });
  expect(await names.resolve("moved")).toEqual(["192.0.2.9"]);
});

test("the serial of a zone", async () => {
  expect(await names.zoneSerial("one.example")).toBe(4_000_000_000);
  await expect(names.zoneSerial("two.example")).rejects.toMatchObject({ code: "ENOTFOUND" });
});

test("a name that is never answered ends with a time-out and delays no other", async () => {
  let over = false;
  const dead = names.resolve("dead").then(
    () => "found",
    (error: { code: string }) => {
      over = true;
      return error.code;
    },
  );
  expect(await names.resolve("six")).toEqual(["2001:db8::6"]);
  expect(over).toBe(false);
  expect(await dead).toBe("ETIMEOUT");
});
