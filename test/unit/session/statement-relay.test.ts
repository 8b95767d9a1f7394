/**
 * Statements that follow clients: each client is answered as it would be by a PostgreSQL of its own, whatever server its
 * units go to, whatever was evicted there, and however late the answers come.
 */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { EntryOwner, PipelineHost } from "../../../src/pipeline/pipeline.ts";
import { Pipeline } from "../../../src/pipeline/pipeline.ts";
import { Step } from "../../../src/pipeline/step.ts";
import { Framer } from "../../../src/protocol/framer.ts";
import type { ErrorToSend } from "../../../src/protocol/error-messages.ts";
import type { Client } from "../../../src/session/client.ts";
import type { Server } from "../../../src/session/server.ts";
import { isReadable, MessageParts, Relayed, relayStatementMessage } from "../../../src/session/statement-relay.ts";
import { RideUnit } from "../../../src/session/ride-unit.ts";
import { ClientStatements, ServerStatements, StatementStore } from "../../../src/state/prepared-statement.ts";
import { TrackedParameters } from "../../../src/state/tracked-parameters.ts";
import * as wire from "../../support/wire-client.ts";
import { type ClientMessage, StatementBackend } from "./statement-backend.ts";

const STEP: Readonly<Record<string, number>> = {
  P: Step.parse,
  B: Step.bind,
  D: Step.describe,
  C: Step.close,
  E: Step.execute,
  S: Step.sync,
  Q: Step.query,
};

/** All that two clients and two servers share. */
const tracked = new TrackedParameters([]);

class Bench {
  readonly store = new StatementStore();
  readonly counters = { bindCount: 0, clientParseCount: 0, serverParseCount: 0, bytesReceived: 0 };
  readonly max: number;

  constructor(max: number) {
    this.max = max;
  }
}

