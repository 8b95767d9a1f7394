/**
 * What strangers send to the engine, in every phase of a conversation and from both sides. One input is one attack on a
 * pooler of its own, in the simulated world; the laws are in `stage.ts`.
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readTrace } from "../unit/pipeline/trace-file.ts";
import {
  bind,
  closeStatement,
  describePortal,
  describeStatement,
  execute,
  flush,
  int16,
  int32,
  message,
  parse,
  query,
  startupMessage,
  sync,
  terminate,
} from "../support/wire-client.ts";
import { serverWelcome, type Moment } from "./actors.ts";
import { bytesOf } from "./fuzz-target.ts";
import type { FuzzTarget } from "./fuzz-target.ts";
import { Stage } from "./stage.ts";

const RUNS = 30;
/** What a stranger is sent before it has proved anything, beside echoes of its own bytes. */
const STRANGER_BYTES_MAX = 4096;

const sslRequest = Buffer.concat([int32(8), int32(80877103)]);
const gssRequest = Buffer.concat([int32(8), int32(80877104)]);
const cancelRequest = Buffer.concat([int32(16), int32(80877102), int32(4_200_000), int32(99)]);
const hello = (database: string, more: Record<string, string> = {}, user = "attacker"): Buffer =>
  startupMessage({ user, database, ...more });
const sasl = (text: string): Buffer => message("p", "SCRAM-SHA-256", int32(Buffer.byteLength(text)), Buffer.from(text));

/** The same input always meets the same luck. */
function seedOf(input: Uint8Array): number {
  return createHash("sha256").update(input).digest().readUInt32BE(0);
}

interface Traces {
  readonly sent: readonly Uint8Array[];
  readonly received: readonly Uint8Array[];
}

/** Conversations recorded with PostgreSQL. */
function traces(): Traces {
  const folder = fileURLToPath(new URL("../unit/pipeline/traces", import.meta.url));
  const all = readdirSync(folder).map((name) => readTrace(readFileSync(join(folder, name), "utf8")));
  const side = (sent: boolean): Uint8Array[] =>
    all.map(
      (lines) => new Uint8Array(Buffer.concat(lines.filter((line) => line.sent === sent).map(({ bytes }) => bytes))),
    );
  return { sent: side(true), received: side(false) };
}

const frontendWords = [
  ...["Q", "P", "B", "D", "E", "C", "S", "H", "X", "d", "c", "f", "F", "p"].map((type) => message(type)),
  query("begin"),
  query("select 1"),
  parse("mine", "attacker's"),
  bind("", "mine"),
  bind("", "PGBOUNCER_1"),
  describeStatement("mine"),
  describePortal(""),
  closeStatement("mine"),
  execute("", 1),
  sync(),
  flush(),
  terminate(),
  query("deallocate all"),
  query("discard all"),
  Buffer.alloc(4),
];

const backendWords = [
  ...[
    "1",
    "2",
    "3",
    "n",
    "s",
    "I",
    "Z",
    "C",
    "D",
    "T",
    "t",
    "G",
    "H",
    "W",
    "d",
    "c",
    "E",
    "N",
    "A",
    "S",
    "R",
    "K",
    "v",
    "V",
  ].map((type) => message(type)),
  message("Z", Buffer.from("I")),
  message("Z", Buffer.from("T")),
  message("Z", Buffer.from("E")),
  message("E", Buffer.from("SFATAL\0C57P01\0Mgo\0\0")),
  message("S", "client_encoding", "UTF8"),
  message("S", "search_path", "'; drop table x; --"),
  message("K", int32(1), int32(2)),
  message("R", int32(0)),
];

interface ClientAttack {
  readonly name: string;
  readonly settings?: string;
  /** Sent before the input. */
  readonly before: readonly Uint8Array[];
  readonly seeds: readonly Uint8Array[];
  readonly words: readonly Uint8Array[];
  /** Nothing was proved before the input: what comes back is bounded. */
  readonly isStranger?: boolean;
}

function fromClient(attack: ClientAttack): FuzzTarget {
  return {
    name: attack.name,
    seeds: attack.seeds,
    words: attack.words,
    runs: RUNS,
    run: async (input) => {
      const stage = await Stage.open({ seed: seedOf(input) });
      try {
        await stage.seat();
        if (attack.settings !== undefined) applySettings(stage, attack.settings);
        stage.attack(...attack.before, input);
        await stage.work(4);
        await stage.pass(500);
        if (attack.isStranger === true) checkBound(stage, input);
        await stage.leave();
        stage.check();
      } finally {
        stage.close();
      }
    },
  };
}

/** From here on other logins are judged otherwise; the witnesses are in already. */
function applySettings(stage: Stage, settings: string): void {
  Object.assign(stage.pooler.settings, { authType: settings });
}

function checkBound(stage: Stage, input: Uint8Array): void {
  const { length } = stage.attacker.received;
  if (length > STRANGER_BYTES_MAX + 2 * input.length)
    throw new Error(`a stranger got ${length} bytes for ${input.length}`);
}

