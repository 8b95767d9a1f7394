/**
 * Where a scenario is played: one pooler, named connections to it, and the transcript of what came back.
 *
 * A step that does not get the answer it waits for writes that down and goes on: the comparison is the judge.
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import type { EmbeddedPostgres } from "../../../src/demo/embedded-postgres.ts";
import { unprivilegedUser } from "../../../src/demo/unprivileged-user.ts";
import type { Bouncer, BouncerOptions } from "../../support/bouncer.ts";
import { waitFor } from "../../support/wait-for.ts";
import { columns, int32, query, startupMessage, WireClient, type WireMessage } from "../../support/wire-client.ts";
import type { TranscriptStep } from "./compare.ts";
import { PasswordDialogue } from "./password-dialogue.ts";
import { type ColumnHead, columnHeads, renderMessage } from "./render-message.ts";
import { TranscriptWords } from "./transcript-words.ts";

/** What a scenario may know of its surroundings. */
export interface Place {
  readonly cluster: EmbeddedPostgres;
  /** For files beside the configuration, readable by the pooler. */
  readonly folder: string;
  /** `host=… port=…` of PostgreSQL. */
  readonly server: string;
}

export interface Scenario {
  readonly name: string;
  readonly play: (stage: Stage) => Promise<void>;
}

/** Scenarios that are played one after the other on one pooler. */
export interface ScenarioGroup {
  readonly name: string;
  readonly options: (place: Place) => BouncerOptions;
  readonly scenarios: readonly Scenario[];
  /** The pooler may end in it. */
  readonly ends?: boolean;
}

export interface LoginOptions {
  readonly unix?: boolean;
  readonly password?: string;
  readonly version?: number;
}

interface Connection {
  readonly wire: WireClient;
  readonly isConsole: boolean;
  heads: ColumnHead[];
  ended: boolean;
}

/** Groups have a user `spy` in their userlist and among stats_users. */
export const spyPassword = "spy-password";

/** Longer than any time limit that the scenarios set. */
const answerDeadlineMs = 5000;
/** A start that is refused, on a busy machine. */
const runDeadlineMs = 60_000;
const settledMs = 80;

export class Stage {
  readonly bouncer: Bouncer;
  readonly place: Place;
  readonly steps: TranscriptStep[] = [];
  readonly #executable: string;
  readonly #words: TranscriptWords;
  readonly #connections = new Map<string, Connection>();
  #logFrom: number;
  #spy: WireClient | null = null;

