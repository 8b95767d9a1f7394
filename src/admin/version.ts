/** Which PgBouncer this is a drop-in for, and our own version. `--version` and SHOW VERSION print the same line. */
import { readFileSync } from "node:fs";

/** The release whose behaviour is followed. */
export const PGBOUNCER_VERSION = "1.25.2";

/** Read while the program loads: later, under the user of the settings, its own folder may be out of reach. */
const manifest = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
  version: string;
};

/** "PgBouncer 1.25.2 (pgcarpool 0.1.0)" */
export function versionLine(): string {
  return `PgBouncer ${PGBOUNCER_VERSION} (pgcarpool ${manifest.version})`;
}
