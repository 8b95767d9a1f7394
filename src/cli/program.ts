/** What `main.ts` runs, with everything it needs from the outside handed in. */
import { existsSync } from "node:fs";
import { connect } from "node:net";
import { createConsole } from "../admin/admin-console.ts";
import { versionLine } from "../admin/version.ts";
import type { Configuration } from "../config/configuration.ts";
import { loadConfiguration } from "../config/load.ts";
import { socketPath } from "../config/server-address.ts";
import type { Settings } from "../config/settings.ts";
import { FileSink } from "../log/file-sink.ts";
import { Logger } from "../log/logger.ts";
import type { LogSink } from "../log/log-sink.ts";
import { StderrSink } from "../log/stderr-sink.ts";
import { loadLibc } from "../net/libc.ts";
import { becomeUser, findUser } from "../net/system-user.ts";
import { createWorld } from "../net/world-of-runtime.ts";
import type { World } from "../net/world.ts";
import { PoolerState, ShutdownMode } from "../pooler/operations.ts";
import { Pooler } from "../pooler/pooler.ts";
import { parseCommandLine, usage } from "./command-line.ts";
import type { CommandLine } from "./command-line.ts";
import { daemonize } from "./daemon.ts";
import { openFilesLimit } from "./open-files-limit.ts";
import { checkPidfile, removePidfile, writePidfile } from "./pidfile.ts";
import type { CaughtSignal, Signals } from "./signals.ts";

export interface Program {
  readonly args: readonly string[];
  /** How it was called, for messages. */
  readonly program: string;
  readonly signals: Signals;
  /** Reads a file, or throws the system's error. */
  readonly readFile: (path: string) => Uint8Array;
}

type Run = Extract<CommandLine, { kind: "run" }>;

/** Runs until the process exits. */
export async function runProgram(program: Program): Promise<void> {
  const line = parseCommandLine(program.args, program.program);
  switch (line.kind) {
    case "help":
      process.stdout.write(usage(program.program));
      process.exit(0);
      return;
    case "version":
      process.stdout.write(`${versionLine()}\n${runtimeLine()}\n`);
      process.exit(0);
      return;
    case "wrong":
      process.stderr.write(`${line.message}\n`);
      process.exit(1);
      return;
    case "run":
      await new Process(program, line).run();
  }
}

function runtimeLine(): string {
  const { versions } = process;
  const tls = versions.openssl ?? versions["boringssl"] ?? "unknown";
  return versions["bun"] === undefined
    ? `node ${versions.node}\ntls: OpenSSL ${tls}`
    : `bun ${versions["bun"]}\ntls: BoringSSL ${tls}`;
}

class Process {
  readonly #program: Program;
  readonly #line: Run;
  #log: Logger;
  #file: FileSink | null = null;
  #world: World | null = null;

  constructor(program: Program, line: Run) {
    this.#program = program;
    this.#line = line;
    this.#log = new Logger({ pid: process.pid, wallTime: Date.now, sinks: this.#sinks(), verbose: line.verbose });
  }

