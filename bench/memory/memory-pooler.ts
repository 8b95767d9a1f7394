/**
 * A whole pooler in a `MemoryWorld`, with clients that are logged in and send the same unit again and again.
 *
 * For micro-benchmarks and for counts: everything between the sockets is the real thing, and nothing else is.
 */
import { loadConfiguration } from "../../src/config/load.ts";
import { MemorySink } from "../../src/log/log-sink.ts";
import { Logger } from "../../src/log/logger.ts";
import { Pooler } from "../../src/pooler/pooler.ts";
import type { Console } from "../../src/session/console.ts";
import { type MemoryPeer, MemoryWorld } from "./memory-world.ts";

export const Exchange = { simple: "simple", extended: "extended", prepared: "prepared" } as const;
export type Exchange = (typeof Exchange)[keyof typeof Exchange];

const TYPE_READY = 0x5a;
const TYPE_ERROR = 0x45;
const NO_CONSOLE: Console = { parameters: [], receive: () => {}, cancel: () => {}, left: () => {} };

export class MemoryPooler {
  readonly world: MemoryWorld;
  readonly #pooler: Pooler;
  readonly #clients: MemoryClient[];
  #answered = 0;

  private constructor(world: MemoryWorld, pooler: Pooler, clients: MemoryClient[]) {
    this.world = world;
    this.#pooler = pooler;
    this.#clients = clients;
    for (const client of clients) client.onAnswer = () => this.#answered++;
  }

  /** Starts a pooler and logs `clients` in. `settings`: lines for [pgbouncer]. */
  static async start(clients: number, poolSize: number, settings: readonly string[] = []): Promise<MemoryPooler> {
    const world = new MemoryWorld();
    const files = new Map([
      ["/memory/pooler.ini", iniText(poolSize, settings)],
      ["/memory/userlist.txt", '"bench" ""\n'],
    ]);
    const readText = (path: string): string => {
      const text = files.get(path);
      if (text === undefined) throw Object.assign(new Error(`no such file: ${path}`), { code: "ENOENT" });
      return text;
    };
    const loaded = loadConfiguration("/memory/pooler.ini", readText);
    if (!loaded.ok) throw new Error(loaded.errors.map((error) => error.message).join("; "));
    const sink = new MemorySink();
    const log = new Logger({ pid: 1, wallTime: () => 0, sinks: [sink] });
    const pooler = new Pooler({
      world,
      configuration: loaded.configuration,
      log,
      readFile: (path) => Buffer.from(readText(path)),
      console: () => NO_CONSOLE,
      onExit: () => {},
    });
    const problem = pooler.prepare() ?? (await pooler.start());
    if (problem !== null) throw new Error(problem);
    const all = Array.from({ length: clients }, () => new MemoryClient(world));
    await world.settle(() => all.every((client) => client.isReady));
    if (world.counts.serverReads === 0) throw new Error(`no server was opened\n${sink.lines.join("\n")}`);
    return new MemoryPooler(world, pooler, all);
  }

  /** All clients send one unit in the same turn, and all get their answers. Returns how many answers that were. */
  round(exchange: Exchange): number {
    this.#answered = 0;
    const clients = this.#clients;
    for (let i = 0; i < clients.length; i++) (clients[i] as MemoryClient).ask(exchange);
    while (this.#answered < clients.length && this.world.turn());
    if (this.#answered !== clients.length) {
      throw new Error(`${this.#answered} of ${clients.length} clients were answered`);
    }
    return clients.length;
  }

  stop(): void {
    this.#pooler.end();
  }
}

class MemoryClient {
  onAnswer: () => void = () => {};
  readonly #peer: MemoryPeer;
  #ready = 0;
  #hasPrepared = false;

  constructor(world: MemoryWorld) {
    this.#peer = world.connectClient((bytes) => this.#receive(bytes));
    this.#peer.give(STARTUP);
  }

  get isReady(): boolean {
    return this.#ready > 0;
  }

  ask(exchange: Exchange): void {
    const prepares = exchange === Exchange.prepared && !this.#hasPrepared;
    this.#hasPrepared ||= prepares;
    this.#peer.give(prepares ? FIRST_PREPARED : UNITS[exchange]);
  }

  /** A write is whole messages here: nothing in memory is ever full. */
  #receive(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length) {
      const type = bytes[at];
      if (type === TYPE_ERROR) throw new Error(`a client was sent an error: ${Buffer.from(bytes).toString("latin1")}`);
      if (type === TYPE_READY) {
        this.#ready++;
        this.onAnswer();
      }
      at +=
        1 +
        (((bytes[at + 1] as number) << 24) |
          ((bytes[at + 2] as number) << 16) |
          ((bytes[at + 3] as number) << 8) |
          (bytes[at + 4] as number));
    }
  }
}

function message(type: string, body: string): Buffer {
  const bytes = Buffer.alloc(5 + body.length);
  bytes.write(type, 0, "latin1");
  bytes.writeUInt32BE(4 + body.length, 1);
  bytes.write(body, 5, "latin1");
  return bytes;
}

const STARTUP_BODY = "\0\x03\0\0user\0bench\0database\0bench\0\0";
const STARTUP = message("x", STARTUP_BODY).subarray(1);
const SQL = "SELECT abalance FROM pgbench_accounts WHERE aid = 12345;\0";
/** A prepared statement without parameters needs no values: their relay is the same bytes as the rest of the message. */
const BIND = "\0\0\0\0\0\0";
const EXECUTE = message("E", "\0\0\0\0\0");
const SYNC = message("S", "");
const DESCRIBE = message("D", "P\0");

const UNITS: Readonly<Record<Exchange, Uint8Array>> = {
  simple: message("Q", SQL),
  extended: Buffer.concat([message("P", `\0${SQL}\0\0`), message("B", `\0\0${BIND}`), DESCRIBE, EXECUTE, SYNC]),
  prepared: Buffer.concat([message("B", `\0P0_1\0${BIND}`), DESCRIBE, EXECUTE, SYNC]),
};
const FIRST_PREPARED = Buffer.concat([message("P", `P0_1\0${SQL}\0\0`), UNITS.prepared]);

function iniText(poolSize: number, settings: readonly string[]): string {
  return [
    "[databases]",
    "bench = host=127.0.0.1 port=5432",
    "[pgbouncer]",
    "listen_addr = 127.0.0.1",
    "listen_port = 6432",
    "unix_socket_dir =",
    "auth_type = trust",
    "auth_file = /memory/userlist.txt",
    "pool_mode = transaction",
    `default_pool_size = ${poolSize}`,
    "max_client_conn = 10000",
    "server_tls_sslmode = disable",
    "server_check_delay = 1000000",
    ...settings,
    "",
  ].join("\n");
}
