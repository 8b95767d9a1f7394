/**
 * `npm run demo`: reads the command line, turns signals and a closed output into the wish to stop, and runs the demo.
 *
 * Exit status: 0 after the time is over or Ctrl-C, 1 when something was wrong, 2 for a wrong command line; after another
 * signal the shell's 128 + its number. In every case everything is cleaned up first.
 */
import { constants } from "node:os";
import { runDemo } from "./demo.ts";
import { parseDemoCommandLine } from "./demo-options.ts";
import { endWithLauncher } from "./lifeline.ts";
import { endWithNpm } from "./npm-parent.ts";
import { StopRequest } from "./stop-request.ts";

const stop = new StopRequest();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const) {
  process.on(signal, () => stop.make({ kind: "signal", signal }));
}
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => stop.make({ kind: "output" }));
endWithLauncher();
endWithNpm(process.env, () => stop.make({ kind: "signal", signal: "SIGTERM" }));

const line = parseDemoCommandLine(process.argv.slice(2), process.env);
if (line.kind === "help") console.log(line.text);
else if (line.kind === "wrong") console.error(line.message);
else {
  const { options } = line;
  const live = !options.plain && process.stdout.isTTY && process.env["TERM"] !== "dumb";
  const colour = (process.env["NO_COLOR"] ?? "") === "";
  try {
    process.exitCode = await runDemo({ options, stop, output: process.stdout, live, colour });
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
if (line.kind === "wrong") process.exitCode = 2;
const { cause } = stop;
if (cause?.kind === "signal" && cause.signal !== "SIGINT") process.exit(128 + constants.signals[cause.signal]);
process.exit();
