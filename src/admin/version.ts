/** Which PgBouncer this is a drop-in for, and our own version. `--version` and SHOW VERSION print the same line. */
import { readFileSync } from "node:fs";

/** The release whose behaviour is followed. */
export const PGBOUNCER_VERSION = "1.25.2";

/** "PgBouncer 1.25.2 (pgcarpool 0.1.0)" */
export function versionLine(): string {
  const manifest = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
    version: string;
  };
  return `PgBouncer ${PGBOUNCER_VERSION} (pgcarpool ${manifest.version})`;
}
