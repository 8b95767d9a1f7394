/**
 * Where and with what a run was made: without it a number means nothing.
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem } from "node:os";
import { join } from "node:path";
import type { Environment } from "./bench-results.ts";
import { type Programs, versionOf } from "./requirements.ts";

/** Reads the machine, the commit and the versions of all programs. `root`: the working tree. */
export function readEnvironment(root: string, programs: Programs): Environment {
  const versions: Record<string, string> = {
    PostgreSQL: versionOf(programs.postgres).replace(/^postgres (\(PostgreSQL\) )?/, ""),
    pgbench: versionOf(programs.pgbench).replace(/^pgbench (\(PostgreSQL\) )?/, ""),
    Node: process.versions.node,
    Bun: bunVersion(root),
  };
  if (programs.pgbouncer !== null) versions["PgBouncer"] = versionOf(programs.pgbouncer).replace(/^PgBouncer /, "");
  const processors = cpus();
  return {
    date: new Date().toISOString(),
    commit: git(root, ["rev-parse", "--short=12", "HEAD"]) ?? "unknown",
    dirty: (git(root, ["status", "--porcelain", "--untracked-files=no"]) ?? "") !== "",
    processor: processors[0]?.model ?? "unknown",
    processors: processors.length,
    memoryMb: Math.round(totalmem() / 1e6),
    kernel: release(),
    loadAverage: loadavg()[0] as number,
    versions,
  };
}

function git(root: string, args: readonly string[]): string | null {
  const result = spawnSync("git", ["-C", root, ...args], { encoding: "utf8" });
  return result.status === 0 ? result.stdout.trim() : null;
}

/** As the lock file pins it for `bin/pgcarpool`. */
function bunVersion(root: string): string {
  for (const name of ["bun-linux-x64", "bun-linux-aarch64"]) {
    try {
      const text = readFileSync(join(root, "node_modules", "@oven", name, "package.json"), "utf8");
      return (JSON.parse(text) as { version: string }).version;
    } catch {
      // not this machine's
    }
  }
  return "not installed";
}
