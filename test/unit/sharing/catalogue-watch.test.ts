/**
 * When a catalogue is read and what is believed meanwhile, on a pool that is played: its clock, its servers and PostgreSQL's answers are
 * the test's.
 */
import { describe, expect, test } from "vitest";
import { TrafficCounters } from "../../../src/metrics/traffic-counters.ts";
import type { DatabaseEntry } from "../../../src/config/database-entry.ts";
import { commandComplete } from "../../../src/protocol/backend-messages.ts";
import { type ErrorToSend, errorResponse } from "../../../src/protocol/error-messages.ts";
import { dataRow } from "../../../src/protocol/row-messages.ts";
import { CATALOGUE_QUERY } from "../../../src/sharing/catalogue-query.ts";
import { CatalogueWatch } from "../../../src/session/catalogue-watch.ts";
import type { Server } from "../../../src/session/server.ts";
import type { ServerSeeker } from "../../../src/session/server-holder.ts";
import type { ServerPool } from "../../../src/session/server-pool.ts";
import { TrackedParameters } from "../../../src/state/tracked-parameters.ts";

const GONE: ErrorToSend = { severity: "FATAL", code: "08P01", message: "it is gone" };

/** As much of a pool and its engine as a reading needs. */
class PlayedPool {
  now = 1_000_000;
  readonly warnings: string[] = [];
  /** Who has asked for a server and has not been told anything. */
  readonly waiting: ServerSeeker[] = [];
  readonly released: PlayedServer[] = [];
  readonly core = { paused: false, loginFailing: false, grows: false, inUse: true };
  readonly directory = { serversClosedWith: null as unknown };
  readonly database = { name: "d", entry: {} as DatabaseEntry, counters: new TrafficCounters() };
  readonly user = { name: "u" };
  readonly welcome = null;
  readonly watch = new CatalogueWatch();
  readonly #afterTurn: (() => void)[] = [];
  readonly #timers: { readonly at: number; readonly task: () => void }[] = [];
  readonly parameters = new TrackedParameters([]);
  readings = 0;
  readonly engine = {
    turn: (() => {
      const now = (): number => this.now;
      return {
        get now() {
          return now();
        },
      };
    })(),
    world: {
      afterTurn: (task: () => void) => this.#afterTurn.push(task),
      clock: {
        after: (ms: number, task: () => void) => {
          const timer = { at: this.now + ms, task };
          this.#timers.push(timer);
          return { cancel: () => void this.#timers.splice(this.#timers.indexOf(timer), 1) };
        },
      },
    },
    parameters: this.parameters,
    directory: this.directory,
    log: { warning: (line: string) => this.warnings.push(line) },
    nextId: () => 7,
  };

  request(seeker: ServerSeeker): null {
    this.readings += 1;
    this.waiting.push(seeker);
    return null;
  }

  leaveQueue(seeker: ServerSeeker): void {
    const at = this.waiting.indexOf(seeker);
    if (at >= 0) this.waiting.splice(at, 1);
  }

  release(server: PlayedServer): void {
    this.released.push(server);
  }

  get facts() {
    return this.watch.facts(this as unknown as ServerPool);
  }

  get timerCount(): number {
    return this.#timers.length;
  }

  endTurn(): void {
    for (const task of this.#afterTurn.splice(0)) task();
  }

  /** Asks, and lets the turn end. */
  ask() {
    const { facts } = this;
    this.endTurn();
    return facts;
  }

  pass(ms: number): void {
    this.now += ms;
    for (const { task } of this.#timers.filter(({ at }) => at <= this.now)) task();
  }

  /** The reading that waits gets a server, and the server its question. */
  serve(): PlayedServer {
    const seeker = this.waiting.shift();
    if (seeker === undefined) throw new Error("nobody waits for a server");
    const server = new PlayedServer(seeker, this.parameters);
    seeker.served(server as unknown as Server);
    return server;
  }
}

class PlayedServer {
  readonly seeker: ServerSeeker;
  readonly parameters: TrackedParameters["unknown"];
  readonly sent: Uint8Array[] = [];
  readonly steps: unknown[] = [];
  readonly pipeline = { push: (step: unknown) => this.steps.push(step) };
  unnamed = 0;
  isReady = true;
  closedWith: string | null = null;

  constructor(seeker: ServerSeeker, parameters: TrackedParameters) {
    this.seeker = seeker;
    this.parameters = parameters.unknown;
  }

  send(bytes: Uint8Array): void {
    this.sent.push(bytes);
  }

  close(reason: string): void {
    this.closedWith = reason;
    this.seeker.serverLost(this as unknown as Server, GONE, false);
  }

  /** PostgreSQL's answer, byte for byte in chunks of its own. */
  answers(...messages: readonly Uint8Array[]): void {
    for (const message of messages) {
      for (let at = 0; at < message.length; at++) this.seeker.answer(message, at, at + 1);
    }
    this.seeker.ended(0x49);
  }

  names(...names: readonly string[]): void {
    const rows = names.map((name) => dataRow(["n", name]));
    this.answers(commandComplete("SET"), ...rows, dataRow(["e", ""]), commandComplete("SELECT 2"));
  }
}

const knownTo = (pool: PlayedPool): string[] | null => {
  const { facts } = pool;
  return facts === null ? null : [...facts.unsafeNames];
};

describe("a watch over a catalogue", () => {
  test("reads when somebody asks, at the end of the turn and once", () => {
    const pool = new PlayedPool();
    expect(pool.facts).toBeNull();
    expect(pool.facts).toBeNull();
    expect(pool.readings).toBe(0);
    pool.endTurn();
    expect(pool.ask()).toBeNull();
    expect(pool.readings).toBe(1);
    const server = pool.serve();
    expect(Buffer.concat(server.sent).subarray(5, -1).toString()).toBe(CATALOGUE_QUERY);
    expect(server.unnamed).toBe(-1);
    expect(pool.ask()).toBeNull();
    server.names("v");
    expect(knownTo(pool)).toEqual(["v"]);
    expect(pool.released).toEqual([server]);
    expect(pool.timerCount).toBe(0);
    expect(pool.warnings).toEqual([]);
  });

  test("a reading that takes its time is the only one", () => {
    const pool = new PlayedPool();
    pool.ask();
    const server = pool.serve();
    for (let s = 0; s < 9; s++) {
      pool.pass(1_000);
      pool.ask();
    }
    expect(pool.readings).toBe(1);
    server.names("v");
    expect(knownTo(pool)).toEqual(["v"]);
  });

  test("nobody asks: nothing is read", () => {
    const pool = new PlayedPool();
    pool.ask();
    pool.serve().names("v");
    pool.pass(1_000_000);
    pool.endTurn();
    expect(pool.readings).toBe(1);
  });

  test("what is known is read again after 15 s, and holds meanwhile", () => {
    const pool = new PlayedPool();
    pool.ask();
    pool.serve().names("v");
    pool.pass(14_999);
    pool.ask();
    expect(pool.readings).toBe(1);
    pool.pass(1);
    expect(pool.ask()).not.toBeNull();
    expect(pool.readings).toBe(2);
    const server = pool.serve();
    expect(knownTo(pool)).toEqual(["v"]);
    server.names("w");
    expect(knownTo(pool)).toEqual(["w"]);
  });

  test("one object of facts for all who ask, until it is read again", () => {
    const pool = new PlayedPool();
    pool.ask();
    pool.serve().names("v");
    expect(pool.facts).toBe(pool.facts);
  });

  test("what is known is not believed for ever when reading fails", () => {
    const pool = new PlayedPool();
    pool.ask();
    pool.serve().names("v");
    pool.pass(15_000);
    for (let ms = 15_000; ms < 60_000; ms += 1_000) {
      expect(pool.ask()).not.toBeNull();
      if (pool.waiting.length > 0)
        pool.serve().answers(errorResponse({ severity: "ERROR", code: "42501", message: "no" }));
      pool.pass(1_000);
    }
    expect(pool.ask()).toBeNull();
  });

  test("DDL makes it unknown at once", () => {
    const pool = new PlayedPool();
    pool.ask();
    pool.serve().names("v");
    pool.pass(2_000);
    pool.watch.noteDdl();
    expect(pool.ask()).toBeNull();
    expect(pool.readings).toBe(2);
    pool.serve().names("w");
    expect(knownTo(pool)).toEqual(["w"]);
  });

  test("a reading that DDL has overtaken is worth nothing", () => {
    const pool = new PlayedPool();
    pool.ask();
    const server = pool.serve();
    pool.watch.noteDdl();
    server.names("v");
    expect(pool.facts).toBeNull();
    pool.pass(1_000);
    pool.ask();
    pool.serve().names("w");
    expect(knownTo(pool)).toEqual(["w"]);
  });

  test("however much DDL there is, there is one reading a second", () => {
    const pool = new PlayedPool();
    for (let ms = 0; ms < 10_000; ms += 10) {
      pool.watch.noteDdl();
      pool.ask();
      if (pool.waiting.length > 0) pool.serve().names("v");
      pool.pass(10);
    }
    expect(pool.readings).toBe(10);
  });

  test("no connection is opened for it", () => {
    const pool = new PlayedPool();
    pool.core.grows = true;
    pool.ask();
    expect(pool.readings).toBe(0);
    pool.core.grows = false;
    pool.ask();
    expect(pool.readings).toBe(1);
  });

  test("who waits until a server has logged in or passed its check is not a reason", () => {
    const pool = new PlayedPool();
    pool.core.inUse = false;
    pool.ask();
    expect(pool.readings).toBe(0);
    pool.core.inUse = true;
    pool.ask();
    expect(pool.readings).toBe(1);
  });

  test("another entry may lead to another database", () => {
    const pool = new PlayedPool();
    pool.ask();
    pool.serve().names("v");
    pool.database.entry = {} as DatabaseEntry;
    expect(pool.facts).toBeNull();
  });

  test.each<[string, (pool: PlayedPool) => void, RegExp]>([
    [
      "PostgreSQL refuses",
      (pool) => pool.serve().answers(errorResponse({ severity: "ERROR", code: "42501", message: "permission denied" })),
      /ERROR: permission denied$/,
    ],
    ["the server dies", (pool) => pool.serve().close("server conn crashed?"), /it is gone$/],
    ["there will be no server", (pool) => pool.waiting.shift()?.fail(GONE), /it is gone$/],
    ["no server is free", (pool) => pool.pass(10_000), /no server was free in time$/],
    [
      "something else answers",
      (pool) => pool.serve().answers(dataRow(["1"]), commandComplete("SELECT 1")),
      /not one to this/,
    ],
    ["nothing answers", (pool) => pool.serve().answers(), /not one to this query$/],
    ["a row cannot be read", (pool) => pool.serve().answers(Uint8Array.of(0x44, 0, 0, 0, 6, 0, 2)), /cannot be read$/],
    [
      "a row is too long",
      (pool) => pool.serve().answers(dataRow(["n", "x".repeat(100_000)]), dataRow(["e", ""])),
      /too long$/,
    ],
    [
      "the parameters cannot be set",
      (pool) => {
        const server = pool.serve();
        server.close("var change failed");
      },
      /it is gone$/,
    ],
  ])("%s: nothing is known, it is said once, and tried again later and later", (_what, fail, reason) => {
    const pool = new PlayedPool();
    const starts: number[] = [];
    let readings = 0;
    const start = pool.now;
    while (pool.now - start < 400_000) {
      expect(pool.ask()).toBeNull();
      if (pool.readings > readings) {
        readings = pool.readings;
        starts.push(pool.now - start);
        fail(pool);
        expect(pool.waiting).toEqual([]);
        expect(pool.timerCount).toBe(0);
      }
      pool.pass(250);
    }
    const gaps = starts.slice(1).map((at, i) => at - (starts[i] as number));
    expect(gaps).toEqual([...gaps].sort((a, b) => a - b));
    expect(gaps[0]).toBeLessThan(13_000);
    expect(gaps.at(-1)).toBeGreaterThanOrEqual(60_000);
    expect(gaps.at(-1)).toBeLessThan(71_000);
    expect(pool.warnings).toHaveLength(1);
    expect(pool.warnings[0]).toMatch(/^d\/u: catalogue cannot be read, statements do not share: /);
    expect(pool.warnings[0]).toMatch(reason);
    pool.pass(60_000);
    pool.ask();
    pool.serve().names("v");
    expect(knownTo(pool)).toEqual(["v"]);
  });

  test("readings have PostgreSQL busy for a twentieth of the time, whatever happens", () => {
    const pool = new PlayedPool();
    const read = (name: string): void => {
      const server = pool.serve();
      pool.pass(3_000);
      server.names(name);
    };
    pool.ask();
    read("v");
    pool.pass(59_999);
    // What is known stays so, for longer than where reading takes no time.
    expect(pool.ask()).not.toBeNull();
    expect(pool.readings).toBe(1);
    pool.pass(1);
    pool.ask();
    expect(pool.readings).toBe(2);
    read("w");
    expect(knownTo(pool)).toEqual(["w"]);
    // DDL makes it unknown, and it stays so until the next reading's time has come.
    pool.watch.noteDdl();
    pool.pass(59_999);
    expect(pool.ask()).toBeNull();
    expect(pool.readings).toBe(2);
    pool.pass(1);
    pool.ask();
    expect(pool.readings).toBe(3);
  });

  test("a reading that waits for its server has cost nothing", () => {
    const pool = new PlayedPool();
    pool.ask();
    pool.pass(9_000);
    pool.serve().names("v");
    pool.pass(15_000 - 9_000);
    pool.ask();
    expect(pool.readings).toBe(2);
  });

  test("one that takes too long is ended, and not tried again soon", () => {
    const pool = new PlayedPool();
    pool.ask();
    const server = pool.serve();
    pool.pass(10_000);
    expect(server.closedWith).toBe("catalogue query timeout");
    expect(pool.warnings[0]).toMatch(/no answer in time$/);
    pool.pass(199_999);
    pool.ask();
    expect(pool.readings).toBe(1);
    pool.pass(1);
    pool.ask();
    expect(pool.readings).toBe(2);
  });

  test("another reason is another warning, and so is the same one after a success", () => {
    const pool = new PlayedPool();
    const failWith = (message: string): void => {
      pool.pass(60_000);
      pool.watch.noteDdl();
      pool.ask();
      pool.serve().answers(errorResponse({ severity: "ERROR", code: "42501", message }));
    };
    failWith("a");
    failWith("b");
    failWith("b");
    pool.pass(60_000);
    pool.ask();
    pool.serve().names("v");
    failWith("b");
    expect(pool.warnings.map((line) => line.at(-1))).toEqual(["a", "b", "b"]);
  });

  test.each<[string, (pool: PlayedPool) => void]>([
    ["a pool that is paused", (pool) => (pool.core.paused = true)],
    ["a pool that cannot log in", (pool) => (pool.core.loginFailing = true)],
    ["a pooler that shuts down", (pool) => (pool.directory.serversClosedWith = GONE)],
  ])("%s is not asked for a server, and nothing is logged", (_what, close) => {
    const pool = new PlayedPool();
    close(pool);
    expect(pool.ask()).toBeNull();
    expect(pool.readings).toBe(0);
    expect(pool.warnings).toEqual([]);
  });

  test("what waits when PAUSE comes gives up in time and says nothing", () => {
    const pool = new PlayedPool();
    pool.ask();
    pool.core.paused = true;
    pool.pass(10_000);
    expect(pool.waiting).toEqual([]);
    expect(pool.warnings).toEqual([]);
  });

  test("a server that is left in a transaction is nobody's", () => {
    const pool = new PlayedPool();
    pool.ask();
    const server = pool.serve();
    server.isReady = false;
    server.names("v");
    expect(server.closedWith).toMatch(/transaction/);
    expect(pool.released).toEqual([]);
  });
});
