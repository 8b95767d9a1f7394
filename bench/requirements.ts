/**
 * The programs that the bench runs: PostgreSQL's server, initdb and pgbench, and PgBouncer. Finds them, and as root on a
 * Debian machine installs what is missing; otherwise says in one message what is missing and which package has it.
 */
import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { type BenchOptions, SeatName } from "./options.ts";

export interface Programs {
  readonly postgres: string;
  readonly initdb: string;
  readonly pgbench: string;
  /** Null when PgBouncer is not among the seats. */
  readonly pgbouncer: string | null;
}

const DEBIAN_POSTGRES = "/usr/lib/postgresql";
const DEBIAN_PACKAGES = ["postgresql", "postgresql-contrib", "pgbouncer"];

/** Finds or installs the programs. Throws with a message for the user when something is missing in the end. */
export function findPrograms(options: BenchOptions): Programs {
  const found = search(options);
  if (typeof found !== "string") return found;
  if (process.getuid?.() === 0 && existsSync("/usr/bin/apt-get")) {
    console.error(`${found}; installing ${DEBIAN_PACKAGES.join(", ")}`);
    install();
    const again = search(options);
    if (typeof again !== "string") return again;
    throw new Error(`${again}, even after apt-get install ${DEBIAN_PACKAGES.join(" ")}`);
  }
  throw new Error(
    `${found}. As root: apt-get install ${DEBIAN_PACKAGES.join(" ")}. ` +
      `Or name them: --postgres FOLDER, --pgbouncer PATH; or leave PgBouncer out with --seats.`,
  );
}

/** First line of a program's --version. */
export function versionOf(program: string): string {
  const result = spawnSync(program, ["--version"], { encoding: "utf8" });
  return result.stdout?.split("\n")[0]?.trim() || "unknown";
}

/** "1.25.2" of "PgBouncer 1.25.2" as comparable numbers; null when it says something else. */
export function parsePgbouncerVersion(text: string): [major: number, minor: number] | null {
  const found = /^PgBouncer (\d+)\.(\d+)/.exec(text);
  return found === null ? null : [Number(found[1]), Number(found[2])];
}

function search(options: BenchOptions): Programs | string {
  const folder = options.postgresFolder ?? newestDebianFolder();
  if (folder === null) return `no PostgreSQL under ${DEBIAN_POSTGRES}`;
  const postgres = join(folder, "postgres");
  const initdb = join(folder, "initdb");
  // Embedded builds have no pgbench; Debian's serves them too.
  const pgbench = [join(folder, "pgbench"), join(newestDebianFolder() ?? folder, "pgbench"), ...onPath("pgbench")].find(
    isProgram,
  );
  for (const path of [postgres, initdb]) if (!isProgram(path)) return `${path} is not a program`;
  if (pgbench === undefined) return "no pgbench";
  if (!options.seats.includes(SeatName.pgbouncer)) return { postgres, initdb, pgbench, pgbouncer: null };
  if (options.pgbouncerPath !== null) {
    // Named by hand: another one found by chance would be a silent lie in the table.
    if (!isProgram(options.pgbouncerPath)) throw new Error(`--pgbouncer: ${options.pgbouncerPath} is not a program`);
    return { postgres, initdb, pgbench, pgbouncer: options.pgbouncerPath };
  }
  const pgbouncer = ["/usr/sbin/pgbouncer", ...onPath("pgbouncer")].find(isProgram);
  return pgbouncer === undefined ? "no pgbouncer" : { postgres, initdb, pgbench, pgbouncer };
}

function newestDebianFolder(): string | null {
  if (!existsSync(DEBIAN_POSTGRES)) return null;
  const majors = readdirSync(DEBIAN_POSTGRES)
    .filter((name) => /^\d+$/.test(name) && isProgram(join(DEBIAN_POSTGRES, name, "bin", "postgres")))
    .sort((a, b) => Number(b) - Number(a));
  return majors[0] === undefined ? null : join(DEBIAN_POSTGRES, majors[0], "bin");
}

function onPath(name: string): string[] {
  return (process.env["PATH"] ?? "").split(":").map((folder) => join(folder, name));
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function install(): void {
  // RUNLEVEL keeps the packages' own services from being started where init scripts are used.
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" };
  for (const args of [
    ["update", "-qq"],
    ["install", "-y", "-qq", "--no-install-recommends", ...DEBIAN_PACKAGES],
  ]) {
    const result = spawnSync("apt-get", args, { env, stdio: ["ignore", 2, 2] });
    if (result.status !== 0) throw new Error(`apt-get ${args.join(" ")} failed with status ${result.status}`);
  }
}
