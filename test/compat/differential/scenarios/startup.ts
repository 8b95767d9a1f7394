/** The first packets of a connection: what is asked before the startup packet, its parameters, what is malformed. */
import { int32, message, query, startupMessage } from "../../../support/wire-client.ts";
import { type Scenario, type ScenarioGroup, spyPassword, type Stage } from "../stage.ts";

const sslRequest = Buffer.concat([int32(8), int32(80877103)]);
const gssRequest = Buffer.concat([int32(8), int32(80877104)]);
const user = { user: "app", database: "p" };

/** A packet without a type: length and body. */
function bare(...body: (string | Uint8Array)[]): Buffer {
  const bytes = Buffer.concat(body.map((part) => (typeof part === "string" ? Buffer.from(part, "latin1") : part)));
  return Buffer.concat([int32(bytes.length + 4), bytes]);
}

const v3 = int32(3 << 16);

/** What a connection may begin with. */
const firstPackets: readonly (readonly [title: string, bytes: Uint8Array])[] = [
  ["nothing that is the protocol", Buffer.from("GET / HTTP/1.1\r\n\r\n")],
  ["a TLS handshake", Buffer.from("16030100c8010000c403030000000000", "hex")],
  ["a length of 0", Buffer.concat([int32(0), v3])],
  ["a length of 4", int32(4)],
  ["a length of 7", Buffer.concat([int32(7), Buffer.alloc(3)])],
  ["a negative length", Buffer.concat([int32(-1), v3])],
  ["a length of 64 KiB", Buffer.concat([int32(65536), v3, Buffer.alloc(4096)])],
  ["a length of 1 GiB", Buffer.concat([int32(1 << 30), v3, Buffer.alloc(64)])],
  ["a query", query("select 1")],
  ["a password", message("p", "x")],
  ["protocol 2", startupMessage(user, 2 << 16)],
  ["protocol 1", startupMessage(user, 1 << 16)],
  ["protocol 4", startupMessage(user, 4 << 16)],
  ["protocol 3.1", startupMessage(user, (3 << 16) + 1)],
  ["protocol 3.2", startupMessage(user, (3 << 16) + 2)],
  ["protocol 3.9999", startupMessage(user, (3 << 16) + 9999)],
  ["a protocol option", startupMessage({ ...user, "_pq_.x": "1", "_pq_.y": "" })],
  ["a protocol option and 3.2", startupMessage({ ...user, "_pq_.x": "1" }, (3 << 16) + 2)],
  ["no parameters", startupMessage({})],
  ["no user", startupMessage({ database: "p" })],
  ["an empty user", startupMessage({ user: "", database: "p" })],
  ["a user of 127 bytes", startupMessage({ user: "u".repeat(127), database: "p" })],
  ["a user of 128 bytes", startupMessage({ user: "u".repeat(128), database: "p" })],
  ["a user of 300 bytes", startupMessage({ user: "u".repeat(300), database: "p" })],
  ["a database of 63 bytes", startupMessage({ user: "app", database: "d".repeat(63) })],
  ["a database of 64 bytes", startupMessage({ user: "app", database: "d".repeat(64) })],
  ["a database of 300 bytes", startupMessage({ user: "app", database: "d".repeat(300) })],
  ["an empty database", startupMessage({ user: "app", database: "" })],
  ["no database", startupMessage({ user: "app" })],
  ["the user twice", bare(v3, "user\0other\0user\0app\0database\0p\0\0")],
  ["USER in capitals", startupMessage({ USER: "app", database: "p" })],
  ["no end", bare(v3, "user\0app\0database\0p\0")],
  ["more behind the end", bare(v3, "user\0app\0database\0p\0\0x")],
  ["a name without a value", bare(v3, "user\0app\0database\0")],
  ["a value without its zero byte", bare(v3, "user\0app\0database\0p")],
  ["an unknown parameter", startupMessage({ ...user, geqo: "off" })],
  ["an ignored parameter", startupMessage({ ...user, extra_float_digits: "3" })],
  ["an ignored parameter in capitals", startupMessage({ ...user, Extra_Float_Digits: "3" })],
  ["tracked parameters", startupMessage({ ...user, DateStyle: "German", client_encoding: "LATIN1", timezone: "CET" })],
  ["a tracked parameter in other letters", startupMessage({ ...user, DATESTYLE: "ISO, DMY", TIMEZONE: "UTC" })],
  ["an extra tracked parameter", startupMessage({ ...user, intervalstyle: "iso_8601" })],
  ["an empty parameter", startupMessage({ ...user, application_name: "" })],
  ["a long parameter", startupMessage({ ...user, application_name: "n".repeat(500) })],
  ["replication=false", startupMessage({ ...user, replication: "false" })],
  ["replication=nonsense", startupMessage({ ...user, replication: "nonsense" })],
  ["options", startupMessage({ ...user, options: "-c DateStyle=German -cTimeZone=CET" })],
  ["options with dashes", startupMessage({ ...user, options: "--DateStyle=German --application-name=x" })],
  ["options with escapes", startupMessage({ ...user, options: "-c DateStyle=ISO,\\ DMY -c application_name=a\\\\b" })],
  ["options that are unknown", startupMessage({ ...user, options: "-c geqo=off" })],
  ["options that are ignored", startupMessage({ ...user, options: "-c extra_float_digits=3" })],
  ["options of another kind", startupMessage({ ...user, options: "-d 5" })],
  ["options with a space at the end", startupMessage({ ...user, options: "-c DateStyle=German " })],
  ["options without a value", startupMessage({ ...user, options: "-c DateStyle" })],
  ["options that end early", startupMessage({ ...user, options: "-c" })],
  ["empty options", startupMessage({ ...user, options: "" })],
  ["a parameter and options", startupMessage({ ...user, DateStyle: "SQL", options: "-c DateStyle=German" })],
  ["an unknown database", startupMessage({ user: "app", database: "nosuch" })],
  ["an unknown user", startupMessage({ user: "nosuch", database: "p" })],
  ["an unknown user and database", startupMessage({ user: "nosuch", database: "nosuch" })],
  ["a startup packet and a query in one write", Buffer.concat([startupMessage(user), query("select 1")])],
];

