/**
 * The real engine, as the simulator starts it: the whole pooler in a simulated world, configured by an ini text.
 */
import { Buffer } from "node:buffer";
import { loadConfiguration } from "../../src/config/load.ts";
import { ServerState } from "../../src/pool/server-state.ts";
import { Logger } from "../../src/log/logger.ts";
import { Pooler } from "../../src/pooler/pooler.ts";
import type { Console } from "../../src/session/console.ts";
import type { EngineKind, EngineSetup, EngineUnderTest, EngineView, SimCommand } from "./engine-under-test.ts";
import { viewPooler } from "./pooler-view.ts";

export const poolerKind: EngineKind = {
  name: "pooler",
  pools: true,
  judgesMessages: true,
  start: async (setup) => startPooler(setup),
};

export async function startPooler(setup: EngineSetup): Promise<PoolerUnderTest> {
  const files = new Map([
    ["/sim/pgbouncer.ini", iniText(setup)],
    ["/sim/userlist.txt", setup.users.map((user) => `"${user}" ""\n`).join("")],
  ]);
  const readText = (path: string): string => {
    const text = files.get(path);
    if (text === undefined) throw Object.assign(new Error(`no such file: ${path}`), { code: "ENOENT" });
    return text;
  };
  const loaded = loadConfiguration("/sim/pgbouncer.ini", readText);
  if (!loaded.ok) throw new Error(loaded.errors.map((error) => error.message).join("; "));
  const log = new Logger({
    pid: 1,
    wallTime: () => setup.world.clock.wallTime(),
    sinks: [{ write: (_line, level, message) => setup.log(`${level} ${message}`) }],
    verbose: 1,
  });
  const pooler = new Pooler({
    world: setup.world,
    configuration: loaded.configuration,
    log,
    readFile: (path) => Buffer.from(readText(path)),
    console: () => NO_CONSOLE,
    onExit: () => {},
  });
  pooler.engine.log.verbose = 1;
  const problem = pooler.prepare() ?? (await pooler.start());
  if (problem !== null) throw new Error(problem);
  return new PoolerUnderTest(pooler);
}

export class PoolerUnderTest implements EngineUnderTest {
  readonly pooler: Pooler;

  constructor(pooler: Pooler) {
    this.pooler = pooler;
  }

  inspect(): EngineView {
    return viewPooler(this.pooler);
  }

  isShared(port: number): boolean {
    for (const { connection, place } of this.pooler.residents.servers) {
      if (connection?.local.port === port) return place.state === ServerState.shared;
    }
    return false;
  }

  sharingFigures(): ReadonlyMap<string, number> {
    const figures = new Map<string, number>();
    const add = (name: string, count: number) => figures.set(name, (figures.get(name) ?? 0) + count);
    for (const { sharing } of this.pooler.residents.pools()) {
      const { rides, behindOthers, trials, moves, seals, refusals } = sharing.counters;
      add("rode", rides);
      add("rode behind others", behindOthers);
      add("ran alone to be measured", trials);
      for (const [reason, count] of moves) add(`moved: ${reason}`, count);
      for (const [reason, count] of seals) add(`sealed: ${reason}`, count);
      for (const [reason, count] of refusals) add(`refused: ${reason}`, count);
    }
    return figures;
  }

  command(command: SimCommand, done: () => void): void {
    const { operations } = this.pooler;
    switch (command) {
      case "RECONNECT":
        operations.reconnect(null);
        done();
        return;
      case "PAUSE":
        operations.pause(done);
        return;
      case "SUSPEND":
        operations.suspend(done, () => {});
        return;
      case "RESUME":
        operations.resume();
        done();
    }
  }

  stop(): void {
    this.pooler.end();
  }
}

function iniText({ listenAt, serverAt, databases, settings }: EngineSetup): string {
  if (!("port" in listenAt)) throw new Error("the simulated pooler listens on TCP");
  const lines = ["[databases]"];
  for (const { name, poolMode, poolSize } of databases) {
    lines.push(`${name} = host=${serverAt.host} port=${serverAt.port} pool_mode=${poolMode} pool_size=${poolSize}`);
  }
  lines.push(
    "[pgbouncer]",
    `listen_addr = ${listenAt.host}`,
    `listen_port = ${listenAt.port}`,
    "unix_socket_dir =",
    "auth_type = trust",
    "auth_file = /sim/userlist.txt",
  );
  for (const [name, value] of Object.entries(settings)) lines.push(`${name} = ${value}`);
  return `${lines.join("\n")}\n`;
}

/** The simulation has no console; clients do not ask for it. */
const NO_CONSOLE: Console = {
  parameters: [],
  receive: () => {},
  cancel: () => {},
  left: () => {},
};
