/** Rows of SHOW FDS: PgBouncer's, and those of our kind. */
import { describe, expect, test } from "vitest";
import { readHandedSocket } from "../../../src/cli/handed-socket.ts";
import type { ClientForm, ServerForm } from "../../../src/session/session-form.ts";

const row = (...values: readonly (string | null)[]): (Uint8Array | null)[] =>
  values.map((value) => (value === null ? null : Buffer.from(value)));

const server: ServerForm = {
  kind: "server",
  keyProcessId: 4711,
  keySecret: "00000001",
  parameters: [["DateStyle", "ISO, MDY"]],
  statements: [[3, "select 'ü'\0\0\0"]],
  host: "db.example",
  status: 0x54,
  pipeline: {
    steps: [7],
    open: false,
    skipping: false,
    copyIn: false,
    copyEndSent: false,
    syncsInCopy: 0,
    lateReadies: 0,
    ownReadyFirst: false,
    undecided: false,
  },
  ageMs: 10,
  quietMs: 1,
  closeNeeded: false,
  origin: "[]",
  welcome: [["server_version", "18.1"]],
};

const client: ClientForm = {
  kind: "client",
  keyProcessId: 1,
  keySecret: "ffffffff",
  parameters: [],
  statements: [["mine", 3, "select 1\0\0\0"]],
  replication: "",
  unread: "UQ==",
};

// As a PgBouncer 1.25.2 has sent it, in its 15 columns.
const pgbouncerServer = row(
  "11",
  "server",
  "ann",
  "shop",
  "127.0.0.1",
  "5432",
  "17592186044417000001",
  "9",
  "UTF8",
  "on",
  "ISO, MDY",
  "Europe/Berlin",
  null,
  `\\x${"01".repeat(32)}`,
  `\\x${"02".repeat(32)}`,
);

describe("a row of PgBouncer", () => {
  test("a server: nobody knows what it was asked", () => {
    const socket = readHandedSocket(pgbouncerServer, 30)!;
    expect(socket).toMatchObject({
      task: "server",
      fd: 30,
      oldFd: 11,
      link: 9,
      user: "ann",
      database: "shop",
      address: "127.0.0.1",
      port: 5432,
      secret: null,
      tellsAll: false,
    });
    expect(socket.scramClientKey).toEqual(Buffer.alloc(32, 1));
    expect(socket.scramServerKey).toEqual(Buffer.alloc(32, 2));
    expect(socket.form).toMatchObject({
      kind: "server",
      // The whole 64 bits, the highest too.
      keyProcessId: Number(17592186044417000001n >> 32n),
      keySecret: (17592186044417000001n & 0xffffffffn).toString(16).padStart(8, "0"),
      parameters: [
        ["client_encoding", "UTF8"],
        ["standard_conforming_strings", "on"],
        ["DateStyle", "ISO, MDY"],
        ["TimeZone", "Europe/Berlin"],
      ],
      status: null,
      pipeline: null,
      welcome: null,
    });
  });

  test("a client with a password that no file tells, a listener, and a key below zero", () => {
    const values = row(
      "5",
      "client",
      "ann",
      "shop",
      "unix",
      "6432",
      "-1",
      "0",
      null,
      null,
      null,
      null,
      "secret",
      null,
      null,
    );
    const socket = readHandedSocket(values, 8)!;
    expect(socket.secret?.reveal()).toBe("secret");
    expect(JSON.stringify(socket)).not.toContain('secret":"secret');
    expect(socket.form).toMatchObject({ kind: "client", keyProcessId: 0xffffffff, keySecret: "ffffffff", unread: "" });
    const listener = readHandedSocket(row("7", "pooler", null, null, "::", "6432", "0", "0"), 9);
    expect(listener).toMatchObject({ task: "pooler", address: "::", port: 6432, form: null });
  });

  test.each([
    ["another task", row("7", "peer", null, null, "unix", "1", "0", "0")],
    ["no address", row("7", "client", "a", "b", null, "1", "0", "0")],
    ["nothing", row()],
  ])("%s is no row", (_what, values) => {
    expect(readHandedSocket(values, 3)).toBeNull();
  });
});

describe("a row of our kind", () => {
  const withSession = (task: string, session: string): (Uint8Array | null)[] => [
    ...row("5", task, "ann", "shop", "unix", "6432", "4294967297", "0", "UTF8", null, null, null, null, null, null),
    Buffer.from(session),
  ];

  test.each([
    ["client", client],
    ["server", server],
  ])("a %s is as it was written down", (task, form) => {
    const socket = readHandedSocket(withSession(task, JSON.stringify(form)), 3);
    expect(socket).toMatchObject({ tellsAll: true, form });
  });

  test("a client that has said nothing", () => {
    const socket = readHandedSocket(withSession("client", JSON.stringify({ kind: "fresh" })), 3);
    expect(socket).toMatchObject({ tellsAll: true, form: { kind: "fresh" } });
  });

  test.each([
    ["no JSON", "{"],
    ["no object", "null"],
    ["the other kind", JSON.stringify(server)],
    ["no key", JSON.stringify({ ...client, keySecret: 1 })],
    ["parameters that are none", JSON.stringify({ ...client, parameters: [["a"]] })],
    ["another version", JSON.stringify({ ...client, unread: undefined })],
  ])("%s: the other columns count", (_what, session) => {
    const socket = readHandedSocket(withSession("client", session), 3);
    expect(socket).toMatchObject({
      tellsAll: false,
      form: { kind: "client", keyProcessId: 1, keySecret: "00000001", parameters: [["client_encoding", "UTF8"]] },
    });
  });

  test("a pipeline that is none", () => {
    const session = JSON.stringify({ ...server, pipeline: { ...server.pipeline, steps: ["x"] } });
    expect(readHandedSocket(withSession("server", session), 3)).toMatchObject({
      tellsAll: false,
      form: { pipeline: null },
    });
  });
});
