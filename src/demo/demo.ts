/**
 * A run of the demo from start to end: a folder, PostgreSQL, the pooler, the clients; then figures once a second until
 * somebody says stop; then the summary, and everything is taken away in the opposite order.
 */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { ConsoleReader } from "./console-reader.ts";
import { DemoDatabase, demoName, demoUser } from "./demo-database.ts";
import { DemoFolder } from "./demo-folder.ts";
import type { DemoOptions } from "./demo-options.ts";
import { DemoPooler } from "./demo-pooler.ts";
import { liveScreen, type Scene } from "./live-screen.ts";
import { type Figures, Meter } from "./meter.ts";
import { plainLine, summary } from "./plain-report.ts";
import { Stopped, type StopRequest } from "./stop-request.ts";
import { TerminalScreen } from "./terminal-screen.ts";
import { unprivilegedUser } from "./unprivileged-user.ts";
import { Workload } from "./workload.ts";

export interface DemoRun {
  readonly options: DemoOptions;
  readonly stop: StopRequest;
  readonly output: NodeJS.WriteStream;
  /** Draw a screen; else lines. */
  readonly live: boolean;
  readonly colour: boolean;
}

const consoleName = "pgbouncer";
const applicationName = "pgcarpool demo";
const samplesPerReading = 4;
const readingMs = 1_000;
const passwordBytes = 6;

/** What is to be undone at the end, the newest first. */
type Undo = () => Promise<void> | void;

/** Resolves with the exit status: 0, or 1 when something was wrong. Rejects when the demo cannot start. */
export async function runDemo(run: DemoRun): Promise<number> {
  const undo: Undo[] = [];
  try {
    return await new Demo(run, undo).run();
  } catch (error) {
    if (error instanceof Stopped) return 0;
    throw error;
  } finally {
    for (const step of undo.reverse()) await step();
  }
}

class Demo {
  readonly #run: DemoRun;
  readonly #undo: Undo[];

  constructor(run: DemoRun, undo: Undo[]) {
    this.#run = run;
    this.#undo = undo;
  }

  async run(): Promise<number> {
    const { options, stop, live } = this.#run;
    const startedAtMs = performance.now();
    const runAs = unprivilegedUser();
    const folder = DemoFolder.make(runAs, live);
    this.#undo.push(() => folder.remove());

    const password = randomBytes(passwordBytes).toString("hex");
    const database = await DemoDatabase.start(folder.path, password, options.poolSize);
    this.#undo.push(() => database.stop());
    this.#say(`PostgreSQL ${database.version} is up, with room for ${database.connectionsMax} connections`);
    stop.check();

    const pooler = await DemoPooler.start({
      folder: folder.path,
      port: options.port,
      poolSize: options.poolSize,
      clients: options.clients,
      user: demoUser,
      database: demoName,
      password,
      server: { host: database.host, port: database.port },
      runtime: options.runtime,
      runAs,
    });
    this.#undo.push(() => pooler.stop());
    void pooler.exited.then(() => stop.make({ kind: "pooler" }));
    const taken = pooler.port === options.port ? "" : ` (${options.port} is taken)`;
    this.#say(`${pooler.description} is up on port ${pooler.port}${taken}`);
    this.#say(`  psql ${pooler.url(demoName)}`);
    this.#say(`  psql ${pooler.url(consoleName)} -c 'SHOW POOLS'`);
    if (options.showConfig) this.#say(`${pooler.iniPath}:\n\n${readFileSync(pooler.iniPath, "utf8")}`);
    stop.check();

    const login = {
      host: pooler.host,
      port: pooler.port,
      user: demoUser,
      password,
      database: demoName,
      applicationName,
    };
    const workload = new Workload(login, options.clients, options.thinkMs);
    this.#undo.push(() => workload.end());
    await stop.orStop(workload.start());
    this.#say(
      `${options.clients} clients are logged in; ready in ${((performance.now() - startedAtMs) / 1000).toFixed(1)} s`,
    );

    const console = new ConsoleReader(pooler.url(consoleName), demoName, demoUser);
    this.#undo.push(() => console.end());
    const scene: Scene = {
      title: pooler.description,
      postgresVersion: database.version,
      url: pooler.url(demoName),
      consoleUrl: pooler.url(consoleName),
      iniPath: pooler.iniPath,
      clients: options.clients,
      poolSize: options.poolSize,
      tide: options.thinkMs === null,
      seconds: options.seconds,
    };
    const meter = await Meter.start(workload, console, database, pooler);
    await this.#watch(scene, meter);
    return await this.#conclude({ scene, meter, workload, database, pooler });
  }

  /** Shows figures until the end is wished for. */
  async #watch(scene: Scene, meter: Meter): Promise<void> {
    const { options, stop, output, live, colour } = this.#run;
    const startedAtMs = performance.now();
    const endsAtMs = options.seconds === null ? Infinity : startedAtMs + options.seconds * 1000;
    let figures: Figures | null = null;
    const layOut = (columns: number, rows: number) => liveScreen(scene, figures, columns, rows);
    const screen = live ? new TerminalScreen(output, colour, layOut) : null;
    this.#undo.push(() => screen?.close());
    screen?.open();
    for (let reading = 1; stop.cause === null; reading += 1) {
      const readAtMs = Math.min(startedAtMs + reading * readingMs, endsAtMs);
      for (let sample = samplesPerReading - 1; sample > 0 && stop.cause === null; sample -= 1) {
        await stop.sleep(readAtMs - (sample * readingMs) / samplesPerReading - performance.now());
        await meter.sample();
      }
      await stop.sleep(readAtMs - performance.now());
      if (stop.cause !== null) break;
      figures = await meter.read();
      if (screen === null) this.#say(plainLine(figures));
      screen?.draw();
      if (performance.now() >= endsAtMs) stop.make({ kind: "time" });
    }
    screen?.close();
  }

  async #conclude(parts: {
    readonly scene: Scene;
    readonly meter: Meter;
    readonly workload: Workload;
    readonly database: DemoDatabase;
    readonly pooler: DemoPooler;
  }): Promise<number> {
    const { scene, meter, workload, database, pooler } = parts;
    const poolerDied = pooler.pid === 0;
    // Before the clients leave: after that the pooler's own figures would count their leaving.
    const totals = await meter.totals();
    await workload.end();
    const counts = workload.counts();
    const missingMoney = await database.missingMoney().catch(() => null);
    this.#say(summary(scene, { ...totals, counts: { ...counts, queries: totals.counts.queries } }, missingMoney));
    if (poolerDied) this.#say(`the pooler has ended; the last of its log:\n${pooler.log().slice(-1_000)}`);
    const moneyIsWrong = missingMoney !== null && missingMoney !== 0 && totals.visitorsMost === 0;
    return poolerDied || counts.wrongAnswers > 0 || moneyIsWrong ? 1 : 0;
  }

  #say(text: string): void {
    this.#run.output.write(`${text}\n`);
  }
}
