/**
 * A pooler without sockets, and clients of its console: the real pooler, session and console, in a world in which
 * nothing is connected and time stands until the test moves it.
 */
import { createConsole } from "../../../src/admin/admin-console.ts";
import { loadConfiguration } from "../../../src/config/load.ts";
import { Logger } from "../../../src/log/logger.ts";
import type { Connection } from "../../../src/net/transport.ts";
import type { World } from "../../../src/net/world.ts";
import { ConsoleLevel } from "../../../src/pooler/console-level.ts";
import { Pooler } from "../../../src/pooler/pooler.ts";
import { Client } from "../../../src/session/client.ts";
import type { Console } from "../../../src/session/console.ts";
import { type WireMessage, columns, errorFields, query } from "../../support/wire-client.ts";
import { TestCrypto } from "../auth/test-crypto.ts";

export const HARNESS_INI = `
[databases]
shop = host=127.0.0.1 port=5433 dbname=shop_db pool_size=7 reserve_pool=2
many = host=a.example,b.example user=forced
local =
[users]
limited = pool_size=3 reserve_pool_size=1 pool_mode=session max_user_connections=4
plain =
[peers]
2 = host=127.0.0.2 port=6433 pool_size=5
1 = host=127.0.0.1
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = 6432
unix_socket_dir =
pool_mode = transaction
auth_type = trust
min_pool_size = 0
`;

/** One result of the console, as a client sees it. */
export interface Result {
  readonly columns: readonly { readonly name: string; readonly oid: number; readonly format: number }[] | null;
  readonly rows: readonly (string | null)[][];
  readonly tag: string | null;
  readonly error: Record<string, string> | null;
  readonly notices: readonly Record<string, string>[];
  /** Types of all messages, in order. */
  readonly types: string;
}

export class ConsoleHarness {
  readonly pooler: Pooler;
  readonly logged: string[] = [];
  exited = false;
  ini: string;
  #now = 1000;
  #tasks: (() => void)[] = [];

  constructor(ini: string = HARNESS_INI) {
    this.ini = ini;
    const loaded = loadConfiguration("test.ini", () => this.ini);
    if (!loaded.ok) throw new Error(loaded.errors.map(({ message }) => message).join("\n"));
    const log = new Logger({
      pid: 1,
      wallTime: () => 0,
      sinks: [{ write: (_line, level, message) => this.logged.push(`${level} ${message}`) }],
    });
    this.pooler = new Pooler({
      world: this.#world(),
      configuration: loaded.configuration,
      log,
      readFile: () => Buffer.from(this.ini),
      console: createConsole,
      onExit: () => {
        this.exited = true;
      },
    });
    const problem = this.pooler.prepare();
    if (problem !== null) throw new Error(problem);
  }

  /** A client that has logged in to the console. */
  connect(level: ConsoleLevel = ConsoleLevel.admin, userName = "tester"): ConsoleClient {
    return new ConsoleClient(this, createConsole(this.pooler, level), userName);
  }

  /** Ends the turn of the event loop: whatever was written leaves. */
  turn(): void {
    while (this.#tasks.length > 0) {
      const tasks = this.#tasks;
      this.#tasks = [];
      for (const task of tasks) task();
    }
  }

  /** Lets time pass. */
  pass(ms: number): void {
    this.turn();
    this.#now += ms;
  }

  #world(): World {
    return {
      runtime: "simulated",
      transport: {
        listen: () => Promise.reject(new Error("nobody listens here")),
        connect: () => inertConnection(() => {}),
      },
      clock: {
        now: () => this.#now,
        wallTime: () => 1_700_000_000_000 + this.#now,
        after: () => ({ cancel: () => {} }),
      },
      crypto: new TestCrypto(),
      afterTurn: (task) => this.#tasks.push(task),
      resolve: () => new Promise(() => {}),
      zoneSerial: () => new Promise(() => {}),
      nameServers: () => ({ resolve: () => new Promise(() => {}), zoneSerial: () => new Promise(() => {}) }),
      peerCredentials: () => null,
      setSocketOptions: () => [],
    };
  }
}

export class ConsoleClient {
  readonly client: Client;
  readonly harness: ConsoleHarness;
  #received: Buffer = Buffer.alloc(0);
  ended = false;

  constructor(harness: ConsoleHarness, console: Console, userName: string) {
    this.harness = harness;
    const connection = inertConnection((bytes) => {
      this.#received = Buffer.concat([this.#received, bytes]);
    });
    connection.end = () => {
      this.ended = true;
    };
    this.client = new Client(harness.pooler.engine, connection, false, 6432);
    this.client.userName = userName;
    this.client.databaseName = "pgbouncer";
    harness.pooler.residents.clients.add(this.client);
    this.client.enterConsole(console);
    harness.turn();
  }

  /** All messages since the last call. */
  take(): WireMessage[] {
    this.harness.turn();
    const messages: WireMessage[] = [];
    let at = 0;
    while (at + 5 <= this.#received.length) {
      const length = this.#received.readInt32BE(at + 1);
      const type = String.fromCharCode(this.#received[at] ?? 0);
      messages.push({ type, body: this.#received.subarray(at + 5, at + length + 1) });
      at += length + 1;
    }
    this.#received = this.#received.subarray(at);
    return messages;
  }

  send(...messages: Uint8Array[]): void {
    this.client.onData(Buffer.concat(messages));
    this.harness.turn();
  }

  /** Sends and reads what comes back at once. */
  exchange(...messages: Uint8Array[]): Result {
    this.take();
    this.send(...messages);
    return resultOf(this.take());
  }

  run(text: string): Result {
    return this.exchange(query(text));
  }
}

export function resultOf(messages: readonly WireMessage[]): Result {
  const of = (type: string): WireMessage[] => messages.filter((message) => message.type === type);
  const description = of("T")[0];
  return {
    columns: description === undefined ? null : describedColumns(description.body),
    rows: of("D").map(({ body }) => columns(body)),
    tag: of("C")[0]?.body.toString("utf8").slice(0, -1) ?? null,
    error: of("E").map(({ body }) => errorFields(body))[0] ?? null,
    notices: of("N").map(({ body }) => errorFields(body)),
    types: messages.map(({ type }) => type).join(""),
  };
}

function describedColumns(body: Buffer): { name: string; oid: number; format: number }[] {
  const found: { name: string; oid: number; format: number }[] = [];
  let at = 2;
  for (let left = body.readInt16BE(0); left > 0; left -= 1) {
    const nul = body.indexOf(0, at);
    found.push({
      name: body.toString("utf8", at, nul),
      oid: body.readInt32BE(nul + 7),
      format: body.readInt16BE(nul + 17),
    });
    at = nul + 19;
  }
  return found;
}

function inertConnection(written: (bytes: Uint8Array) => void): Connection {
  return {
    fd: -1,
    remote: { address: "127.0.0.1", port: 5555 },
    local: { address: "127.0.0.1", port: 6432 },
    write: (bytes, start, end) => {
      written(Buffer.from(bytes.subarray(start, end)));
      return 0;
    },
    pause: () => {},
    resume: () => {},
    startTls: () => {},
    end: () => {},
    destroy: () => {},
  };
}