async function first(stage: Stage, title: string, bytes: Uint8Array): Promise<void> {
  await stage.open(title);
  await stage.ask(title, "answer", [bytes]);
}

const scenarios: readonly Scenario[] = [
  // The welcome of the pool is known from here on.
  { name: "the first login", play: (stage) => stage.login("app", user) },
  ...firstPackets.map(([title, bytes]) => ({
    name: title,
    play: async (stage: Stage) => {
      // Cut short on purpose: the pooler waits for the rest, as it should.
      if (/length of (?:64 KiB|7)/.test(title)) {
        await stage.open(title);
        stage.tell(title, bytes);
        return;
      }
      await first(stage, title, bytes);
      if (title.endsWith("in one write")) await stage.hear(title, "the query's answer");
    },
  })),
  {
    name: "requests before the startup packet",
    play: async (stage) => {
      await stage.open("tls");
      await stage.askRaw("tls", "SSLRequest", sslRequest, 1);
      await stage.ask("tls", "startup packet", [startupMessage(user)]);
      await stage.open("gss");
      await stage.askRaw("gss", "GSSENCRequest", gssRequest, 1);
      await stage.askRaw("gss", "SSLRequest", sslRequest, 1);
      await stage.ask("gss", "startup packet", [startupMessage(user)]);
      await stage.open("twice");
      await stage.askRaw("twice", "SSLRequest", sslRequest, 1);
      await stage.askRaw("twice", "SSLRequest again", sslRequest, 1);
      await stage.ask("twice", "startup packet", [startupMessage(user)]);
      await stage.open("unix", { unix: true });
      await stage.askRaw("unix", "SSLRequest", sslRequest, 1);
      await stage.ask("unix", "startup packet", [startupMessage(user)]);
    },
  },
  {
    name: "bytes behind a request",
    play: async (stage) => {
      await stage.open("tls");
      await stage.ask("tls", "SSLRequest and startup", [Buffer.concat([sslRequest, startupMessage(user)])]);
      await stage.open("gss");
      await stage.ask("gss", "GSSENCRequest and startup", [Buffer.concat([gssRequest, startupMessage(user)])]);
    },
  },
  {
    name: "a second startup packet",
    play: async (stage) => {
      await stage.login("app", user);
      await stage.ask("app", "startup packet", [startupMessage(user)]);
    },
  },
  {
    name: "cancel requests of no meaning",
    play: async (stage) => {
      const cancel = Buffer.concat([int32(16), int32(80877102), Buffer.alloc(8, 1)]);
      await stage.open("zero");
      await stage.ask("zero", "an unknown key", [cancel]);
      await stage.open("short");
      await stage.ask("short", "too short", [Buffer.concat([int32(12), int32(80877102), int32(1)])]);
      await stage.open("long");
      await stage.ask("long", "too long", [Buffer.concat([int32(20), int32(80877102), Buffer.alloc(12, 1)])]);
    },
  },
];

export const startupGroups: readonly ScenarioGroup[] = [
  {
    name: "startup",
    options: ({ server }) => ({
      databases: { p: `${server} dbname=postgres` },
      userlist: { app: "", other: "", spy: spyPassword },
      settings: {
        pool_mode: "transaction",
        stats_users: "spy",
        ignore_startup_parameters: "extra_float_digits",
        log_disconnections: 1,
      },
    }),
    scenarios,
  },
];