/** A server as the relay sees it, with a PostgreSQL behind it that answers when it is told to. */
class FakeServer implements PipelineHost {
  readonly pool: { hasStatements: boolean; database: { counters: Bench["counters"] } };
  readonly pipeline = new Pipeline(this);
  readonly statements: ServerStatements;
  readonly outbox = { addAll: (bytes: Uint8Array) => this.#sent.push(bytes) };
  readonly backend = new StatementBackend();
  isClosed = false;
  #sent: Uint8Array[] = [];
  #input: Buffer = Buffer.alloc(0);
  readonly #framer = new Framer();
  client: FakeClient | null = null;
  readonly parameters = tracked.unknown;

  constructor(bench: Bench) {
    this.pool = { hasStatements: true, database: { counters: bench.counters } };
    this.statements = new ServerStatements(bench.store);
  }

  /** PostgreSQL reads up to `count` messages and answers. */
  work(count: number): void {
    this.#input = Buffer.concat([this.#input, ...this.#sent.splice(0)]);
    const answers: Buffer[] = [];
    for (let i = 0; i < count && this.#input.length > 0; i++) {
      const size = this.#input.readInt32BE(1) + 1;
      answers.push(...this.backend.take(readMessage(this.#input.subarray(0, size))).map(answerBytes));
      this.#input = this.#input.subarray(size);
    }
    if (answers.length === 0) return;
    this.#framer.push(Uint8Array.from(Buffer.concat(answers)));
    this.pipeline.receive(this.#framer, 0x7fffffff);
  }

  unnamed = 0;

  unnamedLost(): void {}

  withholdsReady(): boolean {
    return false;
  }

  ready(owner: EntryOwner | null, status: number): void {
    owner?.ended(status);
    if (!this.pipeline.isEmpty || this.client === null) return;
    this.client.server = null;
    this.client = null;
  }

  failed(): void {}
  completed(): void {}
  parameterStatus(): void {}
  stray(): void {}

  broken(reason: string): void {
    throw new Error(reason);
  }
}

/** A client as the relay sees it, with what it would be answered by a PostgreSQL of its own. */
class FakeClient implements EntryOwner {
  readonly engine: unknown;
  readonly statements: ClientStatements;
  readonly direct = new StatementBackend(true);
  readonly expected: string[] = [];
  readonly answers: string[] = [];
  server: FakeServer | null = null;
  readonly parameters = tracked.unknown;
  readonly unnamed = 0;
  isClosed = false;
  refusal: string | null = null;
  readonly #framer = new Framer();

  constructor(bench: Bench) {
    this.statements = new ClientStatements(bench.store);
    this.engine = {
      parts: new MessageParts(),
      rideUnit: new RideUnit(),
      statements: bench.store,
      parameters: tracked,
      settings: { maxPreparedStatements: bench.max },
      log: { error: () => {} },
    };
  }

  get statementCount(): number {
    return this.statements.size;
  }

  toString(): string {
    return "client";
  }

  answer(memory: Uint8Array, start: number, end: number): void {
    const bytes = Buffer.from(memory.subarray(start, end));
    for (let at = 0; at < bytes.length; at += bytes.readInt32BE(at + 1) + 1) {
      const type = String.fromCharCode(bytes[at] as number);
      const body = bytes.toString("latin1", at + 5, at + bytes.readInt32BE(at + 1) + 1);
      this.answers.push(type === "E" || type === "C" ? type + body.slice(0, -1) : type);
    }
  }

  ended(): void {}

  fail(error: ErrorToSend): void {
    this.refusal = error.message;
    this.isClosed = true;
  }

  forward(memory: Uint8Array, start: number, end: number): void {
    if (start < end) this.server?.outbox.addAll(memory.slice(start, end));
  }

  send(server: FakeServer, message: ClientMessage): void {
    this.expected.push(...this.direct.take(message));
    const framer = this.#framer;
    framer.push(Uint8Array.from(bytesOf(message)));
    framer.next(0x7fffffff);
    const memory = framer.buf;
    const { at, end } = framer;
    let from = at;
    if ("PBDC".includes(message.type)) {
      if (!isReadable(this as unknown as Client, framer, memory))
        throw new Error("a whole message that is not readable");
      const relay = (): number =>
        relayStatementMessage(this as unknown as Client, server as unknown as Server, framer, memory, at, at);
      let goesOnAt = relay();
      if (goesOnAt === Relayed.later) {
        // The client's input waits until all before has been answered; then the same server happens to be free.
        server.work(1000);
        server.client = this;
        this.server = server;
        goesOnAt = relay();
        if (goesOnAt === Relayed.later) throw new Error("undecided although all has been answered");
      }
      if (goesOnAt === Relayed.refused) return;
      if (goesOnAt !== Relayed.asItIs) from = goesOnAt;
    }
    if (from === at) server.pipeline.push(STEP[message.type] as number, this, null);
    framer.advance();
    this.forward(memory, from, end);
  }
}

function bytesOf({ type, name, sql }: ClientMessage): Buffer {
  switch (type) {
    case "P":
      return wire.parse(name, sql);
    case "B":
      return wire.bind("", name);
    case "D":
      return wire.describeStatement(name);
    case "C":
      return wire.closeStatement(name);
    case "E":
      return wire.execute("");
    case "Q":
      return wire.query(sql);
    case "S":
      return wire.sync();
  }
}

function readMessage(bytes: Buffer): ClientMessage {
  const type = String.fromCharCode(bytes[0] as number) as ClientMessage["type"];
  const texts = bytes.toString("latin1", 5).split("\0");
  const [first = "", second = ""] = texts;
  if (type === "P") return { type, name: first, sql: second };
  if (type === "B") return { type, name: second, sql: "" };
  if (type === "D" || type === "C") return { type, name: first.slice(1), sql: "" };
  return { type, name: "", sql: type === "Q" ? first : "" };
}

function answerBytes(answer: string): Buffer {
  const type = answer.charAt(0);
  if (type === "Z") return wire.message("Z", Buffer.from("I"));
  return type === "E" || type === "C" ? wire.message(type, answer.slice(1)) : wire.message(type);
}

interface Move {
  readonly client: number;
  readonly server: number;
  readonly unit: readonly ClientMessage[];
  /** How many messages each server deals with after each of these. */
  readonly work: readonly number[];
  /** It also uses names that it does not have, and prepares those that it has. */
  readonly blind: boolean;
}

const message: fc.Arbitrary<ClientMessage> = fc.record({
  type: fc.constantFrom("P", "P", "B", "B", "B", "E", "D", "C"),
  name: fc.constantFrom("", "s", "t", "u"),
  sql: fc.constantFrom("one", "two", "three", "odd", "bad"),
});

const end: fc.Arbitrary<ClientMessage> = fc.oneof(
  { weight: 5, arbitrary: fc.constant<ClientMessage>({ type: "S", name: "", sql: "" }) },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant("Q" as const),
      name: fc.constant(""),
      sql: fc.constantFrom("one", "bad"),
    }),
  },
);

const move: fc.Arbitrary<Move> = fc.record({
  client: fc.nat(1),
  server: fc.nat(1),
  unit: fc.tuple(fc.array(message, { maxLength: 6 }), end).map(([messages, last]) => messages.concat(last)),
  work: fc.array(fc.nat(4), { minLength: 1, maxLength: 4 }),
  blind: fc.integer({ min: 0, max: 15 }).map((n) => n === 0),
});

/** A client that knows which names it has, after all that it has sent. */
function knowing(client: FakeClient, message: ClientMessage): ClientMessage {
  if (message.name === "") return message;
  const has = client.direct.has(message.name);
  if (message.type === "P" && has) return { ...message, type: "B" };
  if ((message.type === "B" || message.type === "D") && !has) return { ...message, type: "P" };
  return message;
}

/** The unnamed statement lives in the backend, and is not what is looked at here: it is prepared where it is used. */
function usesUnnamedRightly(unit: readonly ClientMessage[]): boolean {
  let there = false;
  return unit.every(({ type, name }) => {
    if (name !== "" || !"PBDC".includes(type)) return true;
    if (type === "P") there = true;
    return there || type === "C";
  });
}

/** `waits`: a client has all answers to a unit before it sends the next. */
function run(moves: readonly Move[], max: number, waits: boolean): void {
  const bench = new Bench(max);
  const servers = [new FakeServer(bench), new FakeServer(bench)];
  const clients = [new FakeClient(bench), new FakeClient(bench)];
  const settle = (): void => servers.forEach((server) => server.work(1000));
  for (const { client: who, server: where, unit, work, blind } of moves) {
    const client = clients[who] as FakeClient;
    if (client.isClosed || !usesUnnamedRightly(unit)) continue;
    if (client.server === null) {
      const free = [servers[where], servers[1 - where]].find((each) => each?.client === null);
      if (free === undefined) {
        settle();
        continue;
      }
      client.server = free;
      free.client = client;
    }
    const server = client.server;
    for (const [index, wanted] of unit.entries()) {
      if (client.isClosed) break;
      client.send(server, blind ? wanted : knowing(client, wanted));
      const count = work[index % work.length] as number;
      if (count > 0) servers.forEach((each) => each.work(count));
      // What it sends next is a new unit on whatever server it is given then.
      if (client.server === null) break;
    }
    if (waits && !client.isClosed) settle();
    if (client.isClosed) {
      // As the pooler does: the server is not given to anybody else in the middle of a unit.
      server.isClosed = true;
      break;
    }
  }
  if (clients.every(({ isClosed }) => !isClosed)) settle();
  const allThere = clients.every(({ isClosed }) => !isClosed);
  for (const { answers, expected, isClosed, refusal } of clients) {
    if (isClosed) {
      // It was refused where PostgreSQL would have complained of the same, and rightly answered up to there.
      if (!/already in use|did not exist/.test(refusal ?? "")) throw new Error(`refused: ${refusal}`);
      if (!expected.some((answer) => answer.startsWith("E"))) throw new Error("refused without a reason");
    }
    const due = allThere ? expected : expected.slice(0, answers.length);
    if (due.join() !== answers.join()) throw new Error(`expected ${due.join()}, answered ${answers.join()}`);
  }
  for (const client of clients) client.statements.clear();
  for (const server of servers) server.statements.clear();
  if (bench.store.size !== 0) throw new Error("statements that nobody uses");
}

test.each([
  [1, true],
  [1, false],
  [2, false],
  [200, false],
])("a client is answered as by a PostgreSQL of its own, with %i statements a server; waits %s", (max, waits) => {
  expect(() =>
    fc.assert(
      fc.property(fc.array(move, { minLength: 1, maxLength: 12 }), (moves) => run(moves, max, waits)),
      { numRuns: 1500 },
    ),
  ).not.toThrow();
});

// The Close of an evicted statement is skipped with its unit, and the next unit must not prepare it once more.
test("a statement that was to be evicted in a unit that fails can be used in the unit behind it", () => {
  const said = (type: ClientMessage["type"], name = "", sql = ""): ClientMessage => ({ type, name, sql });
  const unit = (...messages: ClientMessage[]): Move => ({
    client: 0,
    server: 0,
    unit: [...messages, said("S")],
    work: [0],
    blind: true,
  });
  const moves = [unit(said("P", "t", "one"), said("P", "u", "bad")), unit(said("B", "t"), said("E"))];
  expect(() => run(moves, 1, false)).not.toThrow();
});

test("of several Parses of a name that came to nothing in one unit, the last is what the name means", () => {
  const said = (type: ClientMessage["type"], name = "", sql = ""): ClientMessage => ({ type, name, sql });
  const unit = (...messages: ClientMessage[]): Move => ({
    client: 0,
    server: 0,
    unit: [...messages, said("S")],
    work: [0],
    blind: true,
  });
  const moves = [unit(said("P", "t", "bad"), said("C", "t"), said("P", "t", "one")), unit(said("B", "t"))];
  expect(() => run(moves, 2, false)).not.toThrow();
});

// psycopg in pipeline mode takes every Parse that it has sent for done, and so does PgBouncer.
test.each([0, 1000])(
  "a name whose Parse was refused or skipped works when it is used, %i messages answered between",
  (work) => {
    const said = (type: ClientMessage["type"], name = "", sql = ""): ClientMessage => ({ type, name, sql });
    const bench = new Bench(200);
    const server = new FakeServer(bench);
    const client = new FakeClient(bench);
    const unit = (...messages: ClientMessage[]): string => {
      server.client = client;
      client.server = server;
      const before = client.answers.length;
      for (const each of [...messages, said("S")]) {
        client.send(server, each);
        server.work(work);
      }
      server.work(1000);
      return client.answers.slice(before).join();
    };
    expect(unit(said("P", "s", "bad"), said("P", "t", "one"), said("B", "t"), said("E"))).toBe("E42601,Z");
    expect(unit(said("B", "t"), said("E"))).toBe("2,Cone,Z");
    expect(unit(said("B", "s"), said("E"))).toBe("E42601,Z");
    expect(unit(said("P", "t", "two"), said("B", "t"), said("E"))).toBe("1,2,Ctwo,Z");
    expect(unit(said("C", "t"))).toBe("3,Z");
    client.send(server, said("D", "t"));
    expect(client.refusal).toBe("prepared statement did not exist");
  },
);
