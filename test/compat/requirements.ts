/**
 * What PgBouncer's test suite needs on the machine beside a checkout of it, and the Debian packages that bring it. Checked
 * before a run, because most of it is otherwise missed only in the middle of one, as failures that look like the pooler's.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";

/** Debian's modules belong to Debian's Python; another one may come first in PATH. */
export const python = "/usr/bin/python3";

interface Requirement {
  readonly name: string;
  readonly packageName: string;
  readonly isThere: (path: string) => boolean;
}

const program = (name: string, packageName: string): Requirement => ({
  name,
  packageName,
  isThere: (path) => path.split(":").some((folder) => existsSync(join(folder, name))),
});

const pythonModule = (name: string, packageName: string): Requirement => ({
  name: `Python's ${name}`,
  packageName,
  isThere: () => spawnSync(python, ["-c", `import ${name}`], { stdio: "ignore", cwd: "/" }).status === 0,
});

const requirements: readonly Requirement[] = [
  program("initdb", "postgresql"),
  program("psql", "postgresql-client"),
  program("pg_basebackup", "postgresql-client"),
  pythonModule("pytest", "python3-pytest"),
  pythonModule("pytest_asyncio", "python3-pytest-asyncio"),
  pythonModule("pytest_timeout", "python3-pytest-timeout"),
  pythonModule("xdist", "python3-pytest-xdist"),
  pythonModule("filelock", "python3-filelock"),
  pythonModule("psycopg", "python3-psycopg"),
  program("openssl", "openssl"),
  program("socat", "socat"),
  program("slapd", "slapd"),
  program("ldapadd", "ldap-utils"),
  program("sudo", "sudo"),
  { name: "test_decoding", packageName: "postgresql-contrib", isThere: () => hasTestDecoding() },
];

/** The search path for programs: PostgreSQL's own folder, which Debian keeps out of PATH, and where servers live. */
export function suitePath(): string {
  const newest = debianPostgres().at(-1);
  const own = newest === undefined ? [] : [join(newest, "bin")];
  return [...own, process.env["PATH"] ?? "", "/usr/sbin", "/sbin"].join(":");
}

/** Lines for people about what is not there; empty when all is. */
export function missingRequirements(): string[] {
  return missing().map(({ name, packageName }) => `${name} (Debian: ${packageName})`);
}

/** Installs what is missing with apt. Only for root on Debian; else nothing happens. */
export function installRequirements(): void {
  const names = [...new Set(missing().map(({ packageName }) => packageName))];
  if (names.length === 0 || process.getuid?.() !== 0 || !existsSync("/usr/bin/apt-get")) return;
  console.error(`installing ${names.join(", ")}`);
  // RUNLEVEL keeps the packages' own services from being started where init scripts are used.
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" };
  const apt = (...args: string[]): void => {
    spawnSync("apt-get", ["-qq", "-o", "DPkg::Lock::Timeout=120", ...args], { env, stdio: ["ignore", 2, 2] });
  };
  apt("update");
  apt("install", "-y", "--no-install-recommends", ...names);
}

function missing(): Requirement[] {
  const path = suitePath();
  return requirements.filter((requirement) => !requirement.isThere(path));
}

/** Folders like /usr/lib/postgresql/15, the newest last. */
function debianPostgres(): string[] {
  const root = "/usr/lib/postgresql";
  if (!existsSync(root)) return [];
  const versions = readdirSync(root).filter((name) => existsSync(join(root, name, "bin", "initdb")));
  return versions.toSorted((a, b) => Number(a) - Number(b)).map((name) => join(root, name));
}

function hasTestDecoding(): boolean {
  const found = spawnSync("pg_config", ["--pkglibdir"], { encoding: "utf8", env: { PATH: suitePath() } });
  const folders = debianPostgres().map((folder) => join(folder, "lib"));
  if (found.status === 0) folders.push(found.stdout.trim());
  return folders.some((folder) => existsSync(join(folder, "test_decoding.so")));
}
