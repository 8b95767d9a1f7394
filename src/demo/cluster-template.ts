/**
 * Data folders without waiting for initdb: one is made per version and kept below node_modules/.cache, and clusters are
 * copies of it (about 40 ms instead of 700).
 *
 * A template appears by rename, so that several test files may make the first one at once; all but one are thrown away.
 * Where the cache cannot be written (an installation of someone else's) every cluster gets an initdb of its own.
 */
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { PostgresBinaries } from "./postgres-binaries.ts";
import type { UnprivilegedUser } from "./unprivileged-user.ts";

const run = promisify(execFile);
/** Templates stand here, and for a moment drafts of them, `cluster-….PID.TIME`. */
export const cacheFolder = join(
  dirname(dirname(dirname(fileURLToPath(import.meta.url)))),
  "node_modules",
  ".cache",
  "pgcarpool",
);

/** Options that shape the template; a change here needs another name for it, hence the number. */
const templateRevision = 1;
const initdbOptions = [
  "--username=postgres",
  "--auth=trust",
  "--encoding=UTF8",
  "--locale=C",
  "--wal-segsize=1",
  "--no-sync",
  "--no-instructions",
];

/**
 * Fills `dataFolder` (its parent exists and belongs to `user`) with a fresh cluster. Rejects with initdb's output when
 * that fails. With `keep` the template stays for the next caller.
 */
export async function copyCluster(
  binaries: PostgresBinaries,
  dataFolder: string,
  user: UnprivilegedUser | null,
  keep: boolean,
): Promise<void> {
  // Owner and mode come along in a copy: a template made as root belongs to nobody, an ordinary user's to that user.
  const owner = user?.uid ?? process.getuid?.() ?? 0;
  const template = join(cacheFolder, `cluster-${binaries.version}-${owner}-${templateRevision}`);
  if (keep && existsSync(template)) {
    await run("cp", ["-a", template, dataFolder]);
    return;
  }
  const identity = user === null ? {} : { uid: user.uid, gid: user.gid };
  await run(join(binaries.folder, "bin", "initdb"), ["--pgdata", dataFolder, ...initdbOptions], {
    cwd: dirname(dataFolder),
    env: { PATH: process.env["PATH"], LC_ALL: "C", TZ: "UTC" },
    ...identity,
  });
  if (keep) await keepTemplate(dataFolder, template);
}

async function keepTemplate(dataFolder: string, template: string): Promise<void> {
  const draft = `${template}.${process.pid}.${Date.now()}`;
  try {
    mkdirSync(cacheFolder, { recursive: true });
    await run("cp", ["-a", dataFolder, draft]);
    renameSync(draft, template);
  } catch {
    // Another process was first, or the cache is not ours to write: the cluster itself is complete either way.
    rmSync(draft, { recursive: true, force: true });
  }
}