function fromServer(name: string, moment: Moment, seeds: readonly Uint8Array[]): FuzzTarget {
  return {
    name,
    seeds,
    words: backendWords,
    runs: RUNS,
    run: async (input) => {
      const stage = await Stage.open({ seed: seedOf(input), hostile: { moment, bytes: input } });
      try {
        await stage.seat();
        if (moment === "ssl") {
          Object.assign(stage.pooler.settings, { serverTlsSslmode: "prefer" });
          stage.pooler.refresh(["server_tls_sslmode"]);
        }
        // Somebody who uses the hostile server, and whoever comes after.
        stage.attack(hello("hostile"), query("first"), parse("a", "second"), bind("", "a"), execute(""), sync());
        await stage.work(4);
        await stage.pass(7000);
        await stage.leave();
        stage.check();
      } finally {
        stage.close();
      }
    },
  };
}

export function engineTargets(): FuzzTarget[] {
  const { sent, received } = traces();
  const challenge = (text: string): Buffer => message("R", int32(11), Buffer.from(text));
  const row = Buffer.concat([
    message("T", int16(1), "n", int32(0), int16(0), int32(25), int16(-1), int32(-1), int16(0)),
    message("D", int16(1), int32(2), Buffer.from("42")),
    message("C", "SELECT 1"),
    message("Z", Buffer.from("I")),
  ]);
  const stranger = { words: [sslRequest, gssRequest, cancelRequest, ...frontendWords.slice(0, 16)], isStranger: true };
  return [
    fromClient({
      name: "client-startup",
      settings: "scram-sha-256",
      before: [],
      seeds: [
        hello("shared"),
        hello("shared", { options: "-c search_path=a --TimeZone=UTC", application_name: "x", client_encoding: "UTF8" }),
        Buffer.concat([gssRequest, hello("nowhere", { replication: "database" })]),
        Buffer.concat([sslRequest]),
        cancelRequest,
        startupMessage({ user: "attacker", database: "shared", "_pq_.x": "1" }, 0x30002),
        message("p", "secret"),
        bytesOf("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
        Buffer.from("16030102000100", "hex"),
      ],
      ...stranger,
    }),
    fromClient({
      name: "client-scram",
      settings: "scram-sha-256",
      before: [hello("shared")],
      seeds: [
        sasl("n,,n=,r=abcdefghijklmnopqrstuvwx"),
        Buffer.concat([
          sasl("y,,n=attacker,r=abcdefghijklmnopqrstuvwx"),
          message("p", Buffer.from(`c=eSws,r=abcdefghijklmnopqrstuvwxyz,p=${Buffer.alloc(32).toString("base64")}`)),
        ]),
        Buffer.concat([message("p", "SCRAM-SHA-256-PLUS", int32(-1)), message("p", "x")]),
      ],
      ...stranger,
      words: [
        bytesOf("n,,"),
        bytesOf("r="),
        bytesOf("c=biws"),
        bytesOf("p="),
        bytesOf(","),
        bytesOf("m=x,"),
        message("p"),
      ],
    }),
    ...["md5", "plain"].map((method) =>
      fromClient({
        name: `client-${method}`,
        settings: method,
        before: [hello("shared")],
        seeds: [message("p", "guess"), message("p", `md5${"0".repeat(32)}`), message("p", "x".repeat(2000))],
        ...stranger,
      }),
    ),
    fromClient({ name: "client-session", before: [hello("shared")], seeds: sent, words: frontendWords }),
    fromClient({
      name: "client-replication",
      before: [hello("shared", { replication: "database" })],
      seeds: [query("IDENTIFY_SYSTEM"), message("d", Buffer.from("r")), ...sent.slice(0, 5)],
      words: frontendWords,
    }),
    fromClient({
      name: "console-watcher",
      before: [hello("pgbouncer", {}, "watcher")],
      seeds: [
        query("SHOW CLIENTS"),
        query("SHOW CONFIG"),
        query("SHOW FDS"),
        query("KILL_CLIENT 1"),
        Buffer.concat([
          parse("s", "SHOW DATABASES"),
          bind("", "s"),
          describePortal(""),
          execute("", 1),
          execute(""),
          sync(),
        ]),
        Buffer.concat(["USERS", "POOLS", "SERVERS", "LISTS", "MEM", "STATS"].map((what) => query(`SHOW ${what}`))),
      ],
      words: frontendWords,
    }),
    fromServer("server-ssl-answer", "ssl", [
      bytesOf("S"),
      bytesOf("N"),
      bytesOf("E"),
      Buffer.concat([bytesOf("N"), serverWelcome]),
    ]),
    fromServer("server-login", "startup", [
      serverWelcome,
      message("R", int32(3)),
      message("R", int32(5), int32(1)),
      Buffer.concat([message("R", int32(10), "SCRAM-SHA-256", Buffer.from([0])), serverWelcome]),
      message("E", Buffer.from("SFATAL\0VFATAL\0C28P01\0Mno\0\0")),
      Buffer.concat([
        message("N", Buffer.from("SNOTICE\0Mx\0\0")),
        message("v", int32(0x30000), int32(0)),
        serverWelcome,
      ]),
    ]),
    fromServer("server-scram", "password", [
      challenge("r=abcdefghijklmnopqrstuvwx,s=AAAAAAAAAAAAAAAAAAAAAA==,i=4096"),
      Buffer.concat([challenge("e=other-error"), message("R", int32(12), Buffer.from("v=AAAA")), serverWelcome]),
    ]),
    fromServer("server-relay", "query", [row, ...received]),
  ];
}