  #sinks(): LogSink[] {
    const sinks: LogSink[] = [];
    // A daemon's stderr is closed once it runs; until then its starter wants to see what is wrong.
    if (!this.#line.quiet) sinks.push(new StderrSink());
    if (this.#file !== null) sinks.push(this.#file);
    return sinks;
  }

  async run(): Promise<void> {
    const configuration = this.#load();
    const { settings } = configuration;
    if (this.#line.reboot) this.#die("online restart (-R) is not supported");
    const libc = loadLibc();
    // Whatever is still to be loaded is loaded now: the other user may not be allowed to read the installation.
    const world = await createWorld(libc);
    this.#changeUser(settings);
    // As the user who is to write it from now on.
    this.#openLog(settings);
    this.#world = world;
    const pooler = new Pooler({
      world,
      configuration,
      log: this.#log,
      readFile: this.#program.readFile,
      console: createConsole,
      onReload: () => this.#reopenLog(settings),
      onExit: () => this.#leave(settings),
    });
    const problem = pooler.prepare();
    if (problem !== null) this.#die(problem);
    if (await isServed(settings)) this.#die("unix socket is in use, cannot continue");
    const pidProblem = checkPidfile(settings.pidfile, this.#log);
    if (pidProblem !== null) this.#die(pidProblem);
    if (this.#line.daemon) {
      if (settings.pidfile === "") this.#die("daemon needs pidfile configured");
      daemonize();
    }
    this.#logLimits(settings);
    const startProblem = await pooler.start();
    if (startProblem !== null) this.#die(startProblem);
    try {
      writePidfile(settings.pidfile);
    } catch (error) {
      this.#die(`could not open pidfile '${settings.pidfile}': ${(error as Error).message}`);
    }
    // What nobody has caught leaves a state that nobody knows: better to be started again than to go on with it.
    process.on("uncaughtException", (error) => this.#die(`broken invariant: ${error.stack ?? error.message}`));
    this.#program.signals.deliverTo((signal) => this.#signalled(signal, pooler));
    this.#log.log(`process up: ${versionLine()}, ${runtimeLine().replace("\n", ", ")}`);
  }

  #load(): Configuration {
    const read = (path: string): string => Buffer.from(this.#program.readFile(path)).toString("utf8");
    const loaded = loadConfiguration(this.#line.configFile, read);
    for (const warning of loaded.warnings) this.#log.warning(warning.message);
    if (!loaded.ok) {
      for (const error of loaded.errors) this.#log.error(error.message);
      this.#die("cannot load config file");
    }
    const { configuration } = loaded;
    const { settings } = configuration;
    settings.verbose = Math.max(settings.verbose, this.#line.verbose);
    if (this.#line.user !== null) settings.user = this.#line.user;
    this.#log.verbose = settings.verbose;
    return configuration;
  }

  #openLog(settings: Settings): void {
    if (settings.logfile === "") return;
    try {
      this.#file = new FileSink(settings.logfile);
    } catch (error) {
      process.stderr.write(`${(error as Error).message}\n`);
      process.exit(1);
    }
    this.#log.setSinks(this.#sinks());
  }

  #reopenLog(settings: Settings): void {
    try {
      if (this.#file === null) this.#openLog(settings);
      else if (settings.logfile !== "") this.#file.reopen(settings.logfile);
    } catch (error) {
      this.#log.error((error as Error).message);
    }
  }

  #changeUser(settings: Settings): void {
    if (settings.user !== null && settings.user !== "") {
      const user = findUser(settings.user);
      if (user === null) this.#die(`could not find user '${settings.user}' to switch to`);
      else if (process.getuid?.() !== user.uid) {
        try {
          becomeUser(user);
        } catch (error) {
          this.#die(`failed to change user to '${settings.user}': ${(error as Error).message}`);
        }
      }
    }
    if (process.getuid?.() === 0) this.#die("PgBouncer should not run as root");
  }

  #logLimits(settings: Settings): void {
    const limit = openFilesLimit(this.#program.readFile);
    if (limit === null) return;
    const expected = settings.maxClientConn + settings.defaultPoolSize * 4 + 32;
    this.#log.log(
      `kernel file descriptor limit: ${limit.soft} (hard: ${limit.hard}); max_client_conn: ${settings.maxClientConn}, max expected fd use: ${expected}`,
    );
  }

  #signalled(signal: CaughtSignal, pooler: Pooler): void {
    const log = this.#log;
    const { operations } = pooler;
    switch (signal) {
      case "SIGHUP":
        log.log("got SIGHUP, re-reading config");
        pooler.reload();
        return;
      case "SIGINT":
      case "SIGTERM":
        if (operations.shutdownMode !== null || (signal === "SIGINT" && operations.state === PoolerState.suspended)) {
          log.log(`got ${signal} while shutting down, fast exit`);
          operations.shutdown(ShutdownMode.immediate);
        } else if (signal === "SIGTERM") {
          log.log("got SIGTERM, shutting down, waiting for all clients disconnect");
          operations.shutdown(ShutdownMode.waitForClients);
        } else {
          log.log("got SIGINT, shutting down, waiting for all servers connections to be released");
          operations.shutdown(ShutdownMode.waitForServers);
        }
        return;
      case "SIGQUIT":
        log.log("got SIGQUIT, fast exit");
        operations.shutdown(ShutdownMode.immediate);
        return;
      case "SIGUSR1":
        log.log("got SIGUSR1, pausing all activity");
        if (operations.state === "active") operations.pause(() => {});
        return;
      case "SIGUSR2":
        if (operations.shutdownMode !== null) log.log("got SIGUSR2 while shutting down, ignoring");
        else {
          log.log("got SIGUSR2, continuing from SUSPEND or PAUSE");
          if (operations.state !== "active") operations.resume();
        }
    }
  }

  /** The pooler has ended in good order. What it wrote last is given a turn to leave. */
  #leave(settings: Settings): void {
    removePidfile(settings.pidfile);
    if (this.#world === null) process.exit(0);
    this.#world.afterTurn(() => setTimeout(() => process.exit(0), 10));
  }

  #die(reason: string): never {
    this.#log.fatal(reason);
    process.exit(1);
  }
}

/** Whether somebody accepts connections on our own Unix socket. */
async function isServed(settings: Settings): Promise<boolean> {
  if (settings.unixSocketDir === "") return false;
  const path = socketPath(settings.unixSocketDir, settings.listenPort);
  const abstract = path.startsWith("@");
  if (!abstract && !existsSync(path)) return false;
  return new Promise((resolve) => {
    const probe = connect(abstract ? `\0${path.slice(1)}` : path);
    probe.once("connect", () => {
      probe.destroy();
      resolve(true);
    });
    probe.once("error", () => resolve(false));
  });
}
