/**
 * What `main.ts` runs, with everything it needs from the outside handed in: the order of a start, and of an end.
 *
 * The order is PgBouncer's: configuration and TLS (as who started it: keys may be root's own), user, own Unix socket free,
 * pidfile, daemon, limits, listeners, pidfile, `process up`, and the service manager is told.
 */
import { existsSync } from "node:fs";
import { connect } from "node:net";
import { resolve } from "node:path";
import { createConsole } from "../admin/admin-console.ts";
import type { Configuration } from "../config/configuration.ts";
import { loadConfiguration } from "../config/load.ts";
import { socketPath } from "../config/server-address.ts";
import type { Settings } from "../config/settings.ts";
import { Logger } from "../log/logger.ts";
import { SYSLOG_SOCKET, SyslogSink } from "../log/syslog-sink.ts";
import { systemErrorText } from "../log/system-error.ts";
import { loadLibc } from "../net/libc.ts";
import type { Libc } from "../net/libc.ts";
import { becomeUser, findUser } from "../net/system-user.ts";
import { UnixDatagram } from "../net/unix-datagram.ts";
import { createWorld } from "../net/world-of-runtime.ts";
import type { World } from "../net/world.ts";
import type { ListeningMeans } from "../pooler/listeners.ts";
import { Pooler } from "../pooler/pooler.ts";
import type { TakenOver } from "../pooler/takeover.ts";
import { parseCommandLine, usage } from "./command-line.ts";
import type { CommandLine } from "./command-line.ts";
import { daemonize } from "./daemon.ts";
import { inheritedSockets } from "./inherited-sockets.ts";
import { LogOutputs } from "./log-outputs.ts";
import { expectedDescriptors, openFilesLimit } from "./open-files-limit.ts";
import type { OpenFilesLimit } from "./open-files-limit.ts";
import { checkPidfile, writePidfile } from "./pidfile.ts";
import { ServiceNotifier } from "./service-notifier.ts";
import { SignalActions } from "./signal-actions.ts";
import type { Signals } from "./signals.ts";
import { OldProcess, TakeoverError } from "./takeover.ts";
import { processUpLine, versionLines } from "./version-lines.ts";

export interface Program {
  readonly args: readonly string[];
  /** How it was called, for messages. */
  readonly program: string;
  readonly signals: Signals;
  /** Reads a file, or throws the system's error. */
  readonly readFile: (path: string) => Uint8Array;
}

type Run = Extract<CommandLine, { kind: "run" }>;

const HOUR_MS = 3_600_000;

/** Where syslog listens if not at /dev/log: inside a container, for example. */
const SYSLOG_VARIABLE = "PGCARPOOL_SYSLOG_SOCKET";

