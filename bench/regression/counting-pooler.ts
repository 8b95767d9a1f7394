/**
 * A program for either runtime: a pooler on real sockets that counts its reads and writes.
 *
 *     counting-pooler.ts PORT-OF-POSTGRESQL POOL-SIZE [SETTING …]
 *
 * Prints its port, then the counts so far as JSON for each line on stdin, and ends with stdin.
 */
import { createInterface } from "node:readline";
import { loadConfiguration } from "../../src/config/load.ts";
import { LogLevel } from "../../src/log/log-level.ts";
import { Logger } from "../../src/log/logger.ts";
import { createWorld } from "../../src/net/world-of-runtime.ts";
import { Pooler } from "../../src/pooler/pooler.ts";
import type { Console } from "../../src/session/console.ts";
import { findFreePort } from "../free-port.ts";
import { BENCH_DATABASE, BENCH_USER } from "../wire-client.ts";
import { countTransport, type TransportCounts } from "./counting-transport.ts";

const NO_CONSOLE: Console = { parameters: [], receive: () => {}, cancel: () => {}, left: () => {} };

const [postgresPort, poolSize, ...settings] = process.argv.slice(2);
const port = await findFreePort();
const files = new Map([
  [
    "/pooler.ini",
    [
      "[databases]",
      `${BENCH_DATABASE} = host=127.0.0.1 port=${postgresPort}`,
      "[pgbouncer]",
      "listen_addr = 127.0.0.1",
      `listen_port = ${port}`,
      "unix_socket_dir =",
      "auth_type = trust",
      "auth_file = /userlist.txt",
      "pool_mode = transaction",
      `default_pool_size = ${poolSize}`,
      "log_connections = 0",
      "log_disconnections = 0",
      ...settings,
      "",
    ].join("\n"),
  ],
  ["/userlist.txt", `"${BENCH_USER}" ""\n`],
]);
const readText = (path: string): string => {
  const text = files.get(path);
  if (text === undefined) throw Object.assign(new Error(`no such file: ${path}`), { code: "ENOENT" });
  return text;
};
const loaded = loadConfiguration("/pooler.ini", readText);
if (!loaded.ok) throw new Error(loaded.errors.map((error) => error.message).join("; "));
const counts: TransportCounts = { clientReads: 0, clientWrites: 0, serverReads: 0, serverWrites: 0 };
const real = await createWorld();
const world = { ...real, transport: countTransport(real.transport, counts) };
const pooler = new Pooler({
  world,
  configuration: loaded.configuration,
  log: new Logger({
    pid: process.pid,
    wallTime: () => world.clock.wallTime(),
    sinks: [{ write: (line, level) => void (level === LogLevel.log || process.stderr.write(line)) }],
  }),
  readFile: (path) => Buffer.from(readText(path)),
  console: () => NO_CONSOLE,
  onExit: () => process.exit(0),
});
const problem = pooler.prepare() ?? (await pooler.start());
if (problem !== null) throw new Error(problem);
console.log(port);
const lines = createInterface({ input: process.stdin });
lines.on("line", () => console.log(JSON.stringify(counts)));
lines.on("close", () => process.exit(0));
