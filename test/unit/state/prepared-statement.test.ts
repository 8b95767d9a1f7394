/** Statements shared between clients and servers: uses are counted exactly, and nothing is left when all is closed. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import * as frontend from "../../../src/protocol/frontend-messages.ts";
import {
  ClientStatements,
  latin1,
  type PreparedStatement,
  ServerStatements,
  StatementStore,
} from "../../../src/state/prepared-statement.ts";
import { parse } from "../../support/wire-client.ts";

/** Type, length, the unnamed portal, PGBOUNCER_1 and their zero bytes. */
const HEAD_BYTES = 5 + 1 + 12;

/** What stands behind the name in a Parse. */
function body(sql: string, types: readonly number[] = []): Uint8Array {
  return Uint8Array.from(parse("", sql, types).subarray(6));
}

/** A name as it stands somewhere in memory. */
function named(name: string): Uint8Array {
  return Buffer.from(`..\0${name}\0..`, "latin1");
}

describe("the store", () => {
  test("the same text and types are one statement with one name, kept as long as somebody uses it", () => {
    const store = new StatementStore();
    const one = store.take(body("select 1"), "");
    const two = store.take(body("select 1"), "");
    const other = store.take(body("select 1", [23]), "");
    expect(two).toBe(one);
    expect(other).not.toBe(one);
    expect([one.serverName, other.serverName]).toEqual(["PGBOUNCER_1", "PGBOUNCER_2"]);
    expect(store.size).toBe(2);
    store.giveBack(one);
    expect(store.size).toBe(2);
    store.giveBack(one);
    store.giveBack(other);
    expect(store.size).toBe(0);
    // A name is never used again: a server may still have the old statement under it.
    expect(store.take(body("select 1"), "").serverName).toBe("PGBOUNCER_3");
  });

  test("under other settings the same text is another statement", () => {
    const store = new StatementStore();
    const one = store.take(body("select 1"), "ISO, MDY");
    const two = store.take(body("select 1"), "ISO, DMY");
    expect(two).not.toBe(one);
    expect([two.settings, latin1(two.body, 0, two.body.length)]).toEqual(["ISO, DMY", "select 1\0\0\0"]);
    expect(store.restore(7, two.key)).toMatchObject({ settings: "ISO, DMY", body: two.body });
  });

  test("its Parse carries the server's name, and text and types as the client sent them", () => {
    const sql = "select $1 -- \u00e9";
    const statement = new StatementStore().take(body(sql, [23, 0]), "");
    expect(Buffer.from(statement.parse).equals(parse("PGBOUNCER_1", sql, [23, 0]))).toBe(true);
    expect(latin1(statement.serverNameBytes, 0, statement.serverNameBytes.length)).toBe("PGBOUNCER_1");
  });

  test("a Bind of it begins as one that was made for it, whatever came before", () => {
    const statement = new StatementStore().take(body("select $1"), "");
    const values = fc.array(fc.string({ maxLength: 20 }), { maxLength: 3 });
    fc.assert(
      fc.property(fc.array(values, { minLength: 1, maxLength: 6 }), (binds) => {
        const kept = binds.map((parameters) => {
          const wanted = frontend.bind("", statement.serverName, parameters);
          const head = statement.bindHead(wanted.length - HEAD_BYTES);
          return { head, wanted: wanted.subarray(0, HEAD_BYTES) };
        });
        // None was written to when another was asked for.
        for (const { head, wanted } of kept) expect(Buffer.from(head).equals(wanted)).toBe(true);
      }),
    );
  });

  test("a statement taken back after its last use is found again, and not lost with another of its text", () => {
    const store = new StatementStore();
    const old = store.take(body("select 1"), "");
    store.giveBack(old);
    // What was forgotten is undone: the name was closed, and PostgreSQL has skipped that.
    store.keep(old);
    expect(store.size).toBe(1);
    expect(store.take(body("select 1"), "")).toBe(old);
    store.giveBack(old);
    store.giveBack(old);
    expect(store.size).toBe(0);

    const young = store.take(body("select 1"), "");
    store.keep(old);
    expect(young).not.toBe(old);
    store.giveBack(old);
    expect(store.take(body("select 1"), "")).toBe(young);
  });
});