/** Runs until the process exits. */
export async function runProgram(program: Program): Promise<void> {
  const line = parseCommandLine(program.args, program.program);
  switch (line.kind) {
    case "help":
      process.stdout.write(usage(program.program));
      process.exit(0);
      return;
    case "version":
      process.stdout.write(versionLines(loadLibc().load()).join("\n") + "\n");
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

class Process {
  readonly #program: Program;
  readonly #line: Run;
  readonly #outputs: LogOutputs;
  readonly #log: Logger;
  #world: World | null = null;

  constructor(program: Program, line: Run) {
    this.#program = program;
    this.#line = line;
    this.#outputs = new LogOutputs(line.quiet);
    this.#log = new Logger({ pid: process.pid, wallTime: Date.now, sinks: [this.#outputs], verbose: line.verbose });
  }

  async run(): Promise<void> {
    const configuration = this.#load();
    const { settings } = configuration;
    // Whatever is still to be loaded is loaded now: the other user may not be allowed to read the installation.
    const libc = loadLibc();
    const world = await createWorld(libc);
    this.#world = world;
    const datagrams = UnixDatagram.open(libc);
    const notifier = new ServiceNotifier({
      address: process.env["NOTIFY_SOCKET"],
      send: (address, message) => datagrams?.send(address, message),
      monotonicUs: () => libc.monotonicUs(),
    });
    const limit = openFilesLimit(this.#program.readFile);
    const listening = this.#listeningMeans(libc, limit);
    const isActivated = (listening.inherited?.length ?? 0) > 0;
    const pooler = new Pooler({
      world,
      configuration,
      log: this.#log,
      readFile: this.#program.readFile,
      console: createConsole,
      listening,
      onStatistics: (line) => notifier.status(line.replaceAll(" us", " μs")),
      onReload: () => this.#reopenLog(),
      onExit: () => this.#leave(),
    });
    const problem = pooler.prepare();
    if (problem !== null) this.#die(problem);
    this.#changeUser(settings);
    // As the user who is to write it from now on.
    this.#openLog(settings, datagrams);
    const takesOver = await this.#findOldProcess(settings, isActivated);
    if (!takesOver) {
      const pidProblem = checkPidfile(settings.pidfile, this.#log);
      if (pidProblem !== null) this.#die(pidProblem);
    }
    if (this.#line.daemon) {
      if (settings.pidfile === "") this.#die("daemon needs pidfile configured");
      daemonize();
    }
    const takenOver = takesOver ? await this.#takeOver(pooler, world) : null;
    this.#logLimits(limit, pooler);
    const startProblem = (await pooler.start(takenOver)) ?? writePidfile(settings.pidfile);
    if (startProblem !== null) this.#die(startProblem);
    // What nobody has caught leaves a state that nobody knows: better to be started again than to go on with it.
    process.on("uncaughtException", (error) => this.#die(`broken invariant: ${error.stack ?? error.message}`));
    // It ends when it is told to, and not when nobody is connected while accepting rests (pooler/accept-pause.ts).
    setInterval(() => {}, HOUR_MS);
    const actions = new SignalActions({ pooler, log: this.#log, notifier, die: (reason) => this.#die(reason) });
    this.#log.log(`process up: ${processUpLine()}`);
    notifier.ready();
    this.#program.signals.deliverTo((signal) => actions.take(signal));
  }

  /** Whether there is a process whose place is to be taken (-R). Without -R there must be none. */
  async #findOldProcess(settings: Settings, isActivated: boolean): Promise<boolean> {
    const { reboot } = this.#line;
    if (reboot && isActivated) this.#die("cannot reboot under service manager");
    if (reboot) this.#log.warning("Online restart is deprecated, use so_reuseport instead");
    const isThere = !isActivated && (await isServed(settings));
    if (isThere && !reboot) this.#die("unix socket is in use, cannot continue");
    if (isThere && settings.unixSocketDir.startsWith("@")) this.#die("cannot reboot with abstract Unix socket");
    if (reboot && !isThere) this.#log.log("old process not found, try to continue normally");
    return isThere;
  }

  /** The other process has ended when this resolves. */
  async #takeOver(pooler: Pooler, world: World): Promise<TakenOver> {
    const { settings } = pooler;
    const descriptors = world.descriptors?.() ?? null;
    if (descriptors === null) this.#die("cannot reboot: descriptors cannot be received here");
    this.#program.signals.deliverTo((signal) => {
      if (signal === "SIGINT" || signal === "SIGTERM") this.#die("takeover was in progress, going down immediately");
    });
    try {
      const path = resolve(socketPath(settings.unixSocketDir, settings.listenPort));
      const old = OldProcess.find(descriptors, path, this.#log);
      if (old === null) this.#die("login failed");
      const { sockets, fromPgBouncer } = await old.handOver();
      const takenOver = await pooler.takeOver(sockets, fromPgBouncer);
      await old.end(settings.pidfile);
      return takenOver;
    } catch (error) {
      if (error instanceof TakeoverError) this.#die(error.message);
      throw error;
    }
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

  #listeningMeans(libc: Libc, limit: OpenFilesLimit | null): ListeningMeans {
    const inherited = inheritedSockets(process.env, process.pid, libc);
    if (typeof inherited === "string") this.#die(inherited);
    const soft = Number(limit?.soft);
    return {
      inherited,
      ...(Number.isInteger(soft) ? { descriptors: { limit: soft, duplicate: (fd) => libc.duplicate(fd) } } : {}),
    };
  }

  #openLog(settings: Settings, datagrams: UnixDatagram | null): void {
    const address = process.env[SYSLOG_VARIABLE] ?? SYSLOG_SOCKET;
    const syslog = new SyslogSink({
      settings,
      pid: process.pid,
      wallTime: Date.now,
      send: (datagram) => datagrams?.send(address, datagram) ?? false,
    });
    try {
      this.#outputs.open(settings, syslog);
    } catch (error) {
      process.stderr.write(`${(error as Error).message}\n`);
      process.exit(1);
    }
  }

  #reopenLog(): void {
    try {
      this.#outputs.reopen();
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
          this.#die(`failed to assume identity of user '${settings.user}': ${systemErrorText(error)}`);
        }
      }
    }
    if (process.getuid?.() === 0) this.#die("PgBouncer should not run as root");
  }

  #logLimits(limit: OpenFilesLimit | null, pooler: Pooler): void {
    if (limit === null) return;
    const { settings, residents, configuration } = pooler;
    const expected = expectedDescriptors(settings, configuration.databases.values(), residents.users.size);
    this.#log.log(
      `kernel file descriptor limit: ${limit.soft} (hard: ${limit.hard}); max_client_conn: ${settings.maxClientConn}, max expected fd use: ${expected}`,
    );
  }

  /** The pooler has ended in good order. What it wrote last is given a turn to leave. */
  #leave(): void {
    if (this.#world === null) process.exit(0);
    this.#world.afterTurn(() => setTimeout(() => process.exit(0), 10));
  }

  #die(reason: string): never {
    this.#log.fatal(reason);
    this.#outputs.giveUp();
    process.exit(1);
  }
}

/** Whether somebody accepts connections on our own Unix socket. */
async function isServed(settings: Settings): Promise<boolean> {
  if (settings.unixSocketDir === "") return false;
  const path = socketPath(settings.unixSocketDir, settings.listenPort);
  const abstract = path.startsWith("@");
  if (!abstract && !existsSync(path)) return false;
  return new Promise((found) => {
    const probe = connect(abstract ? `\0${path.slice(1)}` : path);
    probe.once("connect", () => {
      probe.destroy();
      found(true);
    });
    probe.once("error", () => found(false));
  });
}
