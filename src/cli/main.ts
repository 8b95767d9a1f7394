/**
 * The program: command line, configuration, user, log, signals, and one pooler.
 *
 * Start order is PgBouncer's: arguments, configuration, TLS, user, no root, console, own Unix socket free?, pidfile,
 * daemon, listeners, `process up`. Any failure is a FATAL line and exit code 1.
 */
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { Signals } from "./signals.ts";

// First of all: until a handler is there, SIGUSR1 opens Node's debugger port and ends Bun.
const signals = new Signals();

const { runProgram } = await import("./program.ts");

const program =
  basename(process.argv[1] ?? "pgcarpool") === "main.ts" ? "pgcarpool" : basename(process.argv[1] ?? "pgcarpool");
await runProgram({
  args: process.argv.slice(2),
  program: program.replace(/\.js$/, "") === "main" ? "pgcarpool" : program,
  signals,
  readFile: (path) => readFileSync(path),
});