describe("a server", () => {
  test("the one unused for longest goes first", () => {
    const store = new StatementStore();
    const statements = new ServerStatements(store);
    const [a, b, c] = ["a", "b", "c"].map((sql) => store.take(body(sql), "")) as [
      PreparedStatement,
      PreparedStatement,
      PreparedStatement,
    ];
    for (const statement of [a, b, c]) statements.add(statement);
    expect(statements.use(a)).toBe(true);
    expect(statements.oldestBeyond(3)).toBe(null);
    expect(statements.oldestBeyond(2)).toBe(b);
    statements.delete(b);
    expect(statements.use(b)).toBe(false);
    expect(statements.oldestBeyond(1)).toBe(c);
    // What was closed and is there after all counts as used now.
    statements.add(b);
    expect(statements.oldestBeyond(2)).toBe(c);
  });
});

test("uses are as many as names and servers that have it, and nothing is left when all is closed", () => {
  const operation = fc.record({
    what: fc.constantFrom("prepare", "close", "add", "delete", "restore", "clearClient", "clearServer"),
    who: fc.nat(2),
    sql: fc.constantFrom("a", "b", "c"),
    name: fc.constantFrom("x", "y"),
  });
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 60 }), (operations) => {
      const store = new StatementStore();
      const clients = Array.from({ length: 3 }, () => new ClientStatements(store));
      const servers = Array.from({ length: 3 }, () => new ServerStatements(store));
      const made = new Set<PreparedStatement>();
      const forgotten: [server: number, statement: PreparedStatement][] = [];
      for (const { what, who, sql, name } of operations) {
        const client = clients[who] as ClientStatements;
        const server = servers[who] as ServerStatements;
        const statement = client.get(name);
        if (what === "prepare" && statement === undefined) {
          const taken = store.take(body(sql), "");
          made.add(taken);
          client.set(name, taken);
        } else if (what === "close" && statement !== undefined) {
          client.take(name);
          store.giveBack(statement);
        } else if (what === "add" && statement !== undefined) {
          server.add(statement);
        } else if (what === "delete" && statement !== undefined) {
          if (server.has(statement)) {
            server.delete(statement);
            forgotten.push([who, statement]);
          }
        } else if (what === "restore") {
          const last = forgotten.pop();
          if (last !== undefined) servers[last[0]]?.add(last[1]);
        } else if (what === "clearClient") client.clear();
        else if (what === "clearServer") server.clear();

        // The name of the operation first, and last again: what is remembered of the last question must not be what was true before.
        for (const key of [name, "x", "y", "xy", name]) {
          for (const one of clients) expect(one.find(named(key), 3, 3 + key.length)).toBe(one.get(key) ?? null);
        }
        let alive = 0;
        for (const each of made) {
          const names = clients.reduce((sum, one) => sum + ["x", "y"].filter((key) => one.get(key) === each).length, 0);
          const homes = servers.filter((one) => one.has(each)).length;
          expect(each.users).toBe(names + homes);
          if (each.users > 0) alive += 1;
        }
        expect(store.size).toBeLessThanOrEqual(alive);
      }
      for (const client of clients) client.clear();
      for (const server of servers) server.clear();
      expect(store.size).toBe(0);
      expect([...made].map(({ users }) => users)).toEqual([...made].map(() => 0));
    }),
  );
});

test("bytes of any value and number become characters of the same number", () => {
  const bytes = Uint8Array.from({ length: 10_000 }, (_, i) => i & 0xff);
  const text = latin1(bytes, 3, bytes.length);
  expect(text).toHaveLength(9_997);
  expect(Buffer.from(text, "latin1").equals(Buffer.from(bytes.subarray(3)))).toBe(true);
  expect(latin1(bytes, 5, 5)).toBe("");
  // A short one is made in another way.
  for (const [start, end] of [
    [0, 32],
    [120, 152],
    [230, 256],
  ] as const) {
    expect(Buffer.from(latin1(bytes, start, end), "latin1").equals(Buffer.from(bytes.subarray(start, end)))).toBe(true);
  }
});
