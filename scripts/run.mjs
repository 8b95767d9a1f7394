/**
 * The launcher behind every npm script: `node scripts/run.mjs <command> [arguments]`.
 *
 * It makes `npm test` and `npm run demo` work as the first command after a clone: installs what the lock file names when
 * that has not been done (or was done for an older lock file), then runs the command on the Node that the lock file
 * names, by path, so that the Node of the machine does not matter. It runs itself on any Node from 20.19 on, hence plain
 * JavaScript and no dependency. What the commands do is in their own files (`commandFiles` below).
 *
 * Signals: the command gets a session of its own and every signal exactly once, from here. Without that, Ctrl-C would
 * reach it twice (the terminal's group, and npm, which forwards), and a pooler takes a second SIGINT for "now". When this
 * process is killed without a chance to forward, the command sees the end of file on its descriptor 3, the lifeline.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { installationProblem, hydrateSymlinks, nodePath } from "./installation.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

const commandFiles = {
  test: "scripts/test.ts",
  "test:drivers": "test/drivers/main.ts",
  "test:system": "scripts/system-tests.ts",
  "compat:pgbouncer": "scripts/compat-pgbouncer.ts",
  "compat:differential": "scripts/compat-differential.ts",
  check: "scripts/check.ts",
  build: "scripts/build.ts",
  demo: "src/demo/main.ts",
  bench: "bench/main.ts",
  "bench:regression": "bench/regression.ts",
  sim: "test/sim/main.ts",
  fuzz: "test/fuzz/main.ts",
  soak: "test/soak/main.ts",
};

const forwardedSignals = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGWINCH", "SIGUSR1", "SIGUSR2"];
const repeatWindowMs = 500;

const [command, ...args] = process.argv.slice(2);
if (command === undefined || !Object.hasOwn(commandFiles, command)) {
  console.error(`usage: node scripts/run.mjs ${Object.keys(commandFiles).join("|")} [arguments]`);
  process.exit(2);
}
const file = join(root, commandFiles[command]);
if (!existsSync(file)) {
  console.error(`${command}: ${commandFiles[command]} does not exist in this version`);
  process.exit(2);
}
install();
run(file, args);

/** Runs `npm ci` if needed, and ends the process with a message when the installation is not usable after that. */
function install() {
  const before = installationProblem(root);
  if (before === null) return;
  console.error(`npm ci (${before})`);
  const npm = process.env["npm_execpath"];
  const byPath = npm !== undefined && /npm-cli\.c?js$/.test(npm);
  const options = ["ci", "--include=dev", "--include=optional", "--no-audit", "--no-fund"];
  // npm hands its configuration down in the environment; two entries of it would break an installation from here.
  const env = { ...process.env, npm_config_ignore_scripts: "false", npm_config_engine_strict: "false" };
  delete env["npm_config_production"];
  delete env["npm_config_dry_run"];
  const result = spawnSync(byPath ? process.execPath : "npm", byPath ? [npm, ...options] : options, {
    cwd: root,
    env,
    stdio: ["ignore", 2, 2], // the command's output stays alone on stdout
  });
  if (result.status !== 0) {
    console.error(`npm ci failed: ${result.error?.message ?? result.signal ?? `exit status ${result.status}`}`);
    process.exit(1);
  }
  hydrateSymlinks(root);
  const after = installationProblem(root);
  if (after !== null) {
    console.error(`the installation is not complete after npm ci: ${after}`);
    process.exit(1);
  }
}

/** Starts the command, forwards signals, and ends as the command ends: same status, or death by the same signal. */
function run(script, scriptArgs) {
  const child = spawn(nodePath(root), [script, ...scriptArgs], {
    stdio: ["inherit", "inherit", "inherit", "pipe"],
    detached: true,
    env: { ...process.env, PGCARPOOL_LIFELINE_FD: "3" },
  });
  const lastForwardedMs = new Map();
  for (const signal of forwardedSignals) {
    process.on(signal, () => {
      const nowMs = performance.now();
      if (signal === "SIGINT" && nowMs - (lastForwardedMs.get(signal) ?? -Infinity) < repeatWindowMs) return;
      lastForwardedMs.set(signal, nowMs);
      child.kill(signal);
    });
  }
  child.on("error", (error) => {
    console.error(`cannot start ${nodePath(root)}: ${error.message}`);
    process.exit(1);
  });
  child.on("exit", (status, signal) => {
    if (signal === null) process.exit(status ?? 1);
    for (const name of forwardedSignals) process.removeAllListeners(name);
    process.kill(process.pid, signal);
    // A signal that does not end us (SIGWINCH is ignored by default): the shell's convention instead.
    setTimeout(() => process.exit(128 + (constants.signals[signal] ?? 0)), 200);
  });
}
