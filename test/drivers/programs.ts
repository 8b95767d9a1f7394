/** The programs that drive the pooler from outside, and the Debian packages they come from. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";

export interface Requirement {
  /** A file that is there when the package is installed; or a Python module. */
  readonly file?: string;
  readonly module?: string;
  readonly packageName: string;
}

/** Debian's modules belong to Debian's Python; another one may come first in PATH. */
export const python = "/usr/bin/python3";

export const requirements = {
  psql: { file: "/usr/bin/psql", packageName: "postgresql-client" },
  pgbench: { file: "/usr/bin/pgbench", packageName: "postgresql-contrib" },
  psycopg3: { module: "psycopg", packageName: "python3-psycopg" },
  psycopg2: { module: "psycopg2", packageName: "python3-psycopg2" },
  asyncpg: { module: "asyncpg", packageName: "python3-asyncpg" },
} as const satisfies Record<string, Requirement>;

export function isThere({ file, module }: Requirement): boolean {
  if (file !== undefined) return existsSync(file);
  return spawnSync(python, ["-c", `import ${module}`], { stdio: "ignore", cwd: "/" }).status === 0;
}

/** As root on Debian: installs what is missing. Elsewhere nothing happens, and the caller says what is missing. */
export function installMissing(): void {
  const missing = Object.values(requirements).filter((requirement) => !isThere(requirement));
  if (missing.length === 0 || process.getuid?.() !== 0 || !existsSync("/usr/bin/apt-get")) return;
  const names = missing.map(({ packageName }) => packageName);
  console.error(`installing ${names.join(", ")}`);
  // RUNLEVEL keeps the packages' own services from being started where init scripts are used.
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" };
  spawnSync("apt-get", ["update", "-qq"], { env, stdio: ["ignore", 2, 2] });
  for (const name of names) {
    spawnSync("apt-get", ["install", "-y", "-qq", "--no-install-recommends", name], { env, stdio: ["ignore", 2, 2] });
  }
}