  /** `isFirst`: what the pooler logged before is part of it. */
  constructor(bouncer: Bouncer, place: Place, executable: string, isFirst: boolean) {
    this.bouncer = bouncer;
    this.place = place;
    this.#executable = executable;
    this.#logFrom = isFirst ? 0 : bouncer.log().length;
    this.#words = new TranscriptWords([
      [executable, "EXECUTABLE"],
      [bouncer.folder, "FOLDER"],
      [place.folder, "FILES"],
      [place.cluster.socketFolder, "CLUSTER"],
      [String(bouncer.port), "PORT"],
      [String(place.cluster.port), "PGPORT"],
    ]);
  }

  /** Writes down a step; a title that was used before gets a number. */
  note(title: string, lines: readonly string[]): void {
    const used = this.steps.filter((step) => step.title.replace(/ #\d+$/, "") === title).length;
    this.steps.push({
      title: used === 0 ? title : `${title} #${used + 1}`,
      lines: lines.map((line) => this.#words.text(line)),
    });
  }

  // ── Connections ─────────────────────────────────────────────────────────────────────────────────────────────────

  /** A connection on which nothing was sent. */
  async open(name: string, { unix = false, isConsole = false } = {}): Promise<void> {
    const wire = await WireClient.open({
      port: this.bouncer.port,
      ...(unix ? { socketFolder: this.bouncer.folder } : {}),
    });
    this.#connections.get(name)?.wire.destroy();
    this.#connections.set(name, { wire, isConsole, heads: [], ended: false });
  }

  /** Connects, and answers whatever password dialogue there is. */
  async login(name: string, parameters: Readonly<Record<string, string>>, options: LoginOptions = {}): Promise<void> {
    await this.open(name, {
      unix: options.unix ?? false,
      isConsole: (parameters["database"] ?? parameters["user"]) === "pgbouncer",
    });
    const connection = this.#of(name);
    connection.wire.send(startupMessage(parameters, options.version));
    const dialogue = new PasswordDialogue(connection.wire, parameters["user"] ?? "", options.password ?? "");
    const words = Object.entries(parameters).map(([key, value]) => `${key}=${value}`);
    if (options.password !== undefined) words.push(`password=${options.password}`);
    await this.#listen(`${name} logs in: ${words.join(" ")}`, connection, "Z", dialogue);
  }

  /** Sends, and writes down what comes up to a message of a type in `until`, or the end. */
  async ask(name: string, title: string, messages: readonly Uint8Array[], until = "Z"): Promise<void> {
    const connection = this.#of(name);
    connection.wire.send(...messages);
    await this.#listen(`${name}: ${title}`, connection, until);
  }

  async query(name: string, sql: string): Promise<void> {
    await this.ask(name, sql, [query(sql)]);
  }

  /** Sends only. */
  tell(name: string, ...messages: Uint8Array[]): void {
    this.#of(name).wire.send(...messages);
  }

  async hear(name: string, title: string, until = "Z"): Promise<void> {
    await this.#listen(`${name}: ${title}`, this.#of(name), until);
  }

  /** What comes until the connection ends. */
  async untilEnd(name: string, title: string): Promise<void> {
    await this.hear(name, title, "");
  }

  /** The answer to a request that is no typed message, SSLRequest for example. */
  async askRaw(name: string, title: string, bytes: Uint8Array, length: number): Promise<void> {
    const { wire } = this.#of(name);
    wire.send(bytes);
    const answer = await wire.raw(length).catch(() => Buffer.from("(end)"));
    this.note(`${name}: ${title}`, [answer.toString("latin1")]);
  }

  /** A cancel request with `name`'s key; returns when the pooler has closed that connection. */
  async cancel(name: string, change: (key: Buffer) => void = () => undefined): Promise<void> {
    const { key } = this.#of(name).wire;
    const bytes = Buffer.alloc(8);
    bytes.writeInt32BE(key?.pid ?? 0);
    key?.secret.copy(bytes, 4);
    change(bytes);
    const wire = await WireClient.open({ port: this.bouncer.port });
    wire.send(Buffer.concat([int32(16), int32(80877102), bytes]));
    const rest = await wire.rest().catch(() => null);
    this.note(`cancel request for ${name}`, [rest === null ? "no end" : `${rest.length} messages, end`]);
    wire.destroy();
  }

  /** Says goodbye. */
  leave(name: string): void {
    this.#of(name).wire.end();
    this.#connections.delete(name);
  }

  /** Is gone without a word. */
  vanish(name: string): void {
    this.#of(name).wire.destroy();
    this.#connections.delete(name);
  }

  // ── The pooler ──────────────────────────────────────────────────────────────────────────────────────────────────

  /** Waits until the rows of a command of the console, one text a row with `|` between values, satisfy `condition`. */
  async until(command: string, condition: (rows: readonly string[]) => boolean): Promise<void> {
    await waitFor(command, async () => condition(await this.#spyOn(command)), answerDeadlineMs).catch(
      async (error: unknown) => this.note(`waiting for ${command}`, [String(error)]),
    );
  }

  /** Waits until the pool of a database has so many clients that wait. */
  async untilWaiting(database: string, clients: number): Promise<void> {
    await this.until("SHOW POOLS", (rows) => {
      const own = rows.filter((row) => row.startsWith(`${database}|`));
      return own.reduce((sum, row) => sum + Number(row.split("|")[3]), 0) === clients;
    });
  }

  /** Waits until a database has so many servers, all of them logged in. */
  async untilServers(database: string, servers: number): Promise<void> {
    await this.until("SHOW SERVERS", (rows) => {
      const states = rows.map((row) => row.split("|")).filter((row) => row[2] === database);
      return states.length === servers && states.every((row) => row[4] !== "new");
    });
  }

  /** What was logged since the scenario began, or since the last look. */
  async log(title = "log"): Promise<void> {
    let text = "";
    await waitFor("the log to be quiet", async () => {
      text = this.bouncer.log();
      await new Promise((resolve) => setTimeout(resolve, settledMs));
      return this.bouncer.log() === text;
    });
    this.note(title, this.#words.log(text.slice(this.#logFrom)));
    this.#logFrom = text.length;
  }

  /** The end of the pooler: exit status and signal. */
  async end(): Promise<void> {
    this.#spy?.destroy();
    this.#spy = null;
    let exit = "still running";
    await waitFor(
      "the end",
      async () => {
        const pending = new Promise<null>((resolve) => setTimeout(resolve, 50, null));
        const seen = await Promise.race([this.bouncer.exited, pending]);
        if (seen !== null) exit = `status ${seen.status} signal ${seen.signal}`;
        return seen !== null;
      },
      answerDeadlineMs,
    ).catch(() => undefined);
    const socket = existsSync(`${this.bouncer.folder}/.s.PGSQL.${this.bouncer.port}`);
    this.note("end of the pooler", [exit, socket ? "Unix socket is there" : "Unix socket is gone"]);
  }

  /** Runs the executable with another command line to its end, under the pooler's user. */
  async run(title: string, args: readonly string[]): Promise<void> {
    const user = unprivilegedUser();
    const child = spawn(this.#executable, args, {
      cwd: this.place.folder,
      env: { ...process.env, PGCARPOOL_RUNTIME: this.bouncer.runtime, NO_COLOR: "1" },
      stdio: ["ignore", "pipe", "pipe"],
      timeout: runDeadlineMs,
      killSignal: "SIGKILL",
      ...(user === null ? {} : { uid: user.uid, gid: user.gid }),
    });
    let [stdout, stderr] = ["", ""];
    child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    const exit = await new Promise<string>((resolve) => {
      child.on("close", (status, signal) => resolve(`exit status ${status} ${signal ?? ""}`.trimEnd()));
    });
    const lines = stdout
      .split("\n")
      .slice(0, -1)
      .map((line) => `stdout ${line}`);
    this.note(title, [exit, ...lines, ...this.#words.log(stderr).map((line) => `stderr ${line}`)]);
  }

  /** Ends all connections of the scenario and returns when the pooler has seen it. */
  async clear(): Promise<void> {
    for (const [name] of this.#connections) this.leave(name);
    await this.until("SHOW CLIENTS", (rows) => rows.length === 1);
    this.dismiss();
  }

  /** Ends everything at once. */
  dismiss(): void {
    for (const { wire } of this.#connections.values()) wire.destroy();
    this.#connections.clear();
    this.#spy?.end();
    this.#spy = null;
  }

  async #spyOn(command: string): Promise<string[]> {
    this.#spy ??= await this.#sendSpy();
    this.#spy.send(query(command));
    const answer = await this.#spy.until("Z");
    return answer.filter(({ type }) => type === "D").map(({ body }) => columns(body).join("|"));
  }

  async #sendSpy(): Promise<WireClient> {
    const spy = await WireClient.open({ port: this.bouncer.port });
    spy.send(startupMessage({ user: "spy", database: "pgbouncer" }));
    const dialogue = new PasswordDialogue(spy, "spy", spyPassword);
    for (;;) {
      const next = await this.#next(spy);
      if (next === null || next.type === "E") throw new Error("the spy was not let in");
      if (next.type === "R") dialogue.answer(next.body);
      if (next.type === "Z") return spy;
    }
  }

  #of(name: string): Connection {
    const connection = this.#connections.get(name);
    if (connection === undefined) throw new Error(`the scenario has no connection ${name}`);
    return connection;
  }

  async #listen(
    title: string,
    connection: Connection,
    until: string,
    dialogue: PasswordDialogue | null = null,
  ): Promise<void> {
    const lines: string[] = [];
    const { wire } = connection;
    try {
      for (;;) {
        const next = await this.#next(wire);
        if (next === null) {
          connection.ended = true;
          lines.push("(end)");
          break;
        }
        if (next.type === "K") wire.key = { pid: next.body.readInt32BE(0), secret: next.body.subarray(4) };
        if (next.type === "T") connection.heads = columnHeads(next.body);
        lines.push(...this.#render(connection, next));
        if (until.includes(next.type)) break;
        if (next.type === "R") dialogue?.answer(next.body);
      }
    } catch (error) {
      lines.push(`(${error instanceof Error ? error.message : String(error)})`);
    }
    // SHOW FDS: which row comes first means nothing.
    this.note(title, connection.heads[0]?.name === "fd" ? lines.sort() : lines);
  }

  /** On the console each column and each value has a line of its own. */
  #render(connection: Connection, received: WireMessage): string[] {
    const { heads, isConsole } = connection;
    if (!isConsole || !"TD".includes(received.type)) {
      return renderMessage(received, heads, (_column, value) => JSON.stringify(value));
    }
    if (received.type === "T")
      return renderMessage(received, heads, String)[0]!
        .split(" ")
        .map((word) => `T ${word}`);
    const row = columns(received.body);
    const key = rowKey(heads, row);
    // SHOW STATS_AVERAGES: some of its columns have the names of totals.
    const areAverages =
      heads.some(({ name }) => name.startsWith("avg_")) && heads[1]?.name === "server_assignment_count";
    return heads.map(
      ({ name }, at) =>
        `D ${this.#words.text(key)}: ${this.#words.consoleCell(name, row[at] ?? null, row, areAverages)}`,
    );
  }

  async #next(wire: WireClient): Promise<WireMessage | null> {
    let late: NodeJS.Timeout | undefined;
    const deadline = new Promise<never>((_, reject) => {
      late = setTimeout(() => reject(new Error("no answer")), answerDeadlineMs);
    });
    const next = wire.next();
    next.catch(() => undefined);
    try {
      return await Promise.race([next, deadline]);
    } finally {
      clearTimeout(late);
    }
  }
}

/** What a row is about, the same on every pooler. */
function rowKey(heads: readonly ColumnHead[], row: readonly (string | null)[]): string {
  if (heads[0]?.name === "type") return row.slice(0, 3).join("/");
  if (heads[0]?.name === "fd") return row.slice(1, 4).join("/");
  return row.slice(0, heads[1]?.name === "user" ? 2 : 1).join("/");
}
