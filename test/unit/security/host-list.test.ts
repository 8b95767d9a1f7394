/** PgBouncer before 1.18.0 kept host lists in a buffer that could overflow, and then connected to the Unix socket. */
import { expect, test } from "vitest";
import { loadConfiguration } from "../../../src/config/load.ts";
import { serverAddresses } from "../../../src/config/server-address.ts";

test.each([2, 100, 5000])("a list of %i hosts is all of them", (count) => {
  const hosts = Array.from({ length: count }, (_, n) => `host-${n}.with-a-rather-long-name.example`);
  const loaded = loadConfiguration("x", () => `[databases]\nshop = host=${hosts.join(",")} port=6\n[pgbouncer]\n`);
  if (!loaded.ok) throw new Error(loaded.errors.map(({ message }) => message).join("\n"));
  const entry = loaded.configuration.databases.get("shop")!;
  expect(serverAddresses(entry, "/tmp")).toEqual(hosts.map((host) => ({ kind: "tcp", host, port: 6 })));
});
